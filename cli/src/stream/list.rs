//! Which streams there are, where a server can say it.

use serde::Deserialize;

use super::{Client, Error};
use crate::http::escape;

/// How many names a page holds at most.
const PAGE: u32 = 1000;

/// A stream that was listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Its path below the root.
    pub path: String,
    /// What it holds.
    #[serde(default)]
    pub content_type: String,
    /// When it was made, in the format of RFC 3339.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// A page of streams, in the order of their paths.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listing {
    /// The streams.
    pub streams: Vec<Listed>,
    /// What the next page comes after; nothing on the last.
    pub next: Option<String>,
}

impl Client {
    /// A page of the streams whose paths begin like this. The protocol has no such thing: servers that do
    /// not know it refuse it.
    pub async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Listing, Error> {
        let mut query = format!("__ds/streams?limit={PAGE}");
        for (name, value) in [("prefix", Some(prefix)), ("after", after)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                query.push_str(&format!("&{name}={}", escape(value)));
            }
        }
        let response = self.send(&self.ask_all(&query)).await?;
        let body = self.body(response).await?;
        serde_json::from_slice(&body)
            .map_err(|_| Error::Strange("the list of the streams".to_owned()))
    }

    /// All of them.
    pub async fn list_all(&self, prefix: &str) -> Result<Vec<Listed>, Error> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.list(prefix, after.as_deref()).await?;
            all.extend(page.streams);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}
