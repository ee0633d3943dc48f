//! R2 buckets, and the objects in them.

use std::fmt;

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::Account,
    client::{Body, Page, Request},
    error::{Endpoint, Error, Result},
};
use crate::http::escape;

/// The bucket exists already.
const EXISTS: i64 = 10004;
/// How many objects one page lists.
const PAGE: u32 = 1000;

#[derive(Debug, Deserialize)]
struct Object {
    key: String,
}

/// Where a bucket can be, when it is said where its readers are.
const LOCATIONS: &[&str] = &["wnam", "enam", "weur", "eeur", "apac", "oc"];

/// The name of a bucket, and the jurisdiction it is in. It can be found there only: another may have a
/// bucket of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Within which borders it is.
    pub jurisdiction: Option<String>,
}

/// What Cloudflare says of a bucket.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct FoundBucket {
    /// When it was made.
    #[serde(default)]
    pub creation_date: Option<String>,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        match &self.jurisdiction {
            Some(jurisdiction) => write!(f, " in jurisdiction {jurisdiction}"),
            None => Ok(()),
        }
    }
}

impl Account {
    /// Looks for a bucket.
    pub fn find_bucket(&self, bucket: &Bucket) -> Result<Option<FoundBucket>> {
        let what = format!("looking for the bucket {bucket}");
        let request = self.about(bucket, what, Method::GET, "");
        match self.client.call(&request) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a bucket, near `location` if that is a place where buckets can be; nothing when there is
    /// one already.
    pub fn create_bucket(
        &self,
        bucket: &Bucket,
        location: Option<&str>,
    ) -> Result<Option<FoundBucket>> {
        let mut document = json!({ "name": bucket.name });
        let location = location.filter(|location| LOCATIONS.contains(location));
        // Of the two, the borders say where it is.
        if let (Some(location), None) = (location, &bucket.jurisdiction) {
            document["locationHint"] = json!(location);
        }
        let request = self
            .request(
                Endpoint::R2,
                format!("creating the bucket {bucket}"),
                Method::POST,
                "/r2/buckets",
            )
            .with(Body::Json(document))
            .within(bucket.jurisdiction.as_deref());
        match self.client.call(&request) {
            Ok(made) => Ok(Some(made)),
            Err(error) if error.has(EXISTS) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a bucket, which has to be empty.
    pub fn delete_bucket(&self, bucket: &Bucket) -> Result<()> {
        let what = format!("deleting the bucket {bucket}");
        let request = self.about(bucket, what, Method::DELETE, "");
        done_or_gone(self.client.tell(&request))
    }

    /// The keys of some objects of a bucket; none when it is empty.
    pub fn some_objects(&self, bucket: &Bucket) -> Result<Vec<String>> {
        let what = format!("listing the objects of the bucket {bucket}");
        let below = format!("/objects?per_page={PAGE}");
        let request = self.about(bucket, what, Method::GET, &below);
        let page: Page<Vec<Object>> = match self.client.page(&request) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            outcome => outcome?,
        };
        Ok(page.result.into_iter().map(|object| object.key).collect())
    }

    /// Removes an object.
    pub fn delete_object(&self, bucket: &Bucket, key: &str) -> Result<()> {
        let what = format!("deleting {key} of the bucket {bucket}");
        let below = format!("/objects/{}", escape(key));
        let request = self.about(bucket, what, Method::DELETE, &below);
        done_or_gone(self.client.call::<Value>(&request).map(drop))
    }

    /// A request about a bucket, or what is `below` its path.
    fn about(&self, bucket: &Bucket, what: String, method: Method, below: &str) -> Request<'_> {
        let path = format!("/r2/buckets/{}{below}", escape(&bucket.name));
        self.request(Endpoint::R2, what, method, &path)
            .within(bucket.jurisdiction.as_deref())
    }
}

/// What is gone already need not be removed.
pub fn done_or_gone(outcome: Result<()>) -> Result<()> {
    match outcome {
        Err(error @ Error::Refused { .. }) if error.is_missing() => Ok(()),
        outcome => outcome,
    }
}
