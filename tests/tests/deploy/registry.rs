//! The registry of the deployed server, over REST.

use std::fs;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, small_project};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};
use ureq::http::Method;

/// The path of a value in the only namespace.
fn value(cloud: &Cloud, key: &str) -> Result<String> {
    let state = cloud.state()?;
    let id = state["namespaces"][0]["id"].as_str();
    let id = id.context("there is no namespace")?;
    Ok(format!("/storage/kv/namespaces/{id}/values/{key}"))
}

fn record(cloud: &Cloud, project: &str) -> Result<Value> {
    cloud.api(Method::GET, &value(cloud, project)?, &Value::Null)
}

#[test]
fn a_project_is_kept_in_the_namespace_of_the_worker() -> Result<()> {
    let scratch = Scratch::new("registry-remote")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let run = |args: &[&str]| cloud.run(&dir, &[args, &["--remote", "--json"]].concat());
    run(&["create-project", "chat"])?.fails(&["no id", "durable-streams deploy"])?;
    cloud.run(&dir, &["provision"])?.ok()?;
    cloud.forget_requests()?;

    let made = run(&["create-project", "chat"])?.ok()?.json()?;
    assert_eq!(
        record(&cloud, "chat")?["signingSecrets"],
        json!([made["secret"]])
    );
    let sent = cloud.requests()?;
    let put = sent.iter().find(|one| one.method == "PUT");
    let put = put.context("nothing was written")?;
    // As wrangler was recorded to write a value.
    assert!(put.path.ends_with(&value(&cloud, "chat")?), "{}", put.path);
    assert_eq!(put.query, json!({}));
    assert_eq!(put.content_type.as_deref(), Some("text/plain"));

    run(&["create-project", "chat"])?.fails(&["already"])?;
    run(&["create-project", "a.b"])?.ok()?;
    let listed = run(&["projects", "list"])?.ok()?.json()?;
    let names = listed["projects"].as_array().context("no list")?;
    let names: Vec<&Value> = names.iter().map(|one| &one["project"]).collect();
    assert_eq!(names, ["a.b", "chat"]);
    let keys = cloud
        .requests()?
        .into_iter()
        .find(|one| one.path.ends_with("/keys"));
    assert_eq!(keys.context("no keys")?.query, json!({ "prefix": "" }));

    let rotate = ["projects", "rotate", "chat", "--remote"];
    let said = cloud.run(&dir, &rotate)?.ok()?.stdout;
    // Without the option it would take a secret from the local project of this name.
    assert!(said.contains("remove-secret chat --remote "), "{said}");
    let secrets = record(&cloud, "chat")?["signingSecrets"].clone();
    assert_eq!(secrets.as_array().map(Vec::len), Some(2));
    let token = run(&["token", "--project", "chat", "--scope", "read"])?.ok()?;
    assert!(token.json()?["token"].is_string());
    run(&["projects", "delete", "chat", "--yes"])?.ok()?;
    run(&["projects", "show", "chat"])?.fails(&["no project `chat`"])?;

    // Whoever takes the name gets none of its streams.
    run(&["create-project", "chat"])?.ok()?;
    assert!(record(&cloud, "chat")?["era"].is_u64());
    assert_eq!(record(&cloud, "a.b")?["era"], Value::Null);
    let listed = run(&["projects", "list"])?.ok()?.json()?;
    assert_eq!(listed["projects"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn a_project_is_changed_and_its_secret_shown_when_that_is_asked_for() -> Result<()> {
    let scratch = Scratch::new("registry-update")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.run(&dir, &["provision"])?.ok()?;
    let run = |args: &[&str]| cloud.run(&dir, &[args, &["--remote"]].concat());
    let origins = ["--cors-origin", "https://a.example"];
    let create = ["projects", "create", "chat", "--public"];
    let made = run(&[&create[..], &origins].concat())?.ok()?.stdout;
    let before = record(&cloud, "chat")?;
    let secret = before["signingSecrets"][0].as_str().context("no secret")?;
    assert!(made.lines().any(|line| line == secret), "{made}");

    let update = |more: &[&str]| run(&[&["projects", "update", "chat"], more].concat());
    let said = update(&["--public"])?.ok()?.stdout;
    assert!(said.contains("It was so before"), "{said}");
    assert_eq!(record(&cloud, "chat")?, before);
    let closed = ["--no-public", "--cors-origin", "http://localhost:3000"];
    let other = ["--cors-origin", "https://b.example", "--json"];
    let document = update(&[&closed[..], &other].concat())?.ok()?.json()?;
    assert_eq!(document["changed"], true);
    let after = record(&cloud, "chat")?;
    assert_eq!(after["isPublic"], false);
    let listed = json!(["http://localhost:3000", "https://b.example"]);
    assert_eq!(after["corsOrigins"], listed);
    assert_eq!(after["signingSecrets"], before["signingSecrets"]);
    let said = update(&["--no-cors-origin"])?.ok()?.stdout;
    assert!(said.contains("no pages of other origins"), "{said}");
    assert_eq!(record(&cloud, "chat")?["corsOrigins"], json!([]));
    update(&["--cors-origin", "https://b.example/"])?.fails(&["`https://b.example`"])?;
    let missing = run(&["projects", "update", "other", "--public"])?;
    missing.fails(&["no project `other`", "projects create --remote "])?;

    let show = ["projects", "show", "chat"];
    let plain = run(&show)?.ok()?;
    assert!(!plain.stdout.contains(secret) && !plain.stderr.contains(secret));
    let shown = run(&[&show[..], &["--show-secret"]].concat())?.ok()?;
    assert_eq!(shown.stdout.lines().last(), Some(secret));
    assert!(shown.stderr.contains("warning: "), "{}", shown.stderr);
    assert!(!shown.stderr.contains(secret));
    let document = run(&[&show[..], &["--show-secret", "--json"]].concat())?;
    assert_eq!(document.ok()?.json()?["secret"], secret);

    // That of the worker's name is meant where none is named.
    let project = |scope: &str| -> Result<Value> {
        let token = run(&["token", "--scope", scope, "--json"])?.ok()?.json()?;
        Ok(token["project"].clone())
    };
    assert_eq!(project("read")?, "chat");
    run(&["projects", "create"])?.ok()?;
    assert_eq!(project("write")?, "my-streams");
    run(&["projects", "delete", "my-streams", "--yes"])?.ok()?;
    run(&["projects", "create", "more"])?.ok()?;
    let several = run(&["token", "--scope", "read"])?;
    several.fails(&["chat, more", "--project"])?;
    Ok(())
}

#[test]
fn a_deploy_makes_a_first_project_once_and_shows_no_secret() -> Result<()> {
    let scratch = Scratch::new("registry-deploy")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    // As if it had been made with projects.
    let manifest = dir.join("Cargo.toml");
    let text = fs::read_to_string(&manifest)?;
    fs::write(&manifest, text.replace("\"none\"", "\"project-jwt\""))?;
    let deploy = ["deploy", "--no-build", "--create-project", "chat"];
    let first = cloud.run(&dir, &deploy)?.ok()?;
    let said = &first.stdout;
    for line in [
        "URL=http",
        "READ=ey",
        "WRITE=ey",
        "curl -i -X PUT -H \"Authorization: Bearer $WRITE",
    ] {
        let lines = said.lines().filter(|one| one.starts_with(line));
        assert_eq!(lines.count(), 1, "{line} in {said}");
    }
    assert_eq!(said.matches("eyJ0").count(), 2, "{said}");
    let made = record(&cloud, "chat")?;
    let secret = made["signingSecrets"][0].as_str().context("no secret")?;
    for how in ["--json", "--verbose"] {
        let again = cloud.run(&dir, &[&deploy[..], &[how]].concat())?.ok()?;
        assert!(!again.stdout.contains(secret) && !again.stderr.contains(secret));
    }
    assert!(!first.stdout.contains(secret) && !first.stderr.contains(secret));
    assert_eq!(record(&cloud, "chat")?, made);
    cloud
        .run(&dir, &["deploy", "--no-build", "--create-project", "a/b"])?
        .fails(&["`a/b` cannot be a project"])?;
    // Without a project there is nothing to paste, but the way to one.
    let said = cloud.run(&dir, &["deploy", "--no-build"])?.ok()?.stdout;
    assert!(said.contains("projects create --remote"), "{said}");
    Ok(())
}
