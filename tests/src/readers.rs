//! Many live readers of numbered messages, all in one thread, so that a thousand of them cost the
//! machine little beside the server they read from.
//!
//! A message is JSON with a number at `"n"`; a reader notes each number with the time it came.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::net::sockopt;

use crate::http::Client;

/// How a reader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One response of events.
    Sse,
    /// A request after the other.
    LongPoll,
}

/// A reader and what it has seen.
#[derive(Debug)]
pub struct Reader {
    socket: TcpStream,
    mode: Mode,
    host: String,
    path: String,
    answer: Answer,
    /// What has come of a line of events, or of the body of an answer.
    text: Vec<u8>,
    /// Where it goes on.
    next: String,
    /// The numbers that came, in order, and when.
    pub numbers: Vec<(u64, Instant)>,
    /// The status of the last answer.
    pub status: u16,
    /// Whether the reader was told that it has everything so far.
    pub caught_up: bool,
    /// Whether the reader was told that the stream is closed.
    pub closed: bool,
    /// Whether the server has ended the connection.
    pub ended: bool,
    /// How many answers have ended.
    pub answers: usize,
}

/// How far an answer has been read.
#[derive(Debug)]
enum Answer {
    Head(Vec<u8>),
    Chunk(Vec<u8>),
    Body { left: usize, chunked: bool },
}

/// See the module's text.
#[derive(Debug)]
pub struct Readers {
    epoll: OwnedFd,
    host: String,
    /// The readers, in the order they were added.
    pub all: Vec<Reader>,
}

impl Readers {
    /// No readers yet, of the server of `client`.
    pub fn of(client: &Client) -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            host: client.base().trim_start_matches("http://").to_owned(),
            all: Vec::new(),
        })
    }

    /// Lets one more read the stream at `path` from `offset` on.
    pub fn add(&mut self, path: &str, offset: &str, mode: Mode) -> Result<()> {
        let socket = self.connect(self.all.len())?;
        let mut reader = Reader {
            socket,
            mode,
            host: self.host.clone(),
            path: path.to_owned(),
            answer: Answer::Head(Vec::new()),
            text: Vec::new(),
            next: offset.to_owned(),
            numbers: Vec::new(),
            status: 0,
            caught_up: false,
            closed: false,
            ended: false,
            answers: 0,
        };
        reader.ask()?;
        self.all.push(reader);
        Ok(())
    }

    fn connect(&self, at: usize) -> Result<TcpStream> {
        let socket = TcpStream::connect(&self.host).context("connecting a reader")?;
        socket.set_nodelay(true)?;
        let at = EventData::new_u64(u64::try_from(at)?);
        epoll::add(&self.epoll, &socket, at, EventFlags::IN)?;
        Ok(socket)
    }

    /// Lets all of them hang up at once, so that the server hears of it: a connection that is just
    /// closed might still be read from.
    pub fn hang_up(self) -> Result<()> {
        for reader in &self.all {
            sockopt::set_socket_linger(&reader.socket, Some(Duration::ZERO))?;
        }
        Ok(())
    }

    /// Connects those again whose connection the server has ended, where they were.
    pub fn resume_ended(&mut self) -> Result<()> {
        for at in 0..self.all.len() {
            if self.all[at].ended {
                let socket = self.connect(at)?;
                let reader = &mut self.all[at];
                reader.socket = socket;
                reader.answer = Answer::Head(Vec::new());
                reader.text.clear();
                reader.ended = false;
                reader.ask()?;
            }
        }
        Ok(())
    }

    /// Reads until `done` says so; too long is an error.
    pub fn read_until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&[Reader]) -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        while !done(&self.all) {
            if start.elapsed() > crate::PATIENCE {
                bail!("waited {:?} in vain until {what}", crate::PATIENCE);
            }
            self.read_for(Duration::from_millis(50))?;
        }
        Ok(())
    }

    /// Reads what comes within `time` at the latest; returns as soon as something has.
    pub fn read_for(&mut self, time: Duration) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        let time = Timespec::try_from(time)?;
        match epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&time),
        ) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let at = usize::try_from(event.data.u64())?;
            let reader = &mut self.all[at];
            reader.read()?;
            if reader.ended {
                epoll::delete(&self.epoll, &reader.socket)?;
            }
        }
        Ok(())
    }
}

impl Reader {
    /// Just the numbers.
    pub fn seen(&self) -> Vec<u64> {
        self.numbers.iter().map(|(n, _)| *n).collect()
    }

