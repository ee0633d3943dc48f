//! Commands that ask a running server, against one that stands for it.

mod common;

use common::{
    Place, Run,
    stand_in::{Sent, StandIn},
};
use serde_json::{Value, json};

/// A project that is open to everyone.
fn place() -> Place {
    let place = Place::new();
    place.init(&["my-streams", "--auth", "none"]).succeeds();
    place
}

fn run(place: &Place, server: &StandIn, args: &[&str]) -> Run {
    place.run(&[args, &["-C", "my-streams", "--url", &server.url]].concat())
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, Value) {
    let error = json!({ "code": code, "message": message });
    (status, json!({ "error": error }))
}

fn webhook(id: &str) -> Value {
    json!({
        "id": id, "type": "webhook", "webhook": { "url": "https://x.example/hook" },
        "pattern": "events/**", "streams": [], "streams_total": 2, "status": "active",
        "phase": "idle", "pending": 0, "lease_ttl_ms": 30000,
    })
}

#[test]
fn a_subscription_is_made_as_it_is_asked_for_once() {
    let place = place();
    let server = StandIn::answering(|sent| {
        let status = if sent.body["description"] == "again" {
            200
        } else {
            201
        };
        (status, webhook("a/b c"))
    });
    let create = |more: &[&str]| {
        let args = ["subscriptions", "create", "a/b c", "--type", "webhook"];
        let url = ["--webhook-url", "https://x.example/hook"];
        run(&place, &server, &[&args[..], &url, more].concat())
    };
    let options = [
        "--pattern",
        "events/**",
        "--stream",
        "a",
        "--stream",
        "b/c",
        "--lease-ttl-ms",
        "5000",
        "--description",
        "mails",
    ];
    let made = create(&options).succeeds();
    assert!(
        made.stdout.starts_with(
            "Made the subscription a/b c: webhook to https://x.example/hook, of events/** (2 streams)"
        ),
        "{}",
        made.stdout
    );
    let again = ["--pattern", "*", "--description", "again", "--json"];
    assert_eq!(create(&again).succeeds().json()["created"], false);
    let of_project = ["--stream", "a", "--project", "chat"];
    create(&of_project).succeeds();
    let sent = server.sent();
    assert_eq!(
        sent[0].line(),
        "PUT /v1/stream/__ds/subscriptions/a%2Fb%20c"
    );
    assert_eq!(
        sent[0].body,
        json!({
            "type": "webhook", "webhook": { "url": "https://x.example/hook" },
            "pattern": "events/**", "streams": ["a", "b/c"], "lease_ttl_ms": 5000,
            "description": "mails",
        })
    );
    assert!(sent.iter().all(|one| one.token.is_none()), "{sent:?}");
    assert_eq!(
        sent[2].line(),
        "PUT /v1/stream/chat/__ds/subscriptions/a%2Fb%20c"
    );

    let copy = ["subscriptions", "create", "c", "--type", "copy"];
    let options = ["--target", "inbox/7", "--stream", "a", "--stream", "b"];
    let from = ["--from", "start", "--envelope", "--pattern", "news/**"];
    run(&place, &server, &[&copy[..], &options].concat()).fails(1, &["not that of a server"]);
    run(&place, &server, &[&copy[..], &options, &from].concat()).fails(1, &["not that"]);
    let sent = server.sent();
    assert_eq!(
        sent[3].body,
        json!({ "type": "copy", "target_stream": "inbox/7", "streams": ["a", "b"] })
    );
    assert_eq!(
        sent[4].body,
        json!({
            "type": "copy", "target_stream": "inbox/7", "streams": ["a", "b"], "from": "start",
            "envelope": true, "pattern": "news/**",
        })
    );

    let pull = ["subscriptions", "create", "p", "--type", "pull-wake"];
    let pull = [&pull[..], &["--wake-stream", "wake", "--pattern", "*"]].concat();
    run(&place, &server, &pull).fails(1, &["not that of a server"]);
    let sent = server.sent();
    assert_eq!(
        sent[5].body,
        json!({ "type": "pull-wake", "wake_stream": "wake", "pattern": "*" })
    );
}

