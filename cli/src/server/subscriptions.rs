//! The subscriptions below a server's root.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Error, Server};
use crate::{http::escape, stream::Entry};

/// A subscription that was listed.
#[derive(Debug, Deserialize)]
struct Named {
    id: String,
}

impl Entry for Named {
    const LIST: &'static str = "__ds/subscriptions";
}

impl Server {
    /// The ids of all subscriptions.
    pub fn all_subscriptions(&self) -> Result<Vec<String>, Error> {
        let all: Vec<Named> = self.run(self.client.list_all(""))?;
        Ok(all.into_iter().map(|named| named.id).collect())
    }

    /// What the server tells of a subscription.
    pub fn subscription(&self, id: &str) -> Result<Value, Error> {
        let answer = self.call(&self.ask(Method::GET, &path(id)))?;
        described(answer, id).map(|answer| answer.document)
    }

    /// Makes a subscription, or finds that there is just this one; the status tells which.
    pub fn subscribe(&self, id: &str, configuration: &Value) -> Result<Answer, Error> {
        let ask = self.ask(Method::PUT, &path(id)).with(configuration);
        described(self.call(&ask)?, id)
    }

    /// Lets a subscription be about streams by name, too.
    pub fn add_streams(&self, id: &str, streams: &[String]) -> Result<(), Error> {
        let path = format!("{}/streams", path(id));
        let ask = self.ask(Method::POST, &path);
        self.call(&ask.with(&json!({ "streams": streams })))
            .map(drop)
    }

    /// Takes a stream away that was named to a subscription. Whether there was one, the server does
    /// not say.
    pub fn remove_stream(&self, id: &str, stream: &str) -> Result<(), Error> {
        let path = format!("{}/streams/{}", path(id), escape(stream));
        self.call(&self.ask(Method::DELETE, &path)).map(drop)
    }

    /// Deletes a subscription. Whether there was one, the server does not say.
    pub fn unsubscribe(&self, id: &str) -> Result<(), Error> {
        match self.call(&self.ask(Method::DELETE, &path(id))) {
            Err(error) if error.code() == "SUBSCRIPTION_NOT_FOUND" => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Has a subscription send what it waits with, at once.
    pub fn retry(&self, id: &str) -> Result<(), Error> {
        let path = format!("{}/retry", path(id));
        self.call(&self.ask(Method::POST, &path)).map(drop)
    }

    /// Makes another key the one that signs; at once if the old one is not to be trusted any more.
    pub fn rotate_keys(&self, now: bool) -> Result<Value, Error> {
        let ask = self.ask(Method::POST, "__ds/keys/rotate").once();
        let ask = match now {
            true => ask.with(&json!({ "now": true })),
            false => ask,
        };
        let Answer { document, .. } = self.call(&ask)?;
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
