//! Answers of which a part lies in the bucket. The stream's object says what it consists of; here
//! it is put together, from streams to a stream, so that no byte of it passes through the object
//! or through WebAssembly.

use futures_util::future::try_join_all;
use worker::wasm_bindgen::JsValue;
use worker::wasm_bindgen_futures::spawn_local;
use worker::web_sys::{Headers, Response, ResponseInit};
use worker::{Env, js_sys};

use crate::cloudflare::config;
use crate::cloudflare::forward;
use crate::cloudflare::number::number;
use crate::cloudflare::r2::{self, Bucket, FixedLengthStream, Source};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::part::{Part, Piece, Plan};

/// Completes an answer; one that is complete is passed on as it is.
///
/// # Errors
///
/// [`Error::Unavailable`] when a part cannot be had, [`Error::Storage`] when one is not what it
/// should be. What fails later breaks the answer off.
pub async fn complete(env: &Env, response: Response) -> Result<Response, Error> {
    let Some(sources) = gather(env, &response).await? else {
        return Ok(response);
    };
    let stream = FixedLengthStream::new(number(sources.length()));
    let complete = with_body(&response, &stream).map_err(malformed)?;
    spawn_local(async move {
        let writable = stream.writable();
        let mut outcome = Ok(());
        for source in &sources.0 {
            if outcome.is_ok() {
                outcome = source.0.write(&writable).await;
            }
        }
        // Whoever reads it will notice, and may have been the reason.
        if let Err(error) = r2::end(&writable, outcome).await {
            worker::console_warn!("an answer was broken off: {error:?}");
        }
    });
    Ok(complete)
}

/// The body of an answer, complete, in memory.
///
/// # Errors
///
/// As [`complete`]; all of them before there is any byte.
pub async fn bytes(env: &Env, response: &Response) -> Result<Vec<u8>, Error> {
    let Some(sources) = gather(env, response).await? else {
        return Ok(forward::body_of(response).await?.to_vec());
    };
    let mut bytes = Vec::new();
    for (source, length) in &sources.0 {
        let piece = source.bytes().await.map_err(malformed)?.to_vec();
        if piece.len() as u64 != *length {
            return Err(Error::Unavailable("a part of an answer is short".into()));
        }
        bytes.extend(piece);
    }
    Ok(bytes)
}

/// Where the pieces of an answer come from, and how long they are.
struct Sources(Vec<(Source, u64)>);

impl Sources {
    fn length(&self) -> u64 {
        let lengths = self.0.iter().map(|(_, length)| *length);
        lengths.fold(0, u64::saturating_add)
    }
}

/// Opens everything an answer consists of, all at the same time; nothing for one that is complete.
async fn gather(env: &Env, response: &Response) -> Result<Option<Sources>, Error> {
    let header = response.headers().get(header::DS_COLD).ok().flatten();
    let Some(length) = header else {
        return Ok(None);
    };
    let bucket = Bucket::from_env(env).ok_or_else(|| {
        Error::Misconfigured(format!("the R2 bucket binding {} is missing", config::R2))
    })?;
    let body = forward::body_of(response).await?;
    let length: u32 = length.parse().unwrap_or(0);
    let plan = Plan::decode(&body.subarray(0, length).to_vec());
    let plan = plan.ok_or_else(|| Error::Unavailable("the object's plan is malformed".into()))?;
    let rest = body.subarray(length, body.length());
    let pieces = plan.pieces(rest.length() > 0);
    let sources = pieces.into_iter().map(|piece| open(&bucket, piece, &rest));
    try_join_all(sources)
        .await
        .map(|sources| Some(Sources(sources)))
}

async fn open(
    bucket: &Bucket,
    piece: Piece<'_>,
    rest: &js_sys::Uint8Array,
) -> Result<(Source, u64), Error> {
    let source = match piece {
        Piece::Text(text) => Source::text(text),
        Piece::Rest => Source::Bytes(rest.clone()),
        Piece::Part(part) if part.lines.is_none() => {
            return Ok((Source::Object(bucket.open(part).await?), part.length));
        }
        Piece::Part(part) => lines(bucket, part).await?,
    };
    let length = match &source {
        Source::Bytes(bytes) => bytes.length().into(),
        Source::Object(_) => 0,
    };
    Ok((source, length))
}

/// The lines of a part, of which its range has more than belong to the answer.
async fn lines(bucket: &Bucket, part: &Part) -> Result<Source, Error> {
    let object = Source::Object(bucket.open(part).await?);
    let range = object.bytes().await;
    let range = range
        .map_err(|error| r2::trouble(&part.key, &error))?
        .to_vec();
    let lines = part.lines.and_then(|lines| lines.cut(&range));
    let lines = lines.ok_or_else(|| Error::Storage(format!("{} has too few lines", part.key)))?;
    Ok(Source::text(lines))
}

fn with_body(response: &Response, stream: &FixedLengthStream) -> Result<Response, JsValue> {
    let headers = Headers::new_with_headers(&response.headers())?;
    headers.delete(header::DS_COLD)?;
    // Of the object's answer; the stream knows its own.
    headers.delete(header::CONTENT_LENGTH)?;
    let init = ResponseInit::new();
    init.set_status(response.status());
    init.set_headers(&headers);
    Response::new_with_opt_readable_stream_and_init(Some(&stream.readable()), &init)
}

fn malformed(error: JsValue) -> Error {
    Error::Unavailable(format!("{error:?}"))
}
