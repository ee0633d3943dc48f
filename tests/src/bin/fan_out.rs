//! How soon live readers hear of an append, and what that costs, held against a plain JavaScript
//! bridge that does the least.
//!
//! `fan-out [ROUNDS] [SECONDS] [READERS…]` runs both on the same runtime, in turns. One writer
//! sends 20 messages a second to so many readers of events (200 and 1000 unless told otherwise);
//! then 1 and 50 long-polls are woken.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::readers::{Mode, Readers};
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;

const PAUSE: Duration = Duration::from_millis(50);

fn main() -> Result<()> {
    let numbers = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let numbers: Vec<usize> = numbers.collect::<Result<_, _>>()?;
    let rounds = numbers.first().copied().unwrap_or(3).max(1);
    let seconds = numbers.get(1).copied().unwrap_or(10).max(1);
    let readers = numbers.get(2..).filter(|some| !some.is_empty());
    let contenders = [("ours", Worker::ours()?), ("bridge", Worker::bridge()?)];
    for count in readers.unwrap_or(&[200, 1000]) {
        compare(&contenders, Mode::Sse, *count, seconds * 20, rounds)?;
    }
    for count in [1, 50] {
        compare(&contenders, Mode::LongPoll, count, 100, rounds)?;
    }
    Ok(())
}

/// What came of one run.
struct Outcome {
    delivery: Vec<Duration>,
    writer: Vec<Duration>,
    cpu: Duration,
}

fn compare(
    contenders: &[(&str, Worker); 2],
    mode: Mode,
    readers: usize,
    messages: usize,
    rounds: usize,
) -> Result<()> {
    println!("{mode:?}, {readers} readers, {messages} messages, {rounds} rounds in turns");
    println!("           delivery p50      p99   writer p50      p99   CPU a message");
    let mut medians = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for turn in 0..2 {
            let at = (round + turn) % 2;
            let (name, worker) = &contenders[at];
            let outcome =
                run(worker, mode, readers, messages).with_context(|| format!("running {name}"))?;
            println!(
                "  {name:<8} {:>10.1?} {:>8.1?}   {:>10.1?} {:>8.1?}   {:>10.1?}",
                percentile(&outcome.delivery, 50),
                percentile(&outcome.delivery, 99),
                percentile(&outcome.writer, 50),
                percentile(&outcome.writer, 99),
                outcome.cpu,
            );
            medians[at].push([
                percentile(&outcome.delivery, 50),
                percentile(&outcome.writer, 50),
                outcome.cpu,
            ]);
        }
    }
    let [ours, floor] = medians;
    for (what, name) in ["delivery p50", "writer p50", "CPU"].iter().enumerate() {
        let ratios = ours.iter().zip(&floor);
        let ratios = ratios.map(|(a, b)| a[what].as_secs_f64() / b[what].as_secs_f64());
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_by(f64::total_cmp);
        println!(
            "  {name}, ours to the bridge: median {:.2} ({:.2} to {:.2})",
            ratios[ratios.len() / 2],
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
    println!();
    Ok(())
}

fn run(worker: &Worker, mode: Mode, count: usize, messages: usize) -> Result<Outcome> {
    let state = Scratch::new("fan-out")?;
    let vars = [
        ("SSE_TIMEOUT_MS", "600000"),
        ("LONG_POLL_TIMEOUT_MS", "600000"),
    ];
    let server = Server::serve(worker, &state, &vars)?;
    let stream = Stream::create(server.client(), "fan-out", "application/json")?;
    let mut readers = Readers::of(server.client())?;
    for _ in 0..count {
        readers.add(stream.path(), "now", mode)?;
    }
    if mode == Mode::Sse {
        readers.read_until("all were greeted", |all| all.iter().all(|r| r.caught_up))?;
    } else {
        thread::sleep(Duration::from_secs(1));
    }
    let runtime = server.workerd()?;
    let before = runtime.cpu_time()?;
    let sent = Arc::new(Mutex::new(Vec::new()));
    let writer = {
        let (stream, sent) = (stream.clone(), Arc::clone(&sent));
        thread::spawn(move || write(&stream, messages, &sent))
    };
    readers.read_until("all have everything", |all| {
        all.iter().all(|reader| reader.numbers.len() >= messages)
    })?;
    let writer = writer
        .join()
        .map_err(|_| anyhow!("the writer panicked"))??;
    let cpu = (runtime.cpu_time()? - before) / u32::try_from(messages)?;
    let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
    let mut delivery = Vec::with_capacity(count * messages);
    for reader in &readers.all {
        let mut last = None;
        for (n, at) in &reader.numbers {
            ensure!(last.is_none_or(|last| *n == last + 1), "out of order");
            last = Some(*n);
            delivery.push(at.saturating_duration_since(sent[usize::try_from(*n)?]));
        }
        ensure!(reader.numbers.len() == messages, "something came twice");
    }
    delivery.sort();
    server.stop()?;
    Ok(Outcome {
        delivery,
        writer,
        cpu,
    })
}

/// Sends numbered messages and notes when, and how long each took to be acknowledged.
fn write(stream: &Stream, messages: usize, sent: &Mutex<Vec<Instant>>) -> Result<Vec<Duration>> {
    let mut took = Vec::with_capacity(messages);
    for n in 0..messages {
        let start = Instant::now();
        sent.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(start);
        let text = "a message of common length, as chats and feeds have them, or so it is said";
        stream.append(format!(r#"{{"n":{n},"text":"{text}"}}"#))?;
        took.push(start.elapsed());
        thread::sleep(PAUSE.saturating_sub(start.elapsed()));
    }
    took.sort();
    Ok(took)
}

/// Of sorted values.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() - 1) * percent / 100]
}
