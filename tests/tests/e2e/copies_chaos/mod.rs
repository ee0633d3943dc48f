//! Copies while the runtime is killed again and again: each of two targets ends up with what fifty
//! sources hold, each message once and each source's in order, and whoever follows one of them sees
//! the same.
//!
//! `CHAOS_SECONDS` says how long writers write, and `CHAOS_SEED` where chance starts.

mod book;
mod content;
mod source;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::http::Client;
use durable_streams_tests::say;
use durable_streams_tests::server::Vars;
use durable_streams_tests::stream::{START, Stream};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;
use crate::chaos::killed::{Killed, is_unreachable, until_answered};
use crate::chaos::number;
use book::Book;
use content::{Content, Envelope};
use source::Source;

/// How many sources there are, and how many of them are of text.
const SOURCES: (usize, usize) = (50, 2);
const WRITERS: usize = 4;
/// What is in envelopes, and followed.
const PAGE: &str = "page";
/// What is not.
const BARE: &str = "bare";
/// Much of the content moves to the bucket.
const VARS: Vars = &[
    ("DEV", "1"),
    ("LONG_POLL_TIMEOUT_MS", "2000"),
    ("SEGMENT_MAX_MESSAGES", "200"),
];

/// The longest time between two attempts of a source is a minute, and a fifth more.
const BOUND: Duration = Duration::from_secs(90);
/// How long nothing has to come any more when all has come: longer than a target without readers
/// lets its sources pause.
const SILENCE: Duration = Duration::from_secs(12);

/// What everybody shares.
#[derive(Debug)]
struct Run {
    seed: u64,
    client: Client,
    book: Mutex<Book>,
    phase: AtomicU8,
}

/// Writers write, and the runtime is killed.
const STORMY: u8 = 0;
/// Nobody writes any more.
const CALM: u8 = 1;
/// Nobody follows any more.
const ENDED: u8 = 2;

impl Run {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writers stop.
    fn is_over(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= CALM
    }

    /// What a subscription says of itself.
    fn subscription(&self, id: &str) -> Result<Value> {
        let path = format!("/v1/stream/__ds/subscriptions/{id}");
        let seen = until_answered(|| self.client.call(Method::GET, &path).send())?;
        Ok(serde_json::from_slice(&seen.expect(200)?.body)?)
    }

    /// The tail of each source.
    fn tails<'a>(&self, sources: &'a [Source]) -> Result<BTreeMap<&'a str, String>> {
        let tail = |source: &'a Source| {
            let tail = self.tail(&source.path)?;
            anyhow::Ok((&*source.path, tail))
        };
        sources.iter().map(tail).collect()
    }

    fn tail(&self, path: &str) -> Result<String> {
        let head = Stream::named(&self.client, path, JSON).head()?;
        let tail = head.header("stream-next-offset");
        Ok(tail
            .with_context(|| format!("{path}: {head:?}"))?
            .to_owned())
    }
}

#[test]
fn copies_of_fifty_streams_are_exact_however_often_the_runtime_is_killed() -> Result<()> {
    let seconds = number("CHAOS_SECONDS", 20)?;
    let seed = number("CHAOS_SEED", u64::from(std::process::id()))?;
    // A short run has its kills, too.
    let apart = Duration::from_secs(if seconds < 60 { 6 } else { 10 });
    let mut killed = Killed::start("copies-chaos-state", VARS)?;
    let run = Run {
        seed,
        client: Client::new(&killed.base()),
        book: Mutex::default(),
        phase: AtomicU8::new(STORMY),
    };
    let sources = sources();
    let is_early = |at: usize| at % 5 != 4;
    for (_, source) in sources.iter().enumerate().filter(|(at, _)| is_early(*at)) {
        Stream::create(&run.client, &source.path, source.content_type())?;
    }
    subscribe(&run, &sources)?;

    let mut kills = 0;
    let drained = thread::scope(|scope| {
        let run = &run;
        let of_writer = |writer: usize| {
            let own = sources.iter().enumerate().skip(writer).step_by(WRITERS);
            own.map(|(at, source)| (source, is_early(at))).collect()
        };
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let own: Vec<_> = of_writer(writer);
                scope.spawn(move || source::write(run, &own, writer as u64))
            })
            .collect();
        let follower = scope.spawn(|| follow(run));
        let mut storm = || -> Result<()> {
            let end = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() + apart < end {
                thread::sleep(apart);
                killed.kill()?;
                kills += 1;
            }
            thread::sleep(end.saturating_duration_since(Instant::now()));
            Ok(())
        };
        let stormed = storm();
        run.phase.store(CALM, Ordering::Relaxed);
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        let drained = stormed.and_then(|()| drain(run, &sources));
        run.phase.store(ENDED, Ordering::Relaxed);
        for writer in written {
            writer.ok().context("a writer panicked")??;
        }
        follower.join().ok().context("the follower panicked")??;
        drained
    });
    report(&run, kills, seconds)?;
    let drained = drained.with_context(|| format!("seed {seed}"))?;
    say(&format!(
        "all was copied {drained:.1?} after the last message"
    ));
    compare(&run, &sources).with_context(|| format!("seed {seed}"))?;
    killed.stop()
}

fn sources() -> Vec<Source> {
    let (count, of_text) = SOURCES;
    let source = |at: usize| Source {
        path: format!("from/{at:02}"),
        is_json: at + of_text < count,
        repeats: at.is_multiple_of(2),
    };
    (0..count).map(source).collect()
}

