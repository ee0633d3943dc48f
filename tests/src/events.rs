//! One reader of a stream's events, whole event by whole event, at the pace of whoever reads.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::http::Client;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub name: String,
    /// Its data, a line end between lines.
    pub data: String,
}

/// See the module's text.
#[derive(Debug)]
pub struct Events {
    body: BufReader<Chunks>,
    is_base64: bool,
}

impl Events {
    /// Connects to the stream at `path` at an offset. The answer has to be events.
    pub fn connect(client: &Client, path: &str, offset: &str) -> Result<Self> {
        let host = client.base().trim_start_matches("http://");
        let mut socket = TcpStream::connect(host).context("connecting a reader")?;
        socket.set_read_timeout(Some(crate::PATIENCE))?;
        let mut request =
            format!("GET {path}?offset={offset}&live=sse HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in client.headers() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{request}\r\n").as_bytes())?;
        // What is not asked for stays with the server.
        let mut socket = BufReader::with_capacity(1 << 16, socket);
        let head = head(&mut socket)?;
        ensure!(head.starts_with("http/1.1 200 "), "no events: {head}");
        ensure!(head.contains("transfer-encoding: chunked"), "{head}");
        ensure!(!head.contains("ds-"), "what is not for clients: {head}");
        let body = BufReader::with_capacity(1 << 16, Chunks::of(socket));
        Ok(Self {
            body,
            is_base64: head.contains("stream-sse-data-encoding: base64"),
        })
    }

    /// The next event; nothing when the answer has ended regularly. To be broken off, or to end
    /// within an event, is an error.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        let (mut name, mut data) = (String::new(), Vec::new());
        let mut line = Vec::new();
        loop {
            line.clear();
            self.body.read_until(b'\n', &mut line)?;
            let text = std::str::from_utf8(&line)?;
            match text.strip_suffix('\n') {
                None if text.is_empty() && name.is_empty() => return Ok(None),
                None => bail!("the answer ends within an event of type {name:?}"),
                Some("") => {
                    let data = data.join("\n");
                    return Ok(Some(Event { name, data }));
                }
                Some(line) => match line.split_once(':') {
                    Some(("event", value)) => value.trim().clone_into(&mut name),
                    Some(("data", value)) => {
                        data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
                    }
                    _ => bail!("{line:?} is no line of an event"),
                },
            }
        }
    }

    /// Reads until the reader is told that it has everything, and gives the data of events.
    pub fn to_tail(&mut self) -> Result<Vec<Vec<u8>>> {
        let mut all = Vec::new();
        loop {
            let event = self.next_event()?.context("the answer has ended")?;
            match event.name.as_str() {
                "data" if self.is_base64 => all.push(decode(&event.data)?),
                "data" => all.push(event.data.into_bytes()),
                "control" if event.data.contains("\"upToDate\":true") => return Ok(all),
                "control" => {}
                other => bail!("an event of type {other:?}"),
            }
        }
    }

    /// The next bytes, at least this many.
    pub fn bytes(&mut self, least: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < least {
            bytes.extend(self.to_tail()?.concat());
        }
        Ok(bytes)
    }

    /// The next messages of a JSON stream, at least this many.
    pub fn messages(&mut self, least: usize) -> Result<Vec<Value>> {
        let mut messages = Vec::new();
        while messages.len() < least {
            for data in self.to_tail()? {
                messages.extend(serde_json::from_slice::<Vec<Value>>(&data)?);
            }
        }
        Ok(messages)
    }
}

fn decode(data: &str) -> Result<Vec<u8>> {
    let decoded = STANDARD.decode(data);
    decoded.map_err(|error| anyhow!("{error}"))
}

/// Status and headers of an answer, in lower case.
fn head(socket: &mut impl BufRead) -> Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(socket.read_line(&mut head)? > 0, "no answer: {head:?}");
    }
    Ok(head.to_lowercase())
}

/// A body in chunks.
#[derive(Debug)]
struct Chunks {
    socket: BufReader<TcpStream>,
    left: usize,
    is_over: bool,
}

impl Chunks {
    fn of(socket: BufReader<TcpStream>) -> Self {
        Self {
            socket,
            left: 0,
            is_over: false,
        }
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        match self.socket.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim().to_owned()),
        }
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        if self.left == 0 && !self.is_over {
            let size = self.line()?;
            self.left = usize::from_str_radix(&size, 16).map_err(Error::other)?;
            self.is_over = self.left == 0;
        }
        if self.is_over {
            return Ok(0);
        }
        let length = buffer.len().min(self.left);
        let read = self.socket.read(&mut buffer[..length])?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        if self.left == 0 {
            self.line()?;
        }
        Ok(read)
    }
}
