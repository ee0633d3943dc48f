//! What there is below a root, where a server can list it.

use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Client, Error};
use crate::http::escape;

/// How many names a page holds at most.
const PAGE: u32 = 1000;

/// What is listed of a server.
pub trait Entry: DeserializeOwned {
    /// Where the list of all such is, below the root.
    const LIST: &'static str;
}

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

impl Entry for Listed {
    const LIST: &'static str = "__ds/streams";
}

/// A page of a list, in the order of the names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    #[serde(alias = "streams", alias = "subscriptions")]
    pub entries: Vec<T>,
    /// What the next page comes after; nothing on the last.
    pub next: Option<String>,
}

impl Client {
    /// A page of what begins like this. The protocol has no lists: servers that do not know them refuse
    /// it.
    ///
    /// # Errors
    ///
    /// As for [`Client::document`].
    pub async fn list<T: Entry>(
        &self,
        prefix: &str,
        after: Option<&str>,
    ) -> Result<Page<T>, Error> {
        let mut path = format!("{}?limit={PAGE}", T::LIST);
        for (name, value) in [("prefix", Some(prefix)), ("after", after)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                path.push_str(&format!("&{name}={}", escape(value)));
            }
        }
        self.document(&self.ask_below(Method::GET, &path)).await
    }

    /// All that begins like this.
    ///
    /// # Errors
    ///
    /// As for [`Client::list`].
    pub async fn list_all<T: Entry>(&self, prefix: &str) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let page = self.list(prefix, after.as_deref()).await?;
            all.extend(page.entries);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(all),
            }
        }
    }
}
