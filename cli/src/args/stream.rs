//! Options of commands that work on streams.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};

use super::{ServerFlags, values::lifetime};
use crate::stream::{Expiry, Offset};

/// Which server, and who asks it.
#[derive(Debug, Clone, Args)]
pub struct StreamFlags {
    /// Which server.
    #[command(flatten)]
    pub server: ServerFlags,
    /// Where the token is: `-` reads it from stdin, `@FILE` from a file, `env:NAME` from a variable
    /// [default: made with the project's secret; where --url or STREAM_URL names the server, the
    /// authorization in STREAM_AUTH]
    #[arg(long, value_name = "SOURCE")]
    pub token: Option<String>,
}

/// What to do with streams. Streams are named by their path below their project; with --url, or
/// `STREAM_URL` in the environment, by their path below that URL.
#[derive(Debug, Subcommand)]
pub enum Stream {
    /// Make a stream; to repeat it changes nothing
    Create(CreateStream),
    /// Append messages to a stream: arguments, or what comes on stdin
    Append(AppendStream),
    /// Print what a stream holds: of JSON a message a line, all else as it is
    Read(ReadStream),
    /// Print what a stream holds, and then what comes, each message once, until it is closed
    Follow(FollowStream),
    /// Show what is known of a stream: what it holds, its tail, whether it is closed, when it expires
    Head(OneStream),
    /// Close a stream: nothing can be appended any more
    Close(OneStream),
    /// Delete streams
    Delete(DeleteStream),
    /// Make a stream that begins as another one
    Fork(ForkStream),
    /// List the streams
    List(ListStreams),
    /// Drop what lies before an offset, for good
    Truncate(TruncateStream),
    /// Write streams to files, or what has come since the last time; broken off, it goes on
    Export(ExportStreams),
    /// Make streams of what `export` has written; broken off and run again, nothing is there twice
    Import(ImportStreams),
}

/// When a stream ends by itself.
#[derive(Debug, Clone, Args)]
pub struct Lifetime {
    /// Let it expire when nobody has read or written it for so long, as in 90s, 15m, 1h or 30d
    #[arg(long, value_name = "TIME", value_parser = lifetime, conflicts_with = "expires_at")]
    pub ttl: Option<Duration>,
    /// Let it expire at a time, as in 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub expires_at: Option<String>,
}

impl Lifetime {
    /// As the client takes it.
    pub fn expiry(&self) -> Option<Expiry> {
        let idle = self.ttl.map(|ttl| Expiry::Idle(ttl.as_secs()));
        idle.or_else(|| self.expires_at.clone().map(Expiry::At))
    }
}

