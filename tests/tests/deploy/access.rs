//! What is found out about credentials and accounts, before anything is made.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::cloud::{ACCOUNT, Cloud, Ran, TOKEN, small_project};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{cli, command};
use durable_streams_tests::terminal::Terminal;
use serde_json::{Value, json};

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const OTHER: &str = "fedcba9876543210fedcba9876543210";

/// Refuses everything below this path, as for want of a permission.
fn denied(path: &str) -> Value {
    let errors = json!([{ "code": 10000, "message": "Authentication error" }]);
    json!({ "path": path, "status": 403, "errors": errors })
}

fn assert_nothing_was_made(cloud: &Cloud) -> Result<()> {
    let state = cloud.state()?;
    assert_eq!(state["buckets"], json!([]));
    assert_eq!(state["namespaces"], json!([]));
    assert_eq!(state["scripts"], json!({}));
    let changes = cloud
        .requests()?
        .into_iter()
        .filter(|one| one.method != "GET");
    let changes = changes.filter(|one| !one.path.ends_with("/analytics_engine/sql"));
    assert_eq!(changes.count(), 0);
    Ok(())
}

#[test]
fn all_permissions_that_a_token_lacks_are_named_at_once() -> Result<()> {
    let scratch = Scratch::new("access-lacking")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    for command in [DEPLOY, &["provision"]] {
        cloud.fail(json!([denied("/r2/"), denied("/storage/kv/")]))?;
        let ran = cloud.run(&dir, command)?.fails(&[
            "lack `Workers KV Storage: Edit`, `Workers R2 Storage: Edit` (credentials: CLOUDFLARE_API_TOKEN)",
            "https://dash.cloudflare.com/profile/api-tokens?permissionGroupKeys=%5B",
        ])?;
        ensure!(!ran.stderr.contains("Workers Scripts"), "{ran:?}");
        ensure!(!ran.stderr.contains("workers_routes"), "{ran:?}");
        assert_nothing_was_made(&cloud)?;
    }
    // Where there are routes, the page makes a token for them, too.
    let before = fs::read_to_string(dir.join("wrangler.toml"))?;
    let routes = "routes = [\"streams.example/*\"]\n";
    fs::write(dir.join("wrangler.toml"), format!("{routes}{before}"))?;
    cloud.run(&dir, DEPLOY)?.fails(&["%22workers_routes%22"])?;
    fs::write(dir.join("wrangler.toml"), before)?;
    // Everything is refused: the token itself may be the reason.
    cloud.fail(json!([denied(&format!("/accounts/{ACCOUNT}"))]))?;
    cloud
        .run(&dir, DEPLOY)?
        .fails(&["do not count in this account, or lack `Workers Scripts: Edit`, "])?;
    cloud.fail(json!([]))?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    Ok(())
}

#[test]
fn services_that_an_account_never_opened_are_found_before_anything_is_made() -> Result<()> {
    let scratch = Scratch::new("access-closed")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let r2 = json!({
        "path": "/r2/", "status": 403,
        "errors": [{ "code": 10042, "message": "Please enable R2 through the Cloudflare Dashboard." }],
    });
    cloud.set(json!({ "analytics": false }))?;
    cloud.fail(json!([r2]))?;
    let r2_page = format!("{ACCOUNT}/r2/overview");
    let analytics_page = format!("{ACCOUNT}/workers/analytics-engine once");
    cloud.run(&dir, DEPLOY)?.fails(&[
        "R2 is not enabled on this account; Analytics Engine was never opened on this account",
        &r2_page,
        &analytics_page,
        "--without-metrics",
    ])?;
    assert_nothing_was_made(&cloud)?;
    cloud.fail(json!([]))?;
    let ran = cloud
        .run(&dir, DEPLOY)?
        .fails(&["Analytics Engine was never opened", &analytics_page])?;
    ensure!(!ran.stderr.contains("permission"), "{ran:?}");
    assert_nothing_was_made(&cloud)?;
    // Also where nothing is changed.
    cloud
        .run(&dir, &["deploy", "--no-build", "--dry-run"])?
        .fails(&["never opened"])?;

    let without = ["deploy", "--no-build", "--without-metrics"];
    cloud.run(&dir, &without)?.ok()?;
    let state = cloud.state()?;
    let bindings = state["scripts"]["my-streams"]["metadata"]["bindings"].to_string();
    ensure!(
        bindings.contains("R2") && !bindings.contains("analytics_engine"),
        "{bindings}"
    );
    let again = cloud
        .run(&dir, &[&without[..], &["--json"]].concat())?
        .ok()?
        .json()?;
    assert_eq!(again["changed"], false);
    // Once it is opened, the same command without the option adds what was left out.
    cloud.set(json!({ "analytics": true }))?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let state = cloud.state()?;
    let bindings = state["scripts"]["my-streams"]["metadata"]["bindings"].to_string();
    ensure!(bindings.contains("analytics_engine"), "{bindings}");
    // A worker that has it proves that it is opened: nobody asks.
    cloud.forget_requests()?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let asked = cloud
        .requests()?
        .into_iter()
        .any(|one| one.path.contains("analytics"));
    ensure!(!asked, "Analytics Engine was asked again");
    Ok(())
}

