//! Jobs that wake agents, of which any may die in the middle.

use std::fs;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Project;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::wait_until;
use serde_json::{Value, json};
use ureq::http::Method;

use super::crash;
use crate::JSON;
use crate::clients::{chromium, node};

/// The project, served.
struct App {
    project: Project,
    dev: Dev,
}

/// A job that was given.
struct Job {
    path: String,
    /// What a page is told to follow.
    url: String,
    results: Stream,
}

impl App {
    fn start() -> Result<Self> {
        let project = Project::of_example("agents")?;
        let dev = Dev::start(&project)?;
        Ok(Self { project, dev })
    }

    fn submit(&self, kind: &str, text: &str) -> Result<Job> {
        let body = json!({ "text": text }).to_string();
        let path = format!("/jobs/{kind}");
        let sent = self.dev.client().call(Method::POST, &path);
        let told = document(&sent.send_bytes(body.as_bytes())?.expect(201)?)?;
        let id = told["id"].as_str().context("no id")?;
        let name = format!("{}/results/{kind}/{id}", self.dev.access()?.project);
        Ok(Job {
            path: format!("{path}/{id}"),
            url: told["url"].as_str().context("no url")?.to_owned(),
            results: Stream::named(&self.dev.writer()?, &name, JSON),
        })
    }

