//! Stands for a running server: answers each request as a test says, and keeps what it was sent.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

/// A request it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    /// The path with its query, as it came.
    pub target: String,
    /// What `Authorization` says after `Bearer`.
    pub token: Option<String>,
    /// All headers, with their names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Sent {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| known == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// The method and the target.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// It ends with the process.
pub struct StandIn {
    pub url: String,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl StandIn {
    /// Answers with a status and a document; null is no document.
    pub fn answering(answer: impl Fn(&Sent) -> (u16, Value) + Send + 'static) -> Self {
        Self::saying(move |request| {
            let (status, document) = answer(request);
            let body = match &document {
                Value::Null => String::new(),
                document => document.to_string(),
            };
            said(status, &[("Retry-After", "0")], &body)
        })
    }

    /// Answers with these bytes, and closes the connection behind them.
    pub fn saying(answer: impl Fn(&Sent) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&sent);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some(request) = read(&stream) else {
                    continue;
                };
                kept.lock().unwrap().push(request.clone());
                let _ = stream.write_all(&answer(&request));
            }
        });
        Self { url, sent }
    }

    pub fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.sent().iter().map(Sent::line).collect()
    }
}

/// An answer as it goes over the connection.
pub fn said(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} It\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{text}Connection: close\r\n\r\n{body}").into_bytes()
}

fn read(stream: &TcpStream) -> Option<Sent> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (mut length, mut token, mut headers) = (0, None, Vec::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        let name = name.to_ascii_lowercase();
        headers.push((name.clone(), value.to_owned()));
        match name.as_str() {
            "content-length" => length = value.parse().ok()?,
            "authorization" => token = value.strip_prefix("Bearer ").map(str::to_owned),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Sent {
        method,
        target,
        token,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
