//! API keys in place of tokens.

use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::http::Client;
use durable_streams_tests::project::Project;
use durable_streams_tests::say;
use durable_streams_tests::stream::Stream;
use ureq::http::Method;

use super::crash;
use crate::JSON;

const ADMIN_KEY: &str = "only the administrator knows this";

fn with_key(client: &Client, key: &str) -> Client {
    let client = client.clone();
    client.with_header("authorization", format!("Bearer {key}"))
}

/// A new key for streams below `prefix`.
fn new_key(client: &Client, prefix: &str) -> Result<String> {
    let made = with_key(client, ADMIN_KEY).call(Method::POST, "/keys");
    Ok(made.send_bytes(prefix.as_bytes())?.expect(201)?.text())
}

#[test]
fn keys_open_what_they_are_for_until_they_are_taken_away() -> Result<()> {
    let project = Project::of_example("own-auth")?;
    let _secret = project.edit(".dev.vars", |text| {
        text.replace("ADMIN_KEY=\"\"", &format!("ADMIN_KEY=\"{ADMIN_KEY}\""))
    })?;
    let dev = Dev::start(&project)?;
    let client = dev.client();
    assert!(dev.document().access.is_none(), "there are no tokens");
    assert!(dev.document().snippets.is_empty(), "nothing works without");

    let keys = |client: &Client, method, body: &str, status| {
        let sent = client.call(method, "/keys").send_bytes(body.as_bytes());
        sent?.expect(status)
    };
    for stranger in [&client, &with_key(&client, "guessed")] {
        keys(stranger, Method::POST, "mine/", 401)?;
        keys(stranger, Method::DELETE, "x", 401)?;
    }
    let admin = with_key(&client, ADMIN_KEY);
    // It would be for `mineral/s`, too.
    keys(&admin, Method::POST, "mine", 400)?;
    keys(&admin, Method::PUT, "mine/", 405)?;
    let (mine, theirs) = (new_key(&client, "mine/")?, new_key(&client, "theirs/")?);
    assert!(mine.len() == 32 && mine != theirs, "{mine} {theirs}");

    let stream = Stream::create(&with_key(&client, &mine), "mine/s", JSON)?;
    stream.append("1")?;
    assert_eq!(stream.read()?.messages()?, [1]);
    for (other, status) in [
        (client.clone(), 401),
        (admin, 401),
        (with_key(&client, &"x".repeat(600)), 401),
        (with_key(&client, &theirs), 403),
    ] {
        let other = stream.on(&other);
        other.get("-1").send()?.expect(status)?;
        other.post().send_bytes(b"2")?.expect(status)?;
    }
    let listed = |key: &str| {
        let client = with_key(&client, key);
        client
            .call(Method::GET, "/v1/stream/mine/__ds/streams")
            .send()
    };
    assert!(listed(&mine)?.expect(200)?.text().contains("\"s\""));
    listed(&theirs)?.expect(403)?;
    project.run(&["stream", "append", "mine/s", "2", "--token", &mine])?;

    // What was given out and appended outlives the runtime.
    crash(&dev)?;
    assert_eq!(stream.read()?.messages()?, [1, 2]);

    // A reader of events whose key is taken away is let go.
    let start = Instant::now();
    let target = format!("{}?offset=-1&live=sse", stream.path());
    let reader = with_key(&client, &mine);
    let reader = spawn(move || reader.call(Method::GET, &target).send());
    sleep(Duration::from_secs(2));
    keys(&with_key(&client, ADMIN_KEY), Method::DELETE, &mine, 204)?;
    let answer = reader.join().map_err(|_| anyhow!("it panicked"))??;
    let took = start.elapsed();
    say(&format!(
        "a reader without a key was let go after {took:.1?}"
    ));
    assert!(took < Duration::from_secs(50), "{took:?}");
    assert!(answer.expect(200)?.text().contains("[1,2]"));
    stream.get("-1").send()?.expect(401)?;
    dev.interrupt()?;
    Ok(())
}

#[test]
fn without_its_secret_nobody_makes_keys() -> Result<()> {
    let project = Project::of_example("own-auth")?;
    let dev = Dev::start(&project)?;
    for key in ["", "x"] {
        let client = with_key(&dev.client(), key);
        let refused = client.call(Method::POST, "/keys").send_bytes(b"mine/")?;
        let text = refused.expect(503)?.text();
        assert!(text.contains("ADMIN_KEY"), "{text}");
    }
    dev.interrupt()?;
    Ok(())
}
