//! `durable-streams dev` as a person uses it.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::http::Client;
use durable_streams_tests::process::Process;
use durable_streams_tests::project::{Auth, Project, cli, command};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::terminal::Terminal;
use durable_streams_tests::wait_until;
use serde_json::json;
use ureq::http::Method;

use crate::JSON;
use crate::session::try_it;

#[test]
fn ctrl_c_ends_it_whole_and_the_next_run_has_all_data() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;

    let dev = Dev::start(&project)?;
    let document = dev.document();
    assert_eq!(document.url, format!("http://127.0.0.1:{}", document.port));
    let client = dev.client();
    try_it(&client, "my-stream")?;
    let stream = Stream::create(&client, "kept", JSON)?;
    stream
        .post_as("p", 0, 0)
        .send_bytes(b"[1,2]")?
        .expect(200)?;
    let status = dev.interrupt()?;
    assert_ne!(
        status.code(),
        None,
        "it was killed instead of ending: {status}"
    );

    let dev = Dev::start(&project)?;
    let stream = stream.on(&dev.client());
    stream
        .post_as("p", 0, 0)
        .send_bytes(b"[1,2]")?
        .expect(204)?;
    stream.append("3")?;
    assert_eq!(stream.read()?.messages()?, [json!(1), json!(2), json!(3)]);
    dev.interrupt()?;
    Ok(())
}

#[test]
fn a_second_one_in_a_folder_is_refused_and_loses_nothing() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;
    let dev = Dev::start(&project)?;
    let stream = Stream::create(&dev.client(), "one-server", JSON)?;
    let mut offsets = BTreeSet::new();
    let mut append = |n: u32| -> Result<()> {
        let answer = stream.append(n.to_string())?;
        let next = answer.header("stream-next-offset").context("no offset")?;
        offsets.insert(next.to_owned());
        Ok(())
    };
    for n in 0..25 {
        append(n)?;
    }
    let refused = project.refusal(&["dev", "--port", "0"])?;
    let holder = format!("by durable-streams dev (process {}, at ", dev.pid());
    let holder = format!("{holder}{})", dev.document().url);
    assert!(refused.contains(&holder), "{refused}");
    for n in 25..50 {
        append(n)?;
    }
    assert_eq!(offsets.len(), 50);
    assert_eq!(stream.read()?.messages()?, (0..50).collect::<Vec<u32>>());
    dev.interrupt()?;
    Ok(())
}

#[test]
fn requests_are_shown_without_what_is_secret_in_them() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;
    let dev = Dev::start(&project)?;
    let path = "/v1/stream/shown?token=hunter2";
    let call = dev.client().call(Method::GET, path);
    call.header("authorization", "Bearer hunter2")
        .send()?
        .expect(404)?;
    wait_until("the request is shown", || {
        Ok(dev.log()?.contains(" ms  /v1/stream/shown\n"))
    })?;
    let log = dev.log()?;
    assert!(log.contains("GET     404 "), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
    dev.interrupt()?;

    let dev = Dev::start_as(&project, &["--port", "0", "--quiet"])?;
    try_it(&dev.client(), "not-shown")?;
    assert_eq!(dev.log()?, "");
    dev.interrupt()?;
    Ok(())
}

#[test]
fn it_listens_where_the_manifest_says_and_options_come_first() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;
    let free = || anyhow::Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port());
    let (said, other) = (free()?, free()?);
    let dev = format!("\n[dev]\nip = \"0.0.0.0\"\nport = {said}\nlocal_protocol = \"https\"\n");
    let edited = project.edit("wrangler.toml", |text| format!("{text}{dev}"))?;
    let dev = Dev::start_as(&project, &[])?;
    assert_eq!(dev.document().url, format!("http://127.0.0.1:{said}"));
    assert_eq!(dev.document().host, "0.0.0.0");
    try_it(&dev.client(), "everywhere")?;
    let log = dev.log()?;
    assert!(log.contains("anyone in the network can read and write"));
    assert!(log.contains("`dev.local_protocol` of wrangler.toml has no effect"));
    dev.interrupt()?;

    let options = ["--port", &other.to_string(), "--host", "localhost"];
    let dev = Dev::start_as(&project, &options)?;
    assert_eq!(dev.document().url, format!("http://127.0.0.1:{other}"));
    assert_eq!(dev.document().host, "127.0.0.1");
    dev.interrupt()?;
    drop(edited);
    Ok(())
}

