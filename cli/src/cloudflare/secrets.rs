//! The secrets of a worker: variables whose values nobody can read again.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    account::Account,
    client::Body,
    error::{Endpoint, Error, Result},
    scripts::script,
};
use crate::http::escape;

#[derive(Debug, Deserialize)]
struct Secret {
    name: String,
}

impl Account {
    /// The names of a worker's secrets.
    pub fn secrets(&self, worker: &str) -> Result<Vec<String>> {
        let what = format!("listing the secrets of the worker {worker}");
        let path = format!("{}/secrets", script(worker));
        let request = self.request(Endpoint::Scripts, what, Method::GET, &path);
        let all: Vec<Secret> = self.client.call(&request)?;
        let mut names: Vec<String> = all.into_iter().map(|secret| secret.name).collect();
        names.sort();
        Ok(names)
    }

    /// Gives a worker a secret, or another value of it.
    pub fn put_secret(&self, worker: &str, name: &str, value: &str) -> Result<()> {
        let what = format!("setting the secret {name} of the worker {worker}");
        let path = format!("{}/secrets", script(worker));
        let request = self.request(Endpoint::Scripts, what, Method::PUT, &path);
        let document = json!({ "name": name, "text": value, "type": "secret_text" });
        let sent = self.client.tell(&request.with(Body::Json(document)));
        sent.map_err(|error| without(error, value))
    }

    /// Takes a secret from a worker.
    pub fn delete_secret(&self, worker: &str, name: &str) -> Result<()> {
        let what = format!("deleting the secret {name} of the worker {worker}");
        let path = format!(
            "{}/secrets/{}?url_encoded=true",
            script(worker),
            escape(name)
        );
        let request = self.request(Endpoint::Scripts, what, Method::DELETE, &path);
        self.client.tell(&request)
    }
}

/// An error that does not repeat the value, should it do so.
fn without(error: Error, value: &str) -> Error {
    match error {
        Error::Refused {
            endpoint,
            what,
            status,
            mut refusals,
            retry_after,
            dashboard,
        } => {
            for refusal in &mut refusals {
                refusal.message = refusal.message.replace(value, "***");
            }
            Error::Refused {
                endpoint,
                what,
                status,
                refusals,
                retry_after,
                dashboard,
            }
        }
        error => error,
    }
}
