//! Each verb, on servers of two makes.

use std::process::Stdio;

use anyhow::{Context, Result};
use durable_streams_tests::reference::Reference;
use serde_json::json;

use super::program::Program;
use crate::shared;

#[test]
fn every_verb_works_on_our_server() -> Result<()> {
    let program = Program::at(shared()?.base())?;
    all_servers(&program, "verbs")?;

    let listed = program.run(&["list", "verbs/"])?;
    assert_eq!(listed, "verbs/bytes\nverbs/fork\nverbs/json\nverbs/text\n");
    let long = program.json(&["list", "verbs/json"])?;
    assert_eq!(long["streams"][0]["contentType"], "application/json");

    let refused = program.fails(&["truncate", "verbs/json", "--before", "now"], b"")?;
    assert!(refused.contains("--yes"), "{refused}");
    let before = program.json(&["head", "verbs/json"])?["offset"].clone();
    program.run(&["truncate", "verbs/json", "--before", "now", "--yes"])?;
    let after = program.json(&["head", "verbs/json"])?;
    assert_eq!((&after["earliest"], &after["offset"]), (&before, &before));
    let zero = "0000000000000000_0000000000000001_0000";
    let dropped = program.fails(&["read", "verbs/json", "--from", zero], b"")?;
    assert!(dropped.contains("the stream begins at"), "{dropped}");
    assert!(dropped.contains("help: --from "), "{dropped}");
    Ok(())
}

#[test]
fn every_verb_of_the_protocol_works_on_the_reference_implementation() -> Result<()> {
    let server = Reference::start(&json!({}))?;
    let program = Program::at(server.url())?;
    all_servers(&program, "verbs")?;
    let unlisted = program.fails(&["list"], b"")?;
    assert!(unlisted.contains("cannot list its streams"), "{unlisted}");
    let kept = program.fails(&["truncate", "verbs/json", "--before", "now", "--yes"], b"")?;
    assert!(kept.contains("Stream-Truncate-Before"), "{kept}");
    Ok(())
}

fn all_servers(program: &Program, below: &str) -> Result<()> {
    let name = |name: &str| format!("{below}/{name}");
    json_messages(program, &name("json"))?;
    text_and_bytes(program, &name("text"), &name("bytes"))?;
    producers(program, &name("producers"))?;
    forks(program, &name("json"), &name("fork"))?;
    refusals(program, &name("json"))?;
    program.run(&["delete", &name("producers"), "--yes"])?;
    let gone = program.fails(&["head", &name("producers")], b"")?;
    assert!(gone.contains("there is no such stream"), "{gone}");
    Ok(())
}

fn json_messages(program: &Program, stream: &str) -> Result<()> {
    assert_eq!(program.json(&["create", stream])?["created"], true);
    assert_eq!(program.json(&["create", stream])?["created"], false);
    program.run(&["append", stream, "[1,2]", "-3"])?;
    program.piped(&["append", stream], b"{\"a\":\n1.5}\n\"x\" 4")?;
    program.piped(&["append", stream, "--flatten", "[5,6]"], b"")?;
    program.piped(&["append", stream, "--strings"], "é\n\n".as_bytes())?;
    let lines = "[1,2]\n-3\n{\"a\": 1.5}\n\"x\"\n4\n5\n6\n\"é\"\n\"\"\n";
    let read = program.run(&["read", stream])?;
    // Servers may write what is between the parts of a message anew.
    assert_eq!(read.replace(": ", ":"), lines.replace(": ", ":"));
    assert_eq!(program.run(&["read", stream, "-n", "2"])?, "[1,2]\n-3\n");

    let document = program.json(&["read", stream])?;
    assert_eq!(document["messages"][2], json!({ "a": 1.5 }));
    assert_eq!(
        (&document["upToDate"], &document["closed"]),
        (&json!(true), &json!(false))
    );
    let tail = document["offset"].as_str().context("no offset")?.to_owned();
    assert_eq!(program.json(&["head", stream])?["offset"], tail);
    program.run(&["append", stream, "7"])?;
    assert_eq!(program.run(&["read", stream, "--from", &tail])?, "7\n");
    assert_eq!(program.run(&["read", stream, "--from", "now"])?, "");
    let events = program.run(&["follow", stream, "--from", &tail, "-n", "1", "--json"])?;
    assert!(
        events.starts_with("{\"messages\":[7],\"offset\":\""),
        "{events}"
    );

    // A reader that goes away is the end, and no error.
    let mut gone = program
        .command(&["read", stream])
        .stdout(Stdio::piped())
        .spawn()?;
    drop(gone.stdout.take());
    assert!(gone.wait()?.success());
    Ok(())
}

