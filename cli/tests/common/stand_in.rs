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
    pub body: Value,
}

impl Sent {
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
                let (status, document) = answer(&request);
                let body = match &document {
                    Value::Null => String::new(),
                    document => document.to_string(),
                };
                let head = format!(
                    "HTTP/1.1 {status} It\r\nContent-Length: {}\r\nRetry-After: 0\r\nConnection: \
                     close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
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

fn read(stream: &TcpStream) -> Option<Sent> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next()?, words.next()?);
    let (mut length, mut token) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
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
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}
