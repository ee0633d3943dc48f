//! Stored data of every released format stays readable: what `tests/fixtures/` holds is served by the
//! worker of today, and answers as it did when it was written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::{self, Scratch};
use durable_streams_tests::server::{Server, Vars};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{storage, wait_until};
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use ureq::http::Method;

use crate::{JSON, fixture};

/// What a fixture answers: its `expected.json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Expected {
    /// When it was written, in milliseconds since the Unix epoch.
    pub written_at: u64,
    /// All that was ever created.
    pub streams: Vec<Answers>,
}

/// What one stream answers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Answers {
    /// The name in its URL.
    pub name: String,
    /// Its database, where it has one that knows its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What a HEAD answers.
    pub status: u16,
    /// The headers of that which say something of the stream, by name in small letters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// All of its content; a hash when that is long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// Whether it is read without credentials.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// The latest `Stream-Seq`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<String>,
    /// Id, epoch and number of the latest request of each producer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub producers: Vec<(String, u64, u64)>,
    /// The same of the request that closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<(String, u64, u64)>,
    /// A time at which it is there only because an access was noted, and one at which it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<(u64, u64)>,
    /// The job that there is to do ten minutes later, without any more data: what was begun, or is to be
    /// removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// The headers of a HEAD that say something of the stream.
pub const TELLING: &[&str] = &[
    "content-type",
    "stream-next-offset",
    "stream-ttl",
    "stream-expires-at",
    "stream-closed",
];

/// The longest content that a fixture has in full.
const LONG: usize = 4096;

/// Content as a fixture has it.
pub fn told(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.len() <= LONG => text.to_owned(),
        _ => {
            let hash = Sha256::digest(content);
            let hex = hash.iter().map(|byte| format!("{byte:02x}"));
            format!("sha256:{}", hex.collect::<String>())
        }
    }
}

/// Those headers of an answer to a HEAD.
pub fn telling(head: &Response) -> BTreeMap<String, String> {
    let named = TELLING.iter().filter_map(|name| {
        let value = head.header(name)?;
        // The first release minted offsets of two parts for the same positions.
        let value = match *name {
            "stream-next-offset" => value.strip_suffix("_0000").unwrap_or(value),
            _ => value,
        };
        Some(((*name).to_owned(), value.to_owned()))
    });
    named.collect()
}

/// All content of a stream in one piece, whatever pages it comes in.
pub fn content(stream: &Stream, is_json: bool) -> Result<Vec<u8>> {
    let pages = stream.read()?.pages;
    if !is_json {
        return Ok(pages.concat());
    }
    let inner = pages.iter().map(|page| {
        let page = page.strip_prefix(b"[").and_then(|p| p.strip_suffix(b"]"));
        page.context("a page is no array")
    });
    let mut inner: Vec<_> = inner.collect::<Result<_>>()?;
    inner.retain(|page| !page.is_empty());
    Ok([b"[", &inner.join(&b",\n"[..])[..], b"]"].concat())
}

/// The folders of all fixtures.
fn fixtures() -> Result<Vec<PathBuf>> {
    let folder = places::repository().join("tests/fixtures");
    let all = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let mut all = all.collect::<Result<Vec<_>>>()?;
    all.sort();
    Ok(all)
}

/// Lays the files in `state.gz` below a folder: a line with the name and the length of each, and then
/// one after the other.
fn unpack(fixture: &Path, to: &Path) -> Result<()> {
    let mut all = Vec::new();
    GzDecoder::new(fs::File::open(fixture.join("state.gz"))?).read_to_end(&mut all)?;
    let end = all.iter().position(|byte| *byte == b'\n');
    let (list, mut rest) = all.split_at(end.context("no list of files")? + 1);
    let list: Vec<(String, usize)> = serde_json::from_slice(list)?;
    for (name, length) in list {
        let file = to.join(&name);
        fs::create_dir_all(file.parent().context("a file in no folder")?)?;
        let (body, others) = rest.split_at_checked(length).context("a file is short")?;
        fs::write(file, body)?;
        rest = others;
    }
    Ok(())
}

