//! Projects that are deleted with what they have, on a server that a stand-in answers for.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use durable_streams_tests::cloud::Ran;
use durable_streams_tests::terminal::Terminal;
use serde_json::{Value, json};

use crate::stage::Stage;
use crate::stand_in::{Sent, StandIn};

/// What a server has, and how it takes it that things are removed.
#[derive(Debug, Default)]
struct Holdings {
    streams: BTreeSet<String>,
    subscriptions: BTreeSet<String>,
    /// A stream that cannot be removed.
    stuck: Option<String>,
    is_off: bool,
}

type Shared = Arc<Mutex<Holdings>>;

fn with(streams: &[&str]) -> Shared {
    let holdings = Holdings {
        streams: streams.iter().map(|path| (*path).to_owned()).collect(),
        subscriptions: BTreeSet::from(["mails".to_owned(), "a/b".to_owned()]),
        ..Holdings::default()
    };
    Arc::new(Mutex::new(holdings))
}

fn refusal(status: u16, code: &str) -> (u16, Value) {
    (
        status,
        json!({ "error": { "code": code, "message": "no" } }),
    )
}

/// Lists three streams a page, whatever the limit.
fn serve(holdings: &Shared) -> StandIn {
    let holdings = Arc::clone(holdings);
    StandIn::answering(move |sent| {
        let mut has = holdings
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let path = sent
            .target
            .strip_prefix("/v1/stream/chat/")
            .unwrap_or_default();
        let path = path.replace("%20", " ").replace("%2F", "/");
        if has.is_off {
            return refusal(501, "DIRECTORY_OFF");
        }
        if path.starts_with("__ds/streams?") {
            let after = path.split_once("&after=").map_or("", |(_, after)| after);
            let mut rest = has.streams.iter().filter(|path| path.as_str() > after);
            let page: Vec<&String> = rest.by_ref().take(3).collect();
            let next = rest.next().and(page.last());
            let listed: Vec<Value> = page.iter().map(|path| json!({ "path": path })).collect();
            return (200, json!({ "streams": listed, "next": next }));
        }
        if path.starts_with("__ds/subscriptions?") {
            let ids = has.subscriptions.iter().map(|id| json!({ "id": id }));
            return (
                200,
                json!({ "subscriptions": ids.collect::<Vec<_>>(), "next": null }),
            );
        }
        if has.stuck.as_ref() == Some(&path) {
            return refusal(503, "unavailable");
        }
        let removed = match path.strip_prefix("__ds/subscriptions/") {
            Some(id) => has.subscriptions.remove(id),
            None => has.streams.remove(&path),
        };
        match removed {
            true => (204, Value::Null),
            false => refusal(404, "stream_not_found"),
        }
    })
}

impl Stage {
    fn run(&self, server: &StandIn, args: &[&str]) -> Result<Ran> {
        let place = ["--remote", "--url", &server.url];
        self.cloud.run(&self.dir, &[args, &place].concat())
    }

    fn delete(&self, server: &StandIn, more: &[&str]) -> Result<Ran> {
        self.run(server, &[&["projects", "delete", "chat"], more].concat())
    }

    fn is_there(&self) -> Result<bool> {
        let list = ["projects", "list", "--remote", "--json"];
        let listed = self.cloud.run(&self.dir, &list)?.ok()?.json()?;
        Ok(listed["projects"] != json!([]))
    }

    /// Tokens of the least scope went with all requests, and nothing of them anywhere else.
    fn check_secrets(&self, sent: &[Sent], ran: &[&Ran]) -> Result<()> {
        for one in sent {
            let token = one.token.as_deref().context("no token")?;
            let claims = token.split('.').nth(1).context("no claims")?;
            // `{"sub":"chat","scope":"read"`, as far as whole bytes go.
            let is_read = claims.starts_with("eyJzdWIiOiJjaGF0Iiwic2NvcGUiOiJyZWFkIi");
            assert_eq!(is_read, one.method == "GET", "{one:?}");
            for said in ran {
                for text in [&said.stdout, &said.stderr] {
                    assert!(!text.contains(token) && !text.contains(&self.secret));
                }
            }
        }
        Ok(())
    }
}

