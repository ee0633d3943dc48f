//! `stream append`: messages from arguments or stdin.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    desk::{About, Desk},
    input::{Batch, Input, Reading, Size},
};
use crate::{
    args::AppendStream,
    error::problem,
    project::Here,
    stream::{Append, Error, Kind, Offset, Stamp},
    ui::{Ui, how_many},
};

/// How many messages go into one append unless somebody says otherwise.
const USUAL: u32 = 1000;

/// Appends all there is, batch by batch.
pub fn run(ui: &Ui, here: &Here, args: &AppendStream) -> Result<()> {
    if args.data.is_empty() && args.server.token.as_deref() == Some("-") {
        return Err(problem(
            "stdin cannot be both the token and what to append",
            "give the token by --token env:NAME or --token @FILE",
        ));
    }
    let desk = Desk::open(ui, here, &args.server)?;
    let mut work = Work::new(args);
    let outcome = desk.run(append(ui, &desk, args, &mut work));
    match outcome {
        Ok(()) => {
            work.say(ui, args);
            Ok(())
        }
        Err(error) => Err(work.unfinished(error)),
    }
}

/// What was done so far.
#[derive(Debug)]
struct Work {
    kind: Kind,
    /// How many messages or bytes are there now, and how many were there before.
    appended: u64,
    repeated: u64,
    next: Option<Offset>,
    /// The number of the next append.
    seq: u64,
    /// Appends before this number are there.
    known: u64,
    /// The stream is closed: only the append that closed it can still be told from others.
    is_closed: bool,
    /// How many messages or bytes nobody knows of whether they were appended.
    unknown: u64,
}

impl Work {
    fn new(args: &AppendStream) -> Self {
        Self {
            kind: Kind::Json,
            appended: 0,
            repeated: 0,
            next: None,
            seq: args.seq,
            known: 0,
            is_closed: false,
            unknown: 0,
        }
    }

    fn many(&self, count: u64) -> String {
        how_many(
            count,
            if self.kind == Kind::Json {
                "message"
            } else {
                "byte"
            },
        )
    }

    fn say(&self, ui: &Ui, args: &AppendStream) {
        let stream = &args.stream;
        let before = match self.repeated {
            0 => String::new(),
            count => format!("; {} had been appended before", self.many(count)),
        };
        let tail = match &self.next {
            Some(next) => format!("; the tail is {next}"),
            None => String::new(),
        };
        let closed = if args.close { ", and closed it" } else { "" };
        if let (Some(producer), 0, 1..) = (&args.producer, self.appended, self.repeated) {
            ui.warn(format!(
                "producer {producer} had appended as much before, so nothing was appended: right if this \
                 was the same input once more; another input needs another --producer, or the next --seq"
            ));
        }
        ui.result(
            format!(
                "Appended {} to {stream}{closed}{before}{tail}",
                self.many(self.appended)
            ),
            &json!({
                "stream": stream,
                "appended": self.appended,
                "appendedBefore": self.repeated,
                "unit": if self.kind == Kind::Json { "messages" } else { "bytes" },
                "offset": self.next.as_ref().map(Offset::as_str),
                "closed": args.close,
            }),
        );
    }

    /// Says with an error what was done before it.
    fn unfinished(&self, error: anyhow::Error) -> anyhow::Error {
        let done = self.appended + self.repeated;
        if self.unknown > 0 {
            let hint = match &self.next {
                Some(next) => {
                    format!("`durable-streams stream read --from {next}` shows what is there")
                }
                None => "`durable-streams stream read` shows what is there".to_owned(),
            };
            return problem(
                format!(
                    "{error:#}; {} were appended before, and nobody knows whether {} more were",
                    self.many(done),
                    self.many(self.unknown)
                ),
                format!("{hint}; with --producer it does no harm to run the same again"),
            );
        }
        match done {
            0 => error,
            done => error.context(format!("after {} were appended", self.many(done))),
        }
    }
}

async fn append(ui: &Ui, desk: &Desk, args: &AppendStream, work: &mut Work) -> Result<()> {
    let stream = &args.stream;
    let state = desk.client.head(stream).await.about(stream)?;
    work.kind = state.kind();
    let mut input = input(ui, args, work.kind)?;
    let mut waiting = None;
    loop {
        let batch = match waiting.take() {
            Some(batch) => Some(batch),
            None => input.next().await?,
        };
        let Some(batch) = batch else { break };
        // Only who is to close has to know which is the last.
        let is_last = args.close && {
            waiting = input.next().await?;
            waiting.is_none()
        };
        send(desk, args, &state.content_type, batch, is_last, work).await?;
        if is_last {
            return Ok(());
        }
    }
    if args.close {
        let close = Append {
            close: true,
            ..Append::default()
        };
        work.next = desk.client.append(stream, close).await.about(stream)?.next;
    }
    Ok(())
}

fn input(ui: &Ui, args: &AppendStream, kind: Kind) -> Result<Input> {
    if kind != Kind::Json && (args.strings || args.flatten) {
        return Err(problem(
            format!(
                "{} holds no JSON: --strings and --flatten are for JSON",
                args.stream
            ),
            "leave them out: text and bytes are appended as they are",
        ));
    }
    let reading = Reading {
        kind,
        strings: args.strings,
        flatten: args.flatten,
    };
    let size = match (&args.producer, args.batch) {
        (Some(_), batch) => Size::Exactly(batch.unwrap_or(1) as usize),
        (None, batch) => Size::UpTo(batch.unwrap_or(USUAL) as usize),
    };
    if !args.data.is_empty() {
        return Input::arguments(&args.data, reading, size);
    }
    if io::stdin().is_terminal() {
        ui.note("Reading what to append from the terminal; Ctrl-D ends it");
    }
    Ok(Input::stdin(reading, size))
}

/// Appends a batch, unless it is there already.
async fn send(
    desk: &Desk,
    args: &AppendStream,
    content_type: &str,
    batch: Batch,
    is_last: bool,
    work: &mut Work,
) -> Result<()> {
    let stream = &args.stream;
    let seq = work.seq;
    work.seq = seq.checked_add(1).context("--seq is too large")?;
    // The last closes, too, which the others do not tell.
    if !is_last && (seq < work.known || work.is_closed) {
        work.repeated += batch.count;
        return Ok(());
    }
    let append = Append {
        content_type: Some(content_type.to_owned()),
        body: batch.body,
        stamp: args.producer.clone().map(|producer| Stamp {
            producer,
            epoch: args.epoch,
            seq,
        }),
        close: is_last,
    };
    match desk.client.append(stream, append).await {
        Ok(done) => {
            match done.is_duplicate {
                true => {
                    work.repeated += batch.count;
                    // It need not be sent to know that it is there.
                    work.known = done.highest.map_or(0, |highest| highest.saturating_add(1));
                }
                false => work.appended += batch.count,
            }
            work.next = done.next.or(work.next.take());
            Ok(())
        }
        // A run before may have closed it, which its last append tells.
        Err(Error::Closed { .. }) if args.producer.is_some() && args.close && !is_last => {
            work.is_closed = true;
            work.repeated += batch.count;
            Ok(())
        }
        Err(error) => {
            if args.producer.is_none() && !error.is_untaken() {
                work.unknown = batch.count;
            }
            // What was taken for repeated was not.
            if work.is_closed {
                work.repeated = 0;
            }
            Err(error).about(stream)
        }
    }
}
