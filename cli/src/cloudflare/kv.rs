//! KV namespaces, and the values in them.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    account::Account,
    client::{Body, Page},
    error::{Endpoint, Result},
    r2::done_or_gone,
};
use crate::http::escape;

/// A namespace of this title exists already.
const EXISTS: i64 = 10014;
/// How many namespaces one page lists.
const PAGE: usize = 1000;

/// A KV namespace.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Namespace {
    /// Its id.
    pub id: String,
    /// Its title, which no other namespace of the account has.
    pub title: String,
}

#[derive(Debug, Deserialize)]
struct Key {
    name: String,
}

impl Account {
    /// All namespaces.
    pub fn namespaces(&self) -> Result<Vec<Namespace>> {
        let mut all = Vec::new();
        for number in 1.. {
            let mut path =
                format!("/storage/kv/namespaces?per_page={PAGE}&order=title&direction=asc");
            if number > 1 {
                path.push_str(&format!("&page={number}"));
            }
            let what = "listing the KV namespaces";
            let request = self.request(Endpoint::Kv, what, Method::GET, &path);
            let page: Page<Vec<Namespace>> = self.client.page(&request)?;
            let count = page.result.len();
            all.extend(page.result);
            if count < PAGE || page.info.total_pages.is_some_and(|pages| number >= pages) {
                break;
            }
        }
        Ok(all)
    }

    /// Makes a namespace; nothing when there is one of this title already.
    pub fn create_namespace(&self, title: &str) -> Result<Option<Namespace>> {
        let request = self
            .request(
                Endpoint::Kv,
                format!("creating the KV namespace {title}"),
                Method::POST,
                "/storage/kv/namespaces",
            )
            .with(Body::Json(json!({ "title": title })));
        match self.client.call(&request) {
            Ok(namespace) => Ok(Some(namespace)),
            Err(error) if error.has(EXISTS) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a namespace with all its values.
    pub fn delete_namespace(&self, id: &str) -> Result<()> {
        let request = self.request(
            Endpoint::Kv,
            format!("deleting the KV namespace {id}"),
            Method::DELETE,
            &namespace(id),
        );
        done_or_gone(self.client.tell(&request))
    }

    /// A value of a namespace, if it is there.
    pub fn value(&self, id: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let what = format!("reading {key} of the KV namespace {id}");
        let path = value(id, key);
        let request = self.request(Endpoint::Kv, what, Method::GET, &path);
        self.client.bytes(&request)
    }

    /// Writes a value of a namespace.
    pub fn put_value(&self, id: &str, key: &str, bytes: &[u8]) -> Result<()> {
        let what = format!("writing {key} of the KV namespace {id}");
        let path = value(id, key);
        let request = self.request(Endpoint::Kv, what, Method::PUT, &path);
        self.client.tell(&request.with(Body::Raw(bytes)))
    }

    /// Removes a value of a namespace.
    pub fn delete_value(&self, id: &str, key: &str) -> Result<()> {
        let what = format!("deleting {key} of the KV namespace {id}");
        let path = value(id, key);
        let request = self.request(Endpoint::Kv, what, Method::DELETE, &path);
        done_or_gone(self.client.tell(&request))
    }

    /// The keys of a namespace that begin with `prefix`.
    pub fn keys(&self, id: &str, prefix: &str) -> Result<Vec<String>> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut path = format!("{}/keys?prefix={}", namespace(id), escape(prefix));
            if !cursor.is_empty() {
                path.push_str(&format!("&cursor={}", escape(&cursor)));
            }
            let what = format!("listing the keys of the KV namespace {id}");
            let request = self.request(Endpoint::Kv, what, Method::GET, &path);
            let page: Page<Vec<Key>> = self.client.page(&request)?;
            all.extend(page.result.into_iter().map(|key| key.name));
            cursor = page.info.cursor.unwrap_or_default();
            if cursor.is_empty() {
                return Ok(all);
            }
        }
    }
}

fn namespace(id: &str) -> String {
    format!("/storage/kv/namespaces/{}", escape(id))
}

fn value(id: &str, key: &str) -> String {
    format!("{}/values/{}", namespace(id), escape(key))
}