fn text_and_bytes(program: &Program, text: &str, bytes: &str) -> Result<()> {
    program.run(&["create", text, "-t", "text", "--ttl", "1h"])?;
    assert_eq!(program.json(&["head", text])?["ttlSeconds"], 3600);
    // Ends of lines stay as they are, also where events would change them.
    program.piped(&["append", text], "one\r\ntwo\ré".as_bytes())?;
    let closed = program.json(&["close", text])?;
    assert_eq!(program.json(&["close", text])?, closed);
    assert_eq!(program.run(&["follow", text])?, "one\r\ntwo\ré");
    let refused = program.fails(&["append", text, "x"], b"")?;
    assert!(refused.contains("the stream is closed"), "{refused}");

    program.run(&["create", bytes, "-t", "bytes"])?;
    let all: Vec<u8> = (0..=255_u8).cycle().take(3_000_000).collect();
    program.piped(&["append", bytes], &all)?;
    assert_eq!(program.piped(&["read", bytes], b"")?, all);
    for live in ["sse", "long-poll"] {
        let followed = program.piped(&["follow", bytes, "-n", "3000000", "--live", live], b"")?;
        assert!(followed == all, "by {live}");
    }
    Ok(())
}

fn producers(program: &Program, stream: &str) -> Result<()> {
    program.run(&["create", stream])?;
    let append = |more: &[&str], text: &str| {
        let args = [&["append", stream, "--json"], more].concat();
        let done = program.piped(&args, text.as_bytes())?;
        let done: serde_json::Value = serde_json::from_slice(&done)?;
        anyhow::Ok((done["appended"].as_u64(), done["appendedBefore"].as_u64()))
    };
    let p = ["--producer", "p"];
    assert_eq!(append(&p, "1 2 3")?, (Some(3), Some(0)));
    assert_eq!(append(&p, "1 2 3")?, (Some(0), Some(3)));
    // What has grown since, grows by that.
    assert_eq!(append(&p, "1 2 3 4 5")?, (Some(2), Some(3)));
    let gap = program.fails(
        &["append", stream, "9", "--producer", "p", "--seq", "7"],
        b"",
    )?;
    assert!(gap.contains("--seq 5 "), "{gap}");
    let next = ["--producer", "p", "--epoch", "1", "--close"];
    assert_eq!(append(&next, "6 7")?, (Some(2), Some(0)));
    let stale = program.fails(&["append", stream, "9", "--producer", "q"], b"")?;
    assert!(stale.contains("the stream is closed"), "{stale}");
    // The run that has closed it can be repeated, too.
    assert_eq!(append(&next, "6 7")?, (Some(0), Some(2)));
    assert_eq!(program.run(&["follow", stream])?, "1\n2\n3\n4\n5\n6\n7\n");
    Ok(())
}

fn forks(program: &Program, source: &str, fork: &str) -> Result<()> {
    let tail = program.json(&["head", source])?["offset"].clone();
    let tail = tail.as_str().context("no tail")?;
    program.run(&["append", source, "\"not in the fork\""])?;
    program.run(&["fork", source, fork, "--at", tail])?;
    program.run(&["append", fork, "\"only in the fork\""])?;
    let read = program.run(&["read", fork, "--from", tail])?;
    assert_eq!(read, "\"only in the fork\"\n");
    Ok(())
}

fn refusals(program: &Program, stream: &str) -> Result<()> {
    let before = program.json(&["head", stream])?["offset"].clone();
    let no_json = program.fails(&["append", stream, "hello"], b"")?;
    assert!(
        no_json.contains("`hello` is no JSON") && no_json.contains("--strings"),
        "{no_json}"
    );
    let unasked = program.fails(&["delete", stream], b"")?;
    assert!(unasked.contains("--yes"), "{unasked}");
    let another = program.fails(&["create", stream, "-t", "text"], b"")?;
    assert!(another.contains("status 409"), "{another}");
    assert_eq!(program.json(&["head", stream])?["offset"], before);
    // What is right before a mistake is appended, and said.
    let half = program.fails(&["append", stream], b"1 2 oops")?;
    assert!(half.contains("message 3 of stdin is no JSON"), "{half}");
    assert!(half.contains("after 2 messages were appended"), "{half}");
    Ok(())
}
