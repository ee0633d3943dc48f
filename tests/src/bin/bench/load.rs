//! Requests over connections that stay open, all from one thread, so that the load costs the machine
//! little beside the server that bears it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use durable_streams_tests::http::Client;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};

/// Longer than anything takes: it ends a run that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request, all of it.
pub fn request(
    client: &Client,
    method: &str,
    target: &str,
    body: Option<(&str, &[u8])>,
) -> Vec<u8> {
    let host = client.base().trim_start_matches("http://");
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in client.headers() {
        head += &format!("{name}: {value}\r\n");
    }
    if let Some((content_type, body)) = body {
        let length = body.len();
        head += &format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n");
    }
    head += "\r\n";
    let mut request = head.into_bytes();
    request.extend_from_slice(body.map_or(b"", |(_, body)| body));
    request
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    head: String,
    /// Its body, without its chunks' lengths.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// One connection and what has come of an answer.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    bytes: Vec<u8>,
    head: Option<String>,
    body: Body,
}

/// How an answer's body goes on.
#[derive(Debug)]
enum Body {
    Length(usize),
    /// What is whole has been moved here.
    Chunks(Vec<u8>),
}

impl Connection {
    /// A connection to the server of `client`.
    pub fn open(client: &Client) -> Result<Self> {
        let host = client.base().trim_start_matches("http://");
        let socket = TcpStream::connect(host).context("connecting")?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            bytes: Vec::new(),
            head: None,
            body: Body::Length(0),
        })
    }

    /// Sends a request and waits for its answer, which must say that it went well.
    pub fn call(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            if let Some(answer) = self.receive(&mut buffer)? {
                return Ok(answer);
            }
        }
    }

    fn send(&mut self, request: &[u8]) -> Result<()> {
        self.socket.write_all(request).context("sending a request")
    }

    /// Reads once, and gives the answer if this was the rest of it.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Answer>> {
        let length = self.socket.read(buffer).context("reading an answer")?;
        ensure!(length > 0, "the connection has ended");
        self.bytes.extend_from_slice(&buffer[..length]);
        self.parse()
    }

    fn parse(&mut self) -> Result<Option<Answer>> {
        if self.head.is_none() {
            let end = self
                .bytes
                .windows(4)
                .position(|window| window == b"\r\n\r\n");
            let Some(end) = end else {
                return Ok(None);
            };
            let rest = self.bytes.split_off(end + 4);
            let head = String::from_utf8(std::mem::replace(&mut self.bytes, rest))?;
            let is_chunked = header(&head, "transfer-encoding") == Some("chunked");
            self.body = if is_chunked {
                Body::Chunks(Vec::new())
            } else {
                let length = header(&head, "content-length").map_or(Ok(0), str::parse);
                Body::Length(length?)
            };
            self.head = Some(head);
        }
        let body = match &mut self.body {
            Body::Length(length) if self.bytes.len() < *length => return Ok(None),
            Body::Length(length) => {
                let rest = self.bytes.split_off(*length);
                std::mem::replace(&mut self.bytes, rest)
            }
            Body::Chunks(whole) => {
                let (used, is_over) = take_chunks(&self.bytes, whole)?;
                self.bytes.drain(..used);
                if !is_over {
                    return Ok(None);
                }
                std::mem::take(whole)
            }
        };
        let head = self.head.take().unwrap_or_default();
        let status = head.split(' ').nth(1).unwrap_or_default();
        if !matches!(status, "200" | "201" | "204") {
            bail!("{head}{}", String::from_utf8_lossy(&body));
        }
        Ok(Some(Answer { head, body }))
    }
}

/// Moves what is whole to its end, and says how much that was and whether it was the last.
fn take_chunks(bytes: &[u8], whole: &mut Vec<u8>) -> Result<(usize, bool)> {
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else {
            return Ok((used, false));
        };
        let text = std::str::from_utf8(&rest[..end])?;
        let length = usize::from_str_radix(text.trim(), 16).context("a chunk's length")?;
        // Its own line end is behind it.
        let Some(chunk) = rest.get(end + 2..end + 2 + length + 2) else {
            return Ok((used, false));
        };
        whole.extend_from_slice(&chunk[..length]);
        used += end + 2 + length + 2;
        if length == 0 {
            return Ok((used, true));
        }
    }
}