/// Where nobody can ask beforehand, the refusal of the upload says the same.
#[test]
fn a_refused_upload_says_what_to_do() -> Result<()> {
    let scratch = Scratch::new("access-upload")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.set(json!({ "analytics": false }))?;
    cloud.fail(json!([denied("/analytics_engine/")]))?;
    cloud.run(&dir, DEPLOY)?.fails(&[
        "Analytics Engine was never opened on this account",
        "no_access_to_analytics_engine (code 10089)",
        "--without-metrics",
    ])?;
    Ok(())
}

fn with_token(cloud: &Cloud, dir: &Path, token: &str) -> Result<Ran> {
    let mut command = cloud.command(dir)?;
    Ran::of(command.args(DEPLOY).env("CLOUDFLARE_API_TOKEN", token))
}

#[test]
fn what_was_copied_along_with_a_token_is_named_and_sent_nowhere() -> Result<()> {
    let scratch = Scratch::new("access-token")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    for (token, says) in [
        (format!("\"{TOKEN}\""), "has quotes around it"),
        (format!("Bearer {TOKEN}"), "a word of the header"),
        (format!("{TOKEN} x"), "characters that no token has"),
    ] {
        let ran = with_token(&cloud, &dir, &token)?.fails(&["(CLOUDFLARE_API_TOKEN)", says])?;
        ensure!(!ran.stderr.contains(TOKEN), "{ran:?}");
        assert_eq!(cloud.requests()?.len(), 0);
    }
    // What only Cloudflare sees.
    let chain = json!([{ "code": 6111, "message": "Invalid format for Authorization header" }]);
    let errors =
        json!([{ "code": 6003, "message": "Invalid request headers", "error_chain": chain }]);
    cloud.fail(json!([{ "status": 400, "errors": errors }]))?;
    cloud.run(&dir, DEPLOY)?.fails(&[
        "do not look like any",
        "Invalid format for Authorization header (code 6111)",
        "without quotes",
    ])?;
    Ok(())
}

