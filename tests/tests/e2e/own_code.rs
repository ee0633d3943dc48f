//! A worker whose own code uses streams, without HTTP to itself and without a token.

use std::sync::OnceLock;
use std::thread::spawn;

use anyhow::{Context, Result, anyhow};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Kv, Server, Setup};
use durable_streams_tests::stream::{START, Stream};
use durable_streams_tests::token::{record, token};
use durable_streams_tests::{say, wait_until};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;
use crate::counted::Counted;

const SECRET: &str = "the secret of the project called p";

/// The projects `p`, and `later`, which is not the first of its name.
pub fn entries() -> Vec<(&'static str, String)> {
    let later = json!({ "signingSecrets": [SECRET], "era": 7 });
    vec![("p", record(SECRET)), ("later", later.to_string())]
}

pub fn shared() -> Result<Client> {
    static SERVER: OnceLock<Result<(Server, Scratch), String>> = OnceLock::new();
    let start = || {
        let state = Scratch::new("own-code-state")?;
        let setup = Setup {
            entries: entries(),
            has_jobs: true,
            ..Setup::default()
        };
        let worker = Worker::with(Auth::OwnCode)?;
        anyhow::Ok((Server::set_up(&worker, &state, &setup)?, state))
    };
    let server = SERVER.get_or_init(|| start().map_err(|error| format!("{error:#}")));
    match server {
        Ok((server, _)) => Ok(server.client().clone()),
        Err(error) => Err(anyhow!("{error}")),
    }
}

/// A client with a token that may do all in a project.
pub fn with_token(client: &Client, project: &str) -> Client {
    let token = token(SECRET, project, "write");
    let client = client.clone();
    client.with_header("authorization", format!("Bearer {token}"))
}

/// Has the worker do something, with the parameters of a query.
fn send(client: &Client, what: &str, body: &str) -> Result<Response> {
    let call = client.call(Method::POST, &format!("/own/{what}"));
    call.send_bytes(body.as_bytes())
}

/// What came of it.
fn own(client: &Client, what: &str, body: &str) -> Result<Value> {
    let answer = send(client, what, body)?.expect(200)?;
    Ok(serde_json::from_slice(&answer.body)?)
}

fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str> {
    let text = answer[field].as_str();
    text.with_context(|| format!("no {field} in {answer}"))
}

#[test]
fn routes_of_its_own_come_before_and_after_those_of_streams() -> Result<()> {
    let client = shared()?;
    own(&client, "create?path=p/routes", "")?;
    // The streams are as closed to others as they were.
    let stream = Stream::named(&client, "p/routes", JSON);
    stream.head()?.expect(401)?;
    stream.on(&with_token(&client, "p")).head()?.expect(200)?;
    let after = client.call(Method::GET, "/about").send()?.expect(200)?;
    assert_eq!(after.text(), "nothing but us");
    Ok(())
}