#[test]
fn wrong_usage_ends_with_code_2_and_asks_nobody() {
    let place = place();
    let server = StandIn::answering(|_| (200, Value::Null));
    let create = ["subscriptions", "create", "a"];
    for (more, says) in [
        (&["--pattern", "*"][..], "--type"),
        (&["--pattern", "*", "--type", "mail"], "pull-wake"),
        (&["--pattern", "*", "--type", "webhook"], "--webhook-url"),
        (&["--pattern", "*", "--type", "pull-wake"], "--wake-stream"),
        (&["--pattern", "*", "--type", "copy"], "--target"),
        (&["--type", "copy", "--target", "t"], "--pattern"),
        (
            &[
                "--pattern",
                "*",
                "--type",
                "copy",
                "--target",
                "t",
                "--lease-ttl-ms",
                "5000",
            ],
            "--lease-ttl-ms",
        ),
        (
            &[
                "--pattern",
                "*",
                "--type",
                "copy",
                "--target",
                "t",
                "--webhook-url",
                "https://x",
            ],
            "--webhook-url",
        ),
        (
            &[
                "--pattern",
                "*",
                "--type",
                "copy",
                "--target",
                "t",
                "--from",
                "then",
            ],
            "start",
        ),
        (
            &[
                "--pattern",
                "*",
                "--type",
                "pull-wake",
                "--wake-stream",
                "w",
                "--envelope",
            ],
            "--wake-stream",
        ),
        (
            &["--type", "webhook", "--webhook-url", "https://x"],
            "--pattern",
        ),
        (
            &[
                "--type",
                "webhook",
                "--webhook-url",
                "https://x",
                "--wake-stream",
                "w",
            ],
            "--wake-stream",
        ),
        (
            &[
                "--type",
                "pull-wake",
                "--wake-stream",
                "w",
                "--stream",
                "s",
                "--lease-ttl-ms",
                "999",
            ],
            "1000",
        ),
    ] {
        run(&place, &server, &[&create[..], more].concat()).fails(2, &[says]);
    }
    run(&place, &server, &["subscriptions", "show"]).fails(2, &["ID"]);
    for change in ["add", "remove"] {
        run(&place, &server, &["subscriptions", change, "a"]).fails(2, &["STREAM"]);
    }
    place.run(&["subscriptions"]).fails(2, &["list", "keys"]);
    assert!(server.sent().is_empty());
}

#[test]
fn all_pages_are_listed_and_who_is_gone_meanwhile_is_left_out() {
    let place = place();
    let server = StandIn::answering(|sent| {
        let page = |ids: &[&str], next: Option<&str>| {
            let all: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            (200, json!({ "subscriptions": all, "next": next }))
        };
        match sent
            .target
            .strip_prefix("/v1/stream/__ds/subscriptions")
            .unwrap()
        {
            "?limit=1000" => page(&["a", "gone"], Some("g&o")),
            "?limit=1000&after=g%26o" => page(&["z"], None),
            "/gone" => refusal(404, "SUBSCRIPTION_NOT_FOUND", "there is none"),
            path => (200, webhook(&path[1..])),
        }
    });
    let listed = run(&place, &server, &["subscriptions", "list"])
        .succeeds()
        .stdout;
    let line = "webhook to https://x.example/hook, of events/** (2 streams); active, idle; nothing \
                pending";
    assert_eq!(listed, format!("a: {line}\nz: {line}\n"));
    let listed = run(&place, &server, &["subscriptions", "list", "--json"])
        .succeeds()
        .json();
    assert_eq!(listed["subscriptions"], json!([webhook("a"), webhook("z")]));

    let shown = run(&place, &server, &["subscriptions", "show", "a", "--json"])
        .succeeds()
        .json();
    assert_eq!(shown, webhook("a"));
    run(&place, &server, &["subscriptions", "show", "gone"])
        .fails(1, &["SUBSCRIPTION_NOT_FOUND: there is none (status 404)"]);
    let none = StandIn::answering(|_| (200, json!({ "subscriptions": [], "next": null })));
    let listed = run(&place, &none, &["subscriptions", "list"])
        .succeeds()
        .stdout;
    assert!(
        listed.contains("no subscription yet (all streams)"),
        "{listed}"
    );
}

#[test]
fn changes_are_sent_as_the_server_takes_them() {
    let place = place();
    let server = StandIn::answering(|sent| match sent.target.ends_with("/rotate") {
        true => (
            200,
            json!({ "kid": "ds_1", "active_at": "2026-11-26T00:05:00.000Z" }),
        ),
        false => (204, Value::Null),
    });
    let said = |args: &[&str]| run(&place, &server, args).succeeds().stdout;
    said(&["subscriptions", "delete", "a", "--yes"]);
    said(&["subscriptions", "retry", "a"]);
    let added = said(&["subscriptions", "add", "a/b", "chat/1", "c d"]);
    assert!(added.contains("a/b is about chat/1, c d now"), "{added}");
    let removed = said(&["subscriptions", "remove", "a/b", "chat/1", "c d"]);
    assert!(
        removed.contains("not about chat/1, c d any more"),
        "{removed}"
    );
    let rotated = said(&["subscriptions", "keys", "rotate"]);
    assert!(
        rotated.contains("ds_1") && rotated.contains("2026-11-26"),
        "{rotated}"
    );
    said(&["subscriptions", "keys", "rotate", "--now", "--yes"]);
    let sent = server.sent();
    assert_eq!(
        server.lines(),
        [
            "DELETE /v1/stream/__ds/subscriptions/a",
            "POST /v1/stream/__ds/subscriptions/a/retry",
            "POST /v1/stream/__ds/subscriptions/a%2Fb/streams",
            "DELETE /v1/stream/__ds/subscriptions/a%2Fb/streams/chat%2F1",
            "DELETE /v1/stream/__ds/subscriptions/a%2Fb/streams/c%20d",
            "POST /v1/stream/__ds/keys/rotate",
            "POST /v1/stream/__ds/keys/rotate",
        ]
    );
    let bodies: Vec<&Value> = sent.iter().map(|one| &one.body).collect();
    assert_eq!(bodies[2], &json!({ "streams": ["chat/1", "c d"] }));
    assert_eq!(bodies[5..], [&Value::Null, &json!({ "now": true })]);
}

