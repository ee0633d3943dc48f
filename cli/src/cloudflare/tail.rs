//! The live log of a deployed worker, over a WebSocket.

use futures_util::{SinkExt, StreamExt};
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

#[derive(Debug, Deserialize)]
struct Opened {
    id: String,
    url: String,
}

/// A live log that is being read.
#[derive(Debug)]
pub struct Tail {
    id: String,
    socket: WebSocketStream<Upgraded>,
}

impl Account {
    /// Opens the live log of a worker.
    pub fn open_tail(&self, name: &str) -> Result<Tail> {
        let what = format!("opening the log of the worker {name}");
        let path = format!("{}/tails", script(name));
        let request = self.request(Endpoint::Tail, what.clone(), Method::POST, &path);
        let opened: Opened = self
            .client
            .call(&request.with(Body::Json(json!({ "filters": [] }))))?;
        let socket = self.client.run(self.connect(&opened.url));
        let socket = socket?.map_err(|why| Error::Unreachable {
            what,
            host: "the log's server".to_owned(),
            why,
        })?;
        Ok(Tail {
            id: opened.id,
            socket,
        })
    }

    /// The next event of a log; nothing when the other side has closed it.
    pub fn next_event(&self, tail: &mut Tail) -> Result<Option<Value>> {
        loop {
            let message = self.client.run(tail.socket.next())?;
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
