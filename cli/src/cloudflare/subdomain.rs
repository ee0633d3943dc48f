//! The account's place on workers.dev, and a worker's place there.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Account, Endpoint, Result, client::Body, scripts::script};

#[derive(Debug, Deserialize)]
struct Subdomain {
    subdomain: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Place {
    enabled: bool,
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
    pub fn is_on_workers_dev(&self, name: &str) -> Result<bool> {
        let what = format!("asking whether {name} is served on workers.dev");
        let path = format!("{}/subdomain", script(name));
        let request = self.request(Endpoint::Subdomain, what, Method::GET, &path);
        Ok(self.client.call::<Place>(&request)?.enabled)
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
