//! What every HTTP client here has in common.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{
    Client, ClientBuilder, Method, Url,
    header::{HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    error::problem,
    interrupt::{self, Interrupted},
};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Nobody notices that the other side closes an idle connection while a worker is built.
const IDLE_LIMIT: Duration = Duration::from_secs(3);
/// How often a request is sent, counting the first time.
pub const TRIES: u32 = 3;
/// The wait before the second try; it doubles for the next …
const BACK_OFF: Duration = Duration::from_millis(500);
/// … up to this.
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);
/// A longer wait that the other side asks for is left to the person.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What stays as it is in a part of a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A client that follows no redirects: what is sent to one place goes to no other. Requests to this
/// machine go through no proxy.
pub fn client(url: &str) -> anyhow::Result<Client> {
    build(url, |builder| builder)
}

/// The same for requests whose bodies come from elsewhere, which nobody can send a second time: on this
/// machine, each has a connection of its own, as one that was used before may be closed just now.
pub fn passing_client(url: &str) -> anyhow::Result<Client> {
    build(url, |builder| match is_here(url) {
        true => builder.pool_max_idle_per_host(0),
        false => builder,
    })
}

fn build(url: &str, change: impl FnOnce(ClientBuilder) -> ClientBuilder) -> anyhow::Result<Client> {
    // That another provider was installed is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .user_agent(concat!("durable-streams/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_LIMIT)
        .redirect(Policy::none());
    let builder = change(builder);
    let built = match is_here(url) {
        true => builder.no_proxy().build(),
        false => builder.build(),
    };
    built.map_err(|error| {
        problem(
            format!("no connection can be made from here: {}", reason(&error)),
            "SSL_CERT_FILE and SSL_CERT_DIR, where they are set, have to name PEM files with \
             certificates; where they are not, the package `ca-certificates` brings those of the system",
        )
    })
}

/// What drives requests.
pub fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Drives something to its end, or until we are asked to end.
pub fn run<T>(runtime: &Runtime, work: impl Future<Output = T>) -> Result<T, Interrupted> {
    let interrupted = async {
        while !interrupt::interrupted() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            done = work => Ok(done),
            () = interrupted => Err(Interrupted),
        }
    })
}

/// Sends something up to `tries` times. Of an outcome after which it may be sent again, `again` gives how
/// long the other side wants to be left alone, if it says so; of any other, nothing.
pub async fn repeat<T>(
    tries: u32,
    mut attempt: impl AsyncFnMut() -> T,
    again: impl Fn(&T) -> Option<Option<Duration>>,
) -> T {
    let mut back_off = BACK_OFF;
    for _ in 1..tries {
        let outcome = attempt().await;
        let Some(asked) = again(&outcome) else {
            return outcome;
        };
        let pause = asked.unwrap_or(back_off);
        if pause > LONGEST_WAIT {
            return outcome;
        }
        tokio::time::sleep(pause).await;
        back_off = (back_off * 2).min(LONGEST_BACK_OFF);
    }
    attempt().await
}

/// Says on stderr what was sent and what came: never a header, never a body.
pub fn trace(method: &Method, path: &str, status: Option<u16>, took: Duration) {
    let outcome = status.map_or("no answer".to_owned(), |status| status.to_string());
    let took = took.as_millis();
    eprintln!("{method} {path} … {outcome} in {took} ms");
}

/// A part of a path, escaped as browsers do it.
pub fn escape(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

/// A path, each part of it escaped.
pub fn escape_path(path: &str) -> String {
    let parts: Vec<String> = path.split('/').map(escape).collect();
    parts.join("/")
}

/// Whether credentials may be sent to a URL: over TLS, or to this machine.
pub fn is_safe(url: &str) -> bool {
    is_here(url) || Url::parse(url).is_ok_and(|url| url.scheme() == "https")
}

/// Refuses a URL that tokens may not be sent to.
pub fn check_safe(url: &str) -> anyhow::Result<()> {
    match is_safe(url) {
        true => Ok(()),
        false => Err(problem(
            format!("`{url}` is no https URL"),
            "tokens would be sent there in the clear; only on this machine http will do",
        )),
    }
}

fn is_here(url: &str) -> bool {
    let is_here = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let url = Url::parse(url).ok();
    url.is_some_and(|url| url.scheme() == "http" && url.host_str().is_some_and(is_here))
}

/// Whether an answer has a status of success.
pub fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Whether the same request may be answered otherwise in a while.
pub fn is_worth_another_try(status: u16) -> bool {
    status == 429 || status >= 500
}

/// The seconds of `Retry-After`. A date, which nobody here sends, counts as none.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// What somebody can do whose machine does not trust a certificate.
pub const UNTRUSTED: &str = "a proxy or a firewall that looks into connections has a certificate of its \
                             own: set SSL_CERT_FILE to a PEM file that has the one it is signed by; \
                             without such a thing, install the package `ca-certificates`, and look at \
                             the clock of this machine";

/// Whether there is no answer because nobody whom this machine knows has signed the other side's
/// certificate.
pub fn is_untrusted(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = inner.downcast_ref() {
            return true;
        }
        // An error of input and output does not show what it holds as its source.
        let held = inner.downcast_ref::<std::io::Error>();
        cause = match held.and_then(std::io::Error::get_ref) {
            Some(held) => Some(held),
            None => inner.source(),
        };
    }
    false
}

/// The innermost cause, which is the one that says something.
pub fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_path_is_escaped_as_in_a_browser() {
        assert_eq!(escape("project:demo"), "project%3Ademo");
        assert_eq!(escape("a/b c-d_e.f~é"), "a%2Fb%20c-d_e.f~%C3%A9");
    }

    #[test]
    fn credentials_go_over_tls_or_to_this_machine() {
        for safe in [
            "https://x.example/v4",
            "http://127.0.0.1:80/client/v4",
            "http://localhost:4437",
            "http://[::1]:80",
        ] {
            assert!(is_safe(safe), "{safe}");
        }
        for bad in [
            "http://api.cloudflare.com",
            "http://localhost.evil.example",
            "x",
            "ftp://x",
            "",
        ] {
            assert!(!is_safe(bad), "{bad}");
        }
    }

    #[test]
    fn what_fails_by_chance_is_sent_again_and_not_for_ever() {
        let sent_until = |done: u32, pause: u64| {
            let mut sent = 0;
            let attempt = async || {
                sent += 1;
                sent
            };
            let again = |sent: &u32| (*sent < done).then(|| Some(Duration::from_secs(pause)));
            runtime().unwrap().block_on(repeat(3, attempt, again))
        };
        assert_eq!(sent_until(1, 0), 1);
        assert_eq!(sent_until(2, 0), 2);
        assert_eq!(sent_until(9, 0), 3);
        // Nobody waits that long.
        assert_eq!(sent_until(9, 61), 1);
    }

    #[test]
    fn the_time_to_wait_is_in_seconds() {
        let headers = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers)
        };
        assert_eq!(headers("7"), Some(Duration::from_secs(7)));
        assert_eq!(headers("Wed, 21 Oct 2026 07:28:00 GMT"), None);
    }
}
