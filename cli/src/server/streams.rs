//! The streams below a server's root: which there are, and their end.

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde::Deserialize;

use super::{Error, Server};
use crate::{
    http::{escape, escape_path},
    stream::{Listed, Page},
};

/// How many streams are removed at once.
const AT_ONCE: usize = 16;

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
        self.run(self.client.list("", after))
    }

    /// Finds the streams of one page of the bucket.
    pub fn rebuild(&self, after: Option<&str>) -> Result<Rebuilt, Error> {
        let after = after.map_or(String::new(), |after| format!("?after={}", escape(after)));
        let ask = self.ask(Method::POST, &format!("__ds/directory/rebuild{after}"));
        self.run(self.client.document(&ask))
    }

    /// Removes streams, some at once, and calls `removed` after each; those that are gone already do
    /// not count. Gives those that cannot be removed, with what the server says.
    pub fn remove(
        &self,
        streams: Vec<Listed>,
        removed: &dyn Fn(),
    ) -> Result<Vec<(String, Error)>, Error> {
        let one = async |Listed { path, .. }: Listed| {
            let ask = self.ask(Method::DELETE, &escape_path(&path));
            (self.client.fetch(&ask).await, path)
        };
        self.run(async {
            let mut left = Vec::new();
            let mut outcomes = stream::iter(streams).map(one).buffer_unordered(AT_ONCE);
            while let Some((outcome, path)) = outcomes.next().await {
                match outcome.map_err(|error| Error::of(error, &self.url)) {
                    Ok(_) => removed(),
                    Err(error) if error.is_gone() => {}
                    Err(error) => left.push((path, error)),
                }
            }
            Ok(left)
        })
    }
}
