//! The streams of a project that `dev` serves: found, and used with tokens that nobody had to make.

use anyhow::{Context, Result};
use durable_streams_tests::dev::Dev;
use durable_streams_tests::project::{Auth, Project};
use durable_streams_tests::wait_until;

use super::program::Program;

#[test]
fn the_streams_of_a_project_need_no_url_and_no_token() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let unserved = project.run(&["stream", "create", "a"]);
    let unserved = unserved.map_or_else(|error| error.to_string(), |_| String::new());
    assert!(
        unserved.contains("is not served on this machine"),
        "{unserved}"
    );
    let dev = Dev::start(&project)?;
    let run = |args: &[&str]| project.run(&[&["stream"], args].concat());
    let made = run(&["create", "chats/42"])?;
    let url = format!("{}/v1/stream/my-projects/chats/42", dev.document().url);
    assert!(made.contains(&url), "{made}");
    run(&["append", "chats/42", "1", "2"])?;
    run(&["fork", "chats/42", "chats/43"])?;
    run(&["close", "chats/43"])?;
    assert_eq!(run(&["follow", "chats/43"])?, "1\n2\n");
    wait_until("both are listed", || {
        Ok(run(&["list"])? == "chats/42\nchats/43\n")
    })?;

    // Whoever names the server has to say who asks.
    let program = Program::at(&format!("{}/v1/stream/my-projects", dev.document().url))?;
    let unknown = program.fails(&["read", "chats/42"], b"")?;
    assert!(
        unknown.contains("status 401") && unknown.contains("STREAM_AUTH"),
        "{unknown}"
    );
    let token = &dev
        .document()
        .access
        .as_ref()
        .context("no tokens")?
        .read_token;
    let read = |args: &[&str], variable: &str, value: &str| -> Result<String> {
        let output = program.command(args).env(variable, value).output()?;
        Ok(String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?)
    };
    let said = read(
        &["read", "chats/42", "-q"],
        "STREAM_AUTH",
        &format!("Bearer {token}"),
    )?;
    assert_eq!(said, "1\n2\n");
    let said = read(
        &["read", "chats/42", "-q", "--token", "env:MINE"],
        "MINE",
        token,
    )?;
    assert_eq!(said, "1\n2\n");
    let piped = program.piped(&["read", "chats/42", "--token", "-"], token.as_bytes())?;
    assert_eq!(piped, b"1\n2\n");
    let said = read(&["read", "chats/42", "-v", "--token", token], "X", "")?;
    assert!(said.contains("other users of this machine"), "{said}");
    // No token is shown, also of the requests.
    assert!(said.contains("GET http") && !said.contains("eyJ"), "{said}");
    dev.interrupt()?;
    Ok(())
}