#[test]
fn what_was_stored_is_served_as_it_was() -> Result<()> {
    // As most servers are set up, and so that data moves and merges all the time.
    let moving = [
        ("SEGMENT_MAX_MESSAGES", "2"),
        ("SEGMENT_MERGE_BYTES", "100000"),
        ("READ_MAX_BYTES", "30000"),
    ];
    for vars in [&[][..], &moving] {
        for fixture in fixtures()? {
            let name = fixture.file_name().unwrap_or_default().display();
            serve(&fixture, vars).with_context(|| format!("{name} with {vars:?}"))?;
        }
    }
    Ok(())
}

fn serve(fixture: &Path, vars: Vars) -> Result<()> {
    let expected: Expected = serde_json::from_slice(&fs::read(fixture.join("expected.json"))?)?;
    let state = Scratch::new("format-state")?;
    unpack(fixture, state.path())?;
    let server = Server::start(&state, vars)?;
    let mut streams = Vec::new();
    for answers in &expected.streams {
        let content_type = answers.headers.get("content-type");
        // The harness's streams have types that live as long as the program.
        let content_type = content_type.map_or("", |text| String::leak(text.clone()));
        let stream = Stream::named(server.client(), &answers.name, content_type);
        streams.push((answers, stream));
    }
    for (answers, stream) in &streams {
        compare(answers, stream).with_context(|| answers.name.clone())?;
    }
    // It is not only read: all goes on where it was.
    for (answers, stream) in &streams {
        go_on(answers, stream).with_context(|| answers.name.clone())?;
    }
    // What was used is in the directory, which nobody knew when it was written.
    let living = streams.iter().filter(|(answers, _)| lives(answers));
    let mut living: Vec<String> = living
        .map(|(answers, _)| fixture::decoded(&answers.name))
        .collect();
    living.sort_unstable();
    let mut known = Vec::new();
    let are_listed = wait_until("all streams are listed", || {
        known = listed(server.client())?;
        Ok(known == living)
    });
    are_listed.with_context(|| format!("{known:?}, not {living:?}"))?;
    // What was to be done by now has been done by alarms.
    wait_until("the objects of deleted streams are gone", || {
        let objects = storage::objects(state.path(), "streams/gone/");
        let of_the_living = |key: &str| key.starts_with("streams/gone/again/");
        Ok(objects.is_ok_and(|objects| objects.iter().all(|object| of_the_living(&object.key))))
    })?;
    server.stop()?;
    let server = Server::start(&state, vars)?;
    for (answers, stream) in &streams {
        let stream = stream.on(server.client());
        appended(answers, &stream).with_context(|| answers.name.clone())?;
    }
    server.stop()
}

/// The paths of all streams that the directory knows.
fn listed(client: &Client) -> Result<Vec<String>> {
    let page = client.call(Method::GET, "/v1/stream/__ds/streams?limit=1000");
    let page: Value = serde_json::from_str(&page.send()?.expect(200)?.text())?;
    let streams = page["streams"].as_array().context("no streams")?;
    let paths = streams.iter().filter_map(|one| one["path"].as_str());
    Ok(paths.map(str::to_owned).collect())
}

/// A stream whose time was short is over when a fixture is read.
fn lives(answers: &Answers) -> bool {
    answers.status == 200 && answers.ends.is_none()
}

fn is_open(answers: &Answers) -> bool {
    lives(answers) && !answers.headers.contains_key("stream-closed")
}

fn is_json(answers: &Answers) -> bool {
    let content_type = answers.headers.get("content-type");
    content_type.is_some_and(|it| it.starts_with(JSON))
}

fn compare(answers: &Answers, stream: &Stream) -> Result<()> {
    let head = stream.head()?;
    if !lives(answers) {
        let status = if answers.status == 200 {
            404
        } else {
            answers.status
        };
        head.expect(status)?;
        return Ok(());
    }
    let head = head.expect(answers.status)?;
    ensure!(telling(&head) == answers.headers, "{head:#?}");
    let content = told(&content(stream, is_json(answers))?);
    ensure!(Some(&content) == answers.content.as_ref(), "{content}");
    Ok(())
}