#[test]
fn all_that_a_project_has_is_removed_page_by_page_before_it() -> Result<()> {
    let stage = Stage::new("delete-remove")?;
    let paths = ["a", "b c", "d/e", "f", "g", "h", "i"];
    let holdings = with(&paths);
    let server = serve(&holdings);
    let unsaid = stage.delete(&server, &["--yes"])?;
    let unsaid = unsaid.fails(&["has more than 3 streams", "--streams keep"])?;
    assert!(stage.is_there()?);
    let ran = stage
        .delete(&server, &["--streams", "remove", "--yes", "--verbose"])?
        .ok()?;
    assert!(
        ran.stdout.contains("7 streams and 2 subscriptions"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("not known"), "{}", ran.stdout);
    assert!(!stage.is_there()?);
    let has = holdings.lock().map_err(|_| anyhow::anyhow!("poisoned"))?;
    assert!(
        has.streams.is_empty() && has.subscriptions.is_empty(),
        "{has:?}"
    );
    let lines = server.lines();
    for line in [
        "DELETE /v1/stream/chat/d/e",
        "DELETE /v1/stream/chat/b%20c",
        "DELETE /v1/stream/chat/__ds/subscriptions/a%2Fb",
    ] {
        assert!(
            lines.iter().any(|one| one == line),
            "no {line} in {lines:?}"
        );
    }
    stage.check_secrets(&server.sent(), &[&unsaid, &ran])
}

#[test]
fn a_project_stays_until_all_is_removed_and_a_second_run_goes_on() -> Result<()> {
    let stage = Stage::new("delete-again")?;
    let holdings = with(&["a", "b", "c", "d"]);
    let set = |stuck: Option<&str>| {
        let stuck = stuck.map(str::to_owned);
        holdings
            .lock()
            .map(|mut has| has.stuck = stuck)
            .map_err(|_| anyhow::anyhow!("poisoned"))
    };
    set(Some("b"))?;
    let server = serve(&holdings);
    let says = [
        "1 stream cannot be removed, b for one: unavailable",
        "3 streams were removed",
    ];
    stage
        .delete(&server, &["--streams", "remove", "--yes"])?
        .fails(&says)?;
    assert!(stage.is_there()?);
    set(None)?;
    let ran = stage
        .delete(&server, &["--streams", "remove", "--yes", "--json"])?
        .ok()?;
    assert_eq!(
        ran.json()?["removed"],
        json!({ "streams": 1, "subscriptions": 0 })
    );
    assert!(!stage.is_there()?);
    Ok(())
}

#[test]
fn streams_are_kept_when_that_is_said_and_where_nothing_is_known() -> Result<()> {
    let stage = Stage::new("delete-keep")?;
    let holdings = with(&["a"]);
    let server = serve(&holdings);
    let create = ["create-project", "chat", "--remote"];
    let ran = stage
        .delete(&server, &["--streams", "keep", "--yes"])?
        .ok()?;
    assert!(ran.stdout.contains("which had 1 stream."), "{}", ran.stdout);
    assert!(ran.stdout.contains("stays stored"), "{}", ran.stdout);
    assert_eq!(
        server.lines(),
        ["GET /v1/stream/chat/__ds/streams?limit=1000"]
    );

    stage.cloud.run(&stage.dir, &create)?.ok()?;
    holdings
        .lock()
        .map_err(|_| anyhow::anyhow!("poisoned"))?
        .is_off = true;
    let remove = ["--streams", "remove", "--yes"];
    stage
        .delete(&server, &remove)?
        .fails(&["cannot be found out: DIRECTORY_OFF"])?;
    assert!(stage.is_there()?);
    let ran = stage.delete(&server, &["--yes"])?.ok()?;
    assert!(ran.stderr.contains("DIRECTORY_OFF"), "{}", ran.stderr);
    assert!(ran.stderr.contains("stay stored"), "{}", ran.stderr);
    assert!(!stage.is_there()?);

    // A project without streams asks for nothing.
    stage.cloud.run(&stage.dir, &create)?.ok()?;
    let empty = serve(&with(&[]));
    // But nothing is deleted that nobody confirms.
    for args in [&[][..], &["--streams", "keep"], &["--streams", "remove"]] {
        let refused = stage.delete(&empty, args)?;
        refused.fails(&["nobody is there to confirm", "--yes"])?;
    }
    assert!(stage.is_there()?);
    assert!(empty.lines().iter().all(|line| line.starts_with("GET ")));
    stage.delete(&empty, &["--yes"])?.ok()?;
    assert!(!stage.is_there()?);
    Ok(())
}

#[test]
fn a_person_is_asked_what_becomes_of_the_streams() -> Result<()> {
    let stage = Stage::new("delete-asked")?;
    let holdings = with(&["a", "b"]);
    let server = serve(&holdings);
    let delete = [
        "projects",
        "delete",
        "chat",
        "--remote",
        "--url",
        &server.url,
    ];
    let mut command = stage.cloud.command(&stage.dir)?;
    let mut terminal = Terminal::run(command.args(delete))?;
    terminal.answer("The project chat has 2 streams", "\x1b[B\r")?;
    terminal.answer(
        "It has 2 streams; all its streams and subscriptions are removed, too",
        "y",
    )?;
    terminal.wait_for("2 streams and 2 subscriptions")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    assert!(!stage.is_there()?);
    Ok(())
}

#[test]
fn other_commands_sign_with_the_secret_of_the_deployed_registry() -> Result<()> {
    let stage = Stage::new("delete-others")?;
    let server = StandIn::answering(|sent| match sent.method.as_str() {
        "GET" => (200, json!({ "subscriptions": [], "next": null })),
        _ => (200, json!({ "found": 0, "next": null })),
    });
    // The only project, and a named one.
    let list = stage.run(&server, &["subscriptions", "list"])?.ok()?;
    assert!(list.stdout.contains("(project chat)"), "{}", list.stdout);
    let rebuild = stage.run(
        &server,
        &["directory", "rebuild", "-p", "chat", "--verbose"],
    )?;
    let rebuild = rebuild.ok()?;
    assert_eq!(
        server.lines(),
        [
            "GET /v1/stream/chat/__ds/subscriptions?limit=1000",
            "POST /v1/stream/chat/__ds/directory/rebuild",
        ]
    );
    stage.check_secrets(&server.sent(), &[&list, &rebuild])?;
    // Where the worker is, once it is deployed.
    let deployed = ["subscriptions", "list", "--remote"];
    let answer = stage.cloud.run(&stage.dir, &deployed)?;
    answer.fails(&["the server answers with status 404", "older"])?;
    // That of the worker's name comes before others.
    stage
        .cloud
        .run(&stage.dir, &["create-project", "my-streams", "--remote"])?
        .ok()?;
    stage.run(&server, &["subscriptions", "list"])?.ok()?;
    let last = server.lines().pop().context("nothing was sent")?;
    assert!(
        last.starts_with("GET /v1/stream/my-streams/__ds/"),
        "{last}"
    );
    Ok(())
}
