//! The registry: which projects a server knows, with their secrets. It is the KV namespace
//! `REGISTRY` of the worker; the runtime crate reads what is written here.
//!
//! A project here is what the first segment of a stream's path names. The folder with the worker's
//! sources is another thing of the same name: [`crate::project`].

mod local;
mod origin;
mod record;
mod remote;
mod secret;
mod store;

use std::rc::Rc;

use anyhow::{Context, Result};

pub use origin::check as check_origin;
pub use record::Record;
pub use secret::Secret;

use store::Store;

use crate::{cloudflare::Account, error::problem, project::Project, ui::Ui};

/// The longest name of a project.
const MAX_NAME: usize = 64;

/// Where a registry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// With the data of local runs.
    Local,
    /// At Cloudflare.
    Remote,
}

impl Place {
    /// A word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// The registry of one server.
pub struct Registry {
    place: Place,
    store: Box<dyn Store>,
}

impl Registry {
    /// Opens the registry of a project's server.
    pub fn open(ui: &Ui, project: &Project, place: Place) -> Result<Self> {
        let store: Box<dyn Store> = match place {
            Place::Local => Box::new(local::LocalStore::start(ui, project)?),
            Place::Remote => Box::new(remote::RemoteStore::open(ui, project)?),
        };
        Ok(Self { place, store })
    }

    /// Opens the registry of a project's deployed server, in an account that is at hand.
    pub fn remote(account: Rc<Account>, project: &Project) -> Result<Self> {
        Ok(Self {
            place: Place::Remote,
            store: Box::new(remote::RemoteStore::of(account, project)?),
        })
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The names of all projects, sorted. Keys with a slash are streams.
    pub fn names(&mut self) -> Result<Vec<String>> {
        let mut names = self.store.list()?;
        names.retain(|name| !name.contains('/'));
        names.sort();
        Ok(names)
    }

    /// The project that is asked for, or else the usual one, with the secret that signs its tokens.
    pub fn signer(&mut self, asked: Option<&str>, worker: &str) -> Result<(String, Secret)> {
        let name = match asked {
            Some(name) => name.to_owned(),
            None => self.usual(worker)?,
        };
        let secret = self.get(&name)?.primary()?.clone();
        Ok((name, secret))
    }

    /// The project to work on where none is named: that of the worker's name, or else the only one
    /// there is.
    fn usual(&mut self, worker: &str) -> Result<String> {
        // To list all takes longer: streams have keys, too.
        if self.store.get(worker)?.is_some() {
            return Ok(worker.to_owned());
        }
        let names = self.names()?;
        match names.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(problem(
                format!("there is no project yet ({})", self.place.name()),
                "`durable-streams projects create` makes one",
            )),
            several => Err(problem(
                format!(
                    "there are several projects, and none of the worker's name: {}",
                    several.join(", ")
                ),
                "name one with --project",
            )),
        }
    }

    /// A project that must exist.
    pub fn get(&mut self, name: &str) -> Result<Record> {
        match self.find(name)? {
            Some(record) => Ok(record),
            None => Err(problem(
                format!("there is no project `{name}` ({})", self.place.name()),
                "`durable-streams projects list` lists them, `durable-streams projects create` makes one",
            )),
        }
    }

    /// A project, if it exists.
    pub fn find(&mut self, name: &str) -> Result<Option<Record>> {
        check_name(name)?;
        let Some(text) = self.store.get(name)? else {
            return Ok(None);
        };
        // The cause would quote the record, and with it a secret.
        let record = serde_json::from_str(&text).ok();
        record.map(Some).with_context(|| {
            format!("the record of project `{name}` is malformed; `durable-streams projects delete {name}` removes it")
        })
    }

    /// Makes a project, which must not exist. One that takes the name of a deleted project gets
    /// none of its streams.
    pub fn create(&mut self, name: &str, record: &Record) -> Result<()> {
        if self.find(name)?.is_some() {
            return Err(problem(
                format!(
                    "there is a project `{name}` already ({})",
                    self.place.name()
                ),
                format!("`durable-streams projects rotate {name}` gives it a new secret"),
            ));
        }
        match self.store.get(&grave(name))? {
            Some(_) => self.set(name, &record.in_new_era()?),
            None => self.set(name, record),
        }
    }

    /// Writes the record of a project.
    pub fn set(&mut self, name: &str, record: &Record) -> Result<()> {
        self.store.put(name, &serde_json::to_string(record)?)
    }

