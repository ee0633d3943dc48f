//! The live log of a deployed worker, over a WebSocket.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use jiff::Timestamp;
use reqwest::{Method, StatusCode, Upgraded, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::client::generate_key, protocol::Role},
};

use super::{
    account::Account,
    client::Body,
    error::{Endpoint, Error, Result},
    scripts::script,
};

/// The protocol of the WebSocket, as wrangler asks for it.
const PROTOCOL: &str = "trace-v1";

/// How long nothing may come before the other side is asked whether it is there, and how long it may
/// take to answer.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Deserialize)]
struct Opened {
    id: String,
    url: String,
    expires_at: Option<Timestamp>,
}

/// A live log that is being read.
#[derive(Debug)]
pub struct Tail {
    id: String,
    socket: WebSocketStream<Upgraded>,
    /// When nothing comes any more, though the connection stays.
    end: Option<Instant>,
}

impl Opened {
    /// When it ends, told by a clock of ours: nothing where the two clocks do not agree that it is still
    /// to come.
    fn end(&self) -> Option<Instant> {
        let left = self.expires_at?.duration_since(Timestamp::now());
        Instant::now().checked_add(left.try_into().ok()?)
    }
}

impl Account {
    /// Opens the live log of a worker, of which these filters leave something out.
    pub fn open_tail(&self, name: &str, filters: &[Value]) -> Result<Tail> {
        let what = format!("opening the log of the worker {name}");
        let path = format!("{}/tails", script(name));
        let request = self.request(Endpoint::Tail, what.clone(), Method::POST, &path);
        let opened: Opened = self
            .client
            .call(&request.with(Body::Json(json!({ "filters": filters }))))?;
        let socket = self.client.run(self.connect(&opened.url));
        let socket = socket?.map_err(|why| Error::Unreachable {
            what,
            host: "the log's server".to_owned(),
            why,
            untrusted: false,
        })?;
        Ok(Tail {
            end: opened.end(),
            id: opened.id,
            socket,
        })
    }

    /// The next event of a log; nothing when it has come to its end: the other side has closed it, is
    /// not there any more, or sends nothing from now on.
    pub fn next_event(&self, tail: &mut Tail) -> Result<Option<Value>> {
        let mut is_asked = false;
        loop {
            let left = tail
                .end
                .map(|end| end.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(None);
            }
            let wait = left.map_or(SILENCE, |left| left.min(SILENCE));
            let socket = &mut tail.socket;
            let next = async { tokio::time::timeout(wait, socket.next()).await };
            let Ok(message) = self.client.run(next)? else {
                if wait < SILENCE {
                    continue;
                }
                if is_asked {
                    return Ok(None);
                }
                is_asked = true;
                let ping = Message::Ping(Vec::new().into());
                if self.client.run(tail.socket.send(ping))?.is_err() {
                    return Ok(None);
                }
                continue;
            };
            is_asked = false;
            let text = match message {
                Some(Ok(Message::Text(text))) => text.as_bytes().to_vec(),
                Some(Ok(Message::Binary(bytes))) => bytes.to_vec(),
                // A ping is answered by the library, with the next write.
                Some(Ok(Message::Ping(_))) => {
                    let _ = self.client.run(tail.socket.flush())?;
                    continue;
                }
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
            };
            if let Ok(event) = serde_json::from_slice(&text) {
                return Ok(Some(event));
            }
        }
    }

    /// Closes a log, so that the worker is not watched any longer than somebody looks.
    pub fn close_tail(&self, name: &str, mut tail: Tail) -> Result<()> {
        let closing = self.client.runtime().block_on(tail.socket.close(None));
        drop(closing);
        let what = format!("closing the log of the worker {name}");
        let path = format!("{}/tails/{}", script(name), tail.id);
        self.client
            .last_words(&self.request(Endpoint::Tail, what, Method::DELETE, &path))
    }

    /// Upgrades a request to a WebSocket. The URL alone lets one in: no credentials go there.
    async fn connect(&self, url: &str) -> std::result::Result<WebSocketStream<Upgraded>, String> {
        let url = match url.split_once("://") {
            Some(("wss", rest)) => format!("https://{rest}"),
            Some(("ws", rest)) => format!("http://{rest}"),
            _ => return Err("its address is no WebSocket's".to_owned()),
        };
        let request = self
            .client
            .http()
            .get(url)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, generate_key())
            .header(header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
        // The address lets anyone in who has it, so it is in no message.
        let words = |error: reqwest::Error| error.without_url().to_string();
        let response = request.send().await.map_err(words)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(format!("HTTP status {}", response.status().as_u16()));
        }
        let upgraded = response.upgrade().await.map_err(words)?;
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await)
    }
}
