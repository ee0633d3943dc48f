//! Where a project is served: here, for as long as `dev` runs, and on Cloudflare.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
};

use anyhow::{Context, Result};

use crate::{
    cloudflare::Account,
    deployment::{self, addresses},
    error::problem,
    project::Project,
};

/// Says where `dev` serves a project, to other commands in its folder, until it is dropped. A lock
/// goes with the process, however that ends; so what is written is believed only while it is held.
#[derive(Debug)]
pub struct Serving {
    _lock: File,
}

impl Serving {
    /// Says it, unless another `dev` of the same project does.
    pub fn at(project: &Project, url: &str) -> Result<Option<Self>> {
        let folder = deployment::folder(project);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let write = |path: PathBuf, text: &str| {
            let mut file = File::create(&path)?;
            file.write_all(text.as_bytes())?;
            anyhow::Ok(file)
        };
        let lock = write(lock(project), "")?;
        if lock.try_lock().is_err() {
            return Ok(None);
        }
        write(address(project), url)?;
        Ok(Some(Self { _lock: lock }))
    }
}

/// Where `dev` serves a project now.
pub fn local(project: &Project) -> Result<String> {
    let is_held = File::open(lock(project)).is_ok_and(|lock| lock.try_lock_shared().is_err());
    let url = match is_held {
        true => fs::read_to_string(address(project)).ok(),
        false => None,
    };
    url.ok_or_else(|| {
        problem(
            "the project is not served on this machine: a running server is needed for this",
            "start `durable-streams dev` in another terminal, name a server with --url, or take the \
             deployed one with --remote",
        )
    })
}

/// Where the deployed worker of a project is reached.
pub fn remote(project: &Project, account: &Account) -> Result<String> {
    let subdomain = match project.wrangler.on_workers_dev() {
        true => account.subdomain()?,
        false => None,
    };
    let mut urls = addresses(project, subdomain.as_deref()).into_iter();
    urls.next().ok_or_else(|| {
        problem(
            format!(
                "{} has no URL of its own: only routes lead to it",
                project.name
            ),
            "name one with --url",
        )
    })
}

fn lock(project: &Project) -> PathBuf {
    deployment::folder(project).join("serving.lock")
}

fn address(project: &Project) -> PathBuf {
    deployment::folder(project).join("serving")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_for_as_long_as_somebody_serves() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let text = "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n";
        fs::write(dir.path().join("wrangler.toml"), text).unwrap();
        let project = Project::open(dir.path()).unwrap();
        let error = local(&project).unwrap_err();
        assert!(
            crate::error::hint(&error).unwrap().contains("dev"),
            "{error}"
        );
        let first = Serving::at(&project, "http://127.0.0.1:1")
            .unwrap()
            .unwrap();
        assert_eq!(local(&project).unwrap(), "http://127.0.0.1:1");
        assert!(
            Serving::at(&project, "http://127.0.0.1:2")
                .unwrap()
                .is_none()
        );
        assert_eq!(local(&project).unwrap(), "http://127.0.0.1:1");
        drop(first);
        local(&project).unwrap_err();
        let again = Serving::at(&project, "http://127.0.0.1:3").unwrap();
        assert!(again.is_some());
        assert_eq!(local(&project).unwrap(), "http://127.0.0.1:3");
    }
}
