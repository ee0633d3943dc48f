//! The console that `dev` serves beside the streams.

use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::events::Events;
use durable_streams_tests::http::Client;
use durable_streams_tests::process::Process;
use durable_streams_tests::project::{Auth, Project};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;

/// A client that asks as the page does.
fn page_of(dev: &Dev) -> Result<Client> {
    let url = dev.document().console.as_deref().context("no console")?;
    Ok(Client::new(url.trim_end_matches('/')).with_header("x-console", "1"))
}

fn about(page: &Client) -> Result<Value> {
    let answer = page.call(Method::GET, "/api/console").send()?.expect(200)?;
    Ok(serde_json::from_slice(&answer.body)?)
}

#[test]
fn streams_are_used_through_it_and_it_ends_with_dev() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let dev = Dev::start(&project)?;
    let page = page_of(&dev)?;
    let html = Client::new(page.base())
        .call(Method::GET, "/")
        .send()?
        .expect(200)?;
    assert_eq!(
        html.header("content-type"),
        Some("text/html; charset=utf-8")
    );

    let name = dev.access()?.project.clone();
    let here = about(&page)?;
    assert_eq!(here["server"], dev.document().url.as_str());
    assert_eq!(here["project"], name.as_str());
    assert_eq!(here["projects"], json!([name]));
    assert_eq!(
        (&here["isRemote"], &here["canMakeTokens"]),
        (&json!(false), &json!(true))
    );

    // No token is at hand, and none is needed here.
    let stream = Stream::create(&page, &format!("{name}/rooms/1"), JSON)?;
    stream.append(r#"{"n":0}"#)?;
    assert_eq!(stream.read()?.messages()?, [json!({ "n": 0 })]);
    let head = stream.head()?.expect(200)?;
    let tail = head
        .header("stream-next-offset")
        .context("no offset")?
        .to_owned();
    let mut events = Events::connect(&page, stream.path(), &tail)?.of_json();
    for n in 1..4 {
        stream.append(format!(r#"{{"n":{n}}}"#))?;
        assert_eq!(events.messages(1)?, [json!({ "n": n })]);
    }
    let list = format!("/v1/stream/{name}/__ds/streams?prefix=rooms/");
    wait_until("the stream is listed", || {
        let listed = page.call(Method::GET, &list).send()?.expect(200)?;
        let listed: Value = serde_json::from_slice(&listed.body)?;
        Ok(listed["streams"][0]["path"] == "rooms/1")
    })?;

    // A project that is made there is one of the registry.
    let make = page.call(Method::POST, "/api/projects");
    let made = make.send_bytes(br#"{"name":"shop"}"#)?.expect(201)?;
    let secret = serde_json::from_slice::<Value>(&made.body)?["secret"].take();
    let secret = secret.as_str().context("no secret")?;
    let shown = project.json(&["projects", "show", "shop", "--show-secret"])?;
    assert_eq!(shown["secret"], secret);
    assert_eq!(about(&page)?["projects"], json!([name, "shop"]));
    // And one that is made elsewhere is noticed.
    project.run(&["projects", "create", "late"])?;
    assert_eq!(about(&page)?["projects"], json!(["late", name, "shop"]));
    let cart = Stream::create(&page, "shop/cart", JSON)?;
    cart.append("1")?;
    let wanted = json!({ "project": "shop", "scope": "read", "stream": "cart", "expires": "1m" });
    let make = page.call(Method::POST, "/api/tokens");
    let made = make
        .send_bytes(wanted.to_string().as_bytes())?
        .expect(201)?;
    let token = serde_json::from_slice::<Value>(&made.body)?["token"].take();
    let token = token.as_str().context("no token")?;
    let reader = dev
        .client()
        .with_header("authorization", format!("Bearer {token}"));
    assert_eq!(cart.on(&reader).read()?.messages()?, [json!(1)]);

    // Other pages get nowhere.
    for (header, value, status) in [
        ("host", "evil.example", 421),
        ("origin", "http://evil.example", 403),
    ] {
        page.call(Method::GET, stream.path())
            .header(header, value)
            .send()?
            .expect(status)?;
    }
    Client::new(page.base())
        .call(Method::GET, stream.path())
        .send()?
        .expect(403)?;

    // workerd comes and goes, and the console stays.
    let below = Process::descendants(dev.pid())?;
    let workerd = below.iter().find(|process| process.name == "workerd");
    workerd.context("no workerd")?.kill();
    wait_until("it serves again", || {
        Ok(stream.head().is_ok_and(|head| head.status == 200))
    })?;
    assert_eq!(about(&page)?["server"], dev.document().url.as_str());
    stream.append(r#"{"n":4}"#)?;

    let log = dev.log()?;
    ensure!(log.contains("/v1/stream/shop/cart"), "{log}");
    for never in [secret, token, "Bearer", "eyJ"] {
        ensure!(!log.contains(never), "{never} in {log}");
    }
    let host = page.base().trim_start_matches("http://").to_owned();
    TcpStream::connect(&host)?;
    let _open = Events::connect(&page, stream.path(), &tail)?;
    dev.interrupt()?;
    ensure!(TcpStream::connect(&host).is_err(), "it is still there");
    Ok(())
}

#[test]
fn it_can_be_left_out_and_be_served_alone() -> Result<()> {
    let project = Project::take_empty(Auth::None)?;
    let dev = Dev::start_as(&project, &["--port", "0", "--no-console"])?;
    assert_eq!(dev.document().console, None);
    dev.interrupt()?;

    let dev = Dev::start(&project)?;
    let page = page_of(&dev)?;
    let here = about(&page)?;
    assert_eq!(here["project"], Value::Null);
    assert_eq!(here["projects"], Value::Null);
    assert_eq!(here["canMakeTokens"], false);
    let stream = Stream::create(&page, "alone", JSON)?;
    stream.append("1")?;
    assert_eq!(stream.read()?.messages()?, [json!(1)]);
    let tokens = page.call(Method::POST, "/api/tokens");
    let refused = tokens.send_bytes(br#"{"project":"x","scope":"read"}"#)?;
    assert_eq!(refused.expect(404)?.refusal()?.code, "no_projects");
    dev.interrupt()?;
    Ok(())
}
