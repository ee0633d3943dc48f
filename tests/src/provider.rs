//! The least of a provider that answers in server-sent events, a token each: `/tokens?count=3&every=10`
//! says so many, one each so many milliseconds; `/breaks` breaks off behind them, and `/hangs` says
//! nothing more; `/fails` has status 429.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// It is there for as long as the process is.
#[derive(Clone, Debug)]
pub struct Provider {
    url: String,
}

impl Provider {
    /// Listens at a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        spawn(move || {
            for socket in listener.incoming().flatten() {
                // Whoever hangs up has had enough.
                spawn(move || drop(answer(&socket)));
            }
        });
        Ok(Self { url })
    }

    /// The address of an answer, as a parameter of a query has it.
    pub fn at(&self, what: &str) -> String {
        let url = format!("{}/{what}", self.url);
        url.replace('?', "%3F").replace('&', "%26")
    }
}

fn answer(mut socket: &TcpStream) -> Result<()> {
    let mut reader = BufReader::new(socket);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = first.clone();
    while !line.trim_end().is_empty() {
        line.clear();
        reader.read_line(&mut line)?;
    }
    let target = first
        .split(' ')
        .nth(1)
        .context("a request without a target")?;
    let (kind, query) = target.split_once('?').unwrap_or((target, ""));
    let number = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(key, value)| (key == name).then(|| value.parse::<u64>().ok())?)
    };
    let status = if kind == "/fails" {
        "429 Too Many Requests"
    } else {
        "200 OK"
    };
    write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )?;
    let every = Duration::from_millis(number("every").unwrap_or(0));
    let mut due = Instant::now();
    for n in 0..number("count").unwrap_or(0) {
        due += every;
        sleep(due.saturating_duration_since(Instant::now()));
        let event = format!("event: token\r\ndata: {{\"token\":{n}}}\r\n\r\n");
        write!(socket, "{:x}\r\n{event}\r\n", event.len())?;
    }
    match kind {
        "/breaks" => {}
        "/hangs" => sleep(Duration::from_secs(600)),
        _ => write!(socket, "0\r\n\r\n")?,
    }
    Ok(())
}
