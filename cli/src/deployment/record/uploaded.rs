//! What was uploaded last from this machine, so that nothing is uploaded twice.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{read, write};
use crate::{
    cloudflare::{Script, Upload},
    hex::hex,
    http::escape,
    project::{Project, wrangler::FullRoute},
};

/// What was uploaded last.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    account: String,
    worker: String,
    digest: String,
    etag: String,
    #[serde(default)]
    routes: Value,
}

/// What was uploaded last of an environment.
#[derive(Debug)]
pub struct Uploaded {
    path: PathBuf,
    account: String,
    last: Last,
}

impl Uploaded {
    /// Reads what was uploaded last of this worker.
    pub fn load(project: &Project, account: &str) -> Self {
        let file = match &project.environment {
            None => "uploaded.json".to_owned(),
            Some(environment) => format!("uploaded.{}.json", escape(environment)),
        };
        let path = project.machine_dir().join(file);
        // Without it a worker is uploaded once more, which does no harm.
        let last: Option<Last> = read(&path).ok().flatten();
        let is_of_this = |last: &Last| last.account == account && last.worker == project.name;
        Self {
            path,
            account: account.to_owned(),
            last: last.filter(is_of_this).unwrap_or_default(),
        }
    }

    /// Whether this is what was uploaded last, and what is deployed is still that.
    pub fn is(&self, upload: &Upload, deployed: &Script) -> bool {
        self.last == self.entry(upload, deployed) && !deployed.etag.is_empty()
    }

    /// Remembers what was uploaded.
    pub fn note(&mut self, upload: &Upload, deployed: &Script) -> Result<()> {
        self.last = self.entry(upload, deployed);
        write(&self.path, &self.last)
    }

    /// Forgets what was uploaded, when there is no worker.
    pub fn forget(&mut self) {
        self.last = Last::default();
    }

    /// Whether these routes were set last.
    pub fn has_routes(&self, routes: &[FullRoute]) -> bool {
        match &self.last.routes {
            Value::Null => routes.is_empty(),
            set => *set == described(routes),
        }
    }

    /// Remembers what routes were set.
    pub fn note_routes(&mut self, routes: &[FullRoute]) -> Result<()> {
        self.last.routes = described(routes);
        write(&self.path, &self.last)
    }

    fn entry(&self, upload: &Upload, deployed: &Script) -> Last {
        Last {
            account: self.account.clone(),
            worker: deployed.id.clone(),
            digest: digest(upload),
            etag: deployed.etag.clone(),
            // They are set after the upload, and stay through it.
            routes: self.last.routes.clone(),
        }
    }
}

/// Routes with everything that is said of them.
fn described(routes: &[FullRoute]) -> Value {
    routes
        .iter()
        .map(|route| json!([route, route.custom_domain]))
        .collect()
}

fn digest(upload: &Upload) -> String {
    let mut sum = Sha256::new();
    let mut add = |bytes: &[u8]| {
        sum.update((bytes.len() as u64).to_le_bytes());
        sum.update(bytes);
    };
    add(upload.metadata.to_string().as_bytes());
    for module in &upload.modules {
        add(module.name.as_bytes());
        add(&module.bytes);
    }
    hex(&sum.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloudflare::Module, project::samples};

    #[test]
    fn an_upload_is_the_same_only_with_the_same_code_settings_and_etag() {
        let (_dir, mut project) = samples::project("");
        let upload = |code: &str, date: &str| Upload {
            metadata: json!({ "date": date }),
            modules: vec![Module {
                name: "index.js".into(),
                content_type: "x",
                bytes: code.into(),
            }],
        };
        let script = |etag: &str| Script {
            id: "x".into(),
            etag: etag.into(),
            ..Script::default()
        };
        let mut record = Uploaded::load(&project, "a");
        record.note(&upload("1", "d"), &script("e")).unwrap();
        let record = Uploaded::load(&project, "a");
        assert!(record.is(&upload("1", "d"), &script("e")));
        assert!(!record.is(&upload("2", "d"), &script("e")));
        assert!(!record.is(&upload("1", "x"), &script("e")));
        assert!(!record.is(&upload("1", "d"), &script("f")));
        let other = Uploaded::load(&project, "b");
        assert!(!other.is(&upload("1", "d"), &script("e")));
        // Another environment has its own, and does not take the place of this.
        project.environment = Some("a/b".to_owned());
        let mut other = Uploaded::load(&project, "a");
        assert!(!other.is(&upload("1", "d"), &script("e")));
        other.note(&upload("2", "d"), &script("e")).unwrap();
        project.environment = None;
        let record = Uploaded::load(&project, "a");
        assert!(record.is(&upload("1", "d"), &script("e")));
    }
}