#[test]
fn what_it_does_is_what_clients_see_and_the_other_way_round() -> Result<()> {
    let client = shared()?;
    for (project, name) in [("p", "both ways/ü"), ("later", "both ways/ü")] {
        let path = format!("{project}/both%20ways/%C3%BC");
        let client = client.clone();
        let stream = Stream::named(&with_token(&client, project), &path, JSON);
        let at = |verb: &str| format!("{verb}?path={path}");

        let made = own(&client, &at("create"), "[0]")?;
        assert_eq!(made["isNew"], true, "{name} of {project}");
        assert_eq!(own(&client, &at("create"), "[0]")?["isNew"], false);
        own(&client, &at("append"), "[1]")?;
        own(&client, &at("append-all"), "[2,3]")?;
        stream.append("4")?;
        assert_eq!(
            stream.read()?.messages()?,
            [json!(0), json!([1]), json!(2), json!(3), json!(4)]
        );
        let page = own(&client, &at("read"), "")?;
        assert_eq!(page["content"], json!([0, [1], 2, 3, 4]));
        assert_eq!(page["upToDate"], true);
        let tail = text(&page, "next")?;
        let rest = format!("{}&offset={tail}", at("read"));
        assert_eq!(own(&client, &rest, "")?["content"], json!([]));

        let head = own(&client, &at("head"), "")?;
        assert_eq!(head["type"], JSON);
        assert_eq!(
            (&head["tail"], &head["closed"]),
            (&json!(tail), &json!(false))
        );

        // Who knows the tail wins; whoever does not is told where it is.
        let send_at = |tail: &str| format!("{}&if-match={tail}", at("send"));
        let sent = own(&client, &send_at(tail), "[5]")?;
        let refused = send(&client, &send_at(tail), "[6]")?.expect(412)?;
        let now = refused.header("stream-next-offset");
        assert_eq!(now, Some(text(&sent, "tail")?));

        let next = text(&sent, "tail")?;
        own(&client, &format!("{}&offset={next}", at("truncate")), "")?;
        assert_eq!(own(&client, &at("head"), "")?["earliest"], *next);
        send(&client, &format!("{}&offset={tail}", at("read")), "")?.expect(410)?;

        let closed = own(&client, &format!("{}&close", send_at(next)), "[7]")?;
        assert_eq!(closed["closed"], true);
        assert_eq!(own(&client, &at("close"), "")?["closed"], true);
        let page = own(&client, &format!("{}&offset={next}", at("read")), "")?;
        assert_eq!(
            (&page["content"], &page["closed"]),
            (&json!([7]), &json!(true))
        );

        own(&client, &at("delete"), "")?;
        stream.head()?.expect(404)?;
        send(&client, &at("delete"), "")?.expect(404)?;
    }
    Ok(())
}

#[test]
fn bytes_are_bytes() -> Result<()> {
    let client = shared()?;
    own(&client, "create?path=p/bytes&type=text/plain&ttl=3600", "")?;
    own(&client, "append-bytes?path=p/bytes&type=text/plain", "a")?;
    own(&client, "append-bytes?path=p/bytes&type=text/plain", "b")?;
    assert_eq!(own(&client, "read?path=p/bytes", "")?["content"], "ab");
    let refused = send(&client, "append?path=p/bytes", "1")?.expect(409)?;
    assert_eq!(refused.refusal()?.code, "content_type_mismatch");
    Ok(())
}

#[test]
fn a_refusal_is_what_a_client_of_the_stream_would_have_got() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&with_token(&client, "p"), "p/refusals", JSON)?;
    stream.append("1")?;
    stream.post_as("w", 3, 0).send_bytes(b"2")?.expect(200)?;
    let produce = |epoch: u64, seq: u64| {
        let what = format!("produce?path=p/refusals&producer=w&epoch={epoch}&seq={seq}");
        send(&client, &what, "[3]")
    };
    let closed = Stream::create(&with_token(&client, "p"), "p/refusals-closed", JSON)?;
    closed
        .post()
        .header("stream-closed", "true")
        .send_bytes(b"1")?;
    let none = Stream::named(&with_token(&client, "p"), "p/refusals-none", JSON);
    let pairs = [
        (
            send(&client, "head?path=p/refusals-none", "")?,
            none.get(START).send()?,
        ),
        (
            send(&client, "append?path=p/refusals-none", "1")?,
            none.post().send_bytes(b"1")?,
        ),
        (
            send(&client, "append?path=p/refusals-closed", "1")?,
            closed.post().send_bytes(b"1")?,
        ),
        (produce(2, 0)?, stream.post_as("w", 2, 0).send_bytes(b"3")?),
        (produce(3, 7)?, stream.post_as("w", 3, 7).send_bytes(b"3")?),
        (produce(4, 1)?, stream.post_as("w", 4, 1).send_bytes(b"3")?),
        (
            send(&client, "create?path=p/refusals&closed", "")?,
            stream.put().header("stream-closed", "true").send()?,
        ),
        (
            send(&client, "append-bytes?path=p/refusals", "{")?,
            stream.post().send_bytes(b"{")?,
        ),
    ];
    for (own, direct) in pairs {
        assert_eq!(own.status, direct.status, "{}", direct.text());
        assert_eq!(own.text(), direct.text());
        for header in [
            "stream-closed",
            "stream-next-offset",
            "producer-epoch",
            "producer-expected-seq",
        ] {
            assert_eq!(
                own.header(header),
                direct.header(header),
                "{header}: {}",
                direct.text()
            );
        }
    }
    own(&client, "head?path=p/refusals&within=20000", "")?;
    let wrong = send(&client, "append?path=p/refusals", "{")?.expect(400)?;
    assert_eq!(wrong.refusal()?.code, "invalid_request");
    let wrong = send(&client, "head?path=p//x", "")?.expect(400)?;
    assert!(wrong.text().contains("the stream path"), "{}", wrong.text());
    Ok(())
}

