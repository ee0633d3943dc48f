//! One reader of a stream's events, whole event by whole event, at the pace of whoever reads. It is
//! as strict as can be: what it does not know is an error.

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
    /// What an `EventSource` remembers once it has handed the event on.
    pub id: Option<String>,
}

/// See the module's text.
#[derive(Debug)]
pub struct Events {
    body: BufReader<Chunks>,
    head: String,
    is_base64: bool,
    is_json: bool,
    /// The id of a data event whose control event has not come.
    pending: Option<String>,
    /// The last id that came.
    pub last_id: Option<String>,
    /// How many comments came.
    pub heartbeats: usize,
}

impl Events {
    /// Asks for the events of the stream at `path` from an offset on, and waits for no answer.
    pub fn ask(client: &Client, path: &str, offset: &str) -> Result<TcpStream> {
        let host = client.base().trim_start_matches("http://");
        let mut socket = TcpStream::connect(host).context("connecting a reader")?;
        socket.set_read_timeout(Some(crate::PATIENCE))?;
        let mut request =
            format!("GET {path}?offset={offset}&live=sse HTTP/1.1\r\nHost: {host}\r\n");
        for (name, value) in client.headers() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        socket.write_all(format!("{request}\r\n").as_bytes())?;
        Ok(socket)
    }

    /// Connects to the stream at `path` at an offset. The answer has to be events.
    pub fn connect(client: &Client, path: &str, offset: &str) -> Result<Self> {
        let socket = Self::ask(client, path, offset)?;
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
            is_json: false,
            head,
            pending: None,
            last_id: None,
            heartbeats: 0,
        })
    }

    /// The same reader, which knows that it reads JSON.
    #[must_use]
    pub fn of_json(self) -> Self {
        Self {
            is_json: true,
            ..self
        }
    }

    /// Status and headers of the answer, in lower case.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// The next event; nothing when the answer has ended regularly. To be broken off, or to end
    /// within an event, is an error.
    pub fn next_event(&mut self) -> Result<Option<Event>> {
        let (mut name, mut data, mut id) = (String::new(), Vec::new(), None);
        let mut line = Vec::new();
        let mut is_comment = false;
        loop {
            line.clear();
            self.body.read_until(b'\n', &mut line)?;
            let text = std::str::from_utf8(&line)?;
            match text.strip_suffix('\n') {
                None if text.is_empty() && name.is_empty() => return Ok(None),
                None => bail!("the answer ends within an event of type {name:?}"),
                Some("") if is_comment => {
                    ensure!(self.pending.is_none(), "a comment between data and control");
                    self.heartbeats += 1;
                    is_comment = false;
                }
                Some("") => {
                    let lines = data.len();
                    let data = data.join("\n");
                    let event = Event { name, data, id };
                    self.check(&event, lines)?;
                    return Ok(Some(event));
                }
                Some(":") if name.is_empty() => is_comment = true,
                Some(line) if is_comment => bail!("{line:?} in a comment"),
                Some(line) => match line.split_once(':') {
                    Some(("event", value)) => value.trim().clone_into(&mut name),
                    Some(("data", value)) => {
                        data.push(value.strip_prefix(' ').unwrap_or(value).to_owned());
                    }
                    Some(("id", value)) if id.is_none() => id = Some(value.trim().to_owned()),
                    _ => bail!("{line:?} is no line of an event"),
                },
            }
        }
    }

    /// Data has an id and its control event, which says the same offset.
    fn check(&mut self, event: &Event, lines: usize) -> Result<()> {
        self.last_id = event.id.clone().or(self.last_id.take());
        match event.name.as_str() {
            "data" => {
                ensure!(self.pending.is_none(), "data without a control event");
                ensure!(event.id.is_some(), "data without an id");
                if self.is_json {
                    ensure!(lines == 1, "JSON in {lines} lines");
                    serde_json::from_str::<Vec<Value>>(&event.data)?;
                }
                self.pending.clone_from(&event.id);
            }
            "control" => {
                let ids = (self.pending.take(), event.id.clone());
                let ((Some(id), None) | (None, Some(id))) = ids else {
                    bail!("not one id: {ids:?}");
                };
                let control: Value = serde_json::from_str(&event.data)?;
                let next = control["streamNextOffset"].as_str();
                ensure!(next == Some(&*id), "the id {id} of {next:?}");
            }
            other => bail!("an event of type {other:?}"),
        }
        Ok(())
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
