//! Projects and tokens from the command line, against the server they are for.

use std::process::Command;

use anyhow::{Context, Result};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::http::Client;
use durable_streams_tests::project::{Auth, Project};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::wait_until;

use crate::JSON;

fn with(client: &Client, token: &str) -> Client {
    let token = token.trim_end();
    client
        .clone()
        .with_header("authorization", format!("Bearer {token}"))
}

#[test]
fn projects_and_their_tokens_are_made_while_the_server_runs() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let none = project.refusal(&["token", "--scope", "read"])?;
    assert!(none.contains("projects create"), "{none}");
    // Before the first run there is a registry, too.
    project.run(&["create-project", "early"])?;
    project.run(&["projects", "delete", "early", "--yes"])?;

    let dev = Dev::start(&project)?;
    let document = dev.document();
    let access = dev.access()?;
    assert_eq!(access.project, "my-projects");
    // The lines to paste, as they are: each says what came of it.
    let message = r#"[{"op":"insert","text":"hello"}]"#;
    let says = ["201 Created", "204 No Content", message, "data: "];
    assert_eq!(document.snippets.len(), says.len());
    for (snippet, says) in document.snippets.iter().zip(says) {
        // The last one goes on for ever.
        let line = snippet.command.replacen("curl", "curl -sS -m 5", 1);
        let mut shell = Command::new("sh");
        let output = shell
            .args(["-c", &line])
            .envs(&document.variables)
            .output()?;
        let printed = String::from_utf8(output.stdout)?;
        assert!(printed.contains(says), "{line}: {printed}");
        assert!(printed.ends_with('\n'), "{line}: {printed}");
    }

    let client = dev.client();
    let only = project.run(&["token", "--scope", "read"])?;
    assert_eq!(only.lines().count(), 1, "{only}");
    let stream = Stream::named(&with(&client, &only), "my-projects/my-stream", JSON);
    stream.get("-1").send()?.expect(200)?;
    stream.post().send_bytes(b"1")?.expect(403)?;
    let read = stream.on(&with(&client, &access.read_token));
    read.get("-1").send()?.expect(200)?;

    let create = ["create-project", "chat", "--cors-origin"];
    let made = project.json(&[&create[..], &["https://app.example"]].concat())?;
    let secret = made["secret"].as_str().context("no secret")?;
    assert_eq!(made["place"], "local");
    assert_eq!(secret.len(), 43);
    let again = project.refusal(&["create-project", "chat"])?;
    assert!(again.contains("already") && !again.contains(secret));
    let usual = project.json(&["token", "--scope", "read"])?;
    assert_eq!(usual["project"], "my-projects");

    let token = |scope: &str| project.run(&["token", "--project", "chat", "--scope", scope]);
    let stream = Stream::create(&with(&client, &token("write")?), "chat/room", JSON)?;
    let page = stream.get("-1").header("origin", "https://app.example");
    let page = page.send()?.expect(200)?;
    let allowed = page.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://app.example"));
    let limited = [
        "token", "-p", "chat", "--scope", "write", "--stream", "other",
    ];
    let limited = stream.on(&with(&client, &project.run(&limited)?));
    limited.head()?.expect(403)?;

    let rotated = project.json(&["projects", "rotate", "chat"])?;
    let new_secret = rotated["secret"].as_str().context("no secret")?;
    assert_ne!(new_secret, secret);
    stream.append("1")?;
    // The server may not have heard of the new secret yet.
    let renewed = stream.on(&with(&client, &token("write")?));
    wait_until(
        "the new secret counts",
        || Ok(renewed.head()?.status == 200),
    )?;
    stream.append("2")?;

    for args in [
        &["projects", "list"][..],
        &["projects", "show", "chat"],
        &["projects", "list", "--json"],
    ] {
        let shown = project.run(args)?;
        assert!(shown.contains("chat"), "{shown}");
        assert!(!shown.contains(secret) && !shown.contains(new_secret));
    }

    project.run(&["projects", "remove-secret", "chat"])?;
    project.run(&[
        "projects",
        "delete",
        "my-projects",
        "--yes",
        "--streams",
        "keep",
    ])?;
    wait_until(
        "the old secret and the deleted project do not count",
        || Ok(stream.head()?.status == 401 && read.head()?.status == 401),
    )?;
    renewed.append("3")?;
    assert_eq!(renewed.read()?.messages()?, [1, 2, 3]);

    // Whoever takes the name of a deleted project gets none of its streams.
    project.run(&["create-project", "my-projects"])?;
    let token = project.run(&["token", "--project", "my-projects", "--scope", "write"])?;
    let taken = read.on(&with(&client, &token));
    wait_until("the new project is known", || {
        Ok(taken.head()?.status == 404)
    })?;
    taken.put().send()?.expect(201)?;
    assert_eq!(taken.read()?.messages()?, [0; 0]);
    read.head()?.expect(401)?;
    dev.interrupt()?;
    Ok(())
}

#[test]
fn a_server_that_is_open_to_everyone_needs_no_tokens() -> Result<()> {
    let project = Project::take(Auth::None)?;
    let dev = Dev::start(&project)?;
    let document = dev.document();
    assert!(document.access.is_none());
    let lines = &document.snippets;
    assert!(!lines.is_empty());
    assert!(
        lines
            .iter()
            .all(|line| !line.command.contains("Authorization"))
    );
    dev.interrupt()?;
    let made = project.run(&["projects", "list"])?;
    assert!(made.contains("no project"), "{made}");
    Ok(())
}
