//! Bodies on their way in: those that are refused while they are still sent, and encoded ones.

use std::io::Write;

use anyhow::{Context, Result};
use durable_streams_tests::http::{Client, Response};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::{Auth, Worker};
use durable_streams_tests::server::{Server, Setup};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::token::{record, token};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::{BYTES, JSON, clients, shared};

const SECRET: &str = "the secret of the project called p";
/// The default of `MAX_APPEND_BYTES`.
const LIMIT: usize = 20 << 20;

const REFUSED: [&str; 9] = [
    "too long to append",
    "too long to create",
    "with a wrong token",
    "for another project",
    "to no stream",
    "by a method that streams do not have",
    "to delete what is not there",
    "in an unknown encoding",
    "that is not in its encoding",
];

#[test]
fn a_client_that_is_still_sending_gets_every_refusal() -> Result<()> {
    let state = Scratch::new("refusals-state")?;
    let setup = Setup {
        entries: vec![("p", record(SECRET))],
        ..Setup::default()
    };
    let server = Server::set_up(&Worker::with(Auth::ProjectJwt)?, &state, &setup)?;
    let expected: Vec<String> = REFUSED
        .iter()
        .flat_map(|what| ["announced", "chunked"].map(|how| format!("{what}, {how}")))
        .collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let args = [server.client().base(), &token(SECRET, "p", "write")];
    clients::run(clients::node("refusals.mjs")?.args(args), &expected)?;
    server.stop()
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

fn deflate(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}

/// Appends a body in this encoding, of an announced length or chunked.
fn append(stream: &Stream, encoding: &str, body: &[u8], is_chunked: bool) -> Result<Response> {
    let call = stream.post().header("content-encoding", encoding);
    if is_chunked {
        call.send_chunked(body)
    } else {
        call.send_bytes(body)
    }
}

#[test]
fn encoded_bodies_are_taken_for_what_they_become() -> Result<()> {
    let client = shared()?;
    let stream = Stream::create(&client, "bodies/encoded", BYTES)?;
    let mut expected = Vec::new();
    // Some are shorter than what is read at once, some become longer, some do not shrink.
    for body in [b"x".to_vec(), vec![7; 3 << 20], noise(1 << 20)] {
        for (encoding, encoded) in [
            ("gzip", gzip(&body)?),
            ("X-Gzip", gzip(&body)?),
            ("deflate", deflate(&body)?),
            ("identity", body.clone()),
        ] {
            for is_chunked in [false, true] {
                append(&stream, encoding, &encoded, is_chunked)?
                    .expect(204)
                    .with_context(|| format!("{encoding}, chunked: {is_chunked}"))?;
                expected.extend_from_slice(&body);
            }
        }
    }
    assert!(stream.read()?.pages.concat() == expected, "other bytes");

    let created = Stream::named(&client, "bodies/encoded-creation", JSON);
    let put = created.put().header("content-encoding", "gzip");
    put.send_bytes(&gzip(b"[1, 2]")?)?.expect(201)?;
    append(&created, "gzip", &gzip(br#"{"a": 3}"#)?, false)?.expect(204)?;
    let messages = created.read()?.messages()?;
    assert_eq!(messages, [json!(1), json!(2), json!({ "a": 3 })]);
    Ok(())
}

#[test]
fn an_encoded_body_of_nothing_is_an_empty_body() -> Result<()> {
    let stream = Stream::create(&shared()?, "bodies/nothing", BYTES)?;
    let refused = append(&stream, "gzip", &gzip(b"")?, false)?.expect(400)?;
    let message = refused.refusal()?.message;
    assert!(message.contains("must not be empty"), "{message}");
    let close = stream.post().header("stream-closed", "true");
    let close = close.header("content-encoding", "gzip");
    close.send_bytes(&gzip(b"")?)?.expect(204)?;
    let head = stream.head()?.expect(200)?;
    assert_eq!(head.header("stream-closed"), Some("true"));
    Ok(())
}

#[test]
fn other_encodings_are_refused_with_those_that_are_decoded() -> Result<()> {
    let stream = Stream::create(&shared()?, "bodies/unknown", BYTES)?;
    for encoding in ["br", "zstd", "gzip, gzip", "gzip, deflate", "compress"] {
        for is_chunked in [false, true] {
            let refused = append(&stream, encoding, &gzip(b"x")?, is_chunked)?.expect(415)?;
            assert_eq!(refused.header("accept-encoding"), Some("gzip, deflate"));
            let refusal = refused.refusal()?;
            assert_eq!(refusal.code, "unsupported_encoding");
            assert!(refusal.message.contains(encoding), "{}", refusal.message);
        }
    }
    assert_eq!(stream.read()?.pages.concat(), b"");
    Ok(())
}

#[test]
fn what_cannot_be_decoded_is_refused_and_leaves_nothing() -> Result<()> {
    let stream = Stream::create(&shared()?, "bodies/broken", BYTES)?;
    let whole = gzip(&noise(300_000))?;
    let trailing = [&whole[..], b"more"].concat();
    let mut damaged = whole.clone();
    let end = damaged.len();
    damaged[end - 6] ^= 1;
    for (what, encoding, body) in [
        ("plain", "gzip", &b"not encoded at all"[..]),
        ("truncated", "gzip", &whole[..whole.len() / 2]),
        ("without its end", "gzip", &whole[..whole.len() - 1]),
        ("with a wrong checksum", "gzip", &damaged),
        ("with something after it", "gzip", &trailing),
        ("gzip", "deflate", &whole),
        ("deflate", "gzip", &deflate(b"x")?),
    ] {
        for is_chunked in [false, true] {
            let refused = append(&stream, encoding, body, is_chunked)?.expect(400);
            let message = refused.context(what)?.refusal()?.message;
            assert!(message.contains("Content-Encoding"), "{what}: {message}");
        }
    }
    assert_eq!(stream.read()?.pages.concat(), b"");
    Ok(())
}

#[test]
fn the_limit_counts_what_a_body_becomes() -> Result<()> {
    let stream = Stream::create(&shared()?, "bodies/limit", BYTES)?;
    // A gigabyte, were it decoded to its end.
    let bomb = {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        for _ in 0..1024 {
            encoder.write_all(&[0; 1 << 20])?;
        }
        encoder.finish()?
    };
    let (fits, too_long) = (noise(LIMIT), noise(LIMIT + 1));
    for is_chunked in [false, true] {
        for body in [&bomb, &gzip(&too_long)?] {
            let refused = append(&stream, "gzip", body, is_chunked)?.expect(413)?;
            assert_eq!(refused.refusal()?.code, "too_large");
        }
        append(&stream, "identity", &too_long, is_chunked)?.expect(413)?;
    }
    assert_eq!(stream.read()?.pages.concat(), b"");
    // It comes in more than the limit, and becomes just that.
    let encoded = gzip(&fits)?;
    assert!(encoded.len() > LIMIT);
    append(&stream, "gzip", &encoded, false)?.expect(204)?;
    assert!(stream.read()?.pages.concat() == fits, "other bytes");
    Ok(())
}

#[test]
fn a_connection_goes_on_after_a_body_that_was_refused() -> Result<()> {
    let state = Scratch::new("refused-bodies-state")?;
    let server = Server::start(&state, &[("MAX_APPEND_BYTES", "1000")])?;
    let client: &Client = server.client();
    let stream = Stream::create(client, "limited", BYTES)?;
    for length in [1001, 1 << 20] {
        let body = noise(length);
        for _ in 0..20 {
            // They come one after the other over the same connection.
            stream.post().send_bytes(&body)?.expect(413)?;
            stream.post().send_chunked(&body[..])?.expect(413)?;
            stream.append(b"x")?;
        }
    }
    assert_eq!(stream.read()?.pages.concat(), [b'x'; 40]);
    server.stop()
}
