//! Appends that count only if nobody was faster.

use std::sync::Barrier;
use std::thread;

use anyhow::{Context, Result, anyhow};
use durable_streams_tests::http::Response;
use durable_streams_tests::stream::{START, Stream};
use ureq::http::Method;

use crate::{JSON, shared};

fn tail(answer: &Response) -> Result<String> {
    let tail = answer.header("stream-next-offset").context("no offset")?;
    Ok(tail.to_owned())
}

fn append_at(stream: &Stream, tail: &str, body: &str) -> Result<Response> {
    let post = stream.post().header("if-match", format!("\"{tail}\""));
    post.send_bytes(body.as_bytes())
}

#[test]
fn of_two_writers_one_is_told_that_it_was_overtaken() -> Result<()> {
    let stream = Stream::create(&shared()?, "overtaken/race", JSON)?;
    // Both have read the same, and both write.
    for round in 0..10 {
        let before = tail(&stream.head()?.expect(200)?)?;
        let start = Barrier::new(2);
        let write = |name: &str| {
            start.wait();
            append_at(&stream, &before, &format!("\"{name} {round}\""))
        };
        let (first, second) = thread::scope(|scope| {
            let first = scope.spawn(|| write("first"));
            let second = write("second");
            (first.join(), second)
        });
        let first = first.map_err(|_| anyhow!("a writer panicked"))??;
        let answers = [first, second?];
        let mut statuses = answers.each_ref().map(|answer| answer.status);
        statuses.sort_unstable();
        assert_eq!(statuses, [204, 412], "round {round}");
        let now = tail(&stream.head()?.expect(200)?)?;
        for answer in answers {
            assert_eq!(tail(&answer)?, now);
            if answer.status == 412 {
                assert_eq!(answer.refusal()?.code, "overtaken");
                // Whoever has lost reads what came before, and tries again.
                let news = stream.get(&before).send()?.expect(200)?;
                assert_eq!(tail(&news)?, now);
                append_at(&stream, &now, "\"again\"")?.expect(204)?;
            } else {
                assert_eq!(answer.count("rows_written")?, 1);
            }
        }
    }
    assert_eq!(stream.read()?.messages()?.len(), 20);
    Ok(())
}

#[test]
fn tags_are_offsets_in_quotes() -> Result<()> {
    let stream = Stream::create(&shared()?, "overtaken/tags", JSON)?;
    let post = |tag: &str| stream.post().header("if-match", tag).send_bytes(b"1");
    let old = "0000000000000000_0000000000000000";
    let other = "0000000000000000_0000000000000009_0000";
    for tag in [START, old] {
        post(&format!("W/\"{tag}\""))?.expect(412)?;
    }
    post(&format!("\"{other}\""))?.expect(412)?;
    post(&format!("\"{other}\", \"{old}\""))?.expect(204)?;
    post("*")?.expect(204)?;
    let page = stream.get(START).send()?.expect(200)?;
    let etag = page.header("etag").context("no ETag")?;
    for bad in [START, etag, "\"now\"", "\"", ","] {
        let refused = post(bad)?.expect(400)?;
        let message = refused.refusal()?.message;
        assert!(message.starts_with("If-Match "), "{bad}: {message}");
    }
    let absent = Stream::named(&shared()?, "overtaken/absent", JSON);
    let post = absent.post().header("if-match", "*");
    post.send_bytes(b"1")?.expect(404)?;
    Ok(())
}

#[test]
fn producers_and_closes_can_be_overtaken_and_repeated() -> Result<()> {
    let stream = Stream::create(&shared()?, "overtaken/producer", JSON)?;
    let post = |tag: &str, seq| {
        let post = stream.post_as("p", 0, seq);
        post.header("if-match", format!("\"{tag}\""))
            .send_bytes(b"1")
    };
    let first = tail(&post(START, 0)?.expect(200)?)?;
    post(START, 1)?.expect(412)?;
    post(START, 0)?.expect(204)?;
    let second = tail(&post(&first, 1)?.expect(200)?)?;

    let close = |tag: &str| {
        let close = stream.call(Method::POST).header("stream-closed", "true");
        close.header("if-match", format!("\"{tag}\"")).send()
    };
    close(&first)?.expect(412)?;
    for _ in 0..2 {
        close(&second)?.expect(204)?;
    }
    let late = close(&first)?.expect(412)?;
    assert_eq!(late.header("stream-closed"), Some("true"));

    // It was closed by nobody's tuple.
    let close = stream.call(Method::POST).header("stream-closed", "true");
    let close = close.header("producer-id", "q");
    let close = close
        .header("producer-epoch", "0")
        .header("producer-seq", "0");
    let refused = close.send()?.expect(409)?;
    assert_eq!(refused.header("stream-closed"), Some("true"));
    Ok(())
}
