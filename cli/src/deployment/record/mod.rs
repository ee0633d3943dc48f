//! What a project has made on Cloudflare, so that nothing else is ever replaced or removed; and what it
//! has uploaded last, so that nothing is uploaded twice.

mod made;
mod older;
mod uploaded;

use std::{
    collections::BTreeMap,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use self::older::Older;
pub use self::{
    made::{Created, MadeBucket, MadeNamespace, Mark, Worker},
    uploaded::Uploaded,
};
use crate::{error::problem, project::Project, replacement::Replacement};

/// Beside `wrangler.toml`, and to be kept with it.
pub const FILE: &str = ".durable-streams.json";
/// The form that is written. The first had none.
const VERSION: u64 = 2;
static NOTHING: Created = Created::NOTHING;

/// What a project has made in one account: at the top level, and below each of its environments, as
/// `wrangler.toml` has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfAccount {
    #[serde(flatten)]
    top: Created,
    #[serde(default, rename = "env", skip_serializing_if = "BTreeMap::is_empty")]
    environments: BTreeMap<String, Created>,
}

impl OfAccount {
    fn of(&self, environment: Option<&str>) -> Option<&Created> {
        match environment {
            None => Some(&self.top),
            Some(name) => self.environments.get(name),
        }
    }

    fn of_mut(&mut self, environment: Option<&str>) -> &mut Created {
        match environment {
            None => &mut self.top,
            Some(name) => self.environments.entry(name.to_owned()).or_default(),
        }
    }
}

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u64,
    accounts: BTreeMap<String, OfAccount>,
}

/// What an environment of a project has made in an account, and what else the project has there.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    account: String,
    environment: Option<String>,
    accounts: BTreeMap<String, OfAccount>,
    /// What was uploaded last.
    pub uploaded: Uploaded,
}

impl Record {
    /// Reads what a project has made in an account.
    pub fn load(project: &Project, account: &str) -> Result<Self> {
        let path = project.root.join(FILE);
        Ok(Self {
            accounts: read(&path)?
                .map_or_else(|| Ok(BTreeMap::new()), |document| parse(document, &path))?,
            path,
            account: account.to_owned(),
            environment: project.environment.clone(),
            uploaded: Uploaded::load(project, account),
        })
    }

    /// What the environment has made in the account.
    pub fn created(&self) -> &Created {
        let account = self.accounts.get(&self.account);
        account
            .and_then(|account| account.of(self.environment.as_deref()))
            .unwrap_or(&NOTHING)
    }

    /// What the other environments of the project have made in the account, each with the name a
    /// person knows it by.
    pub fn of_others(&self) -> Vec<(String, &Created)> {
        let Some(account) = self.accounts.get(&self.account) else {
            return Vec::new();
        };
        let top = self.environment.is_some();
        let top = top.then(|| ("the top level".to_owned(), &account.top));
        let others = account.environments.iter();
        let others = others.filter(|(name, _)| self.environment.as_ref() != Some(name));
        let others = others.map(|(name, created)| (format!("the environment {name}"), created));
        top.into_iter().chain(others).collect()
    }

    /// Changes what the environment has made, on disk as well.
    pub fn note(&mut self, change: impl FnOnce(&mut Created)) -> Result<()> {
        let before = self.accounts.clone();
        let account = self.accounts.entry(self.account.clone()).or_default();
        change(account.of_mut(self.environment.as_deref()));
        account
            .environments
            .retain(|_, created| *created != Created::NOTHING);
        self.accounts
            .retain(|_, account| *account != OfAccount::default());
        if self.accounts == before {
            return Ok(());
        }
        if self.accounts.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            };
        }
        let file = File {
            version: VERSION,
            accounts: self.accounts.clone(),
        };
        write(&self.path, &file)
    }
}