#[test]
fn what_stands_in_the_way_is_said_with_the_way_out() {
    let place = place();
    let list = ["subscriptions", "list"];
    place
        .run(&[&list[..], &["-C", "my-streams"]].concat())
        .fails(
            1,
            &["not served on this machine", "durable-streams dev", "--url"],
        );
    place
        .run(
            &[
                &list[..],
                &["-C", "my-streams", "--url", "http://x.example"],
            ]
            .concat(),
        )
        .fails(1, &["no https URL"]);
    let off = StandIn::answering(|_| refusal(501, "DIRECTORY_OFF", "it is off"));
    run(&place, &off, &list).fails(1, &["DIRECTORY_OFF: it is off", "wrangler.toml"]);
    assert_eq!(off.sent().len(), 1, "it is off however often it is asked");
    let old = StandIn::answering(|_| refusal(404, "stream_not_found", "there is no such stream"));
    run(&place, &old, &list).fails(1, &["stream_not_found", "older"]);
    let document = run(&place, &old, &[&list[..], &["--json"]].concat()).json();
    assert!(
        document["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no such stream")
    );
    let other = StandIn::answering(|_| (200, json!({ "hello": 1 })));
    run(&place, &other, &list).fails(1, &["not that of a server"]);
    // What fails by chance is asked again.
    let busy = StandIn::answering(|_| refusal(503, "unavailable", "try again"));
    run(&place, &busy, &list).fails(1, &["unavailable: try again (status 503)"]);
    assert_eq!(busy.sent().len(), 3);
    // Unless that could do it twice.
    let rotate = ["subscriptions", "keys", "rotate"];
    run(&place, &busy, &rotate).fails(1, &["unavailable"]);
    assert_eq!(busy.sent().len(), 4);
}

#[test]
fn a_directory_is_rebuilt_page_by_page_and_goes_on_where_it_broke_off() {
    let place = place();
    let page = |sent: &Sent| match sent.target.split_once("?after=").map(|(_, after)| after) {
        None => (200, json!({ "found": 600, "next": "a/b" })),
        Some("a%2Fb") => (200, json!({ "found": 7, "next": "c" })),
        Some(_) => (200, json!({ "found": 0, "next": null })),
    };
    let server = StandIn::answering(page);
    let run_rebuild = |server: &StandIn, more: &[&str]| {
        run(&place, server, &[&["directory", "rebuild"], more].concat())
    };
    let whole = run_rebuild(&server, &[]).succeeds();
    assert!(
        whole.stdout.contains("Found 607 streams"),
        "{}",
        whole.stdout
    );
    assert!(whole.stdout.contains("cannot be found"), "{}", whole.stdout);
    assert!(whole.stderr.contains("… 600"), "{}", whole.stderr);
    assert_eq!(server.lines()[0], "POST /v1/stream/__ds/directory/rebuild");
    let rest = run_rebuild(&server, &["--after", "a/b", "--json"]).succeeds();
    assert_eq!(rest.json()["found"], 7);
    let breaks = StandIn::answering(move |sent| match sent.target.ends_with("after=c") {
        true => refusal(503, "unavailable", "no"),
        false => page(sent),
    });
    run_rebuild(&breaks, &[]).fails(1, &["after 607 streams", "--after 'c'"]);
}

#[test]
fn who_interrupts_a_rebuild_is_told_where_to_go_on() {
    let place = place();
    let (reached, waits) = std::sync::mpsc::channel();
    let server = StandIn::answering(move |sent| {
        if sent.target.contains("after=") {
            let _ = reached.send(());
            std::thread::sleep(std::time::Duration::from_secs(20));
        }
        (200, json!({ "found": 600, "next": "a/b" }))
    });
    let running = std::process::Command::new(assert_cmd::cargo::cargo_bin!("durable-streams"))
        .args(["directory", "rebuild", "-C", "my-streams", "--url"])
        .arg(&server.url)
        .current_dir(place.path("work"))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    waits.recv().unwrap();
    let pid = running.id().to_string();
    let told = std::process::Command::new("kill")
        .args(["-INT", &pid])
        .status();
    assert!(told.unwrap().success());
    let ended = running.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("Found 600 streams so far"), "{said}");
    assert!(said.contains("--after 'a/b'"), "{said}");
}