/// Options of `stream create`.
#[derive(Debug, Args)]
pub struct CreateStream {
    /// The stream
    pub stream: String,
    /// What it holds: json, text, bytes, or a content type; JSON keeps its messages apart
    #[arg(long, short = 't', value_name = "TYPE", default_value = "json", value_parser = content_type)]
    pub content_type: String,
    /// When it ends by itself.
    #[command(flatten)]
    pub lifetime: Lifetime,
    /// Keep the end of it only, as in messages=1000 for JSON and bytes=1000000 for all else
    #[arg(long, value_name = "LIMIT")]
    pub retention: Option<String>,
    /// Close it at once
    #[arg(long)]
    pub closed: bool,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream append`.
#[derive(Debug, Args)]
pub struct AppendStream {
    /// The stream
    pub stream: String,
    /// What to append: for a stream of JSON, each is a message [default: stdin, of JSON a message after
    /// the other]
    #[arg(value_name = "DATA", allow_negative_numbers = true)]
    pub data: Vec<String>,
    /// Take each argument, or each line of stdin, as a text, and append it as a JSON string
    #[arg(long)]
    pub strings: bool,
    /// Append the elements of arrays, each as a message
    #[arg(long, conflicts_with = "strings")]
    pub flatten: bool,
    /// How many messages at most go into one append [default: 1000; with --producer, exactly 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batch: Option<u32>,
    /// Count each append once, however often it is sent: the name of whoever appends. The same input sent
    /// again, also after a break, appends what is missing; another input needs another name, and an
    /// append of its own the next --seq
    #[arg(long, value_name = "ID", value_parser = producer)]
    pub producer: Option<String>,
    /// Which run of the producer it is: a higher one shuts those before out
    #[arg(long, value_name = "N", requires = "producer", default_value_t = 0)]
    pub epoch: u64,
    /// The number of the first append in this run: without gaps, from 0
    #[arg(long, value_name = "N", requires = "producer", default_value_t = 0)]
    pub seq: u64,
    /// Close the stream with the last append
    #[arg(long)]
    pub close: bool,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream read`.
#[derive(Debug, Args)]
pub struct ReadStream {
    /// The stream
    pub stream: String,
    /// Where to begin: start, now, or an offset
    #[arg(long, value_name = "OFFSET", default_value = "start", value_parser = offset, allow_hyphen_values = true)]
    pub from: Offset,
    /// Stop after so many messages of JSON, or bytes of all else
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<u64>,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream follow`.
#[derive(Debug, Args)]
pub struct FollowStream {
    /// The stream
    pub stream: String,
    /// Where to begin: start, now, or an offset
    #[arg(long, value_name = "OFFSET", default_value = "start", value_parser = offset, allow_hyphen_values = true)]
    pub from: Offset,
    /// Stop after so many messages of JSON, or bytes of all else
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<u64>,
    /// How what comes is brought [default: by long-poll for text, by events for all else]
    #[arg(long, value_enum, value_name = "WAY")]
    pub live: Option<TransportChoice>,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// How what comes is brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TransportChoice {
    /// Server-sent events
    Sse,
    /// Requests that are answered when there is something
    LongPoll,
}

/// A stream, and nothing more to be said of it.
#[derive(Debug, Args)]
pub struct OneStream {
    /// The stream
    pub stream: String,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream delete`.
#[derive(Debug, Args)]
pub struct DeleteStream {
    /// The streams
    #[arg(required = true, value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Ask nothing
    #[arg(long, short)]
    pub yes: bool,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream fork`.
#[derive(Debug, Args)]
pub struct ForkStream {
    /// The stream to begin with
    pub source: String,
    /// The stream to make
    pub stream: String,
    /// Up to where it is as its source [default: the tail]
    #[arg(long, value_name = "OFFSET", value_parser = offset, allow_hyphen_values = true)]
    pub at: Option<Offset>,
    /// How many messages of JSON, or bytes, it has beyond --at
    #[arg(long, value_name = "N", requires = "at")]
    pub beyond: Option<u64>,
    /// When it ends by itself.
    #[command(flatten)]
    pub lifetime: Lifetime,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream list`.
#[derive(Debug, Args)]
pub struct ListStreams {
    /// Those whose paths begin like this [default: all]
    #[arg(default_value = "", hide_default_value = true)]
    pub prefix: String,
    /// Show their content types and when they were made, too
    #[arg(long, short)]
    pub long: bool,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream truncate`.
#[derive(Debug, Args)]
pub struct TruncateStream {
    /// The stream
    pub stream: String,
    /// Where it is to begin: an offset, or `now` to drop all there is
    #[arg(long, value_name = "OFFSET", value_parser = offset)]
    pub before: Offset,
    /// Ask nothing
    #[arg(long, short)]
    pub yes: bool,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream export`.
#[derive(Debug, Args)]
pub struct ExportStreams {
    /// The folder to write to; it is made if it is not there
    pub dir: PathBuf,
    /// The streams [default: all that the server lists]
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Those whose paths begin like this
    #[arg(long, value_name = "PREFIX", conflicts_with = "streams")]
    pub prefix: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

/// Options of `stream import`.
#[derive(Debug, Args)]
pub struct ImportStreams {
    /// The folder that `export` has written to
    pub dir: PathBuf,
    /// The streams [default: all that are there]
    #[arg(value_name = "STREAM")]
    pub streams: Vec<String>,
    /// Put this before the paths of the streams, as in restored/
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub into: String,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}

fn offset(text: &str) -> Result<Offset, String> {
    Offset::parse(text).map_err(|error| error.to_string())
}

/// A content type, or a word for one.
fn content_type(text: &str) -> Result<String, String> {
    match text {
        "json" => Ok("application/json".to_owned()),
        "text" => Ok("text/plain; charset=utf-8".to_owned()),
        "bytes" => Ok("application/octet-stream".to_owned()),
        text if text.contains('/') && text.is_ascii() => Ok(text.to_owned()),
        text => Err(format!(
            "`{text}` is none of json, text and bytes, and no content type such as image/png"
        )),
    }
}

/// What can be in a header.
fn producer(text: &str) -> Result<String, String> {
    let is_plain = |b: u8| b.is_ascii_graphic() || b == b' ';
    match !text.trim().is_empty() && text.len() <= 256 && text.bytes().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("a producer's name is 1 to 256 visible ASCII characters".to_owned()),
    }
}