/// Reads the form of today, or that of the first release.
fn parse(document: Value, path: &Path) -> Result<BTreeMap<String, OfAccount>> {
    let Some(version) = document.get("version") else {
        let older: BTreeMap<String, Older> =
            serde_json::from_value(document).map_err(|error| broken(path, &error))?;
        let of_account = |older: Older| OfAccount {
            top: older.into(),
            ..OfAccount::default()
        };
        let accounts = older.into_iter();
        return Ok(accounts
            .map(|(id, older)| (id, of_account(older)))
            .collect());
    };
    if version.as_u64() != Some(VERSION) {
        return Err(problem(
            format!(
                "{} has version {version}, and this program knows versions up to {VERSION}",
                path.display()
            ),
            "a newer release of durable-streams has written it: use that one",
        ));
    }
    let file: File = serde_json::from_value(document).map_err(|error| broken(path, &error))?;
    Ok(file.accounts)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        outcome => outcome.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let document = serde_json::from_str(&text).map_err(|error| broken(path, &error))?;
    Ok(Some(document))
}

fn broken(path: &Path, error: &serde_json::Error) -> anyhow::Error {
    problem(
        format!("{}: {error}", path.display()),
        "mend it, or remove it: then nothing on Cloudflare counts as made by this project",
    )
}

fn write(path: &Path, document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document)? + "\n";
    Replacement::private(path, text)
        .and_then(Replacement::place)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::samples;

    fn worker(name: &str) -> Worker {
        Worker {
            name: name.to_owned(),
            ..Worker::default()
        }
    }

    #[test]
    fn what_was_made_is_kept_for_each_account_and_environment_and_goes_away_with_it() {
        let (dir, mut project) = samples::project("");
        let note = |project: &Project, account: &str, name: &str| {
            let mut record = Record::load(project, account).unwrap();
            assert_eq!(record.created(), &Created::NOTHING);
            let made = worker(name);
            record.note(|created| created.put_worker(made)).unwrap();
        };
        let names = |project: &Project, account: &str| -> Vec<String> {
            let record = Record::load(project, account).unwrap();
            let workers = record.created().workers.iter();
            workers.map(|one| one.name.clone()).collect()
        };
        let forget = |project: &Project, account: &str| {
            let mut record = Record::load(project, account).unwrap();
            let nothing = |created: &mut Created| *created = Created::NOTHING;
            record.note(nothing).unwrap();
        };
        note(&project, "a", "top of a");
        note(&project, "b", "top of b");
        project.environment = Some("staging".to_owned());
        note(&project, "a", "staging of a");
        let record = Record::load(&project, "a").unwrap();
        let others: Vec<_> = record
            .of_others()
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(others, ["the top level"]);
        assert_eq!(names(&project, "a"), ["staging of a"]);
        forget(&project, "a");
        project.environment = None;
        assert_eq!(names(&project, "a"), ["top of a"]);
        forget(&project, "a");
        assert_eq!(names(&project, "b"), ["top of b"]);
        assert!(dir.path().join(FILE).exists());
        forget(&project, "b");
        assert!(!dir.path().join(FILE).exists());
    }

    #[test]
    fn the_record_of_the_first_release_is_read_and_written_as_todays() {
        let (dir, project) = samples::project("");
        let older = r#"{ "a": { "worker": "w", "buckets": ["b", "eu/c"], "namespaces": ["t"] } }"#;
        fs::write(dir.path().join(FILE), older).unwrap();
        let mut record = Record::load(&project, "a").unwrap();
        let created = record.created().clone();
        assert_eq!(created.workers, [worker("w")]);
        let buckets: Vec<String> = created
            .buckets
            .iter()
            .map(|one| one.bucket().to_string())
            .collect();
        assert_eq!(buckets, ["b", "c in jurisdiction eu"]);
        assert_eq!(created.namespaces[0].title, "t");
        record
            .note(|created| created.put_worker(worker("v")))
            .unwrap();
        let text = fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(text.contains("\"version\": 2"), "{text}");
        let again = Record::load(&project, "a").unwrap();
        assert_eq!(again.created().workers, [worker("w"), worker("v")]);
        assert_eq!(again.created().buckets, created.buckets);
    }

    #[test]
    fn a_broken_record_is_not_taken_for_an_empty_one() {
        let (dir, project) = samples::project("");
        for (text, says) in [
            ("{", FILE),
            ("[]", FILE),
            (r#"{ "a": { "workers": [] } }"#, "workers"),
            (r#"{ "version": 2 }"#, "accounts"),
            (r#"{ "version": 3, "accounts": {} }"#, "version 3"),
            (r#"{ "version": "2", "accounts": {} }"#, "version \"2\""),
        ] {
            fs::write(dir.path().join(FILE), text).unwrap();
            let error = Record::load(&project, "a").unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
