//! What a project has made on Cloudflare, so that nothing else is ever removed; and what it has
//! uploaded last, so that nothing is uploaded twice.

use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    cloudflare::{Bucket, Script, Upload},
    error::problem,
    project::{Project, wrangler::FullRoute},
};

/// Beside `wrangler.toml`, and to be kept with it.
const CREATED: &str = ".durable-streams.json";
/// Of this machine only.
const UPLOADED: &str = "uploaded.json";

/// What a project has made in one account. An entry is written before the thing is made, when it is
/// known not to be there: whatever happens then, what is found later is the project's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// The worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Buckets, by name; with its jurisdiction and a slash before it, where it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<String>,
    /// KV namespaces, by title.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
}

/// How a bucket is written down in the record: no name of one has a slash.
pub fn recorded(bucket: &Bucket) -> String {
    match &bucket.jurisdiction {
        Some(jurisdiction) => format!("{jurisdiction}/{}", bucket.name),
        None => bucket.name.clone(),
    }
}

/// The bucket that was written down like this.
pub fn bucket_of(recorded: &str) -> Bucket {
    let (jurisdiction, name) = match recorded.split_once('/') {
        Some((jurisdiction, name)) => (Some(jurisdiction.to_owned()), name),
        None => (None, recorded),
    };
    Bucket {
        name: name.to_owned(),
        jurisdiction,
    }
}

/// What was uploaded last.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Uploaded {
    account: String,
    worker: String,
    digest: String,
    etag: String,
    #[serde(default)]
    routes: Value,
}

/// What a project has made and uploaded.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    account: String,
    accounts: BTreeMap<String, Created>,
    uploaded_path: PathBuf,
    uploaded: Uploaded,
}

impl Record {
    /// Reads what a project has made in an account.
    pub fn load(project: &Project, account: &str) -> Result<Self> {
        let path = project.root.join(CREATED);
        let accounts = read(&path)?.unwrap_or_default();
        let uploaded_path = project.machine_dir().join(UPLOADED);
        // Without it a worker is uploaded once more, which does no harm.
        let uploaded: Uploaded = read(&uploaded_path).ok().flatten().unwrap_or_default();
        let is_of_this = uploaded.account == account && uploaded.worker == project.name;
        let uploaded = match is_of_this {
            true => uploaded,
            false => Uploaded::default(),
        };
        Ok(Self {
            path,
            account: account.to_owned(),
            accounts,
            uploaded_path,
            uploaded,
        })
    }

    /// What the project has made in the account.
    pub fn created(&self) -> Created {
        self.accounts
            .get(&self.account)
            .cloned()
            .unwrap_or_default()
    }

    /// Changes what the project has made, on disk as well.
    pub fn note(&mut self, change: impl FnOnce(&mut Created)) -> Result<()> {
        let created = self.accounts.entry(self.account.clone()).or_default();
        let before = created.clone();
        change(created);
        if *created == before {
            return Ok(());
        }
        self.accounts
            .retain(|_, created| *created != Created::default());
        if self.accounts.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        write(&self.path, &self.accounts)
    }

    /// Whether this is what was uploaded last, and what is deployed is still that.
    pub fn is_last_upload(&self, upload: &Upload, deployed: &Script) -> bool {
        self.uploaded == self.uploaded(upload, deployed) && !deployed.etag.is_empty()
    }

    /// Remembers what was uploaded.
    pub fn note_upload(&mut self, upload: &Upload, deployed: &Script) -> Result<()> {
        self.uploaded = self.uploaded(upload, deployed);
        write(&self.uploaded_path, &self.uploaded)
    }

    fn uploaded(&self, upload: &Upload, deployed: &Script) -> Uploaded {
        Uploaded {
            account: self.account.clone(),
            worker: deployed.id.clone(),
            digest: digest(upload),
            etag: deployed.etag.clone(),
            // They are set after the upload, and stay through it.
            routes: self.uploaded.routes.clone(),
        }
    }

