//! The console in front of the deployed server, with projects in a registry at Cloudflare.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durable_streams_tests::cloud::{Cloud, TOKEN};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::process::interrupt;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::stage::Stage;
use crate::stand_in::{Sent, StandIn};

/// A running `console --remote`; dropping it ends it.
struct Console {
    child: Child,
    client: Client,
    log: PathBuf,
}

impl Console {
    fn start(cloud: &Cloud, dir: &Path, server: &str) -> Result<Self> {
        let log = dir.join("console.log");
        let mut child = cloud
            .command(dir)?
            .args(["console", "--remote", "--port", "0", "--json", "--verbose"])
            .args(["--url", server])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let stdout = child.stdout.as_mut().context("no stdout")?;
        let document = serde_json::Deserializer::from_reader(stdout)
            .into_iter()
            .next();
        let document: Value = document.context("it printed nothing")??;
        let url = document["console"].as_str().context("no URL")?;
        let client = Client::new(url.trim_end_matches('/')).with_header("x-console", "1");
        Ok(Self { child, client, log })
    }

    fn get(&self, path: &str) -> Result<Response> {
        self.client.call(Method::GET, path).send()
    }

    fn post(&self, path: &str, document: &Value) -> Result<Response> {
        let body = document.to_string();
        self.client
            .call(Method::POST, path)
            .send_bytes(body.as_bytes())
    }

    /// Deletes a project, of which this name was typed.
    fn delete(&self, name: &str, typed: &str) -> Result<Response> {
        let call = self
            .client
            .call(Method::DELETE, &format!("/api/projects/{name}"));
        call.send_bytes(json!({ "name": typed }).to_string().as_bytes())
    }