    /// Asks for what comes next.
    fn ask(&mut self) -> Result<()> {
        let live = match self.mode {
            Mode::Sse => "sse",
            Mode::LongPoll => "long-poll",
        };
        let (path, host, offset) = (&self.path, &self.host, &self.next);
        let request =
            format!("GET {path}?offset={offset}&live={live} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        self.socket.set_nonblocking(false)?;
        self.socket.write_all(request.as_bytes())?;
        self.socket.set_nonblocking(true)?;
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let mut buffer = [0; 65_536];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(length) => self.take(&buffer[..length], Instant::now())?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    self.ended = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], now: Instant) -> Result<()> {
        while !bytes.is_empty() {
            match &mut self.answer {
                Answer::Head(head) => {
                    head.push(bytes[0]);
                    bytes = &bytes[1..];
                    if head.ends_with(b"\r\n\r\n") {
                        let head = String::from_utf8(std::mem::take(head))?;
                        self.take_head(&head)?;
                    }
                }
                Answer::Chunk(size) => {
                    size.push(bytes[0]);
                    bytes = &bytes[1..];
                    // The size is preceded by the end of the chunk before it.
                    if size.len() > 2 && size.ends_with(b"\r\n") {
                        let text = std::str::from_utf8(size)?.trim();
                        let left = usize::from_str_radix(text, 16)?;
                        self.answer = Answer::Body {
                            left,
                            chunked: true,
                        };
                        match self.mode {
                            Mode::Sse if left == 0 => self.ended = true,
                            // The line end behind the last chunk ends the answer.
                            Mode::LongPoll if left == 0 => {
                                self.answer = Answer::Body {
                                    left: 2,
                                    chunked: false,
                                };
                            }
                            _ => {}
                        }
                    }
                }
                Answer::Body { left, chunked } => {
                    let taken = bytes.len().min(*left);
                    let (body, rest) = bytes.split_at(taken);
                    *left -= taken;
                    let (is_over, chunked) = (*left == 0, *chunked);
                    bytes = rest;
                    self.take_body(body, now);
                    if is_over && chunked {
                        self.answer = Answer::Chunk(Vec::new());
                    } else if is_over {
                        self.end_answer(now)?;
                    }
                }
            }
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    fn take_head(&mut self, head: &str) -> Result<()> {
        let status = head.split(' ').nth(1).context("no status")?;
        self.status = status.parse()?;
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(": ")?;
                found.eq_ignore_ascii_case(name).then(|| value.to_owned())
            })
        };
        if self.mode == Mode::LongPoll {
            self.caught_up |= header("stream-up-to-date").is_some();
            self.closed |= header("stream-closed").is_some();
            self.next = header("stream-next-offset").unwrap_or_default();
        }
        if header("transfer-encoding").as_deref() == Some("chunked") {
            self.answer = Answer::Chunk(b"\r\n".to_vec());
            return Ok(());
        }
        let left = header("content-length").map_or(Ok(0), |length| length.parse())?;
        self.answer = Answer::Body {
            left,
            chunked: false,
        };
        if left == 0 {
            self.end_answer(Instant::now())?;
        }
        Ok(())
    }

    fn take_body(&mut self, body: &[u8], now: Instant) {
        if self.mode == Mode::LongPoll {
            self.text.extend_from_slice(body);
            return;
        }
        for byte in body {
            self.text.push(*byte);
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.text);
                note_numbers(&line, now, &mut self.numbers);
                let text = String::from_utf8_lossy(&line);
                self.caught_up |= text.contains("\"upToDate\":true");
                self.closed |= text.contains("\"streamClosed\":true");
                let next = text.split("\"streamNextOffset\":\"").nth(1);
                if let Some((next, _)) = next.and_then(|rest| rest.split_once('"')) {
                    next.clone_into(&mut self.next);
                }
            }
        }
    }

    /// A long-poll goes on where the answer ended.
    fn end_answer(&mut self, now: Instant) -> Result<()> {
        self.answers += 1;
        let body = std::mem::take(&mut self.text);
        note_numbers(&body, now, &mut self.numbers);
        self.answer = Answer::Head(Vec::new());
        let goes_on = matches!(self.status, 200 | 204) && !self.closed;
        if self.mode != Mode::LongPoll || !goes_on {
            return Ok(());
        }
        ensure!(!self.next.is_empty(), "an answer without an offset");
        self.ask()
    }
}

/// Finds `"n":12` and the like.
fn note_numbers(text: &[u8], now: Instant, numbers: &mut Vec<(u64, Instant)>) {
    const KEY: &[u8] = b"\"n\":";
    let mut rest = text;
    while let Some(at) = rest.windows(KEY.len()).position(|window| window == KEY) {
        rest = &rest[at + KEY.len()..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit());
        let number = digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
        numbers.push((number, now));
    }
}