    /// Removes a project, readable or not. That there was one is noted before, for whoever takes its
    /// name.
    pub fn delete(&mut self, name: &str) -> Result<()> {
        check_name(name)?;
        if self.store.get(name)?.is_none() {
            self.get(name)?;
        }
        self.store.put(&grave(name), r#"{"deleted":true}"#)?;
        self.store.delete(name)
    }
}

/// The key that is there for a deleted project. No path of a stream begins like this.
fn grave(name: &str) -> String {
    format!("__ds/deleted/{name}")
}

/// Refuses what cannot be the first segment of a URL's path as it is.
pub fn check_name(name: &str) -> Result<()> {
    let stray = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
    let wrong = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > MAX_NAME {
        format!("it is longer than {MAX_NAME} characters")
    } else if let Some(c) = name.chars().find(|c| stray(*c)) {
        format!("it contains {c:?}")
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        "it does not begin with a letter or a digit".to_owned()
    } else {
        return Ok(());
    };
    Err(problem(
        format!("`{name}` cannot be a project: {wrong}"),
        "take letters, digits, `-`, `_` and `.`, as in `my-project`",
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    impl Store for BTreeMap<String, String> {
        fn get(&mut self, key: &str) -> Result<Option<String>> {
            Ok(BTreeMap::get(self, key).cloned())
        }

        fn put(&mut self, key: &str, value: &str) -> Result<()> {
            self.insert(key.to_owned(), value.to_owned());
            Ok(())
        }

        fn delete(&mut self, key: &str) -> Result<()> {
            self.remove(key);
            Ok(())
        }

        fn list(&mut self) -> Result<Vec<String>> {
            Ok(self.keys().cloned().collect())
        }
    }

    fn registry(entries: &[(&str, &str)]) -> Registry {
        let entries = entries.iter();
        let store: BTreeMap<String, String> = entries
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        Registry {
            place: Place::Local,
            store: Box::new(store),
        }
    }

    fn record() -> Record {
        Record::new(Secret::generate().unwrap())
    }

    #[test]
    fn a_project_is_made_found_and_removed() {
        let mut registry = registry(&[]);
        let record = record();
        registry.create("chat", &record).unwrap();
        assert_eq!(registry.get("chat").unwrap(), record);
        let error = registry.create("chat", &record).unwrap_err();
        assert!(error.to_string().contains("already"), "{error}");
        registry.delete("chat").unwrap();
        assert_eq!(registry.find("chat").unwrap(), None);
        for error in [
            registry.get("chat").unwrap_err(),
            registry.delete("chat").unwrap_err(),
        ] {
            assert!(error.to_string().contains("no project `chat`"), "{error}");
        }
    }

    #[test]
    fn a_project_after_a_deleted_one_is_of_an_era_of_its_own() {
        let mut registry = registry(&[("broken", "{")]);
        let record = record();
        registry.create("chat", &record).unwrap();
        registry.delete("chat").unwrap();
        assert!(
            registry
                .names()
                .unwrap()
                .iter()
                .all(|name| name == "broken")
        );
        registry.create("chat", &record).unwrap();
        let second = registry.get("chat").unwrap();
        assert_ne!(second, record);
        assert_eq!(second.signing_secrets, record.signing_secrets);
        registry.delete("chat").unwrap();
        registry.create("chat", &record).unwrap();
        let third = registry.get("chat").unwrap();
        assert!(third != record && third != second);
        registry.set("chat", &third).unwrap();
        assert_eq!(registry.get("chat").unwrap(), third, "it keeps its era");
        registry.create("chat2", &record).unwrap();
        assert_eq!(registry.get("chat2").unwrap(), record);
        registry.delete("broken").unwrap();
        registry.create("broken", &record).unwrap();
        assert_ne!(registry.get("broken").unwrap(), record);
    }

    #[test]
    fn streams_are_no_projects() {
        let mut registry = registry(&[("b", ""), ("a", ""), ("a/s", r#"{"public":true}"#)]);
        assert_eq!(registry.names().unwrap(), ["a", "b"]);
    }

    #[test]
    fn the_project_of_the_workers_name_and_the_only_one_need_not_be_named() {
        let named = registry(&[("a", ""), ("w", "")]).usual("w");
        assert_eq!(named.unwrap(), "w");
        assert_eq!(registry(&[("a", ""), ("a/s", "")]).usual("w").unwrap(), "a");
        let none = registry(&[]).usual("w").unwrap_err();
        let hint = crate::error::hint(&none).unwrap();
        assert!(hint.contains("projects create"), "{hint}");
        let several = registry(&[("a", ""), ("b", "")]).usual("w").unwrap_err();
        assert!(several.to_string().contains("a, b"), "{several}");
        assert!(crate::error::hint(&several).unwrap().contains("--project"));
    }

    #[test]
    fn a_malformed_record_is_told_without_what_is_in_it_and_can_be_removed() {
        let mut registry = registry(&[("a", r#"{"signingSecrets":"hunter2"}"#)]);
        let error = format!("{:?}", registry.get("a").unwrap_err());
        assert!(
            error.contains("malformed") && !error.contains("hunter2"),
            "{error}"
        );
        registry.delete("a").unwrap();
        assert!(registry.names().unwrap().is_empty());
    }

    #[test]
    fn a_name_is_one_plain_segment_of_a_path() {
        for name in ["a", "my-project", "My_Project.2", "9", &"x".repeat(64)] {
            check_name(name).unwrap();
        }
        for name in [
            "",
            ".",
            "..",
            "__ds",
            "-a",
            "a/b",
            "a b",
            "é",
            "a%20",
            "a?",
            &"x".repeat(65),
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
