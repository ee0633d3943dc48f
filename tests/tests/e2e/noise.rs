//! Whatever bytes come in: the server answers, and goes on.

use anyhow::{Result, ensure};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::say;
use durable_streams_tests::server::Server;
use durable_streams_tests::stream::{START, Stream};
use ureq::http::Method;

use crate::JSON;

const REQUESTS: u64 = 400;
const METHODS: &[&str] = &[
    "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "BREW",
];
const TARGETS: &[&str] = &[
    "/v1/stream/noise/a",
    "/v1/streams/noise/a?offset=-1",
    "/v1/stream/noise%2Fb?offset=-1&live=sse",
    "/v1/stream/noise/%C3%A9?offset=now&live=long-poll",
    "/v1/stream/__ds/x",
    "/live/v1/stream/noise/a?offset=-1&live=sse",
    "/fork/lend",
];
const HEADERS: &[&str] = &[
    "Content-Type: application/json\r\n",
    "Content-Type: text/plain\r\nStream-TTL: 60\r\n",
    "Content-Type: text/plain\r\nProducer-Id: me\r\nProducer-Epoch: 0\r\nProducer-Seq: 0\r\n",
    "Stream-Expires-At: 2030-01-01T00:00:00Z\r\nStream-Closed: true\r\n",
    "Stream-Forked-From: /v1/stream/noise/a\r\nStream-Fork-Offset: -1\r\n",
    "If-None-Match: \"a\", W/\"b\"\r\nIf-Match: *\r\nStream-Seq: 1\r\n",
    "Origin: https://app.example\r\nAuthorization: Bearer a.b.c\r\n",
    "Ds-Version: 99\r\nDs-Cold: 7\r\nStream-If-Public: true\r\nUpgrade: websocket\r\n",
];
const BODIES: &[&str] = &["", "1", "[1,{\"a\":\"b\"}]", "hello", "{\"v\":99}"];

/// Numbers that are the same in each run: xorshift64.
struct Noise(u64);

impl Noise {
    fn below(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below.max(1) as u64) as usize
    }

    /// One of the examples with some bytes of it changed; the first stay.
    fn like(&mut self, examples: &[&str], first: usize) -> Vec<u8> {
        let mut bytes = examples[self.below(examples.len())].as_bytes().to_vec();
        for _ in 0..self.below(4) {
            let at = first + self.below(bytes.len().saturating_sub(first) + 1);
            let byte = self.below(256) as u8;
            match self.below(3) {
                _ if at > bytes.len() => {}
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    }
}

#[test]
fn noise_is_answered_and_the_server_goes_on() -> Result<()> {
    let state = Scratch::new("noise-state")?;
    let short = [("SSE_TIMEOUT_MS", "100"), ("LONG_POLL_TIMEOUT_MS", "100")];
    let server = Server::start(&state, &short)?;
    let client = server.client();
    let known = Stream::create(client, "noise/known", JSON)?;
    known.append("[1,2]")?;
    let mut noise = Noise(0x5eed);
    let mut answers = [0; 6];
    for n in 0..REQUESTS {
        let method = METHODS[noise.below(METHODS.len())];
        // A target that is none, with no slash before it, is refused by the runtime, with 500.
        let target = noise.like(TARGETS, 1);
        let line = [method.as_bytes(), b" ", &target].concat();
        let (headers, body) = (noise.like(HEADERS, 0), noise.like(BODIES, 0));
        let Ok(answer) = client.raw_bytes(&line, &headers, &body) else {
            // What is no HTTP at all may end the connection.
            answers[0] += 1;
            continue;
        };
        answers[usize::from(answer.status / 100)] += 1;
        // 501 is the runtime's, for methods that it does not know.
        ensure!(
            answer.status < 500 || answer.status == 501,
            "request {n}, {:?} {:?} {:?}: {answer:?}",
            String::from_utf8_lossy(&line),
            String::from_utf8_lossy(&headers),
            String::from_utf8_lossy(&body)
        );
    }
    say(&format!(
        "{REQUESTS} requests of noise: {answers:?} by hundreds"
    ));
    assert!(answers[2] > 20 && answers[4] > 100, "{answers:?}");
    assert_eq!(known.read()?.messages()?, [1, 2]);
    known.get(START).send()?.expect(200)?;
    let log = server.log()?;
    for trouble in ["panicked", "RuntimeError", "unreachable"] {
        ensure!(!log.contains(trouble), "{log}");
    }
    known.call(Method::DELETE).send()?.expect(204)?;
    server.stop()
}
