//! How the program behaves towards people and other programs, whatever it is asked for.

mod common;

use std::{
    fs::File,
    process::{Command, Stdio},
};

use common::{Place, Run, stand_in::StandIn};
use serde_json::{Value, json};

/// Runs the program as a line of a shell, where it is `$ds`.
fn shell(place: &Place, line: &str) -> Run {
    let mut command = assert_cmd::Command::new("bash");
    command
        .args(["-c", line])
        .env("ds", assert_cmd::cargo::cargo_bin!("durable-streams"))
        .current_dir(place.path("work"));
    Run::of(command)
}

#[test]
fn what_cannot_be_taken_back_is_refused_where_nobody_confirms_it() {
    let place = Place::new();
    place.init(&["my-streams", "--auth", "none"]).succeeds();
    let server = StandIn::answering(|_| (200, json!({ "kid": "k", "active_at": "now" })));
    let run = |args: &[&str]| {
        let place_args = ["-C", "my-streams", "--url", &server.url];
        place.run(&[args, &place_args].concat())
    };
    for args in [
        &["subscriptions", "delete", "a"][..],
        &["subscriptions", "keys", "rotate", "--now"],
    ] {
        run(args).fails(1, &["nobody is there to confirm", "--yes"]);
        assert_eq!(server.lines(), [""; 0], "{args:?}");
    }
    let document = run(&["subscriptions", "delete", "a", "--json"]).json();
    let hint = document["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("--yes"), "{hint}");
    run(&["subscriptions", "delete", "a", "--yes"]).succeeds();
    run(&["subscriptions", "keys", "rotate", "--now", "--yes"]).succeeds();
    run(&["subscriptions", "keys", "rotate"]).succeeds();
    assert_eq!(server.lines().len(), 3);
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    for line in [
        "$ds completions bash >/dev/full",
        "$ds completions bash --json >/dev/full",
        "$ds completions bash >&-",
    ] {
        shell(&place, line).fails(1, &["cannot be written"]);
    }
    shell(&place, "$ds --help >/dev/full; echo $? >&2").fails(0, &["1"]);
    // What nobody wants to read any more, and what nobody wants at all, is none.
    for line in [
        "set -o pipefail; $ds completions bash | head -1 >&2",
        "set -o pipefail; $ds --help | true",
        "$ds completions bash >/dev/null",
    ] {
        shell(&place, line).fails(0, &[]);
    }
    // Nor does a lack of somebody to tell of it change what was to be done.
    shell(
        &place,
        "$ds init there --yes --no-git --runtime 0.1.0 --auth none 2>/dev/full",
    )
    .succeeds();
    let failed = shell(&place, "$ds build 2>/dev/full");
    assert_eq!(failed.code, Some(1));
}

#[test]
fn a_document_of_wrong_usage_says_what_is_missing() {
    let place = Place::new();
    let message = |args: &[&str]| {
        let run = place.run(&[args, &["--json"]].concat());
        assert_eq!(run.code, Some(2));
        run.json()["error"].clone()
    };
    let error = message(&["token"]);
    assert_eq!(
        error["message"],
        "the following required arguments were not provided: --scope <SCOPE>"
    );
    assert_eq!(
        error["hint"],
        "`durable-streams token --help` tells the rest"
    );
    let error = message(&["projects", "lst"]);
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("'list'"), "{hint}");
}

#[test]
fn hints_lead_to_where_the_command_was_told_to_work() {
    let place = Place::new();
    place.init(&["my-streams", "--auth", "none"]).succeeds();
    let refused =
        json!({ "error": { "code": "SUBSCRIPTION_NOT_FOUND", "message": "there is none" } });
    let server = StandIn::answering(move |sent| match sent.method.as_str() {
        "POST" => (204, Value::Null),
        _ => (404, refused.clone()),
    });
    let on = ["-C", "my-streams", "--url", &server.url];
    let show = [&["subscriptions", "show", "a b", "-p", "chat"], &on[..]].concat();
    let list = format!(
        "`durable-streams subscriptions list --project chat --url {} -C my-streams`",
        server.url
    );
    place.run(&show).fails(1, &[&list]);
    let document = place.run(&[&show[..], &["--json"]].concat()).json();
    let hint = document["error"]["hint"].as_str().unwrap();
    assert!(hint.contains(&list), "{hint}");
    let retry = [&["subscriptions", "retry", "a"], &on[..]].concat();
    let said = place.run(&retry).succeeds().stdout;
    let again = format!("show a --url {} -C my-streams`", server.url);
    assert!(said.contains(&again), "{said}");
}

#[test]
fn an_interrupt_leaves_nothing_for_terminals_where_there_is_none() {
    let place = Place::new();
    place.init(&["my-streams", "--auth", "none"]).succeeds();
    let (reached, waits) = std::sync::mpsc::channel();
    let server = StandIn::answering(move |_| {
        let _ = reached.send(());
        std::thread::sleep(std::time::Duration::from_secs(20));
        (200, Value::Null)
    });
    let errors = place.path("errors");
    let mut running = Command::new(assert_cmd::cargo::cargo_bin!("durable-streams"))
        .args(["subscriptions", "list", "-C", "my-streams", "--url"])
        .arg(&server.url)
        .current_dir(place.path("work"))
        .stdin(Stdio::null())
        .stderr(File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    waits.recv().unwrap();
    let pid = running.id().to_string();
    let told = Command::new("kill").args(["-INT", &pid]).status();
    assert!(told.unwrap().success());
    assert_eq!(running.wait().unwrap().code(), Some(130));
    let said = std::fs::read_to_string(errors).unwrap();
    assert!(!said.contains('\x1b'), "{said:?}");
}
