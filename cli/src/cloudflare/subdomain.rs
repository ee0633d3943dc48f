//! The account's place on workers.dev, and a worker's place there.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{
    account::Account,
    client::Body,
    error::{Endpoint, Result},
    scripts::script,
};

#[derive(Debug, Deserialize)]
struct Subdomain {
    subdomain: Option<String>,
}

/// Whether a worker is served on workers.dev.
#[derive(Debug, Deserialize)]
pub struct Served {
    /// It is.
    pub enabled: bool,
    /// Each of its versions has a URL of its own there.
    #[serde(default)]
    pub previews_enabled: bool,
}

impl Account {
    /// The account's subdomain of workers.dev, if it has one.
    pub fn subdomain(&self) -> Result<Option<String>> {
        let what = "looking for the account's workers.dev subdomain";
        let request = self.request(Endpoint::Subdomain, what, Method::GET, "/workers/subdomain");
        match self.client.call::<Subdomain>(&request) {
            Ok(found) => Ok(found.subdomain.filter(|name| !name.is_empty())),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a worker is served on workers.dev.
    pub fn workers_dev(&self, name: &str) -> Result<Served> {
        let what = format!("asking whether {name} is served on workers.dev");
        let path = format!("{}/subdomain", script(name));
        let request = self.request(Endpoint::Subdomain, what, Method::GET, &path);
        self.client.call(&request)
    }

    /// Serves a worker on workers.dev, or no longer.
    pub fn set_workers_dev(&self, name: &str, on: bool, previews: Option<bool>) -> Result<()> {
        let what = format!("serving {name} on workers.dev");
        let path = format!("{}/subdomain", script(name));
        let mut document = json!({ "enabled": on });
        if let Some(previews) = previews {
            document["previews_enabled"] = json!(previews);
        }
        let request = self.request(Endpoint::Subdomain, what, Method::POST, &path);
        self.client.tell(&request.with(Body::Json(document)))
    }
}