#[test]
fn what_cannot_be_served_is_refused_before_it_is() -> Result<()> {
    let project = Project::take(Auth::None)?;
    for (from, to, says) in [
        (
            "\nclass_name = \"DirectoryDO\"",
            "\nclass_name = \"DirectoriesDO\"",
            "of the class `DirectoriesDO`, which the worker does not export\nhelp: ",
        ),
        (
            "compatibility_date = \"2",
            "compatibility_date = \"4",
            ", which is yet to come\nhelp: take the day of",
        ),
    ] {
        let _edited = project.edit("wrangler.toml", |text| text.replace(from, to))?;
        let refused = project.refusal(&["dev", "--port", "0"])?;
        assert!(refused.contains(says), "{refused}");
        ensure!(!refused.contains("    at "), "Node's stack: {refused}");
        ensure!(!refused.contains("Starting workerd"), "{refused}");
    }
    Ok(())
}

#[test]
fn it_serves_on_the_port_of_one_that_was_killed_a_moment_ago() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;
    let dev = Dev::start(&project)?;
    let stream = Stream::create(&dev.client(), "survivor", JSON)?;
    stream.append("1")?;
    let port = dev.document().port.to_string();
    let below = Process::descendants(dev.pid())?;
    dev.kill()?;
    let dev = Dev::start_as(&project, &["--port", &port])?;
    assert!(below.iter().all(|process| !process.is_running()));
    assert_eq!(stream.read()?.messages()?, [1]);
    dev.interrupt()?;
    Ok(())
}

#[test]
fn changes_are_noticed_where_the_system_does_not_tell_of_them() -> Result<()> {
    let project = Project::take(Auth::None)?;
    let dev = Dev::start_unwatched(&project)?;
    let log = dev.log()?;
    assert!(log.contains("fs.inotify.max_user_instances"), "{log}");
    let _edited = project.edit("wrangler.toml", |text| {
        text.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"1\"")
    })?;
    let timed = || {
        let answer = dev.client().call(Method::GET, "/v1/stream/none").send();
        Ok(answer.is_ok_and(|answer| answer.header("server-timing").is_some()))
    };
    wait_until("the change is served", timed)?;
    dev.interrupt()?;
    Ok(())
}

#[test]
fn keys_do_what_they_say_and_leave_the_terminal_as_it_was() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let mut program = command(&cli()?)?;
    program.arg("-C").arg(&project.dir);
    let mut dev = Terminal::run(program.args(["dev", "--port", "0"]))?;
    dev.wait_for("Console: http://127.0.0.1:")?;
    dev.wait_for("h shows more keys")?;
    dev.wait_for("Read from the start")?;
    let screen = dev.screen();
    let url = screen.split(" at ").find(|text| text.starts_with("http"));
    let url = url.and_then(|text| text.split_whitespace().next());
    let client = Client::new(url.context("no URL")?);
    dev.press("h")?;
    dev.wait_for("quit, as Ctrl-C does")?;
    assert!(!dev.takes_lines()?);

    let token = project.run(&["token", "--scope", "write"])?;
    let bearer = format!("Bearer {}", token.trim());
    let client = client.with_header("authorization", bearer);
    let stream = Stream::create(&client, "my-projects/keys", JSON)?;
    dev.wait_for("PUT     201 ")?;
    dev.press("r")?;
    dev.wait_for("Serving again at http")?;
    stream.append("1")?;
    dev.press("b")?;
    dev.wait_for("Serving the new build after")?;
    assert_eq!(stream.read()?.messages()?, [1]);
    let tokens = |screen: &str| screen.matches("eyJ").count();
    let before = tokens(&dev.screen());
    dev.press("t")?;
    dev.wait_for("Read from the start")?;
    assert!(tokens(&dev.screen()) > before);
    dev.press("o")?;
    dev.wait_for("Serving at http")?;
    // Arrows mean nothing.
    dev.press("\x1b[A")?;
    dev.press("q")?;
    dev.wait_for("Stopping")?;
    assert!(dev.ended()?.success());
    assert!(dev.takes_lines()?);
    Ok(())
}

#[test]
fn it_builds_beside_a_build_and_neither_takes_what_the_other_made() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;
    project.run(&["build"])?;
    let wasm = project.dir.join("build/index_bg.wasm");
    let built = fs::read(&wasm)?;
    let dev = Dev::start(&project)?;
    let _edited = project.edit("src/lib.rs", |text| format!("{text}\n// Changed.\n"))?;
    wait_until("dev builds", || Ok(dev.log()?.contains("building again")))?;
    project.run(&["build"])?;
    assert!(
        fs::read(&wasm)? == built,
        "another build than `build` makes"
    );
    wait_until("dev has built", || {
        Ok(dev.log()?.contains("Serving the new build after"))
    })?;
    try_it(&dev.client(), "beside")?;
    dev.interrupt()?;
    assert!(
        fs::read(&wasm)? == built,
        "dev has replaced what `build` made"
    );
    Ok(())
}