    /// Forgets what was uploaded, when there is no worker.
    pub fn forget_upload(&mut self) {
        self.uploaded = Uploaded::default();
    }

    /// Whether these routes were set last.
    pub fn has_routes(&self, routes: &[FullRoute]) -> bool {
        match &self.uploaded.routes {
            Value::Null => routes.is_empty(),
            set => *set == described(routes),
        }
    }

    /// Remembers what routes were set.
    pub fn note_routes(&mut self, routes: &[FullRoute]) -> Result<()> {
        self.uploaded.routes = described(routes);
        write(&self.uploaded_path, &self.uploaded)
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
    let bytes = sum.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        outcome => outcome.with_context(|| format!("cannot read {}", path.display()))?,
    };
    serde_json::from_str(&text).map(Some).map_err(|error| {
        problem(
            format!("{}: {error}", path.display()),
            "mend it, or remove it: then nothing on Cloudflare counts as made by this project",
        )
    })
}

fn write(path: &Path, document: &impl Serialize) -> Result<()> {
    let write = || {
        let folder = path.parent().context("it is in no folder")?;
        fs::create_dir_all(folder)?;
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(beside, "{}", serde_json::to_string_pretty(document)?)?;
        beside.persist(path)?;
        anyhow::Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudflare::Module;
    use crate::project::Here;

    #[test]
    fn a_bucket_is_written_down_with_where_it_is() {
        for (jurisdiction, text) in [(None, "b"), (Some("eu"), "eu/b")] {
            let bucket = Bucket {
                name: "b".to_owned(),
                jurisdiction: jurisdiction.map(str::to_owned),
            };
            assert_eq!(recorded(&bucket), text);
            assert_eq!(bucket_of(text), bucket);
        }
    }

    fn project() -> (tempfile::TempDir, Project) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let text = "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n";
        fs::write(dir.path().join("wrangler.toml"), text).unwrap();
        let project = Project::open(&Here::at(dir.path())).unwrap();
        (dir, project)
    }

    #[test]
    fn what_was_made_is_kept_for_each_account_and_goes_away_with_it() {
        let (dir, project) = project();
        let mut record = Record::load(&project, "a").unwrap();
        record
            .note(|created| created.buckets.push("b".into()))
            .unwrap();
        let mut other = Record::load(&project, "other").unwrap();
        assert_eq!(other.created(), Created::default());
        other
            .note(|created| created.worker = Some("w".into()))
            .unwrap();
        let mut record = Record::load(&project, "a").unwrap();
        assert_eq!(record.created().buckets, ["b"]);
        record
            .note(|created| *created = Created::default())
            .unwrap();
        assert!(dir.path().join(CREATED).exists());
        let mut other = Record::load(&project, "other").unwrap();
        other.note(|created| *created = Created::default()).unwrap();
        assert!(!dir.path().join(CREATED).exists());
    }

    #[test]
    fn a_broken_record_is_not_taken_for_an_empty_one() {
        let (dir, project) = project();
        fs::write(dir.path().join(CREATED), "{").unwrap();
        let error = Record::load(&project, "a").unwrap_err();
        assert!(error.to_string().contains(CREATED), "{error}");
    }

    #[test]
    fn an_upload_is_the_same_only_with_the_same_code_settings_and_etag() {
        let (_dir, project) = project();
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
            migration_tag: None,
            modified_on: None,
        };
        let mut record = Record::load(&project, "a").unwrap();
        record.note_upload(&upload("1", "d"), &script("e")).unwrap();
        let record = Record::load(&project, "a").unwrap();
        assert!(record.is_last_upload(&upload("1", "d"), &script("e")));
        assert!(!record.is_last_upload(&upload("2", "d"), &script("e")));
        assert!(!record.is_last_upload(&upload("1", "x"), &script("e")));
        assert!(!record.is_last_upload(&upload("1", "d"), &script("f")));
        let other = Record::load(&project, "b").unwrap();
        assert!(!other.is_last_upload(&upload("1", "d"), &script("e")));
    }
}
