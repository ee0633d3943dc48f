//! Projects and tokens, from outside, as far as no registry has to be opened.

mod common;

use common::{Place, Run};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Runs the program with this on stdin.
fn with_stdin(place: &Place, args: &[&str], stdin: &str) -> Run {
    let mut command = place.command(args);
    command.write_stdin(stdin);
    Run::of(command)
}

#[test]
fn a_token_of_a_secret_on_stdin_needs_nothing_else() {
    let place = Place::new();
    let args = [
        "token",
        "--project",
        "p",
        "--scope",
        "read",
        "--secret-stdin",
    ];
    let token = with_stdin(&place, &args, SECRET).succeeds().stdout;
    assert_eq!(token.trim_end().split('.').count(), 3, "{token}");
    assert_eq!(token.lines().count(), 1, "{token}");
    assert_eq!(
        with_stdin(&place, &args, &format!("{SECRET}\r\n"))
            .succeeds()
            .stdout
            .len(),
        token.len(),
        "the end of the line is no part of the secret"
    );
    let more = ["--stream", "chats/42", "--expires-in", "5m", "--json"];
    let document = with_stdin(&place, &[&args[..], &more].concat(), SECRET)
        .succeeds()
        .json();
    assert_eq!(document["project"], "p");
    assert_eq!(document["scope"], "read");
    assert_eq!(document["stream"], "chats/42");
    assert!(document["expiresAt"].as_u64().unwrap() > 1_700_000_000);
    assert!(!place.path("cache").exists());
}

#[test]
fn a_weak_secret_is_refused_and_never_shown() {
    let place = Place::new();
    let args = [
        "token",
        "--project",
        "p",
        "--scope",
        "read",
        "--secret-stdin",
    ];
    for secret in [
        "",
        "hunter2",
        &"hunter2".repeat(4),
        &format!("{SECRET}\nhunter2"),
    ] {
        let run = with_stdin(&place, &args, secret).fails(1, &["--secret-stdin"]);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    }
    place.init(&["my-streams"]).succeeds();
    let args = ["create-project", "p", "-C", "my-streams", "--secret-stdin"];
    with_stdin(&place, &args, "hunter2").fails(1, &["7 bytes", "32"]);
    assert!(!place.path("cache").exists());
}

#[test]
fn wrong_usage_of_a_token_ends_with_code_2() {
    let place = Place::new();
    for (args, says) in [
        (&["token"][..], "--scope"),
        (&["token", "--scope", "admin"], "admin"),
        (&["token", "--scope", "read", "--secret-stdin"], "--project"),
        (&["token", "--scope", "read", "--expires-in", "1"], "15m"),
        (
            &["token", "--scope", "read", "--local", "--remote"],
            "--remote",
        ),
        (&["projects"], "list"),
        (&["projects", "show"], "NAME"),
        (&["projects", "update", "p"], "--cors-origin"),
        (
            &["projects", "update", "p", "--public", "--no-public"],
            "--no-public",
        ),
        (
            &[
                "projects",
                "update",
                "p",
                "--no-cors-origin",
                "--cors-origin",
                "*",
            ],
            "--no-cors-origin",
        ),
    ] {
        place.run(args).fails(2, &[says]);
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_installed() {
    let place = Place::new();
    place
        .run(&["create-project", "p"])
        .fails(1, &["is in no project", "durable-streams init"]);
    place.init(&["my-streams"]).succeeds();
    let run = |args: &[&str]| place.run(&[args, &["-C", "my-streams"]].concat());
    for name in ["a/b", "..", "__ds", "", "a b"] {
        run(&["create-project", name]).fails(1, &["cannot be a project"]);
    }
    let origin = ["create-project", "--cors-origin", "https://app.example/"];
    run(&origin).fails(1, &["no origin", "`https://app.example`"]);
    run(&["token", "--scope", "read", "--stream", "a//b"]).fails(1, &["--stream"]);
    let mut remote = place.command(&["projects", "list", "--remote", "-C", "my-streams"]);
    remote
        .env("HOME", place.path("home"))
        .env_remove("XDG_CONFIG_HOME");
    for name in ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"] {
        remote.env_remove(name);
    }
    Run::of(remote).fails(1, &["no credentials", "CLOUDFLARE_API_TOKEN"]);
    assert!(!place.path("cache").exists());
}