#[test]
fn a_producer_appends_once_and_its_successor_takes_over() -> Result<()> {
    let client = shared()?;
    own(&client, "create?path=p/produced", "")?;
    let produce = |seq: u64| {
        let what = format!("produce?path=p/produced&producer=w&epoch=1&seq={seq}");
        send(&client, &what, &format!("[{seq}]"))
    };
    for seq in [0, 0, 1] {
        produce(seq)?.expect(200)?;
    }
    let again = produce(1)?.expect(200)?;
    assert!(
        again.text().contains("\"wasThere\":true"),
        "{}",
        again.text()
    );
    for n in [10, 11] {
        let what = "succeed?path=p/produced&producer=w";
        let sent = own(&client, what, &format!("[{n}]"))?;
        assert_eq!(sent["wasThere"], false);
    }
    produce(2)?.expect(403)?;
    let page = own(&client, "read?path=p/produced", "")?;
    assert_eq!(page["content"], json!([0, 1, 10, 11]));
    Ok(())
}

#[test]
fn whoever_follows_is_given_all_until_the_end() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&with_token(&client, "p"), "p/followed", JSON)?;
    stream.append("0")?;
    let follower = client.clone();
    let followed = spawn(move || own(&follower, "follow?path=p/followed", ""));
    for n in 1..20 {
        stream.append(n.to_string())?;
    }
    own(&client, "close?path=p/followed", "")?;
    let followed = followed.join().map_err(|_| anyhow!("panicked"))??;
    assert_eq!(followed, json!((0..20).collect::<Vec<_>>()));
    Ok(())
}

#[test]
fn a_public_stream_is_one_to_everyone_until_it_ends() -> Result<()> {
    let client = shared()?;
    for project in ["p", "later"] {
        let path = format!("{project}/news");
        let anyone = Stream::named(&client, &path, JSON);
        own(&client, &format!("create?path={path}&public"), "[1]")?;
        own(&client, &format!("create?path={path}&public"), "[1]")?;
        send(&client, &format!("create?path={path}"), "[1]")?.expect(409)?;
        anyone.get(START).send()?.expect(200)?;
        own(&client, &format!("delete?path={path}"), "")?;
        anyone.get(START).send()?.expect(401)?;
        own(&client, &format!("create?path={path}"), "[2]")?;
        anyone.get(START).send()?.expect(401)?;
    }
    Ok(())
}

#[test]
fn a_fork_starts_where_it_is_said() -> Result<()> {
    let client = shared()?;
    own(&client, "create?path=p/source", "[1,2]")?;
    let head = own(&client, "head?path=p/source", "")?;
    let tail = text(&head, "tail")?;
    own(&client, "append?path=p/source", "3")?;
    own(
        &client,
        &format!("fork?path=p/fork&source=p/source&at={tail}"),
        "",
    )?;
    own(&client, "fork?path=p/whole&source=p/source", "")?;
    own(&client, "append?path=p/fork", "4")?;
    let content = |path: &str| Ok::<_, anyhow::Error>(own(&client, path, "")?["content"].clone());
    assert_eq!(content("read?path=p/fork")?, json!([1, 2, 4]));
    assert_eq!(content("read?path=p/whole")?, json!([1, 2, 3]));
    Ok(())
}

