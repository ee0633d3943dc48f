//! A console that is served, and requests to it as they go over the connection.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::Place;

/// The header that the page sends with all that is no page.
pub const OURS: (&str, &str) = ("X-Console", "1");
/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running `console`; dropping it ends it.
pub struct Console {
    child: Child,
    stderr: Option<thread::JoinHandle<String>>,
    /// What it printed when it was there.
    pub document: Value,
}

/// An answer.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    /// The status line and the headers, with their names in lower case.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Got {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.head.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Has this status, and an error of this code that says this.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str, says: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        assert_eq!(error["code"], code);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(says), "no {says:?} in {message}");
    }
}

impl Console {
    /// Serves one on a free port.
    pub fn start(place: &Place, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("durable-streams"));
        command
            .args(["console", "--json", "--verbose"])
            .args(args)
            .current_dir(place.path("work"))
            .env("DURABLE_STREAMS_CACHE_DIR", place.path("cache"))
            .env_remove("STREAM_URL")
            .env_remove("STREAM_AUTH")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            said.read_to_string(&mut text).unwrap();
            text
        });
        let stdout = child.stdout.as_mut().unwrap();
        let document = serde_json::Deserializer::from_reader(stdout)
            .into_iter()
            .next();
        match document {
            Some(Ok(document)) => Self {
                child,
                stderr: Some(stderr),
                document,
            },
            other => {
                let _ = child.kill();
                panic!("{other:?} {}", stderr.join().unwrap());
            }
        }
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        let url = self.document["console"].as_str().unwrap();
        let host = url.strip_prefix("http://").unwrap();
        host.strip_suffix('/').unwrap().to_owned()
    }

    /// Sends a request, with its own name as the host where none is among the headers.
    pub fn send(&self, line: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let host = self.host();
        let mut text = format!("{line} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text.push_str(&format!("Host: {host}\r\n"));
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let mut socket = TcpStream::connect(host).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
            .write_all(format!("{text}\r\n{body}").as_bytes())
            .unwrap();
        socket
    }

    /// The same, and the whole answer.
    pub fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Got {
        let headers = [headers, &[("Connection", "close")]].concat();
        let mut reader = BufReader::new(self.send(line, &headers, body));
        let (status, head) = head(&mut reader);
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        Got { status, head, body }
    }

    /// Asks as the page does.
    pub fn page(&self, line: &str, body: &str) -> Got {
        self.ask(line, &[OURS], body)
    }

    /// Presses Ctrl-C, and gives all that it has written on stderr.
    pub fn end(mut self) -> String {
        let interrupted = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .status();
        assert!(interrupted.unwrap().success());
        let mut rest = String::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest.trim(), "", "it printed after its document");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.stderr.take().unwrap().join().unwrap()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads the head of a message: the status of an answer, and the headers.
pub fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let status = first
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    (status.unwrap_or_default(), headers)
}

/// Goes away.
pub fn leave(socket: &TcpStream) {
    socket.shutdown(Shutdown::Both).unwrap();
}
