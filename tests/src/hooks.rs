//! The least of a server that receives webhooks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

/// The body of a request.
pub fn read(socket: &TcpStream) -> Result<Vec<u8>> {
    let mut reader = BufReader::new(socket);
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let header = line.split_once(':');
        let found = header.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        length = found.map(|(_, value)| value.trim().parse()).or(length);
    }
    let mut body = vec![0; length.context("a request without a length")??];
    reader.read_exact(&mut body)?;
    Ok(body)
}

/// Answers a request with JSON.
pub fn answer(mut socket: &TcpStream, status: &str, text: &str) -> Result<()> {
    let length = text.len();
    write!(
        socket,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )?;
    Ok(())
}

/// A receiver that says of everything at once that it is done, until it is dropped.
#[derive(Debug)]
pub struct Hook {
    url: String,
    count: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hook {
    /// Listens at a free port.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let count = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (counted, ends) = (Arc::clone(&count), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                let Ok((socket, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let done = || {
                    socket.set_nonblocking(false)?;
                    read(&socket)?;
                    answer(&socket, "200 OK", r#"{"done":true}"#)
                };
                if done().is_ok() {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Ok(Self {
            url,
            count,
            is_over,
            thread: Some(thread),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How many deliveries came.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