#[test]
fn streams_are_listed_page_by_page() -> Result<()> {
    let client = shared()?;
    for project in ["p", "later"] {
        let names = ["a", "b", "c"].map(|name| format!("{project}/listed/{name}"));
        for name in &names {
            own(&client, &format!("create?path={name}"), "")?;
        }
        let first = format!("list?path={project}/listed/");
        wait_until("all are listed", || {
            Ok(own(&client, &first, "")?["next"] == *names[1])
        })?;
        let page = own(&client, &first, "")?;
        assert_eq!(page, json!({ "paths": names[..2], "next": names[1] }));
        let rest = own(&client, &format!("{first}&after={}", names[1]), "")?;
        assert_eq!(rest, json!({ "paths": names[2..], "next": null }));
    }
    let all = send(&client, "list?path=lis", "")?.expect(400)?;
    assert!(
        all.text().contains("must start with a project"),
        "{}",
        all.text()
    );
    let elsewhere = send(&client, "list?path=p/&after=q/a", "")?.expect(400)?;
    assert!(
        elsewhere.text().contains("after must start with"),
        "{}",
        elsewhere.text()
    );
    Ok(())
}

#[test]
fn it_subscribes_and_works_off_what_comes() -> Result<()> {
    let client = shared()?;
    for name in ["wakes", "work/a", "named"] {
        own(&client, &format!("create?path=p/{name}"), "")?;
    }
    let subscribe = "subscribe?id=worker:1&path=work/*&to=wakes";
    assert_eq!(
        own(&client, subscribe, "")?,
        json!({ "isNew": true, "type": "pull-wake" })
    );
    assert_eq!(own(&client, subscribe, "")?["isNew"], false);
    let other = send(&client, "subscribe?id=worker:1&path=other/*&to=wakes", "")?.expect(409)?;
    assert_eq!(other.refusal()?.code, "SUBSCRIPTION_ALREADY_EXISTS");
    assert_eq!(
        own(&client, "work?id=worker:1", "")?,
        Value::Null,
        "nothing to do"
    );

    own(&client, "add?id=worker:1&path=named", "")?;
    let found = own(&client, "subscription?id=worker:1", "")?;
    assert_eq!(found["paths"], json!(["named", "work/a"]));
    own(&client, "append-all?path=p/work/a", "[1,2]")?;
    own(&client, "append?path=p/named", "3")?;
    wait_until("both are pending", || {
        Ok(own(&client, "subscription?id=worker:1", "")?["pending"] == 2)
    })?;
    assert!(own(&client, "let-go?id=worker:1", "")?.is_string());
    let done = own(&client, "work?id=worker:1", "")?;
    assert_eq!(done, json!({ "done": [3, 1, 2], "more": false }));
    assert_eq!(own(&client, "work?id=worker:1", "")?, Value::Null);

    own(&client, "remove?id=worker:1&path=named", "")?;
    let found = own(&client, "subscription?id=worker:1", "")?;
    assert_eq!(found["paths"], json!(["work/a"]));
    wait_until("it is listed", || {
        let ids = own(&client, "ids", "")?;
        Ok(ids
            .as_array()
            .is_some_and(|ids| ids.contains(&json!("worker:1"))))
    })?;
    own(&client, "unsubscribe?id=worker:1", "")?;
    let gone = send(&client, "subscription?id=worker:1", "")?.expect(404)?;
    assert_eq!(gone.refusal()?.code, "SUBSCRIPTION_NOT_FOUND");
    Ok(())
}

