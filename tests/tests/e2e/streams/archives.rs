//! Streams to files and back, with the program killed meanwhile.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::reference::Reference;
use durable_streams_tests::server::Server;
use serde_json::{Value, json};

use super::program::Program;
use crate::shared;

#[test]
fn streams_come_back_as_they_were_however_often_it_is_begun_anew() -> Result<()> {
    let state = Scratch::new("streams-archives")?;
    // Pages are small, so that there is much to be broken off.
    let server = Server::start(&state, &[("READ_MAX_BYTES", "20000")])?;
    let program = Program::at(server.client().base())?;
    let lines = fill(&program)?;

    let dir = state.path().join("out");
    let folder = dir.to_str().context("no path")?;
    let kills = until_done(&program, &["export", folder, "--prefix", "old/"], &state)?;
    ensure!(kills > 0, "no export was ever broken off");
    let again = program.json(&["export", folder, "--prefix", "old/"])?;
    assert_eq!(again["bytes"], 0, "all was there");
    let exported = fs::read_to_string(data(&dir, "old/json", "data.jsonl")?)?;
    assert!(exported == lines, "what is in the file");

    let import = ["import", folder, "--into", "new/"];
    let kills = until_done(&program, &import, &state)?;
    ensure!(kills > 0, "no import was ever broken off");
    assert_eq!(program.json(&import)?["bytesAppended"], 0, "all was there");
    assert!(
        program.run(&["read", "new/old/json"])? == lines,
        "what was imported"
    );
    for name in ["text", "bytes", "empty"] {
        let old = program.piped(&["read", &format!("old/{name}")], b"")?;
        assert!(
            program.piped(&["read", &format!("new/old/{name}")], b"")? == old,
            "{name}"
        );
        let head = |root: &str| -> Result<Value> {
            let mut head = program.json(&["head", &format!("{root}/{name}")])?;
            for key in ["stream", "url"] {
                head[key] = Value::Null;
            }
            Ok(head)
        };
        assert_eq!(head("old")?, head("new/old")?);
    }

    // What comes later is added to the files, and what is there is not mixed with it.
    program.run(&["append", "old/json", "\"later\""])?;
    let later = program.json(&["export", folder, "old/json"])?;
    assert_eq!(later["bytes"], 8);
    let mixed = program.fails(&import, b"")?;
    assert!(mixed.contains("is there already"), "{mixed}");
    assert!(program.run(&["read", "new/old/json"])? == lines);
    let itself = program.fails(&["import", folder], b"")?;
    assert!(itself.contains("--into"), "{itself}");
    assert_eq!(program.run(&["read", "old/text"])?, "a\r\né");

    // Another server takes it as well.
    let reference = Reference::start(&json!({}))?;
    let other = Program::at(reference.url())?;
    other.run(&["import", folder])?;
    assert_eq!(other.json(&["import", folder])?["bytesAppended"], 0);
    assert!(other.run(&["read", "old/json"])? == format!("{lines}\"later\"\n"));
    let back = state.path().join("back");
    let back = back.to_str().context("no path")?;
    other.run(&["export", back, "old/json", "old/bytes"])?;
    let file = data(Path::new(back), "old/json", "data.jsonl")?;
    assert!(fs::read_to_string(file)? == format!("{lines}\"later\"\n"));
    Ok(())
}

/// Makes streams of all kinds. Gives the messages of the long one.
fn fill(program: &Program) -> Result<String> {
    let mut lines = String::new();
    for number in 0..6000 {
        lines.push_str(&format!(
            "{{\"id\":{number},\"text\":\"{}\"}}\n",
            "x".repeat(number % 200)
        ));
    }
    program.run(&["create", "old/json"])?;
    program.piped(&["append", "old/json"], lines.as_bytes())?;
    program.run(&["create", "old/text", "-t", "text", "--ttl", "30d"])?;
    program.piped(&["append", "old/text", "--close"], "a\r\né".as_bytes())?;
    program.run(&[
        "create",
        "old/bytes",
        "-t",
        "image/png",
        "--expires-at",
        "2099-01-01T00:00:00Z",
    ])?;
    let bytes: Vec<u8> = (0..=255_u8).cycle().take(2_500_000).collect();
    program.piped(&["append", "old/bytes", "--close"], &bytes)?;
    program.run(&["create", "old/empty", "--closed"])?;
    Ok(lines)
}

/// Runs a command again and again, and kills it sooner or later, until it has ended by itself. Gives how
/// often it was killed.
fn until_done(program: &Program, args: &[&str], state: &Scratch) -> Result<usize> {
    let output = state.path().join("killed.txt");
    for kills in 0..200 {
        let mut running = program.start(args, &output)?;
        let patience = Duration::from_millis(15 + 10 * kills as u64);
        thread::sleep(patience);
        if running.has_ended()? {
            running.ends()?;
            return Ok(kills);
        }
        running.kill()?;
    }
    anyhow::bail!("{args:?} never came to an end")
}

/// The file of a stream.
fn data(dir: &Path, stream: &str, file: &str) -> Result<std::path::PathBuf> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let Ok(manifest) = fs::read(path.join("stream.json")) else {
            continue;
        };
        let manifest: Value = serde_json::from_slice(&manifest)?;
        if manifest["stream"] == stream {
            return Ok(path.join(file));
        }
    }
    anyhow::bail!("{stream} is not in {}", dir.display())
}

#[test]
fn two_exports_do_not_write_to_one_folder() -> Result<()> {
    let program = Program::at(shared()?.base())?;
    let state = Scratch::new("streams-two-exports")?;
    program.run(&["create", "alone"])?;
    let folder = state.path().join("out");
    fs::create_dir(&folder)?;
    let lock = fs::File::create(folder.join(".lock"))?;
    lock.lock()?;
    let folder = folder.to_str().context("no path")?;
    let refused = program.fails(&["export", folder, "alone"], b"")?;
    assert!(refused.contains("another export writes"), "{refused}");
    drop(lock);
    program.run(&["export", folder, "alone"])?;
    Ok(())
}