/// A proxy of a company that looks into connections: it has a certificate that nobody else knows.
#[test]
fn a_certificate_that_nobody_knows_is_named_and_can_be_trusted() -> Result<()> {
    let scratch = Scratch::new("access-certificate")?;
    let dir = small_project(&scratch, "my-streams")?;
    let place = |name: &str| scratch.path().join(name);
    let make = |args: &[&str]| {
        let mut openssl = Command::new("openssl");
        Ran::of(
            openssl
                .args([
                    "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                ])
                .args(args)
                .current_dir(scratch.path()),
        )?
        .ok()
    };
    make(&[
        "-subj",
        "/CN=The company",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    ])?;
    make(&[
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
    ])?;
    let (key, certificate, ca) = (place("key.pem"), place("cert.pem"), place("ca.pem"));
    let script = "const { readFileSync } = require('fs')
const [, key, cert] = process.argv
const server = require('https').createServer(
  { key: readFileSync(key), cert: readFileSync(cert) },
  (_, response) => response.end(JSON.stringify({ success: true, result: [] })),
)
server.listen(0, () => console.log(server.address().port))";
    let mut node = Command::new("node")
        .args(["-e", script])
        .args([&key, &certificate])
        .stdout(Stdio::piped())
        .spawn()?;
    let port = first_line(&mut node)?;
    let run = |trusted: Option<&Path>| -> Result<Ran> {
        let mut command = command(&cli()?)?;
        command
            .arg("-C")
            .arg(&dir)
            .arg("whoami")
            .env(
                "CLOUDFLARE_API_BASE_URL",
                format!("https://localhost:{port}"),
            )
            .env("CLOUDFLARE_API_TOKEN", TOKEN)
            .envs(trusted.map(|path| ("SSL_CERT_FILE", path)));
        Ran::of(&mut command)
    };
    let refused = run(None)?;
    let trusted = run(Some(&ca))?;
    let _ = node.kill();
    node.wait()?;
    refused.fails(&[
        "the certificate of localhost",
        "is not trusted here",
        "SSL_CERT_FILE",
    ])?;
    // It is spoken to, and has no account.
    trusted.fails(&["the credentials see no account at all"])?;
    Ok(())
}

fn first_line(child: &mut std::process::Child) -> Result<String> {
    use std::io::{BufRead, BufReader};
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().context("no stdout")?).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

#[test]
fn several_accounts_are_offered_on_a_terminal_and_listed_without_one() -> Result<()> {
    let scratch = Scratch::new("access-accounts")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.set(json!({ "accounts": [
        { "id": OTHER, "name": "Work" }, { "id": ACCOUNT, "name": "Home" },
    ] }))?;
    cloud.run(&dir, &["status"])?.fails(&[
        "several accounts",
        OTHER,
        "Home",
        "CLOUDFLARE_ACCOUNT_ID",
    ])?;
    let mut terminal = Terminal::run(cloud.command(&dir)?.arg("provision"))?;
    terminal.wait_for("Which account?")?;
    // The second one.
    terminal.answer("Home", "\x1b[B\r")?;
    terminal.wait_for(&format!("It is {ACCOUNT}"))?;
    terminal.wait_for("created")?;
    assert_eq!(terminal.end()?.code(), Some(0));

    // Not every command that asks this looks after Ctrl-C for other reasons.
    let list = ["projects", "list", "--remote"];
    let mut terminal = Terminal::run(cloud.command(&dir)?.args(list))?;
    terminal.refuse("Which account?")?;
    terminal.wait_for("\x1b[?25h\r\n")?;
    assert_eq!(terminal.end()?.code(), Some(130));
    Ok(())
}

/// The program without a token, with a folder of its own for what is kept.
fn without_token(cloud: &Cloud, dir: &Path, config: &Path) -> Result<Command> {
    let mut command = cloud.command(dir)?;
    command
        .env_remove("CLOUDFLARE_API_TOKEN")
        .env("XDG_CONFIG_HOME", config);
    Ok(command)
}

#[test]
fn a_login_is_kept_used_and_removed() -> Result<()> {
    let scratch = Scratch::new("access-login")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let config = scratch.path().join("config");
    let file = config.join("durable-streams/login.toml");
    let run = |args: &[&str]| Ran::of(without_token(&cloud, &dir, &config)?.args(args));
    run(DEPLOY)?.fails(&["there are no credentials", "durable-streams login"])?;
    run(&["login"])?.fails(&["no terminal", "permissionGroupKeys=", "--token-stdin"])?;

    // A token that does not count is not kept.
    let mut command = without_token(&cloud, &dir, &config)?;
    Ran::fed(command.args(["login", "--token-stdin"]), "wrong\n")?
        .fails(&["listing the accounts"])?;
    ensure!(!file.exists());
    // Neither is one that lacks something, unless somebody says so.
    cloud.fail(json!([denied("/storage/kv/")]))?;
    let mut command = without_token(&cloud, &dir, &config)?;
    Ran::fed(command.args(["login", "--token-stdin"]), TOKEN)?
        .fails(&["not kept: it lacks `Workers KV Storage: Edit`", "--yes"])?;
    ensure!(!file.exists());
    cloud.fail(json!([]))?;
    cloud.set(json!({ "verified": { "status": "expired" } }))?;
    let mut command = without_token(&cloud, &dir, &config)?;
    Ran::fed(command.args(["login", "--token-stdin", "--yes"]), TOKEN)?
        .fails(&["not kept: it is expired"])?;
    ensure!(!file.exists());
    cloud.set(json!({ "verified": {} }))?;

    let mut command = without_token(&cloud, &dir, &config)?;
    let kept = Ran::fed(
        command.args(["login", "--token-stdin", "--json"]),
        &format!("{TOKEN}\n"),
    )?;
    let kept = kept.ok()?;
    ensure!(
        !kept.stdout.contains(TOKEN) && !kept.stderr.contains(TOKEN),
        "{kept:?}"
    );
    let document = kept.json()?;
    assert_eq!(document["kept"], json!(file));
    assert_eq!(document["account"], ACCOUNT);
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    }
    run(DEPLOY)?.ok()?;
    // The account is known with the login.
    let other = json!([{ "id": OTHER, "name": "Work" }, { "id": ACCOUNT, "name": "Home" }]);
    cloud.set(json!({ "accounts": other }))?;
    run(&["status"])?.ok()?;

    run(&["logout"])?.ok()?;
    ensure!(!file.exists());
    run(&["status"])?.fails(&["there are no credentials"])?;
    run(&["logout"])?.ok()?;
    Ok(())
}

#[test]
fn a_token_is_asked_for_on_a_terminal_and_not_shown() -> Result<()> {
    let scratch = Scratch::new("access-login-terminal")?;
    let cloud = Cloud::answering(&scratch)?;
    let config = scratch.path().join("config");
    let mut command = without_token(&cloud, scratch.path(), &config)?;
    let mut terminal = Terminal::run(command.arg("login"))?;
    terminal.wait_for("https://dash.cloudflare.com/profile/api-tokens?permissionGroupKeys=")?;
    terminal.answer("Token", &format!("{TOKEN}\r"))?;
    terminal.wait_for("The token is kept in")?;
    let screen = terminal.screen();
    assert_eq!(terminal.end()?.code(), Some(0));
    ensure!(!screen.contains(TOKEN), "{screen}");
    ensure!(config.join("durable-streams/login.toml").exists());
    Ok(())
}

#[test]
fn whoami_says_whose_credentials_they_are_and_what_they_may_do() -> Result<()> {
    let scratch = Scratch::new("access-whoami")?;
    let cloud = Cloud::answering(&scratch)?;
    cloud.set(json!({
        "email": "ada@example.com", "analytics": false,
        "verified": { "expires_on": "2027-01-01T00:00:00Z" },
    }))?;
    cloud.fail(json!([denied("/storage/kv/")]))?;
    // It needs no project.
    let text = cloud.run(scratch.path(), &["whoami"])?.ok()?.stdout;
    for line in [
        "credentials  a user's API token, CLOUDFLARE_API_TOKEN",
        "status       active, until 2027-01-01T00:00:00Z",
        "user         ada@example.com",
        "account      0123456789abcdef0123456789abcdef (Test account)",
        "ok      Workers Scripts: Edit, for the worker",
        "lacking Workers KV Storage: Edit, for the registry of projects",
        "closed  Account Analytics: Read, for `usage`; open",
        "ok      Account Settings: Read",
        "permissionGroupKeys=",
    ] {
        ensure!(text.contains(line), "no {line:?} in\n{text}");
    }
    cloud.set(json!({ "ofAccount": true, "email": null }))?;
    let document = cloud
        .run(scratch.path(), &["whoami", "--json"])?
        .ok()?
        .json()?;
    assert_eq!(document["owner"], "account");
    assert_eq!(document["email"], json!(null));
    let found = document["permissions"].as_array().context("no list")?;
    let kv = found
        .iter()
        .find(|one| one["permission"] == "Workers KV Storage: Edit");
    assert_eq!(kv.context("no entry")?["access"], "lacking");
    Ok(())
}
