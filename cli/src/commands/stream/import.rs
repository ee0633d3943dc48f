//! `stream import`: streams from files, each message once however often it is begun anew.
//!
//! Each append has a stamp: its producer is named after all that the file holds, and its number is the place
//! of the batch in the file. The server tells what it has, and takes nothing twice.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
};

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use indicatif::HumanBytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    archive::{Archive, Manifest, Place},
    desk::{About, Desk},
    progress::Progress,
};
use crate::{
    args::ImportStreams,
    error::problem,
    hex::hex,
    project::Here,
    stream::{Append, Client, Error, Expiry, Kind, New, Offset, Stamp},
    ui::{Ui, how_many},
};

/// How many streams are written at once.
const AT_ONCE: usize = 8;
/// What a batch has at most. The place of each batch in the file has to stay the same, so these must not
/// change.
const MOST_MESSAGES: usize = 1000;
const MOST_BYTES: usize = 1 << 20;
/// A number that no import comes to: with it a server says what it expects, and takes nothing.
const BEYOND_ALL: u64 = (1 << 53) - 1;

/// Makes streams of files.
pub fn run(ui: &Ui, here: &Here, args: &ImportStreams) -> Result<()> {
    let archive = Archive::to_read(&args.dir);
    let found = chosen(archive.all()?, args)?;
    let desk = Desk::open(ui, here, &args.server)?.patient();
    let bytes = found.iter().map(|(_, manifest)| manifest.bytes).sum();
    let progress = Progress::new(ui, "Importing", found.len() as u64, Some(bytes));
    let one = async |(place, manifest): &(Place, Manifest)| {
        let target = format!("{}{}", args.into, manifest.stream);
        let outcome = import(&desk.client, place, manifest, &target, &progress).await;
        progress.stream();
        outcome.map(|appended| (target, appended))
    };
    let mut done = Vec::new();
    let outcome = desk.run(async {
        let mut outcomes = stream::iter(&found).map(one).buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            done.push(outcome?);
        }
        Ok(())
    });
    let took = progress.took();
    drop(progress);
    outcome.inspect_err(|_| {
        ui.note(format!(
            "{} of {} are there; the same command goes on from there",
            done.len(),
            how_many(found.len() as u64, "stream"),
        ));
    })?;
    done.sort();
    let appended: u64 = done.iter().map(|(_, appended)| appended).sum();
    let streams: Vec<_> = done
        .iter()
        .map(|(stream, appended)| json!({ "stream": stream, "bytesAppended": appended }))
        .collect();
    let before = match bytes - appended {
        0 => String::new(),
        before => format!("; {} had been there before", HumanBytes(before)),
    };
    ui.result(
        format!(
            "Imported {} into {}: {} in {took}{before}",
            how_many(done.len() as u64, "stream"),
            desk.client.root().as_str(),
            HumanBytes(appended)
        ),
        &json!({ "bytes": bytes, "bytesAppended": appended, "streams": streams }),
    );
    Ok(())
}

/// The streams that are wanted of those that are there.
fn chosen(all: Vec<(Place, Manifest)>, args: &ImportStreams) -> Result<Vec<(Place, Manifest)>> {
    let is_there = |name: &String| all.iter().any(|(_, manifest)| manifest.stream == *name);
    let missing = args.streams.iter().find(|name| !is_there(name));
    let dir = args.dir.display();
    if let Some(missing) = missing {
        return Err(problem(
            format!("{missing} is not in {dir}"),
            "each stream has a folder there, with its path in `stream.json`",
        ));
    }
    if all.is_empty() {
        return Err(problem(
            format!("no stream is in {dir}"),
            "`durable-streams stream export` writes streams to a folder",
        ));
    }
    let is_wanted =
        |manifest: &Manifest| args.streams.is_empty() || args.streams.contains(&manifest.stream);
    Ok(all
        .into_iter()
        .filter(|(_, manifest)| is_wanted(manifest))
        .collect())
}

/// Makes a stream of a file, or goes on with it. Gives how many bytes of the file were appended.
async fn import(
    client: &Client,
    place: &Place,
    manifest: &Manifest,
    target: &str,
    progress: &Progress<'_>,
) -> Result<u64> {
    let producer = producer(place.data(manifest)?, manifest)?;
    let is_empty = manifest.bytes == 0;
    let created = client.create(target, &new(manifest, is_empty)).await;
    let start = match created {
        _ if is_empty => return created.about(target).map(|_| 0),
        Ok(made) if made.is_new => Start::At(0),
        Ok(_) | Err(Error::Refused { status: 409, .. }) => {
            start(client, place, manifest, target, &producer).await?
        }
        Err(error) => return Err(error).about(target),
    };
    let mut appended = 0;
    let mut batches = Batches::of(place, manifest)?;
    let mut next = batches.next()?;
    let mut seq = 0;
    while let Some(batch) = next {
        next = batches.next()?;
        let close = manifest.closed && next.is_none();
        let is_there = match start {
            Start::At(first) => seq < first && !close,
            Start::Closed => !close,
        };
        if !is_there {
            let stamp = Stamp {
                producer: producer.clone(),
                epoch: 0,
                seq,
            };
            let append = Append {
                content_type: Some(manifest.content_type.clone()),
                body: batch.body,
                stamp: Some(stamp),
                close,
            };
            let done = match client.append(target, append).await {
                Err(Error::Closed { .. }) => return Err(another(target)),
                outcome => outcome.about(target)?,
            };
            if !done.is_duplicate {
                appended += batch.length;
            }
        }
        progress.bytes(batch.length);
        seq += 1;
    }
    Ok(appended)
}

