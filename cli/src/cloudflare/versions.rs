//! The versions of a worker, which stay, and its deployments: which version has served since when.

use std::{cmp::Reverse, collections::BTreeSet};

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    account::Account,
    client::Body,
    error::{Endpoint, Result},
    scripts::script,
};
use crate::http::escape;

/// A version: code and settings as they were once uploaded.
#[derive(Debug, Clone, Deserialize)]
pub struct Version {
    /// Its id.
    pub id: String,
    /// The how many-th of the worker it is.
    pub number: Option<u64>,
    /// When it was uploaded.
    #[serde(default)]
    pub metadata: VersionMetadata,
    /// What was said of it.
    #[serde(default)]
    pub annotations: Annotations,
    /// What it consists of; only where it was asked for by itself.
    #[serde(default)]
    pub resources: Resources,
}

/// When a version was uploaded, and by whom.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct VersionMetadata {
    /// When.
    pub created_on: Option<String>,
    /// By whom.
    pub author_email: Option<String>,
}

/// What was said of a version.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Annotations {
    /// A message.
    #[serde(rename = "workers/message")]
    pub message: Option<String>,
    /// What made it, as in `upload`, `secret` or `rollback`.
    #[serde(rename = "workers/triggered_by")]
    pub triggered_by: Option<String>,
}

/// What a version consists of.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Resources {
    /// What it is bound to.
    #[serde(default)]
    pub bindings: Vec<Value>,
    /// How it runs.
    #[serde(default)]
    pub script_runtime: ScriptRuntime,
}

/// How a version runs.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ScriptRuntime {
    /// The last migration that had been carried out.
    pub migration_tag: Option<String>,
}

impl Version {
    /// The worker's own classes of Durable Objects that it is bound to.
    pub fn classes(&self) -> BTreeSet<&str> {
        let bindings = self.resources.bindings.iter();
        let own = bindings.filter(|one| one.get("script_name").is_none_or(Value::is_null));
        own.filter_map(|one| one["class_name"].as_str()).collect()
    }
}

/// A deployment: which versions serve from a moment on.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployed {
    /// When it was made.
    pub created_on: String,
    /// The versions, and how much of what comes each of them serves.
    pub versions: Vec<Share>,
}

/// How much of what comes a version serves.
#[derive(Debug, Clone, Deserialize)]
pub struct Share {
    /// The version.
    pub version_id: String,
    /// In percent.
    pub percentage: f64,
}

impl Deployed {
    /// The version that serves all, if one does.
    pub fn only(&self) -> Option<&str> {
        match &self.versions[..] {
            [share] => Some(&share.version_id),
            _ => None,
        }
    }
}

impl Account {
    /// The latest versions of a worker, the newest first.
    pub fn versions(&self, worker: &str) -> Result<Vec<Version>> {
        #[derive(Deserialize)]
        struct Items {
            items: Vec<Version>,
        }
        let what = format!("listing the versions of the worker {worker}");
        let path = format!("{}/versions?deployable=true", script(worker));
        let request = self.request(Endpoint::Scripts, what, Method::GET, &path);
        let mut versions = self.client.call::<Items>(&request)?.items;
        versions.sort_by_key(|version| Reverse(version.number));
        Ok(versions)
    }

    /// A version of a worker, with what it consists of.
    pub fn version(&self, worker: &str, id: &str) -> Result<Version> {
        let what = format!("reading the version {id} of the worker {worker}");
        let path = format!("{}/versions/{}", script(worker), escape(id));
        let request = self.request(Endpoint::Scripts, what, Method::GET, &path);
        self.client.call(&request)
    }

    /// The latest deployments of a worker, first the one that serves.
    pub fn deployments(&self, worker: &str) -> Result<Vec<Deployed>> {
        #[derive(Deserialize)]
        struct Deployments {
            deployments: Vec<Deployed>,
        }
        let what = format!("listing the deployments of the worker {worker}");
        let path = format!("{}/deployments", script(worker));
        let request = self.request(Endpoint::Scripts, what, Method::GET, &path);
        let mut all = self.client.call::<Deployments>(&request)?.deployments;
        all.sort_by_key(|one| Reverse(one.created_on.clone()));
        Ok(all)
    }

    /// Lets a version serve all from now on. With `force` also where secrets have changed since it
    /// was made: it brings the old ones back.
    pub fn deploy_version(&self, worker: &str, id: &str, message: &str, force: bool) -> Result<()> {
        let what = format!("letting the version {id} of the worker {worker} serve");
        let query = if force { "?force=true" } else { "" };
        let path = format!("{}/deployments{query}", script(worker));
        let request = self.request(Endpoint::Scripts, what, Method::POST, &path);
        self.client.tell(&request.with(Body::Json(json!({
            "strategy": "percentage",
            "versions": [{ "version_id": id, "percentage": 100 }],
            "annotations": { "workers/message": message },
        }))))
    }
}
