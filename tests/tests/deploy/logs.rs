//! What `logs` shows, leaves out, and never shows.

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, deployed, stage};
use durable_streams_tests::process::interrupt;
use durable_streams_tests::wait_until;
use serde_json::{Value, json};

/// A token of the project, as a page sends it that cannot set headers.
const TOKEN: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjaGF0In0.c2lnbmF0dXJlX29m";

fn watch(
    cloud: &Cloud,
    dir: &Path,
    args: &[&str],
) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = cloud.command(dir)?;
    command.arg("logs").args(args);
    let mut child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    Ok((child, lines))
}

fn event(status: u64, path: &str) -> Value {
    json!({
        "outcome": "ok", "eventTimestamp": 1_764_000_000_000_i64,
        "event": {
            "request": { "method": "GET", "url": format!("https://x/{path}"), "headers": {} },
            "response": { "status": status },
        },
        "logs": [], "exceptions": [],
    })
}

#[test]
fn logs_are_shown_until_ctrl_c() -> Result<()> {
    let (_scratch, cloud, dir) = stage("logs-shown")?;
    cloud
        .run(&dir, &["logs"])?
        .fails(&["not deployed", "durable-streams deploy"])?;
    cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    let mut event = event(404, "");
    event["logs"] = json!([{ "level": "warn", "message": ["careful", 1] }]);
    for json in [false, true] {
        let args: &[&str] = if json { &["--json"] } else { &[] };
        let (mut child, mut lines) = watch(&cloud, &dir, args)?;
        wait_until("somebody watches", || Ok(cloud.log(&event)? == 1))?;
        let line = lines.next().context("no line")??;
        if json {
            assert_eq!(serde_json::from_str::<Value>(&line)?, event);
        } else {
            assert_eq!(line, "2025-11-24T16:00:00.000Z GET https://x/: 404 (ok)");
            assert_eq!(lines.next().context("no line")??, "  warn: careful 1");
        }
        interrupt(&child)?;
        assert_eq!(child.wait()?.code(), Some(0));
        assert_eq!(cloud.log(&event)?, 0);
    }
    let closed = cloud.requests()?;
    let closed = closed.iter().filter(|one| one.method == "DELETE").count();
    assert_eq!(closed, 2);
    Ok(())
}

#[test]
fn no_token_is_shown_in_text_or_json() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("logs-tokens")?;
    let mut secret = event(200, &format!("v1/stream/chat/a?token={TOKEN}&live=sse"));
    secret["event"]["request"]["headers"] = json!({ "authorization": format!("Bearer {TOKEN}") });
    secret["logs"] = json!([{ "level": "log", "message": [format!("got {TOKEN}")] }]);
    secret["exceptions"] = json!([{ "name": "Error", "message": format!("Bearer {TOKEN}") }]);
    for json in [false, true] {
        let args: &[&str] = if json { &["--json"] } else { &[] };
        let (mut child, mut lines) = watch(&cloud, &dir, args)?;
        wait_until("somebody watches", || Ok(cloud.log(&secret)? == 1))?;
        let mut shown = lines.next().context("no line")??;
        if !json {
            assert_eq!(
                shown,
                "2025-11-24T16:00:00.000Z GET https://x/v1/stream/chat/a?token=***&live=sse: 200 (ok)"
            );
            shown += &lines.next().context("no line")??;
            shown += &lines.next().context("no line")??;
        }
        assert!(!shown.contains("eyJ"), "{shown}");
        assert!(shown.contains("Bearer ***"), "{shown}");
        interrupt(&child)?;
        assert_eq!(child.wait()?.code(), Some(0));
    }
    Ok(())
}

#[test]
fn filters_are_cloudflares_and_ours() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("logs-filters")?;
    let args = [
        "--method",
        "get,POST",
        "--search",
        "slow",
        "--sampling",
        "0.5",
        "--status",
        "4xx,500",
        "--path",
        "chat/",
    ];
    let (mut child, mut lines) = watch(&cloud, &dir, &args)?;
    let ours = event(404, "v1/stream/chat/b");
    wait_until("somebody watches", || Ok(cloud.log(&ours)? == 1))?;
    for other in [
        event(200, "v1/stream/chat/a"),
        event(404, "v1/stream/mail/a?x=chat/"),
    ] {
        cloud.log(&other)?;
    }
    cloud.log(&event(500, "v1/stream/chat/c"))?;
    let first = lines.next().context("no line")??;
    assert!(
        first.ends_with("https://x/v1/stream/chat/b: 404 (ok)"),
        "{first}"
    );
    let second = lines.next().context("no line")??;
    assert!(
        second.ends_with("https://x/v1/stream/chat/c: 500 (ok)"),
        "{second}"
    );
    interrupt(&child)?;
    assert_eq!(child.wait()?.code(), Some(0));
    let sent = cloud.requests()?;
    let opened = sent.iter().find(|one| one.path.ends_with("/tails"));
    assert_eq!(
        opened.context("no log was opened")?.body,
        json!({ "filters": [
            { "sampling_rate": 0.5 }, { "method": ["GET", "POST"] }, { "query": "slow" },
        ] })
    );
    Ok(())
}

/// Cloudflare leaves the connection there when a log expires, and sends nothing any more.
#[test]
fn a_log_that_expires_is_opened_again() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("logs-expired")?;
    cloud.set(json!({ "tailLife": 300 }))?;
    let (mut child, _lines) = watch(&cloud, &dir, &[])?;
    let count = |method: &str| -> Result<usize> {
        let sent = cloud.requests()?;
        let tails = sent
            .iter()
            .filter(|one| one.path.contains("/tails") && one.method == method);
        Ok(tails.count())
    };
    wait_until("it was opened again", || Ok(count("POST")? >= 2))?;
    assert!(count("DELETE")? >= 1);
    interrupt(&child)?;
    assert_eq!(child.wait()?.code(), Some(0));
    assert_eq!(count("DELETE")?, count("POST")?);
    Ok(())
}