fn new(manifest: &Manifest, is_empty: bool) -> New {
    let idle = manifest.ttl_seconds.map(Expiry::Idle);
    New {
        content_type: Some(manifest.content_type.clone()),
        expiry: idle.or_else(|| manifest.expires_at.clone().map(Expiry::At)),
        retention: manifest.retention.clone(),
        // One that holds something is closed with the last of it.
        closed: manifest.closed && is_empty,
        body: None,
    }
}

/// Where to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// With this batch.
    At(u64),
    /// It is closed: the last batch tells whether it is all there.
    Closed,
}

/// What is there of a stream that was there before, if it was begun from the same file.
async fn start(
    client: &Client,
    place: &Place,
    manifest: &Manifest,
    target: &str,
    producer: &str,
) -> Result<Start> {
    let state = client.head(target).await.about(target)?;
    if state.content_type != manifest.content_type {
        return Err(another(target));
    }
    if state.closed {
        return match manifest.closed {
            true => Ok(Start::Closed),
            false => Err(another(target)),
        };
    }
    let first = client.page(target, &Offset::start()).await.about(target)?;
    let holds_nothing = matches!(first.body.trim_ascii(), b"" | b"[]");
    if holds_nothing && first.up_to_date && state.earliest.is_none() {
        return Ok(Start::At(0));
    }
    let Some(batch) = Batches::of(place, manifest)?.next()? else {
        return Ok(Start::At(0));
    };
    let stamp = Stamp {
        producer: producer.to_owned(),
        epoch: 0,
        seq: BEYOND_ALL,
    };
    let question = Append {
        content_type: Some(manifest.content_type.clone()),
        body: batch.body,
        stamp: Some(stamp),
        close: false,
    };
    match client.append(target, question).await {
        Err(Error::SequenceGap { expected: 0 }) => Err(another(target)),
        Err(Error::SequenceGap { expected }) => Ok(Start::At(expected)),
        Err(error) => Err(error).about(target),
        Ok(_) => Err(Error::Strange("an append out of order".to_owned())).about(target),
    }
}

fn another(target: &str) -> anyhow::Error {
    problem(
        format!("{target} is there already, and was not made of what is to be imported"),
        "put the streams elsewhere with --into PREFIX, or delete this one",
    )
}

/// The name of the producer: another one for everything that a file may hold.
fn producer(data: File, manifest: &Manifest) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(manifest.content_type.as_bytes());
    let mut data = BufReader::with_capacity(MOST_BYTES, data.take(manifest.bytes));
    loop {
        let part = data.fill_buf()?;
        if part.is_empty() {
            break;
        }
        hash.update(part);
        let length = part.len();
        data.consume(length);
    }
    let digits = hex(hash.finalize().iter().take(16));
    Ok(format!("import-{digits}"))
}

/// A batch of a file.
#[derive(Debug, PartialEq, Eq)]
struct Batch {
    body: Vec<u8>,
    /// How many bytes of the file it is.
    length: u64,
}

/// A file in batches, which are the same each time.
struct Batches {
    data: BufReader<std::io::Take<File>>,
    is_json: bool,
}

impl Batches {
    fn of(place: &Place, manifest: &Manifest) -> Result<Self> {
        Ok(Self {
            data: BufReader::new(place.data(manifest)?.take(manifest.bytes)),
            is_json: Kind::of(&manifest.content_type) == Kind::Json,
        })
    }

    fn next(&mut self) -> Result<Option<Batch>> {
        let read = match self.is_json {
            true => self.messages(),
            false => self.bytes(),
        };
        read.context("the exported file cannot be read")
    }

    fn bytes(&mut self) -> std::io::Result<Option<Batch>> {
        let mut body = Vec::new();
        (&mut self.data)
            .take(MOST_BYTES as u64)
            .read_to_end(&mut body)?;
        let length = body.len() as u64;
        Ok((length > 0).then_some(Batch { body, length }))
    }

    fn messages(&mut self) -> std::io::Result<Option<Batch>> {
        let mut body = vec![b'['];
        let mut length = 0;
        let mut count = 0;
        let mut line = Vec::new();
        while count < MOST_MESSAGES && body.len() < MOST_BYTES {
            line.clear();
            let read = self.data.read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            length += read as u64;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if count > 0 {
                body.push(b',');
            }
            body.extend_from_slice(line.trim_ascii());
            count += 1;
        }
        body.push(b']');
        Ok((count > 0).then_some(Batch { body, length }))
    }
}
