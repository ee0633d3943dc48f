//! Receivers of webhooks. They believe in what is signed with a key that the server publishes, and
//! may be slow, broken, forgetful or gone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::Value;

use super::deeds::{MANNERS, Manner};
use super::executor::once;
use super::keys;
use super::ledger::Grant;
use super::node::Node;
use super::subscriber::document;
use super::world::{CLIENTS, World};

/// So old may a published set of keys be, in milliseconds.
const FRESH: u64 = 300_000;

/// What receivers know.
#[derive(Default)]
pub struct Receivers {
    keys: RefCell<Vec<(String, String)>>,
    fetched_at: Cell<u64>,
}

/// How a receiver takes a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Says at once that it is done.
    Done,
    /// Is done later, and calls back.
    Later,
    /// Answers with a status that is not 2xx, whatever the body says.
    Refuses(u16),
    /// Never answers.
    Silent,
    /// Answers when nobody waits any more.
    Late,
    /// Is done, but nobody hears of it.
    Lost,
    /// Cannot be reached.
    Away,
}

impl World {
    /// Has a webhook received, and gives what the receiver answers.
    pub async fn deliver(
        &self,
        node: &Rc<Node>,
        url: &str,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<(u16, Vec<u8>), String> {
        let clock = self.executor().clone();
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        self.note(|| format!("{} sends {said} to {url}", node.path));
        let now = clock.now();
        let grant = match self.ledger(|ledger| ledger.sent(node, url, &said, now)) {
            Ok(grant) => grant,
            Err(what) => {
                self.fail(format!("{} sends to {url}: {what}", node.path));
                return Err("injected".into());
            }
        };
        self.count("webhook");
        clock.pause(self.latency()).await;
        let (sender, receiver) = once();
        let (world, url) = (self.clone(), url.to_owned());
        let headers = headers.to_vec();
        clock.spawn(CLIENTS, async move {
            let answer = world.receive(&url, &headers, &body, grant).await;
            sender.send(answer);
        });
        let answer = receiver.await;
        clock.pause(self.latency()).await;
        answer.unwrap_or_else(|| Err("lost".into()))
    }

    async fn receive(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: &[u8],
        grant: Grant,
    ) -> Result<(u16, Vec<u8>), String> {
        let clock = self.executor().clone();
        let done = br#"{"done":true}"#.to_vec();
        let mood = self.mood();
        self.count(&format!("receiver is {mood:?}"));
        if mood == Mood::Away {
            return Err("connection refused".into());
        }
        if let Err(status) = self.verify(headers, body).await {
            return Ok((status, Vec::new()));
        }
        self.note(|| format!("{url} is {mood:?}"));
        clock.pause(300).await;
        match mood {
            Mood::Done => {
                self.ledger(|ledger| ledger.was_done(&grant));
                Ok((200, done))
            }
            Mood::Later => {
                let manner = match self.ledger(|ledger| ledger.is_resting) {
                    true => Manner::Proper,
                    false => *clock.pick(&MANNERS),
                };
                let world = self.clone();
                clock.spawn(CLIENTS, async move {
                    world.executor().pause(900).await;
                    let id = grant.id.clone();
                    world.treat(&id, "callback", &grant, manner).await;
                });
                Ok((202, Vec::new()))
            }
            Mood::Refuses(status) => Ok((status, done)),
            Mood::Silent => {
                clock.sleep(u64::MAX).await;
                Err("nobody answers".into())
            }
            Mood::Late => {
                self.ledger(|ledger| ledger.was_done(&grant));
                clock.pause(60_000).await;
                Ok((200, done))
            }
            Mood::Lost => {
                self.ledger(|ledger| ledger.was_done(&grant));
                Err("connection reset".into())
            }
            Mood::Away => Err("connection refused".into()),
        }
    }

    fn mood(&self) -> Mood {
        let clock = self.executor();
        let is_good = self.ledger(|ledger| ledger.is_resting) || clock.chance(550);
        if is_good {
            return *clock.pick(&[Mood::Done, Mood::Later]);
        }
        *clock.pick(&[
            Mood::Refuses(500),
            Mood::Refuses(307),
            Mood::Refuses(404),
            Mood::Silent,
            Mood::Late,
            Mood::Lost,
            Mood::Away,
        ])
    }

    /// Whether a webhook is signed with a key that the server has published in the last five
    /// minutes; if not, the status that refuses it.
    async fn verify(&self, headers: &[(&'static str, String)], body: &[u8]) -> Result<(), u16> {
        let mut headers = headers.iter();
        let signature =
            headers.find_map(|(name, value)| (*name == "Webhook-Signature").then_some(value));
        let part = |name: &str| {
            let mut parts = signature.into_iter().flat_map(|value| value.split(','));
            let found = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        let (at, kid, signature) = (part("t"), part("kid"), part("ed25519"));
        let now = self.executor().now();
        let is_fresh = at.parse().is_ok_and(|at: u64| at * 1000 + 120_000 > now);
        self.expect(is_fresh, || format!("signed at {at}, and it is {now}"));
        let receivers = self.receivers();
        if now - receivers.fetched_at.get() > FRESH || self.executor().chance(50) {
            let set = self.control("GET", "jwks.json", None, None).await;
            let Some(set) = set.filter(|set| set.status == 200) else {
                return Err(503);
            };
            let set = document(&set);
            let keys = set["keys"].as_array().cloned().unwrap_or_default();
            let text = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
            let keys = keys.iter().map(|key| (text(key, "kid"), text(key, "x")));
            *receivers.keys.borrow_mut() = keys.collect();
            receivers.fetched_at.set(now);
        }
        let keys = receivers.keys.borrow();
        let key = keys.iter().find(|(known, _)| *known == kid);
        let signed = [at.as_bytes(), b".", body].concat();
        match key {
            Some((_, public)) => {
                let is_signed = keys::is_signed(public, &signed, &signature);
                self.expect(is_signed, || format!("it is not signed by {kid}"));
                self.count("signature verified");
                Ok(())
            }
            None => {
                // Whoever takes a key back at once wants just that, for some minutes.
                let revoked_at = self.ledger(|ledger| ledger.revoked_at);
                self.expect(now < revoked_at + 900_000, || {
                    format!("{kid} signs and is not published: {keys:?}")
                });
                self.count("signature refused");
                receivers.fetched_at.set(0);
                Err(401)
            }
        }
    }
}