    /// A program that works off long jobs, with this many milliseconds for a step.
    fn agent(&self, name: &str, step: u32) -> Result<Agent> {
        let access = self.dev.access()?;
        let root = format!("{}/v1/stream/{}", self.dev.document().url, access.project);
        let log = self.project.dir.join(format!("{name}.log"));
        let program = Command::new("node")
            .arg("agent.mjs")
            .current_dir(&self.project.dir)
            .env("ROOT", root)
            .env("TOKEN", &access.write_token)
            .env("NAME", name)
            .env("STEP", step.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        Ok(Agent(program))
    }
}

struct Agent(Child);

impl Agent {
    /// Sends a signal to it.
    fn signal(&self, name: &str) -> Result<()> {
        let id = self.0.id().to_string();
        let sent = Command::new("kill").args([name, &id]).status()?;
        ensure!(sent.success(), "kill {name} {id}");
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Job {
    fn messages(&self) -> Result<Vec<Value>> {
        self.results.read()?.messages()
    }

    fn of_type(&self, kind: &str) -> Result<Vec<Value>> {
        let mut messages = self.messages()?;
        messages.retain(|message| message["type"] == kind);
        Ok(messages)
    }

    fn wait_for(&self, kind: &str) -> Result<()> {
        wait_until(kind, || Ok(!self.of_type(kind)?.is_empty()))
    }

    /// Waits for the result, which comes once, last, and closes the stream.
    fn result(&self) -> Result<String> {
        self.wait_for("result")?;
        let messages = self.messages()?;
        let results: Vec<&Value> = messages.iter().filter(|m| m["type"] == "result").collect();
        let last = messages.last().context("no messages")?;
        ensure!(
            results.len() == 1 && last["type"] == "result",
            "{messages:?}"
        );
        let head = self.results.head()?;
        ensure!(head.header("stream-closed") == Some("true"), "it is open");
        Ok(last["text"].as_str().context("no text")?.to_owned())
    }

    /// Which attempts there were.
    fn attempts(&self) -> Result<Vec<u64>> {
        let started = self.of_type("started")?;
        Ok(started
            .iter()
            .filter_map(|m| m["attempt"].as_u64())
            .collect())
    }
}

/// The JSON of an answer.
fn document(answer: &Response) -> Result<Value> {
    Ok(serde_json::from_str(&answer.text())?)
}

/// The events that a URL leads to, up to their end.
fn events(client: &Client, url: &str, status: u16) -> Result<String> {
    let target = format!("{url}&offset=-1");
    Ok(client
        .call(Method::GET, &target)
        .send()?
        .expect(status)?
        .text())
}

#[test]
fn a_quick_job_is_done_by_the_worker_and_followed_with_what_its_page_is_told() -> Result<()> {
    let app = App::start()?;
    let client = app.dev.client();
    let job = app.submit("quick", "one two three")?;
    let text = events(&client, &job.url, 200)?;
    assert!(
        text.contains(r#""text":"3 words","type":"result""#),
        "{text}"
    );
    assert!(text.contains(r#""streamClosed":true"#), "{text}");
    assert_eq!(job.result()?, "3 words");

    // The same again, with another token.
    let again = client.call(Method::GET, &job.path).send()?;
    let told = document(&again.expect(200)?)?;
    let again = told["url"].as_str().context("no url")?;
    events(&client, again, 200)?;
    // A token opens the results of its job, and no others, nor anything else.
    let other = app.submit("quick", "four")?;
    other.result()?;
    let (_, token) = job.url.split_once('?').context("no query")?;
    let project = &app.dev.access()?.project;
    for path in [other.results.path(), &format!("/v1/stream/{project}/wakes")] {
        events(&client, &format!("{path}?{token}"), 403)?;
    }
    let bearer = token.rsplit_once('=').context("no token")?.1;
    let holder = client
        .clone()
        .with_header("authorization", format!("Bearer {bearer}"));
    job.results
        .on(&holder)
        .post()
        .send_bytes(b"[1]")?
        .expect(403)?;

    // All is worked off: nothing is left to wake anybody for.
    wait_until("everything is acknowledged", || {
        let shown = app.project.json(&["subscriptions", "show", "quick"])?;
        Ok(shown["lag"] == 0 && shown["phase"] == "idle")
    })?;

    for (path, body, status) in [
        ("/jobs/slow", r#"{"text":"x"}"#, 404),
        ("/jobs/quick", "{}", 400),
        ("/agent", "{}", 401),
    ] {
        let sent = client.call(Method::POST, path).send_bytes(body.as_bytes());
        sent?.expect(status)?;
    }
    let forged = client.call(Method::POST, "/agent");
    let forged = forged.header("webhook-signature", "t=1,kid=x,ed25519=AAAA");
    forged.send_bytes(b"{}")?.expect(401)?;
    let absent = client.call(Method::GET, "/jobs/quick/absent");
    absent.send()?.expect(404)?;
    app.dev.interrupt()?;
    Ok(())
}

#[test]
fn a_quick_job_outlives_the_runtime() -> Result<()> {
    let app = App::start()?;
    for round in 0..3 {
        let job = app.submit("quick", "one two")?;
        crash(&app.dev)?;
        assert_eq!(job.result()?, "2 words", "round {round}");
    }
    app.dev.interrupt()?;
    Ok(())
}

#[test]
fn a_long_job_outlives_its_agent_and_the_runtime() -> Result<()> {
    let app = App::start()?;
    // It waits for whoever comes.
    let job = app.submit("long", "a\nb\nc\nd\ne\nf")?;
    let first = app.agent("first", 1000)?;
    job.wait_for("progress")?;
    drop(first);
    let _second = app.agent("second", 100)?;
    assert_eq!(job.result()?, "A\nB\nC\nD\nE\nF");
    let attempts = job.attempts()?;
    assert!(matches!(attempts[..], [a, b] if a < b), "{attempts:?}");

    let job = app.submit("long", "a\nb\nc\nd\ne\nf\ng\nh")?;
    job.wait_for("progress")?;
    crash(&app.dev)?;
    assert_eq!(job.result()?, "A\nB\nC\nD\nE\nF\nG\nH");
    // It had its numbers, and went on with them.
    assert_eq!(job.attempts()?.len(), 1);
    app.dev.interrupt()?;
    Ok(())
}

#[test]
fn an_agent_that_was_taken_for_dead_adds_nothing() -> Result<()> {
    let app = App::start()?;
    let job = app.submit("long", "a\nb\nc\nd")?;
    let slow = app.agent("slow", 500)?;
    job.wait_for("progress")?;
    slow.signal("-STOP")?;
    let other = app.agent("other", 100)?;
    job.result()?;
    let before = job.messages()?;
    slow.signal("-CONT")?;
    drop(other);
    // It finds out, and has time for the next job.
    let next = app.submit("long", "x")?;
    assert_eq!(next.result()?, "X");
    assert_eq!(next.of_type("started")?[0]["by"], "slow");
    assert_eq!(job.messages()?, before);
    app.dev.interrupt()?;
    Ok(())
}

#[test]
fn a_page_gives_jobs_and_shows_what_becomes_of_them() -> Result<()> {
    let app = App::start()?;
    let profile = Scratch::new("example-agents-profile")?;
    let mut user = node("example-agents.mjs")?;
    user.arg(&app.dev.document().url)
        .arg(chromium()?)
        .arg(profile.path());
    let output = user.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    app.dev.interrupt()?;
    Ok(())
}
