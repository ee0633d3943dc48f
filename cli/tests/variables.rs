//! Malformed variables of the worker, which are refused before anything is done with it.

mod common;

use std::{fs, net::TcpListener};

use common::{Place, Run};

const MANIFEST: &str = r#"name = "my-streams"
main = "build/index.js"
compatibility_date = "2026-04-01"

[vars]
"#;

/// A machine with Node alone, which can neither build nor reach Cloudflare.
fn machine() -> Place {
    let place = Place::new();
    place.programs(&["node", "npm"]);
    place
}

/// A project with these variables, and these in `.dev.vars`.
fn project(vars: &str, dev_vars: &str) -> Place {
    let place = machine();
    place.write("Cargo.toml", "");
    place.write("wrangler.toml", &format!("{MANIFEST}{vars}"));
    place.write(".dev.vars", dev_vars);
    place
}

fn run(place: &Place, args: &[&str]) -> Run {
    let mut command = place.command(args);
    command
        .env("PATH", place.path("programs"))
        .env("CLOUDFLARE_API_TOKEN", "x")
        .env("CLOUDFLARE_API_BASE_URL", "http://127.0.0.1:1");
    Run::of(command)
}

/// `dev` comes as far as its port, which is not free: so its variables are in order.
fn serves(place: &Place) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    run(place, &["dev", "--port", &port]).fails(1, &[&format!("port {port}")]);
}

#[test]
fn malformed_variables_are_all_named_and_nothing_is_done() {
    let vars = "MAX_APPEND_BYTES = \"20 MB\"\nDEBUG_TIMING = 2\nSSE_TIMEOUT_MS = \"1000\"\n";
    let place = project(vars, "");
    let before = place.files();
    for args in [
        &["build"][..],
        &["deploy"],
        &["deploy", "--dry-run"],
        &["deploy", "--no-build"],
        &["dev", "--port", "0"],
    ] {
        let said = run(&place, args).fails(
            1,
            &[
                "wrangler.toml: MAX_APPEND_BYTES is \"20 MB\", not a number of bytes from 1 to 33554432",
                "wrangler.toml: DEBUG_TIMING is \"2\", not \"0\" or \"1\"",
                "help:",
            ],
        );
        assert!(!said.stderr.contains("SSE_TIMEOUT_MS"), "{}", said.stderr);
        assert_eq!(place.files(), before, "{args:?}");
        assert!(!place.path("cache").exists(), "{args:?}");
    }
    let document = run(&place, &["build", "--json"]).json();
    let message = document["error"]["message"].as_str().unwrap();
    assert!(message.contains("DEBUG_TIMING"), "{message}");
}

#[test]
fn those_of_local_runs_are_checked_too_and_secrets_are_not_shown() {
    let dev_vars = "SECRET=hunter2\nexport READ_MAX_BYTES = '8 MB' # hunter3\n\
                    LONG_POLL_TIMEOUT_MS=0 # hunter4\nREAD_ONLY=hunter5\n";
    let place = project("MAX_LIVE_READERS = 0\n", dev_vars);
    for more in [&[][..], &["--verbose"], &["--json"]] {
        let said = run(&place, &[&["dev", "--port", "0"], more].concat());
        assert_eq!(said.code, Some(1));
        for text in [
            "wrangler.toml: MAX_LIVE_READERS is \"0\"",
            ".dev.vars: READ_MAX_BYTES is \"8 MB\"",
            ".dev.vars: LONG_POLL_TIMEOUT_MS is \"0\"",
        ] {
            assert!(said.stderr.contains(text), "{}", said.stderr);
        }
        let all = said.stdout + &said.stderr;
        assert!(!all.contains("hunter"), "{all}");
    }
    // What is deployed has nothing to do with the file.
    let said = run(&place, &["build"]).fails(1, &["MAX_LIVE_READERS"]);
    assert!(!said.stderr.contains(".dev.vars"), "{}", said.stderr);
    assert!(!place.path("cache").exists());
}

#[test]
fn what_is_right_or_somebody_elses_is_left_alone() {
    let vars = "MAX_APPEND_BYTES = 1024\nDEBUG_TIMING = true\nMAX_BYTES = \"many\"\n";
    let place = project(
        vars,
        "DEBUG_TIMING=\nREAD_MAX_BYTES=\"1024\"\nGREETING=hello\n",
    );
    serves(&place);
    run(&place, &["deploy", "--no-build"]).fails(1, &["127.0.0.1:1"]);
    fs::remove_file(place.work(".dev.vars")).unwrap();
    serves(&place);
}

#[test]
fn a_new_project_is_not_served_with_malformed_variables() {
    let place = machine();
    place.write("my-streams/.dev.vars", "DEBUG_TIMING=yes\n");
    let init = ["init", "my-streams", "--yes", "--no-git", "--overwrite"];
    run(&place, &[&init[..], &["--dev", "--port", "0"]].concat())
        .fails(1, &[".dev.vars: DEBUG_TIMING is \"yes\""]);
    assert!(!place.path("cache").exists());
}

#[test]
fn a_dev_vars_that_is_no_file_is_named() {
    let place = project("", "");
    fs::remove_file(place.work(".dev.vars")).unwrap();
    fs::create_dir(place.work(".dev.vars")).unwrap();
    run(&place, &["dev", "--port", "0"]).fails(1, &[".dev.vars cannot be read"]);
}