/// One subscription by its pattern, which has what is in no JSON, too; one by names, of which some are
/// of streams that are not there yet.
fn subscribe(run: &Run, sources: &[Source]) -> Result<()> {
    let of_json = sources.iter().filter(|source| source.is_json);
    let named: Vec<_> = of_json.map(|source| &source.path).collect();
    for (target, mut config) in [
        (PAGE, json!({ "pattern": "from/*", "envelope": true })),
        (BARE, json!({ "streams": named })),
    ] {
        Stream::create(&run.client, target, JSON)?;
        config["type"] = json!("copy");
        config["target_stream"] = json!(target);
        let path = format!("/v1/stream/__ds/subscriptions/{target}");
        let call = run.client.call(Method::PUT, &path);
        call.send_bytes(config.to_string().as_bytes())?
            .expect(201)?;
    }
    Ok(())
}

/// Follows the target as a page does, until the run has ended.
fn follow(run: &Run) -> Result<()> {
    let page = Stream::named(&run.client, PAGE, JSON);
    let mut next = START.to_owned();
    while run.phase.load(Ordering::Relaxed) < ENDED {
        let target = format!("{}?offset={next}&live=long-poll", page.path());
        let answer = match run.client.call(Method::GET, &target).send() {
            Err(error) if is_unreachable(&error) => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            answer => answer?,
        };
        match answer.status {
            200 => {
                let copies: Vec<Envelope> = serde_json::from_slice(&answer.body)?;
                run.book().followed(copies);
            }
            204 => {}
            status if status >= 500 => {
                thread::sleep(Duration::from_millis(50));
                continue;
            }
            _ => ensure!(false, "{answer:?}"),
        }
        let after = answer.header("stream-next-offset").context("no offset")?;
        after.clone_into(&mut next);
    }
    Ok(())
}

/// Waits until all is in both targets and nothing comes any more, and gives how long it took until all
/// was there.
fn drain(run: &Run, sources: &[Source]) -> Result<Duration> {
    let start = Instant::now();
    let tails = run.tails(sources)?;
    let position = |offset: &str| -> Result<usize> {
        let number = offset.split('_').nth(1).context("no position")?;
        Ok(number.parse()?)
    };
    let of_json = sources.iter().filter(|source| source.is_json);
    let lengths = of_json.map(|source| position(&tails[&*source.path]));
    let bare = lengths.sum::<Result<usize>>()?;
    let state = || -> Result<(usize, usize)> {
        let book = run.book();
        let reached = book.reached();
        let left = tails.iter().filter(|(path, tail)| {
            let is_there = reached.get(**path) == Some(&tail.as_str());
            !is_there && tail.as_str() != START
        });
        let left = left.count();
        drop(book);
        Ok((left, position(&run.tail(BARE)?)?))
    };
    let mut all_by = None;
    while all_by.is_none() {
        let (left, found) = state()?;
        if left == 0 && found >= bare {
            all_by = Some(start.elapsed());
        } else if start.elapsed() > BOUND {
            for id in [PAGE, BARE] {
                say(&run.subscription(id)?.to_string());
            }
            ensure!(
                false,
                "after {BOUND:?} {left} sources are not in {PAGE}, and {found} of {bare} messages are in \
                 {BARE}"
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
    thread::sleep(SILENCE);
    all_by.context("it was not drained")
}

fn report(run: &Run, kills: usize, seconds: u64) -> Result<()> {
    let book = run.book();
    let delays = book.delays();
    let of = |percent: usize| {
        let at = delays.len().saturating_sub(1) * percent / 100;
        delays.get(at).copied().unwrap_or_default()
    };
    say(&format!(
        "seed {}: {kills} kills in {seconds} s, {} messages acknowledged; {} copies followed in {} \
         answers; from the append to the follower {:.0?} in the middle, {:.0?} of 99 %, {:.1?} at most",
        run.seed,
        book.acknowledged.values().map(Vec::len).sum::<usize>(),
        book.followed.len(),
        book.answers,
        of(50),
        of(99),
        of(100),
    ));
    Ok(())
}

/// Compares what the targets hold with what the sources do, and that with what was acknowledged.
fn compare(run: &Run, sources: &[Source]) -> Result<()> {
    // Connections that were kept meanwhile may end just now.
    let client = Client::new(run.client.base());
    let whole = |target| Stream::named(&client, target, JSON).read();
    let bare = whole(BARE)?.messages()?;
    let page: Vec<Envelope> = whole(PAGE)?
        .messages()?
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()?;
    let book = run.book();
    ensure!(
        book.followed == page,
        "the follower has seen something else"
    );
    let mut of_json = 0;
    for source in sources {
        let path = &source.path;
        let content = Content::of(&client, source).context(path.clone())?;
        let acknowledged = book.acknowledged.get(path).map_or(&[][..], Vec::as_slice);
        content.holds(acknowledged).with_context(|| path.clone())?;
        if source.repeats {
            let is_all = content.numbers()? == acknowledged;
            ensure!(is_all, "{path} holds what was not acknowledged");
        }
        let copied = Content::of_enveloped(source, &page);
        let compared = copied.and_then(|copied| content.is_copied_as(&copied));
        compared.with_context(|| format!("{path} in {PAGE}"))?;
        if source.is_json {
            let compared = content.is_copied_as(&Content::of_bare(source, &bare));
            compared.with_context(|| format!("{path} in {BARE}"))?;
            of_json += content.length();
        }
    }
    ensure!(bare.len() == of_json, "{} copies in {BARE}", bare.len());
    say(&format!(
        "{} messages and pieces in {PAGE}, {} in {BARE}, each as its source has it",
        page.len(),
        bare.len()
    ));
    Ok(())
}