/// What came of a load.
#[derive(Debug)]
pub struct Outcome {
    /// From the first request to the last answer.
    pub wall: Duration,
    /// How long each request took, in the order of the requests.
    pub times: Vec<Duration>,
}

/// Sends so many requests, each connection its next one when its last one is answered. `next` makes
/// the request of a number for a connection, and `answered` takes note of its answer.
pub fn run(
    client: &Client,
    connections: usize,
    requests: usize,
    mut next: impl FnMut(usize, usize) -> Vec<u8>,
    mut answered: impl FnMut(usize, &Answer),
) -> Result<Outcome> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut open = Vec::new();
    for at in 0..connections {
        let connection = Connection::open(client)?;
        let data = EventData::new_u64(u64::try_from(at)?);
        epoll::add(&epoll, &connection.socket, data, EventFlags::IN)?;
        open.push((connection, None));
    }
    let begin = Instant::now();
    let mut times = vec![Duration::ZERO; requests];
    let (mut sent, mut received) = (0, 0);
    for (at, (connection, pending)) in open.iter_mut().enumerate() {
        if sent < requests {
            let request = next(at, sent);
            *pending = Some((sent, Instant::now()));
            connection.send(&request)?;
            sent += 1;
        }
    }
    let mut buffer = vec![0; 1 << 18];
    let patience = Timespec::try_from(PATIENCE)?;
    while received < requests {
        let mut events = Vec::with_capacity(64);
        let spare = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(&epoll, spare, Some(&patience)) {
            Ok(0) => bail!("no answer within {PATIENCE:?}, after {received} of {requests}"),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let at = usize::try_from(event.data.u64())?;
            let (connection, pending) = &mut open[at];
            let answer = connection.receive(&mut buffer).with_context(|| {
                let what = pending.map_or("no request".to_owned(), |(n, _)| format!("request {n}"));
                format!("{what} on connection {at}, after {received} of {requests} answers")
            })?;
            let Some(answer) = answer else {
                continue;
            };
            let (number, start) = pending.take().context("an answer that nobody asked for")?;
            times[number] = start.elapsed();
            answered(number, &answer);
            received += 1;
            if sent < requests {
                let request = next(at, sent);
                *pending = Some((sent, Instant::now()));
                connection.send(&request)?;
                sent += 1;
            }
        }
    }
    Ok(Outcome {
        wall: begin.elapsed(),
        times,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn chunks_are_put_together_however_they_are_cut() -> Result<()> {
        let sent = b"3\r\nabc\r\n1\r\n\r\r\n0\r\n\r\n";
        for cut in 0..sent.len() {
            let mut whole = Vec::new();
            let (used, is_over) = take_chunks(&sent[..cut], &mut whole)?;
            assert!(!is_over, "cut at {cut}");
            let (rest, is_over) = take_chunks(&sent[used..], &mut whole)?;
            assert!(is_over, "cut at {cut}");
            assert_eq!((used + rest, whole), (sent.len(), b"abc\r".to_vec()));
        }
        Ok(())
    }

    #[test]
    fn every_request_is_answered_once_on_connections_that_stay_open() -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = Client::new(&format!("http://{}", listener.local_addr()?));
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                std::thread::spawn(move || echo(socket));
            }
        });
        let mut seen = vec![0; 100];
        let outcome = run(
            &client,
            3,
            100,
            |_, number| {
                request(
                    &client,
                    "POST",
                    &format!("/{number}"),
                    Some(("text/plain", b"x")),
                )
            },
            |number, answer| {
                assert_eq!(answer.body, format!("/{number}").into_bytes());
                assert_eq!(
                    answer.header("content-LENGTH"),
                    Some(&*answer.body.len().to_string())
                );
                seen[number] += 1;
            },
        )?;
        assert!(seen.iter().all(|count| *count == 1));
        assert!(outcome.times.iter().all(|time| *time > Duration::ZERO));
        Ok(())
    }

    /// Answers each request with its target.
    fn echo(socket: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(socket);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let target = line.split(' ').nth(1).context("the end")?.to_owned();
            while line != "\r\n" {
                line.clear();
                reader.read_line(&mut line)?;
            }
            reader.read_exact(&mut [0])?;
            let length = target.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}");
            reader.get_mut().write_all(answer.as_bytes())?;
        }
    }
}