#[test]
fn it_has_streams_copied_and_receivers_woken() -> Result<()> {
    let client = shared()?;
    own(&client, "create?path=p/rooms/a", "[1]")?;
    own(&client, "create?path=p/all-rooms", "")?;
    own(
        &client,
        "subscribe?id=copier&type=copy&path=rooms/*&to=all-rooms",
        "",
    )?;
    own(&client, "append?path=p/rooms/a", "2")?;
    wait_until("both were copied", || {
        Ok(own(&client, "read?path=p/all-rooms", "")?["content"] == json!([1, 2]))
    })?;
    own(&client, "unsubscribe?id=copier", "")?;

    let hook = "subscribe?id=hook&type=webhook&path=hooked/*&to=https://worker.example/hook";
    assert_eq!(own(&client, hook, "")?["type"], "webhook");
    let inside = send(&client, &hook.replace("worker.example", "10.0.0.1"), "")?;
    let refused = inside.expect(409)?;
    assert_eq!(refused.refusal()?.code, "SUBSCRIPTION_ALREADY_EXISTS");
    own(&client, "unsubscribe?id=hook", "")?;
    let inside = send(&client, &hook.replace("worker.example", "10.0.0.1"), "")?;
    assert_eq!(inside.expect(400)?.refusal()?.code, "WEBHOOK_URL_REJECTED");
    Ok(())
}

#[test]
fn scheduled_and_queue_handlers_append() -> Result<()> {
    let client = shared()?;
    own(&client, "create?path=p/ticks", "")?;
    own(&client, "create?path=p/jobs", "")?;
    let tick = client.call(Method::GET, "/cdn-cgi/handler/scheduled?cron=*+*+*+*+*");
    tick.send()?.expect(200)?;
    let page = own(&client, "read?path=p/ticks", "")?;
    assert_eq!(page["content"], json!([{ "cron": "* * * * *" }]));

    for n in 0..4 {
        send(&client, "enqueue", &format!("job {n}"))?.expect(200)?;
    }
    let jobs = || -> Result<Vec<String>> {
        let page = own(&client, "read?path=p/jobs", "")?;
        let mut jobs: Vec<String> = serde_json::from_value(page["content"].clone())?;
        jobs.sort();
        Ok(jobs)
    };
    wait_until("all jobs are there", || Ok(jobs()?.len() >= 4))?;
    assert_eq!(jobs()?, ["job 0", "job 1", "job 2", "job 3"]);
    Ok(())
}

#[test]
fn each_verb_costs_one_request_to_the_stream_and_its_rows() -> Result<()> {
    let setup = Setup {
        entries: entries(),
        kv: Kv::Counted,
        ..Setup::default()
    };
    let worker = Worker::with(Auth::OwnCode)?;
    let counted = Counted::start_with("own-code-costs", &worker, setup, |client| {
        own(client, "create?path=p/costs", "[0]")?;
        Ok(())
    })?;
    let client = counted.client();
    own(client, "head?path=p/costs", "")?;
    let each = |what: &str, body: &str| counted.each(3, |_| own(client, what, body).map(drop));
    let verbs = [
        ("append?path=p/costs", "1", 1.0),
        ("append-all?path=p/costs", "[1,2,3]", 1.0),
        ("append-bytes?path=p/costs", "[1]", 1.0),
        ("succeed?path=p/costs&producer=w", "[1]", 2.0),
        ("read?path=p/costs", "", 0.0),
        ("head?path=p/costs", "", 0.0),
    ];
    for (what, body, rows) in verbs {
        let used = each(what, body)?;
        say(&format!("{what}: {used}"));
        assert_eq!(
            (used.requests(), used.rows()),
            (1.0, rows),
            "{what}: {used}"
        );
    }
    let kv = |calls: &durable_streams_tests::server::Calls| (calls.kv_reads, calls.kv_writes);
    let before = kv(&counted.server.calls()?);
    own(client, "head?path=p/costs", "")?;
    own(client, "append?path=p/costs", "1")?;
    // The project, if it was last looked up a quarter of a minute ago.
    let after = kv(&counted.server.calls()?);
    assert!(
        after.0 - before.0 <= 1 && after.1 == before.1,
        "{before:?}, {after:?}"
    );
    counted.server.stop()
}
