//! Workers: what is deployed, and putting another version in its place.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::Account,
    client::{Body, Upload},
    error::{Endpoint, Result},
    r2::done_or_gone,
};
use crate::{http::escape, project::wrangler::FullRoute};

/// A deployed worker.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Script {
    /// Its name.
    pub id: String,
    /// An id that it keeps, and that no other worker ever has.
    #[serde(default)]
    pub tag: Option<String>,
    /// When it was made.
    #[serde(default)]
    pub created_on: Option<String>,
    /// Stands for its code: other code, other value.
    #[serde(default)]
    pub etag: String,
    /// The last migration that was carried out.
    #[serde(default)]
    pub migration_tag: Option<String>,
    /// When it was deployed last.
    #[serde(default)]
    pub modified_on: Option<String>,
}

/// What a deployed worker is bound to.
#[derive(Debug, Default, Deserialize)]
pub struct Settings {
    /// Its bindings, as the API describes them.
    #[serde(default)]
    pub bindings: Vec<Value>,
    /// The date whose runtime behaviour it gets.
    #[serde(default)]
    pub compatibility_date: Option<String>,
    /// Runtime behaviour that differs from the date's.
    #[serde(default)]
    pub compatibility_flags: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: serde_json::Map<String, Value>,
}

impl Settings {
    /// The binding of this name, if it is of this kind.
    pub fn binding(&self, name: &str, kind: &str) -> Option<&Value> {
        let is_it = |one: &&Value| one["name"] == name && one["type"] == kind;
        self.bindings.iter().find(is_it)
    }
}

impl Account {
    /// All deployed workers.
    pub fn scripts(&self) -> Result<Vec<Script>> {
        let what = "listing the workers";
        let request = self.request(Endpoint::Scripts, what, Method::GET, "/workers/scripts");
        self.client.call(&request)
    }

    /// The deployed worker of this name.
    pub fn script(&self, name: &str) -> Result<Option<Script>> {
        let all = self.scripts()?;
        Ok(all.into_iter().find(|script| script.id == name))
    }

    /// What the deployed worker of this name is bound to.
    pub fn settings(&self, name: &str) -> Result<Settings> {
        let what = format!("reading the settings of the worker {name}");
        let path = format!("{}/settings", script(name));
        let request = self.request(Endpoint::Scripts, what, Method::GET, &path);
        self.client.call(&request)
    }

    /// Puts a worker in the place of the one of this name, whole or not at all.
    pub fn upload(&self, name: &str, upload: &Upload) -> Result<Script> {
        let what = format!("uploading the worker {name}");
        let path = format!(
            "{}?excludeScript=true&bindings_inherit=strict",
            script(name)
        );
        let request = self.request(Endpoint::Scripts, what, Method::PUT, &path);
        self.client.call(&request.with(Body::Upload(upload)))
    }

    /// Removes a worker with its Durable Objects and all they hold.
    pub fn delete_script(&self, name: &str) -> Result<()> {
        let what = format!("deleting the worker {name}");
        let path = format!("/workers/services/{}?force=true", escape(name));
        let request = self.request(Endpoint::Scripts, what, Method::DELETE, &path);
        done_or_gone(self.client.tell(&request))
    }

    /// Gives a worker these routes in place of those it has.
    pub fn set_routes(&self, name: &str, routes: &[FullRoute]) -> Result<()> {
        let what = format!("setting the routes of the worker {name}");
        let path = format!("{}/routes", script(name));
        let request = self.request(Endpoint::Routes, what, Method::PUT, &path);
        self.client.tell(&request.with(Body::Json(json!(routes))))
    }

    /// Gives a worker these custom domains. One that leads elsewhere already is refused.
    pub fn set_domains(&self, name: &str, domains: &[FullRoute]) -> Result<()> {
        let origins: Vec<Value> = domains
            .iter()
            .map(|domain| {
                let mut origin = json!(domain);
                if let Some(origin) = origin.as_object_mut()
                    && let Some(pattern) = origin.remove("pattern")
                {
                    origin.insert("hostname".to_owned(), pattern);
                }
                origin
            })
            .collect();
        let what = format!("setting the custom domains of the worker {name}");
        let path = format!("{}/domains/records", script(name));
        let request = self.request(Endpoint::Routes, what, Method::PUT, &path);
        self.client.tell(&request.with(Body::Json(json!({
            "override_scope": true,
            "override_existing_origin": false,
            "override_existing_dns_record": false,
            "origins": origins,
        }))))
    }
}

pub(super) fn script(name: &str) -> String {
    format!("/workers/scripts/{}", escape(name))
}
