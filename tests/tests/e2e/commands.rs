//! Commands that ask a server, against the one that `dev` serves.

use anyhow::{Context, Result, ensure};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::hooks::Hook;
use durable_streams_tests::project::{Auth, Project};
use durable_streams_tests::rows::STREAMS;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{storage, wait_until};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

/// Nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9/hook";

fn create(project: &Project, id: &str, url: &str) -> Result<Value> {
    let create = ["subscriptions", "create", id, "--type", "webhook"];
    let what = ["--pattern", "orders/**", "--webhook-url", url];
    project.json(&[&create[..], &what].concat())
}

fn show(project: &Project, id: &str) -> Result<Value> {
    project.json(&["subscriptions", "show", id])
}

#[test]
fn copies_are_made_changed_and_removed_with_their_project() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let dev = Dev::start(&project)?;
    let client = dev.writer()?;
    let create = [
        "subscriptions",
        "create",
        "inbox",
        "--type",
        "copy",
        "--target",
    ];
    let what = ["inbox/7", "--stream", "chat/1", "--envelope"];
    let create = || project.json(&[&create[..], &what].concat());
    let missing = create().map_or_else(|error| error.to_string(), |made| made.to_string());
    assert!(missing.contains("TARGET_NOT_FOUND"), "{missing}");

    let named = |name: &str| Stream::create(&client, &format!("my-projects/{name}"), JSON);
    let (inbox, one, two) = (named("inbox/7")?, named("chat/1")?, named("chat/2")?);
    assert_eq!(create()?["created"], true);
    assert_eq!(create()?["created"], false);
    project.json(&["subscriptions", "add", "inbox", "chat/2"])?;
    one.append("1")?;
    two.append("2")?;
    wait_until("both are copied", || {
        Ok(inbox.read()?.messages()?.len() == 2)
    })?;
    project.json(&["subscriptions", "remove", "inbox", "chat/1"])?;
    let shown = project.run(&["subscriptions", "show", "inbox"])?;
    assert!(
        shown.starts_with("inbox: copy into inbox/7, of 1 stream\n"),
        "{shown}"
    );
    for line in [
        "copied from when they were linked, each message with its stream and offset",
        "  active\n  streams, each behind the offset it was copied to:\n",
        "_0000000000000001_0000 chat/2 (by name)",
    ] {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    let listed = project.run(&["subscriptions", "list"])?;
    assert_eq!(listed, "inbox: copy into inbox/7, of 1 stream; active\n");

    let delete = [
        "projects",
        "delete",
        "my-projects",
        "--yes",
        "--streams",
        "remove",
    ];
    wait_until("all streams are listed", || {
        let call = client.call(Method::GET, "/v1/stream/my-projects/__ds/streams");
        let listed: Value = serde_json::from_slice(&call.send()?.expect(200)?.body)?;
        Ok(listed["streams"].as_array().map(Vec::len) == Some(3))
    })?;
    assert_eq!(project.json(&delete)?["removed"]["streams"], 3);
    dev.interrupt()?;
    Ok(())
}

#[test]
fn subscriptions_are_made_seen_at_work_and_removed_with_their_project() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let dev = Dev::start(&project)?;
    let client = dev.writer()?;
    let none = project.json(&["subscriptions", "list"])?;
    assert_eq!(none["subscriptions"], json!([]));

    let hook = Hook::start()?;
    assert_eq!(create(&project, "mails", hook.url())?["created"], true);
    assert_eq!(create(&project, "mails", hook.url())?["created"], false);
    let other = create(&project, "mails", NOBODY);
    let other = other.map_or_else(|error| error.to_string(), |made| made.to_string());
    assert!(other.contains("SUBSCRIPTION_ALREADY_EXISTS"), "{other}");

    // Deliveries are shown as they happen, and so is what became of them.
    let source = Stream::named(&client, "my-projects/orders/1", JSON);
    let made = source.put().send_bytes(b"[1,2]")?.expect(201)?;
    let tail = made.header("stream-next-offset").context("no offset")?;
    let says = |what: &str| wait_until(what, || Ok(dev.log()?.contains(what)));
    says(&format!("mails, generation 1: POST {}: done", hook.url()))?;
    assert_eq!(hook.count(), 1);
    let shown = show(&project, "mails")?;
    let link = json!([{ "path": "orders/1", "link_type": "glob", "acked_offset": tail }]);
    assert_eq!(shown["streams"], link, "{shown}");
    create(&project, "broken", NOBODY)?;
    source.append("3")?;
    says(&format!("broken, generation 1: POST {NOBODY}: "))?;
    let shown = show(&project, "broken")?;
    assert_eq!(
        (&shown["status"], &shown["pending"]),
        (&json!("failed"), &json!(1))
    );
    let attempts = shown["attempts"].as_u64();
    project.json(&["subscriptions", "retry", "broken"])?;
    wait_until("it is tried again", || {
        Ok(show(&project, "broken")?["attempts"].as_u64() > attempts)
    })?;
    let listed = project.json(&["subscriptions", "list"])?;
    let ids: Vec<&Value> = listed["subscriptions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(ids, ["broken", "mails"]);
    let log = dev.log()?;
    ensure!(!log.contains("eyJ"), "a token is in the log: {log}");

    // Both are there until the old one has signed its last; then one is.
    let rotate = ["subscriptions", "keys", "rotate"];
    let number = |what: &str, key: &str| -> Result<Option<usize>> {
        let target = format!("/v1/stream/my-projects/__ds/{what}");
        let answer = client.call(Method::GET, &target).send()?.expect(200)?;
        let found: Value = serde_json::from_str(&answer.text())?;
        Ok(found[key].as_array().map(Vec::len))
    };
    project.json(&rotate)?;
    assert_eq!(number("jwks.json", "keys")?, Some(2));
    project.json(&[&rotate[..], &["--now", "--yes"]].concat())?;
    assert_eq!(number("jwks.json", "keys")?, Some(1));
    project.json(&["subscriptions", "delete", "broken", "--yes"])?;
    let found = project.json(&["directory", "rebuild"])?;
    assert_eq!(found["found"], 0, "nothing has moved to R2");

    // A source goes with the last of its forks.
    let fork = |name: &str| -> Result<()> {
        let fork = Stream::named(&client, name, JSON).put();
        fork.header("stream-forked-from", source.path())
            .send()?
            .expect(201)?;
        Ok(())
    };
    fork("my-projects/a")?;
    fork("my-projects/z")?;
    wait_until("all streams are listed", || {
        Ok(number("streams", "streams")? == Some(3))
    })?;
    let delete = ["projects", "delete", "my-projects", "--yes"];
    let unsaid = project.run(&delete);
    let unsaid = unsaid.unwrap_or_else(|error| error.to_string());
    assert!(unsaid.contains("has 3 streams"), "{unsaid}");
    let deleted = project.json(&[&delete[..], &["--streams", "remove"]].concat())?;
    assert_eq!(deleted["had"], json!({ "streams": 3, "and_more": false }));
    let removed = json!({ "streams": 3, "subscriptions": 1 });
    assert_eq!(deleted["removed"], removed);
    assert_eq!(project.json(&["projects", "list"])?["projects"], json!([]));
    let state = project.dir.join(".wrangler/state/v3");
    wait_until("streams have left nothing", || {
        Ok(storage::rows_and_bytes_of(&state, "my-projects", STREAMS)
            .is_ok_and(|(rows, _)| rows == 0))
    })?;
    dev.interrupt()?;
    Ok(())
}