fn go_on(answers: &Answers, stream: &Stream) -> Result<()> {
    if let Some((id, epoch, seq)) = &answers.closed_by {
        let again = stream
            .post_as(id, *epoch, *seq)
            .header("stream-closed", "true");
        again.send_bytes(b"0")?.expect(204)?;
    }
    if !is_open(answers) {
        if lives(answers) {
            stream.post().send_bytes(b"0")?.expect(409)?;
        }
        return Ok(());
    }
    if let Some(seq) = &answers.seq {
        let again = stream.post().header("stream-seq", seq);
        again.send_bytes(b"0")?.expect(409)?;
    }
    for (id, epoch, seq) in &answers.producers {
        stream
            .post_as(id, *epoch, *seq)
            .send_bytes(b"0")?
            .expect(204)?;
        stream
            .post_as(id, *epoch, seq + 2)
            .send_bytes(b"0")?
            .expect(409)?;
        if let Some(stale) = epoch.checked_sub(1) {
            stream.post_as(id, stale, 0).send_bytes(b"0")?.expect(403)?;
        }
        stream
            .post_as(id, *epoch, seq + 1)
            .send_bytes(b"8")?
            .expect(200)?;
    }
    stream.append("9")?;
    appended(answers, stream)
}

/// The stream has what it had, and what was appended since.
fn appended(answers: &Answers, stream: &Stream) -> Result<()> {
    if !lives(answers) {
        return Ok(());
    }
    let now = content(stream, is_json(answers))?;
    let mut before = &now[..];
    if is_open(answers) {
        let new = [vec!["8"; answers.producers.len()], vec!["9"]].concat();
        let new = if is_json(answers) {
            format!("{}]", new.join(",\n"))
        } else {
            new.concat()
        };
        before = now.strip_suffix(new.as_bytes()).context("not appended")?;
    }
    let mut before = before.to_vec();
    if is_open(answers) && is_json(answers) {
        before = before.strip_suffix(b",\n").unwrap_or(&before).to_vec();
        before.push(b']');
    }
    let before = told(&before);
    ensure!(Some(&before) == answers.content.as_ref(), "{before}");
    Ok(())
}

/// Deleting and creating work as well, which is for the end.
#[test]
fn what_was_stored_can_be_deleted() -> Result<()> {
    for fixture in fixtures()? {
        let expected = fs::read(fixture.join("expected.json"))?;
        let expected: Expected = serde_json::from_slice(&expected)?;
        let state = Scratch::new("format-deleted-state")?;
        unpack(&fixture, state.path())?;
        let server = Server::start(&state, &[])?;
        let (kept, free): (Vec<_>, Vec<_>) =
            expected.streams.iter().partition(|one| one.status == 410);
        let named = |answers: &Answers| Stream::named(server.client(), &answers.name, JSON);
        for answers in &free {
            let status = stream_deletion(&named(answers))?;
            let may_be = if lives(answers) { 204 } else { 404 };
            ensure!(status == may_be, "{}: {status}", answers.name);
        }
        // With the last fork of what was deleted before, that goes, too, and leaves nothing.
        for answers in free.iter().chain(&kept) {
            let stream = named(answers);
            wait_until("the path is free", || Ok(stream.head()?.status == 404))?;
            stream.put().send_bytes(b"1")?.expect(201)?;
            ensure!(stream.read()?.messages()? == [1], "{}", answers.name);
        }
        wait_until("nothing is left in the bucket", || {
            Ok(storage::objects(state.path(), "streams/").is_ok_and(|objects| objects.is_empty()))
        })?;
        server.stop()?;
    }
    Ok(())
}

fn stream_deletion(stream: &Stream) -> Result<u16> {
    let answer = stream.call(Method::DELETE).send()?;
    // What has forks goes with the last of them.
    Ok(answer.status)
}
