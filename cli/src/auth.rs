//! Who may use the streams of a project: what its `Cargo.toml` says, and what to try it with.

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde::Serialize;

use crate::{
    args::values::{Auth, Scope},
    project::Project,
    registry::{Place, Record, Registry, Secret},
    token::{self, Claims},
    toml_file,
    ui::Ui,
};

/// How long the tokens last that `dev` and `deploy` show.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Tokens to try a server with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The project.
    pub project: String,
    /// Allows everything in the project.
    pub write_token: String,
    /// Allows reading.
    pub read_token: String,
    /// When both end, in seconds since the Unix epoch.
    pub expires_at: u64,
}

impl Access {
    /// What the tokens are, and where others come from, for a person.
    pub fn about(&self, place: Place) -> String {
        let project = &self.project;
        let place = match place {
            Place::Local => "",
            Place::Remote => " --remote",
        };
        format!(
            "READ and WRITE are tokens of the project {project} for a day.\n\
             `durable-streams token -p {project} --scope read{place}` makes another,\n\
             `durable-streams projects show {project} --show-secret{place}` shows the secret that signs \
             them."
        )
    }
}

/// What the project in a folder says of itself: `package.metadata.durable-streams.auth`.
pub fn of(root: &Path) -> Result<Auth> {
    let manifest = toml_file::read(&root.join("Cargo.toml"))?;
    let mut item = Some(manifest.as_item());
    for key in ["package", "metadata", "durable-streams", "auth"] {
        item = item.and_then(|item| item.get(key));
    }
    Ok(match item.and_then(|item| item.as_str()) {
        Some("project-jwt") => Auth::ProjectJwt,
        Some("own") => Auth::Own,
        _ => Auth::None,
    })
}

/// Tokens for a local run. Without any project, one of the worker's name is made.
pub fn local_access(ui: &Ui, project: &Project) -> Result<Access> {
    let mut registry = Registry::open(ui, project, Place::Local)?;
    let names = registry.names()?;
    let name = match names.iter().find(|name| **name == project.name) {
        Some(name) => name,
        None => names.first().unwrap_or(&project.name),
    };
    access(ui, &mut registry, name)
}

/// Tokens for a project in a registry, which is made if it is not there.
pub fn access(ui: &Ui, registry: &mut Registry, name: &str) -> Result<Access> {
    let record = match registry.find(name)? {
        Some(record) => record,
        None => {
            let record = Record::new(Secret::generate()?);
            registry.create(name, &record)?;
            let place = registry.place().name();
            ui.note(format!("Made the project {name} ({place})"));
            record
        }
    };
    let expires_at = token::expiry(LIFETIME)?;
    let mint = |scope| {
        let claims = Claims {
            project: name.to_owned(),
            scope,
            expires_at,
            stream: None,
        };
        token::mint(record.primary()?, &claims)
    };
    Ok(Access {
        project: name.to_owned(),
        write_token: mint(Scope::Write)?,
        read_token: mint(Scope::Read)?,
        expires_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_says_it() {
        let dir = tempfile::tempdir().unwrap();
        let auth = |text: &str| {
            std::fs::write(dir.path().join("Cargo.toml"), text).unwrap();
            of(dir.path())
        };
        let table = "[package.metadata.durable-streams]\n";
        assert_eq!(
            auth(&format!("{table}auth = \"project-jwt\"")).unwrap(),
            Auth::ProjectJwt
        );
        let own = format!("{table}auth = \"own\"");
        assert_eq!(auth(&own).unwrap(), Auth::Own);
        for text in [
            "",
            "[package]\nname = \"x\"",
            &format!("{table}auth = \"none\""),
            &format!("{table}auth = 1"),
        ] {
            assert_eq!(auth(text).unwrap(), Auth::None, "{text}");
        }
        assert!(auth("[").is_err());
    }
}
