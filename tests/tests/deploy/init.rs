//! What `init` asks a person.

use std::fs;

use anyhow::{Context, Result};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{cli, command};
use durable_streams_tests::terminal::Terminal;

const DOWN: &str = "\x1b[B";

/// `init` on a terminal, in an empty folder.
fn init(scratch: &Scratch, args: &[&str]) -> Result<Terminal> {
    let above = scratch.path().parent().context("no folder above")?;
    let mut command = command(&cli()?)?;
    command
        .arg("init")
        .args(args)
        .current_dir(scratch.path())
        .env("GIT_CEILING_DIRECTORIES", above)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env_remove("CI");
    Terminal::run(&mut command)
}

#[test]
fn who_may_use_the_streams_is_asked_and_a_workflow_offered_where_it_works() -> Result<()> {
    let scratch = Scratch::new("init-asks")?;
    let mut terminal = init(&scratch, &["--runtime", "https://git.example/r.git"])?;
    terminal.answer("Folder of the new project", "\r")?;
    terminal.answer("Who may use the streams?", &format!("{DOWN}\r"))?;
    terminal.answer("Make a git repository?", "y")?;
    terminal.answer("Add a GitHub Actions workflow", "y")?;
    terminal.wait_for("anyone who knows the URL can read and write")?;
    terminal.answer("Build and serve it now?", "n")?;
    terminal.answer("Deploy it to Cloudflare?", "n")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    let dir = scratch.path().join("my-streams");
    let source = fs::read_to_string(dir.join("src/lib.rs"))?;
    assert!(source.contains(".no_auth()"), "{source}");
    let workflow = fs::read_to_string(dir.join(".github/workflows/deploy.yml"))?;
    assert!(
        workflow.contains("--git 'https://git.example/r.git'"),
        "{workflow}"
    );
    Ok(())
}

#[test]
fn what_a_template_needs_is_asked_for() -> Result<()> {
    let scratch = Scratch::new("init-template")?;
    let template = scratch.path().join("mine");
    fs::create_dir(&template)?;
    fs::write(template.join("a.txt"), "{{colour}} {{shade}} {{large}}")?;
    fs::write(
        template.join("cargo-generate.toml"),
        "[placeholders.colour]\ntype = \"string\"\nprompt = \"Which colour?\"\n\
         [placeholders.shade]\ntype = \"string\"\nprompt = \"Which shade?\"\n\
         choices = [\"light\", \"dark\"]\n\
         [placeholders.large]\ntype = \"bool\"\nprompt = \"Is it large?\"\n",
    )?;
    let mut terminal = init(&scratch, &["other", "--template", "mine", "--no-git"])?;
    terminal.answer("Which colour?", "red\r")?;
    terminal.answer("Which shade?", &format!("{DOWN}\r"))?;
    terminal.answer("Is it large?", "y")?;
    terminal.answer("Build and serve it now?", "n")?;
    terminal.answer("Deploy it to Cloudflare?", "n")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    let text = fs::read_to_string(scratch.path().join("other/a.txt"))?;
    assert_eq!(text, "red dark true");
    Ok(())
}
