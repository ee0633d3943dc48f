//! R2 buckets, and the objects in them.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::Account,
    client::{Body, Page, escape},
    error::{Endpoint, Error, Result},
};

/// The bucket exists already.
const EXISTS: i64 = 10004;
/// How many objects one page lists.
const PAGE: u32 = 1000;

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
}

impl Account {
    /// Whether there is a bucket of this name.
    pub fn has_bucket(&self, name: &str) -> Result<bool> {
        let request = self.request(
            Endpoint::R2,
            format!("looking for the bucket {name}"),
            Method::GET,
            &bucket(name),
        );
        match self.client.tell(&request) {
            Ok(()) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a bucket; false when there is one already.
    pub fn create_bucket(&self, name: &str) -> Result<bool> {
        let request = self
            .request(
                Endpoint::R2,
                format!("creating the bucket {name}"),
                Method::POST,
                "/r2/buckets",
            )
            .with(Body::Json(json!({ "name": name })));
        match self.client.tell(&request) {
            Ok(()) => Ok(true),
            Err(error) if error.has(EXISTS) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a bucket, which has to be empty.
    pub fn delete_bucket(&self, name: &str) -> Result<()> {
        let request = self.request(
            Endpoint::R2,
            format!("deleting the bucket {name}"),
            Method::DELETE,
            &bucket(name),
        );
        done_or_gone(self.client.tell(&request))
    }

    /// The keys of some objects of a bucket; none when it is empty.
    pub fn some_objects(&self, name: &str) -> Result<Vec<String>> {
        let request = self.request(
            Endpoint::R2,
            format!("listing the objects of the bucket {name}"),
            Method::GET,
            &format!("{}/objects?per_page={PAGE}", bucket(name)),
        );
        let page: Page<Vec<Object>> = match self.client.page(&request) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            outcome => outcome?,
        };
        Ok(page.result.into_iter().map(|object| object.key).collect())
    }

    /// Removes an object.
    pub fn delete_object(&self, name: &str, key: &str) -> Result<()> {
        let request = self.request(
            Endpoint::R2,
            format!("deleting {key} of the bucket {name}"),
            Method::DELETE,
            &format!("{}/objects/{}", bucket(name), escape(key)),
        );
        done_or_gone(self.client.call::<Value>(&request).map(drop))
    }
}

fn bucket(name: &str) -> String {
    format!("/r2/buckets/{}", escape(name))
}

/// What is gone already need not be removed.
pub fn done_or_gone(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error @ Error::Refused { .. }) if error.is_missing() => Ok(()),
        outcome => outcome,
    }
}
