//! Variables and the secret, as `wrangler.toml` and `.dev.vars` say.

use std::time::Duration;

use durable_streams_cloudflare::Platform;
use durable_streams_cloudflare::Streams;
use durable_streams_cloudflare::streams::Stream;
use worker::Env;

use crate::allowlist::Allowlist;
use crate::media_type;
use crate::refusal::Refusal;
use crate::signed::{MIN_BYTES, Secret};

/// What opens this server, and signs URLs.
///
/// # Errors
///
/// That there is none.
pub fn secret(env: &Env) -> Result<Secret, Refusal> {
    let secret = env.secret("PROXY_SECRET").map(|secret| secret.to_string());
    Secret::new(secret.unwrap_or_default()).ok_or_else(|| {
        Refusal::Settings(format!(
            "the secret PROXY_SECRET is not set, or has less than {MIN_BYTES} characters: put one \
             into .dev.vars, and for the deployed worker, `durable-streams secret put PROXY_SECRET`"
        ))
    })
}

/// The URLs that may be asked.
///
/// # Errors
///
/// What is wrong with the list.
pub fn allowlist(env: &Env) -> Result<Allowlist, Refusal> {
    Allowlist::parse(&var(env, "ALLOWLIST")).map_err(Refusal::Settings)
}

/// For how long URLs count, and answers are kept that nobody reads.
///
/// # Errors
///
/// That it is no number.
pub fn keep(env: &Env) -> Result<Duration, Refusal> {
    seconds(env, "KEEP_SECONDS")
}

/// How long an upstream may take until it begins to answer.
///
/// # Errors
///
/// That it is no number.
pub fn until_answer(env: &Env) -> Result<Duration, Refusal> {
    seconds(env, "ANSWER_SECONDS")
}

/// How long an upstream may be silent in the middle of its answer.
///
/// # Errors
///
/// That it is no number.
pub fn silence(env: &Env) -> Result<Duration, Refusal> {
    seconds(env, "SILENCE_SECONDS")
}

/// The path of the stream of an answer.
pub fn path(env: &Env, id: &str) -> String {
    format!("{}/{id}", var(env, "ANSWERS"))
}

/// The stream of that path.
///
/// # Errors
///
/// That it is no path of a stream.
pub fn stream(env: &Env, path: &str) -> Result<Stream<Platform>, Refusal> {
    let stream = Streams::new(env).stream(path);
    let stream = stream.map_err(|error| Refusal::Settings(format!("ANSWERS: {error}")))?;
    Ok(stream.of(media_type::BYTES))
}

fn var(env: &Env, name: &str) -> String {
    env.var(name)
        .map(|value| value.to_string())
        .unwrap_or_default()
}

fn seconds(env: &Env, name: &str) -> Result<Duration, Refusal> {
    let text = var(env, name);
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    let seconds = seconds
        .ok_or_else(|| Refusal::Settings(format!("{name} is {text:?}, not a number of seconds")))?;
    Ok(Duration::from_secs(seconds))
}