    /// Presses Ctrl-C, and gives what it has said.
    fn end(mut self) -> Result<String> {
        interrupt(&self.child)?;
        ensure!(self.child.wait()?.success());
        Ok(fs::read_to_string(&self.log)?)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn document(answer: Response, status: u16) -> Result<Value> {
    Ok(serde_json::from_slice(&answer.expect(status)?.body)?)
}

/// It is refused with this status and code, and says this.
#[track_caller]
fn refused(answer: Response, status: u16, code: &str, says: &str) -> Result<()> {
    let error = document(answer, status)?["error"].take();
    let message = error["message"].as_str().unwrap_or_default();
    ensure!(error["code"] == code && message.contains(says), "{error}");
    Ok(())
}

/// What a token says.
fn said(token: &str) -> Result<Value> {
    let claims = token.split('.').nth(1).context("no claims")?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok().context("no base64")?;
    Ok(serde_json::from_slice(&claims)?)
}

/// What the token of a request says, without the time at which it ends.
fn claims(sent: &Sent) -> Result<Value> {
    let token = sent.token.as_deref().context("no token")?;
    let mut claims = said(token)?;
    let end = claims["exp"].take().as_u64().context("no end")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    ensure!(end > now && end <= now + 300, "it lasts {} s", end - now);
    Ok(claims)
}

#[test]
fn each_request_has_a_token_that_allows_it_and_no_more() -> Result<()> {
    let stage = Stage::new("console-tokens")?;
    let server = StandIn::answering(|_| (200, json!({})));
    let console = Console::start(&stage.cloud, &stage.dir, &server.url)?;
    let asked = |method: Method, path: &str, header: Option<(&str, &str)>| -> Result<Value> {
        let mut call = console.client.call(method, path);
        if let Some((name, value)) = header {
            call = call.header(name, value);
        }
        call.send()?.expect(200)?;
        let sent = server.sent().pop().context("nothing was sent")?;
        ensure!(sent.target == path, "{} for {path}", sent.target);
        claims(&sent)
    };
    let read =
        |stream: &str| json!({ "sub": "chat", "scope": "read", "exp": null, "stream_id": stream });
    let write =
        |stream: &str| json!({ "sub": "chat", "scope": "write", "exp": null, "stream_id": stream });
    let all = |scope: &str| json!({ "sub": "chat", "scope": scope, "exp": null });
    let fork = Some(("stream-forked-from", "/v1/stream/chat/a"));
    for (method, path, header, expected) in [
        (
            Method::GET,
            "/v1/stream/chat/a?offset=-1&live=sse",
            None,
            read("a"),
        ),
        (Method::HEAD, "/v1/stream/chat/a/b%20c", None, read("a/b c")),
        (Method::PUT, "/v1/stream/chat/a", None, write("a")),
        (Method::POST, "/v1/stream/chat/a", None, write("a")),
        (Method::DELETE, "/v1/stream/chat/a", None, write("a")),
        (Method::PUT, "/v1/stream/chat/b", fork, all("write")),
        (
            Method::GET,
            "/v1/stream/chat/__ds/streams?prefix=a&after=b",
            None,
            all("read"),
        ),
        (
            Method::GET,
            "/v1/stream/chat/__ds/streams/a/b%20c",
            None,
            all("read"),
        ),
        (
            Method::GET,
            "/v1/stream/chat/__ds/subscriptions/x",
            None,
            all("read"),
        ),
        (
            Method::POST,
            "/v1/stream/chat/__ds/subscriptions/x/retry",
            None,
            all("write"),
        ),
        (
            Method::DELETE,
            "/v1/stream/chat/__ds/subscriptions/x/streams/a",
            None,
            all("write"),
        ),
    ] {
        assert_eq!(
            asked(method.clone(), path, header)?,
            expected,
            "{method} {path}"
        );
    }
    let before = server.sent().len();
    let absent = console.get("/v1/stream/other/a")?;
    refused(absent, 404, "project_not_found", "no project `other`")?;
    refused(
        console.get("/v1/stream/__ds/streams")?,
        404,
        "project_not_found",
        "`__ds`",
    )?;
    assert_eq!(server.sent().len(), before);

    // The registry is not asked for each.
    let of_chat = |one: &durable_streams_tests::cloud::Request| one.path.ends_with("/values/chat");
    stage.cloud.forget_requests()?;
    for _ in 0..5 {
        console.get("/v1/stream/chat/a")?.expect(200)?;
    }
    let asked = stage
        .cloud
        .requests()?
        .iter()
        .filter(|one| of_chat(one))
        .count();
    ensure!(asked <= 2, "{asked}");
    let tokens: Vec<String> = server
        .sent()
        .into_iter()
        .filter_map(|sent| sent.token)
        .collect();
    let log = console.end()?;
    ensure!(log.contains("GET /v1/stream/chat/a … 200"), "{log}");
    for never in tokens.iter().chain([&stage.secret, &TOKEN.to_owned()]) {
        ensure!(!log.contains(never), "a secret in {log}");
    }
    for sent in server.sent() {
        ensure!(
            !sent.target.contains("token") && !sent.target.contains("eyJ"),
            "{}",
            sent.target
        );
    }
    Ok(())
}

#[test]
fn projects_and_tokens_are_made_and_shown_once() -> Result<()> {
    let stage = Stage::new("console-projects")?;
    let server = StandIn::answering(|_| (200, json!({})));
    let console = Console::start(&stage.cloud, &stage.dir, &server.url)?;
    let here = document(console.get("/api/console")?, 200)?;
    assert_eq!(here["server"], server.url);
    assert_eq!(here["isRemote"], true);
    assert_eq!(here["project"], "chat");
    assert_eq!(here["projects"], json!(["chat"]));
    assert_eq!(here["canMakeTokens"], true);
    assert_eq!(here["environment"], Value::Null);

    let made = console.post("/api/projects", &json!({ "name": "shop" }))?;
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = document(made, 201)?;
    let secret = made["secret"].as_str().context("no secret")?.to_owned();
    assert_eq!(made, json!({ "name": "shop", "secret": secret }));
    assert_eq!(secret.len(), 43);
    let shown = [
        "projects",
        "show",
        "shop",
        "--show-secret",
        "--remote",
        "--json",
    ];
    let shown = stage.cloud.run(&stage.dir, &shown)?.ok()?.json()?;
    assert_eq!(shown["secret"], secret.as_str());
    let listed = document(console.get("/api/projects")?, 200)?;
    let expected =
        json!([{ "name": "chat", "isPublic": false }, { "name": "shop", "isPublic": false }]);
    assert_eq!(listed, expected);
    // It is used at once.
    console.get("/v1/stream/shop/a")?.expect(200)?;

    let create = |document: Value| console.post("/api/projects", &document);
    refused(
        create(json!({ "name": "shop" }))?,
        409,
        "project_exists",
        "`name` is `shop`",
    )?;
    refused(
        create(json!({ "name": "a/b" }))?,
        400,
        "invalid_request",
        "`a/b` cannot be a project",
    )?;
    refused(
        create(json!({ "nam": "x" }))?,
        400,
        "invalid_request",
        "nam",
    )?;
    refused(
        create(json!({ "name": "x".repeat(70_000) }))?,
        400,
        "invalid_request",
        "length limit",
    )?;

    let token = |document: Value| console.post("/api/tokens", &document);
    let wanted =
        json!({ "project": "shop", "scope": "write", "stream": "carts/7", "expires": "15m" });
    let made = token(wanted)?;
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let made = document(made, 201)?;
    let text = made["token"].as_str().context("no token")?;
    let expected = json!({ "sub": "shop", "scope": "write", "stream_id": "carts/7", "exp": made["expiresAt"] });
    assert_eq!(said(text)?, expected);
    for (wanted, status, code, says) in [
        (
            json!({ "project": "none", "scope": "read" }),
            404,
            "project_not_found",
            "no project `none`",
        ),
        (
            json!({ "project": "shop", "scope": "admin" }),
            400,
            "invalid_request",
            "`scope` is `admin`, not one of: read, write",
        ),
        (
            json!({ "project": "shop", "scope": "read", "stream": "/a" }),
            400,
            "invalid_request",
            "`stream` is `/a`",
        ),
        (
            json!({ "project": "shop", "scope": "read", "expires": "1 h" }),
            400,
            "invalid_request",
            "`expires`: `1 h` is not",
        ),
        (
            json!({ "project": "shop", "scope": "read", "prefix": "a" }),
            400,
            "invalid_request",
            "prefix",
        ),
    ] {
        refused(token(wanted)?, status, code, says)?;
    }

    refused(
        console.delete("shop", "chat")?,
        400,
        "invalid_request",
        "`name` is `chat`",
    )?;
    refused(
        console.delete("none", "none")?,
        404,
        "project_not_found",
        "no project `none`",
    )?;
    console.delete("shop", "shop")?.expect(200)?;
    let listed = document(console.get("/api/console")?, 200)?;
    assert_eq!(listed["projects"], json!(["chat"]));
    refused(
        console.get("/v1/stream/shop/a")?,
        404,
        "project_not_found",
        "`shop`",
    )?;
    let log = console.end()?;
    for never in [secret.as_str(), text] {
        ensure!(!log.contains(never), "a secret in {log}");
    }
    Ok(())
}

#[test]
fn usage_is_what_the_command_says() -> Result<()> {
    let stage = Stage::new("console-usage")?;
    let server = StandIn::answering(|_| (200, json!({})));
    let console = Console::start(&stage.cloud, &stage.dir, &server.url)?;
    let said = document(console.get("/api/usage?since=7d&top=3")?, 200)?;
    assert_eq!(said["dataset"], "my_streams_metrics");
    refused(
        console.get("/api/usage?since=1y")?,
        400,
        "invalid_request",
        "`since`: `1y`",
    )?;
    let manifest = stage.dir.join("wrangler.toml");
    let text = fs::read_to_string(&manifest)?;
    fs::write(
        &manifest,
        text.replace("binding = \"METRICS\"", "binding = \"OTHER\""),
    )?;
    refused(
        console.get("/api/usage")?,
        404,
        "no_usage",
        "no dataset for METRICS",
    )?;
    console.end()?;
    Ok(())
}
