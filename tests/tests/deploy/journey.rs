//! The whole way, with everything that is sent running on workerd.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, Ran, TOKEN, small_project};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{cli, command};
use durable_streams_tests::readers::{Mode, Readers};
use durable_streams_tests::say;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::terminal::Terminal;
use serde_json::json;
use ureq::http::Method;

/// A client of the worker that shows a token.
fn with_token(cloud: &Cloud, token: &str) -> Client {
    let worker = cloud.worker();
    worker.with_header("authorization", format!("Bearer {token}"))
}

#[test]
fn from_nothing_to_a_served_stream_and_back() -> Result<()> {
    let scratch = Scratch::new("journey")?;
    let cloud = Cloud::booting(&scratch)?;
    // A name of its own: all projects are built in one target folder.
    let dir = scratch.path().join("journey");
    let mut init = command(&cli()?)?;
    Ran::of(init.arg("init").arg(&dir).args(["--yes", "--no-git"]))?.ok()?;

    let first = cloud.run(&dir, &["deploy", "--json"])?.ok()?.json()?;
    assert_eq!(first["changed"], true);
    let create = ["create-project", "--remote", "--public", "chat"];
    cloud.run(&dir, &create)?.ok()?;
    let token = ["token", "--remote", "--scope", "write"];
    let token = cloud.run(&dir, &token)?.ok()?.stdout;
    let client = with_token(&cloud, token.trim());
    let stream = Stream::create(&client, "chat/a/b", "application/json")?;
    stream.append(r#"{"n":1}"#)?;
    stream
        .on(&cloud.worker())
        .post()
        .send_bytes(b"1")?
        .expect(401)?;
    let mut readers = Readers::of(&client)?;
    readers.add(stream.path(), "-1", Mode::Sse)?;
    readers.read_until("the first message came", |all| all[0].seen() == [1])?;
    stream.append(r#"{"n":2}"#)?;
    readers.read_until("the second message came", |all| all[0].seen() == [1, 2])?;
    cloud.run(&dir, &["status"])?.ok()?;
    streams_of_the_deployed_worker(&cloud, &dir)?;

    // Another version: the data is still there, and so is the project.
    let text = fs::read_to_string(dir.join("wrangler.toml"))?;
    let text = text.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"1\"");
    fs::write(dir.join("wrangler.toml"), text)?;
    let second = cloud.run(&dir, &["deploy", "--json"])?.ok()?.json()?;
    assert_eq!(second["changed"], true);
    let answer = stream.append(r#"{"n":3}"#)?;
    assert!(answer.header("server-timing").is_some());
    let messages = stream.read()?.messages()?;
    assert_eq!(messages, [json!({"n":1}), json!({"n":2}), json!({"n":3})]);
    let third = cloud.run(&dir, &["deploy", "--json"])?.ok()?.json()?;
    assert_eq!(third["changed"], false);
    for (name, run) in [("first", &first), ("second", &second), ("third", &third)] {
        say(&format!(
            "{name} deploy, milliseconds: {}",
            run["milliseconds"]
        ));
    }

    cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    stream.head()?.expect(404)?;
    let state = cloud.state()?;
    assert_eq!(state["scripts"], json!({}));
    assert_eq!(state["buckets"], json!([]));
    // A new worker of the same name knows neither the old projects nor the old streams.
    let again = ["deploy", "--no-build", "--json", "--create-project", "chat"];
    let again = cloud.run(&dir, &again)?.ok()?.json()?;
    stream.head()?.expect(401)?;
    let token = again["access"]["writeToken"].as_str().context("no token")?;
    let stream = stream.on(&with_token(&cloud, token));
    stream.head()?.expect(404)?;
    stream.put().send()?.expect(201)?;
    Ok(())
}

/// The program finds where the worker is and makes the tokens it takes, and shows none of them.
fn streams_of_the_deployed_worker(cloud: &Cloud, dir: &Path) -> Result<()> {
    let stream = |args: &[&str]| -> Result<Ran> {
        let ran = cloud.run(
            dir,
            &[&["stream"], args, &["--remote", "--verbose"]].concat(),
        )?;
        for said in [&ran.stdout, &ran.stderr] {
            assert!(!said.contains("eyJ") && !said.contains(TOKEN), "{said}");
        }
        Ok(ran)
    };
    stream(&["create", "c/d"])?.ok()?;
    stream(&["append", "c/d", r#"{"n":1}"#, "2", "--project", "chat"])?.ok()?;
    let read = stream(&["read", "c/d"])?.ok()?;
    assert_eq!(read.stdout, "{\"n\":1}\n2\n");
    let followed = stream(&["follow", "c/d", "-n", "2"])?.ok()?;
    assert_eq!(followed.stdout, read.stdout);
    let listed = stream(&["list", "c/", "--json"])?.ok()?.json()?;
    assert_eq!(listed["streams"][0]["path"], "c/d");
    stream(&["read", "c/d", "-p", "nobody"])?.fails(&[
        "no project `nobody` (remote)",
        "`durable-streams projects list --remote",
    ])?;
    stream(&["read", "c/e"])?.fails(&["c/e", "`durable-streams stream list --remote"])?;
    stream(&["delete", "c/d", "--yes"])?.ok()?;
    let gone = stream(&["head", "c/d", "--json"])?.fails(&["c/d"])?;
    assert!(gone.json()?["error"]["message"].is_string());
    Ok(())
}

#[test]
fn init_on_a_terminal_goes_the_whole_way() -> Result<()> {
    let scratch = Scratch::new("journey-terminal")?;
    let cloud = Cloud::booting(&scratch)?;
    let dir = scratch.path().join("terminal");
    let mut command = cloud.command(scratch.path())?;
    // No login of wrangler, either.
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("XDG_CONFIG_HOME", scratch.path());
    let mut terminal = Terminal::run(command.args(["init", "terminal", "--git", "--port", "0"]))?;
    terminal.answer("Who may use the streams?", "\r")?;
    terminal.answer("Build and serve it now?", "y")?;
    terminal.wait_for("Serving terminal at http://127.0.0.1:")?;
    terminal.interrupt()?;
    terminal.answer("Deploy it to Cloudflare?", "y")?;
    terminal.answer("Token", &format!("{TOKEN}\r"))?;
    terminal.answer("Name of the first project", "\r")?;
    terminal.wait_for(&format!("it serves at {}", cloud.worker().base()))?;
    terminal.wait_for("# Read from the start")?;
    let screen = terminal.screen();
    assert!(!screen.contains(TOKEN), "{screen}");
    assert_eq!(terminal.end()?.code(), Some(0));

    // The runtime is a folder of this machine, so no workflow is offered.
    assert!(!dir.join(".github").exists());
    let mut tokens = screen
        .lines()
        .filter_map(|line| line.strip_prefix("WRITE="));
    // That of the local run, then that for Cloudflare.
    let token = tokens.nth(1).context("no token")?;
    let client = with_token(&cloud, token.trim());
    let stream = Stream::create(&client, "terminal/a", "application/json")?;
    stream.append("1")?;
    assert_eq!(stream.read()?.messages()?, [json!(1)]);

    let mut command = cloud.command(&dir)?;
    let mut terminal = Terminal::run(command.arg("destroy"))?;
    terminal.wait_for("Will be lost: worker terminal")?;
    terminal.answer("Type `terminal`", "termina\r")?;
    terminal.wait_for("nothing was removed")?;
    assert_eq!(terminal.end()?.code(), Some(1));
    stream.head()?.expect(200)?;
    let mut command = cloud.command(&dir)?;
    let mut terminal = Terminal::run(command.arg("destroy"))?;
    terminal.answer("Type `terminal`", "terminal\r")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    assert_eq!(cloud.state()?["namespaces"], json!([]));
    Ok(())
}

#[test]
fn what_rest_writes_is_what_the_worker_reads() -> Result<()> {
    let scratch = Scratch::new("journey-values")?;
    let cloud = Cloud::booting(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let document = cloud.run(&dir, &["provision", "--json"])?.ok()?.json()?;
    let resources = document["resources"].as_array().context("no resources")?;
    let id = resources.iter().find_map(|one| one["id"].as_str());
    let value = format!("/storage/kv/namespaces/{}/values/", id.context("no id")?);
    // Before there is a worker, and after.
    cloud.api(Method::PUT, &format!("{value}early"), &json!("1"))?;
    cloud.put_object("my-streams", "object", "3")?;
    cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    cloud.api(Method::PUT, &format!("{value}a%2Flate"), &json!("2"))?;
    let read = |key: &str| cloud.worker().call(Method::GET, &format!("/{key}")).send();
    assert_eq!(read("early")?.expect(200)?.text(), "\"1\"");
    assert_eq!(read("a/late")?.expect(200)?.text(), "\"2\"");
    assert_eq!(read("object")?.expect(200)?.text(), "3");
    read("nothing")?.expect(404)?;
    Ok(())
}

#[test]
fn a_worker_that_does_not_start_leaves_the_old_one_serving() -> Result<()> {
    let scratch = Scratch::new("journey-broken")?;
    let cloud = Cloud::booting(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    cloud.put_object("my-streams", "object", "3")?;
    let script = dir.join("build/index.js");
    let good = fs::read_to_string(&script)?;
    fs::write(&script, format!("{good}\nthrow new Error(\"no\");"))?;
    cloud.run(&dir, &["deploy", "--no-build"])?.fails(&[
        "the worker does not start",
        "code 10021",
        "durable-streams dev",
    ])?;
    let read = || cloud.worker().call(Method::GET, "/object").send();
    assert_eq!(read()?.expect(200)?.text(), "3");
    fs::write(&script, good)?;
    let again = cloud.run(&dir, &["deploy", "--no-build", "--json"])?.ok()?;
    assert_eq!(again.json()?["changed"], false);
    assert_eq!(read()?.expect(200)?.text(), "3");
    Ok(())
}
