//! How much memory appends take that are as large as they may be.

use std::fmt::Write;
use std::io::Write as _;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::say;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::{BYTES, JSON};

/// The default of `MAX_APPEND_BYTES`.
const LIMIT: usize = 20 << 20;

/// What an append may take besides a multiple of its body, in bytes: an engine that has seen nothing
/// like it yet compiles, and SQLite keeps pages.
const ALLOWANCE: u64 = 25 << 20;

/// Nothing moves to the bucket, which is in the same process here.
const VARS: [(&str, &str); 2] = [
    ("SEGMENT_MAX_BYTES", "33554432"),
    ("SEGMENT_MAX_MESSAGES", "1000000000"),
];

struct Case {
    what: &'static str,
    content_type: &'static str,
    encoding: &'static str,
    body: Vec<u8>,
    /// How many bytes the body becomes.
    size: usize,
    /// How many times that it may take.
    times: u64,
}

impl Case {
    fn plain(what: &'static str, content_type: &'static str, times: u64, body: Vec<u8>) -> Self {
        Self {
            what,
            content_type,
            encoding: "identity",
            size: body.len(),
            body,
            times,
        }
    }
}

/// An array of so many times the same element.
fn array(element: &str, count: usize) -> Vec<u8> {
    format!("[{}]", vec![element; count].join(",")).into_bytes()
}

fn cases() -> Result<Vec<Case>> {
    let string = format!("\"{}\"", "x".repeat(17));
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&vec![7; LIMIT])?;
    let text = format!("\"{}\"", "x".repeat(LIMIT - 2)).into_bytes();
    Ok(vec![
        // The body, what SQLite is given of it, and what SQLite keeps.
        Case::plain("bytes", BYTES, 3, vec![7; LIMIT]),
        // Nobody knows how long it becomes, so its buffer grows.
        Case {
            encoding: "gzip",
            size: LIMIT,
            ..Case::plain("bytes in gzip", BYTES, 4, encoder.finish()?)
        },
        // Messages are written to a text of their own.
        Case::plain("a string", JSON, 4, text),
        // Where each of them ends takes 8 bytes besides.
        Case::plain("a million strings", JSON, 4, array(&string, 999_999)),
        Case::plain("a million zeros", JSON, 8, array("0", 999_999)),
    ])
}

#[test]
fn a_large_append_takes_a_few_times_its_length() -> Result<()> {
    let mut table = String::from("MB: body, before, at most, after");
    let mut too_much = Vec::new();
    for case in cases()? {
        // Each has a process of its own: what was the most is not forgotten.
        let state = Scratch::new("memory-state")?;
        let server = Server::start(&state, &VARS)?;
        let stream = Stream::create(server.client(), "memory", case.content_type)?;
        stream.append("1")?;
        let process = server.workerd()?;
        let (before, _) = process.memory()?;
        let call = stream.post().header("content-encoding", case.encoding);
        call.send_bytes(&case.body)?
            .expect(204)
            .context(case.what)?;
        let (after, most) = process.memory()?;
        let [size, before, most, after] =
            [case.size as u64, before, most, after].map(|bytes| bytes as f64 / 1e6);
        write!(
            table,
            "\n{}: {size:.1}, {before:.1}, {most:.1}, {after:.1}",
            case.what
        )?;
        let bound = (case.times * case.size as u64 + ALLOWANCE) as f64 / 1e6;
        if most - before > bound {
            too_much.push(format!(
                "{}: {:.1} MB of {bound:.1}",
                case.what,
                most - before
            ));
        }
        server.stop()?;
    }
    say(&table);
    ensure!(too_much.is_empty(), "{}", too_much.join("\n"));
    Ok(())
}
