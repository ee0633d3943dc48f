//! Questions on a terminal, and how they end; and what becomes of results that nobody reads.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{TOKEN, deployed};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{cli, command};
use durable_streams_tests::terminal::Terminal;
use durable_streams_tests::wait_until;
use serde_json::{Value, json};

use crate::stand_in::StandIn;

/// Shows the cursor, and ends the line.
const LEFT: &str = "\x1b[?25h\r\n";

fn program(scratch: &Scratch, args: &[&str]) -> Result<Command> {
    let mut command = command(&cli()?)?;
    command
        .current_dir(scratch.path())
        .env("HOME", scratch.path())
        // Whoever runs the tests has a repository above, for which more would be asked.
        .env(
            "GIT_CEILING_DIRECTORIES",
            scratch.path().parent().unwrap_or(scratch.path()),
        )
        .env_remove("XDG_CONFIG_HOME");
    for name in ["CLOUDFLARE_API_TOKEN", "CLOUDFLARE_API_KEY"] {
        command.env_remove(name);
    }
    command.args(args);
    Ok(command)
}

#[test]
fn an_interrupted_question_leaves_the_terminal_as_it_was() -> Result<()> {
    let scratch = Scratch::new("terminal-interrupted")?;
    let mut init = program(&scratch, &["init", "--no-git"])?;
    let mut terminal = Terminal::run(&mut init)?;
    terminal.refuse("Folder of the new project")?;
    terminal.wait_for(LEFT)?;
    let screen = terminal.screen();
    assert!(!screen.contains("error"), "{screen}");
    assert_eq!(terminal.end()?.code(), Some(130));

    let init = ["init", "there", "--no-git", "--auth", "none", "--runtime"];
    let mut init = program(&scratch, &[&init[..], &["0.1.0"]].concat())?;
    let mut terminal = Terminal::run(&mut init)?;
    terminal.answer("Build and serve it now?", "n")?;
    terminal.answer("Deploy it to Cloudflare?", "y")?;
    terminal.answer("Token: ", TOKEN)?;
    terminal.refuse("")?;
    terminal.wait_for(LEFT)?;
    let screen = terminal.screen();
    assert!(
        !screen.contains("error") && !screen.contains(TOKEN),
        "{screen}"
    );
    assert!(terminal.shows_what_is_typed()?);
    assert_eq!(terminal.end()?.code(), Some(130));
    Ok(())
}

#[test]
fn a_confirmation_counts_on_a_terminal_and_nowhere_else() -> Result<()> {
    let scratch = Scratch::new("terminal-confirmed")?;
    let init = ["init", "open", "--yes", "--no-git", "--auth", "none"];
    let made = program(&scratch, &[&init[..], &["--runtime", "0.1.0"]].concat())?.output()?;
    assert!(made.status.success());
    let server = StandIn::answering(|_| (204, Value::Null));
    let delete = [
        "subscriptions",
        "delete",
        "mails",
        "-C",
        "open",
        "--url",
        &server.url,
    ];
    let question = "Delete the subscription mails (all streams)?";
    let asked = || Terminal::run(&mut program(&scratch, &delete)?);
    for (answer, code, sent) in [("n", 1, 0), ("y", 0, 1)] {
        let mut terminal = asked()?;
        terminal.answer(question, answer)?;
        assert_eq!(terminal.end()?.code(), Some(code), "{answer:?}");
        assert_eq!(server.lines().len(), sent, "{answer:?}");
    }
    let mut terminal = asked()?;
    terminal.refuse(question)?;
    terminal.wait_for(LEFT)?;
    assert_eq!(terminal.end()?.code(), Some(130));
    // A machine that builds has a terminal, too.
    let mut command = program(&scratch, &delete)?;
    let mut terminal = Terminal::run(command.env("CI", "1"))?;
    terminal.wait_for("nobody is there to confirm")?;
    assert_eq!(terminal.end()?.code(), Some(1));
    assert_eq!(server.lines().len(), 1);
    Ok(())
}

#[test]
fn a_machine_that_builds_is_asked_nothing() -> Result<()> {
    let scratch = Scratch::new("terminal-ci")?;
    let mut init = program(&scratch, &["init", "--no-git", "--runtime", "0.1.0"])?;
    let mut terminal = Terminal::run(init.env("CI", "true"))?;
    terminal.wait_for("Wrote my-streams")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    Ok(())
}

#[test]
fn a_result_that_goes_on_ends_when_nobody_reads_it_any_more() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("terminal-head")?;
    let event = json!({ "outcome": "ok", "event": {}, "logs": [], "exceptions": [] });
    let mut logs = cloud.command(&dir)?;
    let mut logs = logs.arg("logs").stdout(Stdio::piped()).spawn()?;
    wait_until("somebody watches", || Ok(cloud.log(&event)? == 1))?;
    let mut reader = BufReader::new(logs.stdout.take().context("no stdout")?);
    reader.read_line(&mut String::new())?;
    drop(reader);
    cloud.log(&event)?;
    wait_until("it has ended by itself", || Ok(logs.try_wait()?.is_some()))?;
    assert_eq!(logs.wait()?.code(), Some(0));
    assert_eq!(cloud.log(&event)?, 0, "nobody watches any more");
    Ok(())
}
