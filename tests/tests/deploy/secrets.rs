//! No secret is in any output, in any list of processes, or in any file.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{ACCOUNT, Cloud, Ran, TOKEN, small_project};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::process::Process;
use durable_streams_tests::wait_until;
use serde_json::json;

/// A worker's secret, which this program has no reason to know.
const OF_THE_WORKER: &str = "a-secret-of-the-worker";

fn assert_silent(ran: &Ran) {
    for secret in [TOKEN, OF_THE_WORKER] {
        assert!(!ran.stdout.contains(secret), "{}", ran.stdout);
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
}

/// Looks into every file below a folder.
fn assert_absent(dir: &Path, secret: &str) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            assert_absent(&path, secret)?;
        } else {
            let bytes = fs::read(&path)?;
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
    Ok(())
}

#[test]
fn no_output_and_no_file_holds_the_token() -> Result<()> {
    let scratch = Scratch::new("secrets-output")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let commands: [&[&str]; 8] = [
        &["provision", "--dry-run"],
        &["provision"],
        &["deploy", "--no-build"],
        &["deploy", "--no-build"],
        &["status"],
        &["whoami"],
        &["usage"],
        &["destroy", "--yes"],
    ];
    let shown: [&[&str]; 4] = [&[], &["--verbose"], &["--json"], &["--json", "--verbose"]];
    for how in shown {
        for command in commands {
            let ran = cloud.run(&dir, &[command, how].concat())?.ok()?;
            assert_silent(&ran);
            // Else the check above would have nothing to look at.
            let traced = ran.stderr.contains("GET /accounts?page=1 … 200");
            assert_eq!(traced, how.contains(&"--verbose"), "{}", ran.stderr);
        }
        // An error that repeats what it was sent, as a careless server would.
        cloud.fail(json!([{
            "path": "/accounts$", "status": 403,
            "errors": [{ "code": 10000, "message": format!("Bearer {TOKEN} is unknown") }],
        }]))?;
        let ran = cloud.run(&dir, &[&["status"], how].concat())?;
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.stderr.contains("Bearer *** is unknown"),
            "{}",
            ran.stderr
        );
        assert_silent(&ran);
        cloud.fail(json!([]))?;
    }
    cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    assert_absent(&dir, TOKEN)
}

#[test]
fn a_wrong_token_is_not_shown_either() -> Result<()> {
    let scratch = Scratch::new("secrets-wrong")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let mut command = cloud.command(&dir)?;
    command.args(["status", "--json", "--verbose"]);
    let ran = Ran::of(command.env("CLOUDFLARE_API_TOKEN", "a-wrong-token"))?;
    assert_eq!(ran.code, Some(1));
    assert!(!ran.stderr.contains("a-wrong-token") && !ran.stdout.contains("a-wrong-token"));
    assert!(ran.stderr.contains("Bearer ***"), "{}", ran.stderr);
    Ok(())
}

#[test]
fn no_list_of_processes_holds_the_token() -> Result<()> {
    let scratch = Scratch::new("secrets-ps")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.fail(json!([{ "method": "PUT", "path": "/scripts/my-streams$", "hang": true }]))?;
    let mut child = cloud
        .command(&dir)?
        .args(["deploy", "--no-build"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_until("it uploads", || {
        Ok(cloud.requests()?.iter().any(|one| one.method == "PUT"))
    })?;
    let below = Process::descendants(child.id())?;
    let pids = below.iter().map(|process| process.pid).chain([child.id()]);
    for pid in pids {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline"))?;
        assert!(!line.contains(TOKEN), "{line}");
    }
    child.kill()?;
    child.wait()?;
    Ok(())
}

#[test]
fn the_login_of_wrangler_is_read_and_left_as_it_is() -> Result<()> {
    let scratch = Scratch::new("secrets-login")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let home = scratch.path().join("home");
    let file = home.join(".config/.wrangler/config/default.toml");
    fs::create_dir_all(file.parent().context("no folder")?)?;
    let login =
        |expires: &str| format!("oauth_token = \"{TOKEN}\"\nexpiration_time = \"{expires}\"\n");
    let run = || -> Result<Ran> {
        let mut command = cloud.command(&dir)?;
        command.args(["status", "--verbose"]);
        command
            .env_remove("CLOUDFLARE_API_TOKEN")
            .env_remove("XDG_CONFIG_HOME");
        Ran::of(command.env("HOME", &home))
    };
    run()?.fails(&["no credentials", "CLOUDFLARE_API_TOKEN", "wrangler login"])?;
    let valid = login("2999-01-01T00:00:00.000Z");
    fs::write(&file, &valid)?;
    let ran = run()?;
    assert!(ran.stdout.contains("the login of wrangler"), "{ran:?}");
    assert_silent(&ran);
    assert_eq!(fs::read_to_string(&file)?, valid);
    fs::write(&file, login("2020-01-01T00:00:00.000Z"))?;
    let ran = run()?.fails(&["has expired", "wrangler whoami"])?;
    assert_silent(&ran);
    Ok(())
}

#[test]
fn the_account_is_chosen_or_asked_for() -> Result<()> {
    let scratch = Scratch::new("secrets-accounts")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let second = "fedcba9876543210fedcba9876543210";
    cloud.set(json!({ "accounts": [
        { "id": ACCOUNT, "name": "First" }, { "id": second, "name": "Second" },
    ] }))?;
    // Each is on a page of its own.
    cloud
        .run(&dir, &["status"])?
        .fails(&["several accounts", "First", second, "account_id"])?;
    let mut command = cloud.command(&dir)?;
    let ran = Ran::of(command.arg("status").env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT))?;
    assert!(ran.stdout.contains(ACCOUNT), "{ran:?}");
    let mut command = cloud.command(&dir)?;
    let ran = Ran::of(command.arg("status").env("CLOUDFLARE_ACCOUNT_ID", "mine"))?;
    ran.fails(&["`mine` is not the id"])?;
    cloud.set(json!({ "accounts": [] }))?;
    cloud
        .run(&dir, &["status"])?
        .fails(&["no account", "CLOUDFLARE_ACCOUNT_ID"])?;
    let text = fs::read_to_string(dir.join("wrangler.toml"))?;
    fs::write(
        dir.join("wrangler.toml"),
        format!("account_id = \"{ACCOUNT}\"\n{text}"),
    )?;
    cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    Ok(())
}
