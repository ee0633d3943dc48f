//! A wake, however it came, and what there is to do: read each stream from where it was acked to its
//! tail, and say how far that was.

use std::fmt::Display;

use anyhow::{Context, Result, bail, ensure};
use durable_streams_tests::http::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use ureq::http::Method;

use super::Run;
use super::killed::until_answered;

/// A stream of a wake.
#[derive(Debug, Deserialize)]
pub struct Linked {
    path: String,
    acked_offset: String,
    has_pending: bool,
}

/// What a receiver is sent, and what a claim is answered.
#[derive(Debug, Deserialize)]
pub struct Wake {
    pub wake_id: String,
    pub generation: u64,
    #[serde(alias = "callback_token")]
    pub token: String,
    pub streams: Vec<Linked>,
}

/// Up to where a stream was processed.
#[derive(Clone, Debug, Serialize)]
pub struct Ack {
    stream: String,
    offset: String,
}

#[derive(Deserialize)]
struct Message {
    n: usize,
}

/// Whether the server took what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// Somebody else has the work, or will have it.
    Fenced,
}

impl Wake {
    /// Processes all that is pending for the subscription.
    pub fn process(&self, run: &Run, of: usize) -> Result<Vec<Ack>> {
        let pending = self.streams.iter().filter(|stream| stream.has_pending);
        pending.map(|stream| self.read(run, of, stream)).collect()
    }

    fn read(&self, run: &Run, of: usize, stream: &Linked) -> Result<Ack> {
        let path = &stream.path;
        run.ledger
            .told(of, self.generation, path, &stream.acked_offset);
        let mut offset = stream.acked_offset.clone();
        loop {
            let target = format!("/v1/stream/{path}?offset={offset}");
            let page = run.client.call(Method::GET, &target).send()?.expect(200)?;
            let messages: Vec<Message> = serde_json::from_slice(&page.body)?;
            let messages: Vec<usize> = messages.iter().map(|message| message.n).collect();
            run.ledger.processed(of, path, &messages);
            let next = page.header("stream-next-offset").context("no offset")?;
            next.clone_into(&mut offset);
            if page.header("stream-up-to-date").is_some() {
                let stream = path.clone();
                return Ok(Ack { stream, offset });
            }
        }
    }

    /// Tells the server how far the work is, and repeats it until there is an answer.
    pub fn tell(
        &self,
        run: &Run,
        (of, id): (usize, &str),
        action: &str,
        acks: &[Ack],
        is_done: bool,
    ) -> Result<Outcome> {
        let Self {
            wake_id,
            generation,
            ..
        } = self;
        let mut body = json!({ "wake_id": wake_id, "generation": generation });
        if action != "release" {
            body["acks"] = json!(acks);
            body["done"] = json!(is_done);
        }
        let path = format!("{id}/{action}");
        let answer = until_answered(|| self.ask(run, &path, &body))?;
        match answer.status {
            200 | 204 => {
                for Ack { stream, offset } in acks {
                    run.ledger.acked(of, *generation, stream, offset);
                }
                Ok(Outcome::Taken)
            }
            409 => {
                let code = answer.refusal()?.code;
                // Two attempts of one wake may be at work, and one of them be further.
                let is_overtaken = code == "INVALID_OFFSET" && action == "callback";
                ensure!(
                    code == "FENCED" || is_overtaken,
                    "{action} of {of}: {answer:?}"
                );
                Ok(Outcome::Fenced)
            }
            _ => bail!("{action} of {of}: {answer:?}"),
        }
    }

    /// Sends something to a route of the subscription, with the token of this wake.
    pub fn ask(&self, run: &Run, path: &str, body: &impl Display) -> Result<Response> {
        let call = run.control(Method::POST, path);
        call.header("authorization", format!("Bearer {}", self.token))
            .send_bytes(body.to_string().as_bytes())
    }
}

/// What a document says it is, for a wake by webhook or by claim.
pub fn parse(body: &[u8]) -> Result<Wake> {
    let document: Value = serde_json::from_slice(body)?;
    serde_json::from_value(document.clone()).with_context(|| format!("no wake: {document}"))
}
