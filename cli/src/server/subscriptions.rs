//! The subscriptions below a server's root.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Error, Page, Request, Server};
use crate::http::escape;

/// A subscription that was listed.
#[derive(Debug, Deserialize)]
pub struct Named {
    /// Its id.
    pub id: String,
}

impl Server {
    /// A page of the subscriptions.
    pub fn subscriptions(&self, after: Option<&str>) -> Result<Page<Named>, Error> {
        self.page("__ds/subscriptions", after)
    }

    /// The ids of all subscriptions.
    pub fn all_subscriptions(&self) -> Result<Vec<String>, Error> {
        let mut ids = Vec::new();
        let mut after = None;
        loop {
            let page = self.subscriptions(after.as_deref())?;
            ids.extend(page.entries.into_iter().map(|named| named.id));
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(ids),
            }
        }
    }

    /// What the server tells of a subscription.
    pub fn subscription(&self, id: &str) -> Result<Value, Error> {
        let answer = self.call(&Request::new(Method::GET, path(id)))?;
        described(answer, id).map(|answer| answer.document)
    }

    /// Makes a subscription, or finds that there is just this one; the status tells which.
    pub fn subscribe(&self, id: &str, configuration: Value) -> Result<Answer, Error> {
        let request = Request::new(Method::PUT, path(id)).with(configuration);
        described(self.call(&request)?, id)
    }

    /// Lets a subscription be about streams by name, too.
    pub fn add_streams(&self, id: &str, streams: &[String]) -> Result<(), Error> {
        let path = format!("{}/streams", path(id));
        let request = Request::new(Method::POST, path).with(json!({ "streams": streams }));
        self.call(&request).map(drop)
    }

    /// Takes a stream away that was named to a subscription. Whether there was one, the server does
    /// not say.
    pub fn remove_stream(&self, id: &str, stream: &str) -> Result<(), Error> {
        let path = format!("{}/streams/{}", path(id), escape(stream));
        self.call(&Request::new(Method::DELETE, path)).map(drop)
    }

    /// Deletes a subscription. Whether there was one, the server does not say.
    pub fn unsubscribe(&self, id: &str) -> Result<(), Error> {
        match self.call(&Request::new(Method::DELETE, path(id))) {
            Err(error) if error.code() == "SUBSCRIPTION_NOT_FOUND" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Has a subscription send what it waits with, at once.
    pub fn retry(&self, id: &str) -> Result<(), Error> {
        let path = format!("{}/retry", path(id));
        self.call(&Request::new(Method::POST, path)).map(drop)
    }

    /// Makes another key the one that signs; at once if the old one is not to be trusted any more.
    pub fn rotate_keys(&self, now: bool) -> Result<Value, Error> {
        let request = Request::new(Method::POST, "__ds/keys/rotate").once();
        let request = match now {
            true => request.with(json!({ "now": true })),
            false => request,
        };
        let Answer { document, .. } = self.call(&request)?;
        match document["kid"].is_string() {
            true => Ok(document),
            false => Err(Error::Strange {
                what: "__ds/keys/rotate".to_owned(),
            }),
        }
    }
}

/// An id is one segment, whatever is in it.
fn path(id: &str) -> String {
    format!("__ds/subscriptions/{}", escape(id))
}

/// An answer that is about this subscription, which an answer of an older server is not.
fn described(answer: Answer, id: &str) -> Result<Answer, Error> {
    match answer.document["id"] == *id {
        true => Ok(answer),
        false => Err(Error::Strange {
            what: format!("the subscription {id}"),
        }),
    }
}
