//! The streams below a server's root: which there are, and their end.

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde::{Deserialize, de::DeserializeOwned};

use super::{Error, Request, Server};
use crate::http::escape;

/// How many names a page holds at most.
const PAGE: u32 = 1000;
/// How many streams are removed at once.
const AT_ONCE: usize = 16;

/// A page of names, and where the next begins.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    #[serde(alias = "streams", alias = "subscriptions")]
    pub entries: Vec<T>,
    /// What the next page comes after; nothing on the last.
    pub next: Option<String>,
}

/// A stream that was listed.
#[derive(Debug, Deserialize)]
pub struct Listed {
    /// Its path below the root.
    pub path: String,
}

/// What one page of a bucket held.
#[derive(Debug, Deserialize)]
pub struct Rebuilt {
    /// How many streams were found.
    pub found: u64,
    /// What the next page comes after; nothing on the last.
    pub next: Option<String>,
}

impl Server {
    /// A page of the streams.
    pub fn streams(&self, after: Option<&str>) -> Result<Page<Listed>, Error> {
        self.page("__ds/streams", after)
    }

    /// A page of something that is listed by name.
    pub(super) fn page<T: DeserializeOwned>(
        &self,
        list: &str,
        after: Option<&str>,
    ) -> Result<Page<T>, Error> {
        let after = after.map_or(String::new(), |after| format!("&after={}", escape(after)));
        self.document(Method::GET, &format!("{list}?limit={PAGE}{after}"))
    }

    /// Finds the streams of one page of the bucket.
    pub fn rebuild(&self, after: Option<&str>) -> Result<Rebuilt, Error> {
        let after = after.map_or(String::new(), |after| format!("?after={}", escape(after)));
        self.document(Method::POST, &format!("__ds/directory/rebuild{after}"))
    }

    fn document<T: DeserializeOwned>(&self, method: Method, path: &str) -> Result<T, Error> {
        let answer = self.call(&Request::new(method, path))?;
        serde_json::from_value(answer.document).map_err(|_| Error::Strange {
            what: path.split('?').next().unwrap_or(path).to_owned(),
        })
    }

    /// Removes streams, some at once, and calls `removed` after each; those that are gone already do
    /// not count. Gives those that cannot be removed, with what the server says.
    pub fn remove(
        &self,
        streams: Vec<Listed>,
        removed: &dyn Fn(),
    ) -> Result<Vec<(String, Error)>, Error> {
        let one = async |Listed { path }: Listed| {
            let segments: Vec<String> = path.split('/').map(escape).collect();
            let request = Request::new(Method::DELETE, segments.join("/"));
            (self.send(&request).await, path)
        };
        self.run(async {
            let mut left = Vec::new();
            let mut outcomes = stream::iter(streams).map(one).buffer_unordered(AT_ONCE);
            while let Some((outcome, path)) = outcomes.next().await {
                match outcome {
                    Ok(_) => removed(),
                    Err(error) if error.is_gone() => {}
                    Err(error) => left.push((path, error)),
                }
            }
            left
        })
    }
}
