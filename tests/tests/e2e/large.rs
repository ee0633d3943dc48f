//! Bodies, messages and streams larger than a row, an answer or a limit.

use anyhow::Result;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::say;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::Stream;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::{BYTES, JSON, shared};

const MIB: usize = 1 << 20;

/// Bytes of every value, zero among them, that repeat at no power of two.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}

#[test]
fn sixteen_mebibytes_come_back_byte_for_byte() -> Result<()> {
    let stream = Stream::create(&shared()?, "large/bytes", BYTES)?;
    let body = noise(16 * MIB);
    let appended = stream.append(&body)?;
    let whole = stream.read()?;
    assert!(whole.pages.concat() == body, "other bytes");
    assert_eq!(appended.header("stream-next-offset"), Some(&*whole.tail));
    // An answer is bounded, so this takes several.
    assert!(whole.pages.len() >= 2, "{} answers", whole.pages.len());
    let longest = whole.pages.iter().map(Vec::len).max();
    assert!(longest < Some(10 * MIB), "an answer of {longest:?} bytes");
    Ok(())
}

#[test]
fn a_chunked_body_is_taken_like_one_with_a_length() -> Result<()> {
    let stream = Stream::create(&shared()?, "large/chunked", BYTES)?;
    let body = noise(3 * MIB);
    stream.post().send_chunked(&body[..])?.expect(204)?;
    assert!(stream.read()?.pages.concat() == body, "other bytes");
    Ok(())
}

#[test]
fn zero_bytes_survive_where_appends_share_a_chunk() -> Result<()> {
    let stream = Stream::create(&shared()?, "large/zeros", BYTES)?;
    let parts: [&[u8]; 5] = [b"\0", b"a\0b", b"\0\0\0", b"\xff\0\xfe", b"c"];
    for part in parts {
        stream.append(part)?;
    }
    assert_eq!(stream.read()?.pages.concat(), parts.concat());
    Ok(())
}

#[test]
fn a_message_longer_than_a_row_may_be_round_trips() -> Result<()> {
    let stream = Stream::create(&shared()?, "large/message", JSON)?;
    let long = json!({ "text": "é\u{0}\n\"".repeat(700_000), "n": 9_007_199_254_740_993_u64 });
    let body = serde_json::to_vec(&long)?;
    assert!(body.len() > 2 * MIB);
    stream.append(r#""before""#)?;
    stream.append(&body)?;
    stream.append(r#""after""#)?;
    let messages = stream.read()?.messages()?;
    assert!(messages == [json!("before"), long, json!("after")]);
    Ok(())
}

#[test]
fn a_hundred_thousand_messages_are_read_in_order() -> Result<()> {
    const BATCH: u64 = 1000;
    let stream = Stream::create(&shared()?, "large/many", JSON)?;
    for first in (0..100_000).step_by(BATCH as usize) {
        let batch: Vec<Value> = (first..first + BATCH)
            .map(|n| json!({ "n": n, "text": "one of a hundred thousand messages of a stream" }))
            .collect();
        stream.append(serde_json::to_vec(&batch)?)?;
    }
    let whole = stream.read()?;
    let messages = whole.messages()?;
    assert_eq!(messages.len(), 100_000);
    for (expected, message) in messages.iter().enumerate() {
        assert_eq!(message["n"], json!(expected));
    }
    let bytes: usize = whole.pages.iter().map(Vec::len).sum();
    say(&format!(
        "100,000 messages, {bytes} bytes, read in {} requests",
        whole.pages.len()
    ));
    Ok(())
}

#[test]
fn a_stream_of_which_somebody_has_read_the_beginning_can_be_deleted() -> Result<()> {
    let state = Scratch::new("partial-read-state")?;
    let server = Server::start(&state, &[("READ_MAX_BYTES", "1000")])?;
    let stream = Stream::create(server.client(), "partial", BYTES)?;
    for _ in 0..5 {
        stream.append([7; 3000])?;
    }
    let page = stream.get("-1").send()?.expect(200)?;
    assert_eq!(page.header("stream-up-to-date"), None);
    stream.call(Method::DELETE).send()?.expect(204)?;
    stream.head()?.expect(404)?;
    server.stop()
}

#[test]
fn a_body_above_the_limit_is_refused_and_leaves_nothing() -> Result<()> {
    let state = Scratch::new("limits-state")?;
    let server = Server::start(&state, &[("MAX_APPEND_BYTES", "100000")])?;
    let client = server.client();
    let stream = Stream::create(client, "limited", BYTES)?;
    let (fits, too_long) = (noise(100_000), noise(100_001));
    stream.append(&fits)?;
    let sized = stream.post().send_bytes(&too_long)?;
    assert_eq!(sized.expect(413)?.refusal()?.code, "too_large");
    let chunked = stream.post().send_chunked(&too_long[..])?;
    assert_eq!(chunked.expect(413)?.refusal()?.code, "too_large");
    assert!(stream.read()?.pages.concat() == fits, "other bytes");

    let unborn = Stream::named(client, "limited-creation", BYTES);
    let refused = unborn.put().send_bytes(&too_long)?;
    refused.expect(413)?;
    unborn.head()?.expect(404)?;
    unborn.put().send_bytes(&fits)?.expect(201)?;
    server.stop()
}

#[test]
fn answers_keep_to_a_smaller_budget() -> Result<()> {
    let state = Scratch::new("pages-state")?;
    let server = Server::start(&state, &[("READ_MAX_BYTES", "10000")])?;
    let bytes = Stream::create(server.client(), "bytes", BYTES)?;
    let body = noise(55_555);
    for part in body.chunks(777) {
        bytes.append(part)?;
    }
    let whole = bytes.read()?;
    assert!(whole.pages.concat() == body, "other bytes");
    assert!(whole.pages.len() >= 5, "{} answers", whole.pages.len());

    let messages = Stream::create(server.client(), "messages", JSON)?;
    let batch: Vec<u64> = (0..20_000).collect();
    messages.append(serde_json::to_vec(&batch)?)?;
    let whole = messages.read()?;
    assert_eq!(
        whole.messages()?,
        batch.into_iter().map(Value::from).collect::<Vec<_>>()
    );
    assert!(whole.pages.len() >= 5, "{} answers", whole.pages.len());
    server.stop()
}
