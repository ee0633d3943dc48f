//! Works on a project that must not meet: of each kind one goes on at a time, and whoever comes second
//! is told who is there.

use std::{
    fmt,
    fs::{self, File},
    path::PathBuf,
    process,
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Project;
use crate::{lock, ui::Ui};

/// What is worked on. Two machines cannot wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The data of local runs, which one workerd at a time may have.
    Serve,
    /// The bundle in `build/`, from before it is made until it has been used.
    Bundle,
    /// What is on Cloudflare, with the record of it.
    Cloudflare,
    /// The projects of local runs: read, changed and written again.
    Registry,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Serve => "serving",
            Self::Bundle => "bundle",
            Self::Cloudflare => "cloudflare",
            Self::Registry => "registry",
        }
    }
}

/// Who works on something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// What it was told to do, as in `dev`.
    pub command: String,
    /// In which environment; nothing for the top level.
    #[serde(default)]
    pub environment: Option<String>,
    /// Where it serves, once it does.
    pub url: Option<String>,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "durable-streams {}", self.command)?;
        if let Some(environment) = &self.environment {
            write!(f, " --env {environment}")?;
        }
        write!(f, " (process {}", self.pid)?;
        match &self.url {
            Some(url) => write!(f, ", at {url})"),
            None => f.write_str(")"),
        }
    }
}

/// Keeps others from the same work until it is dropped. A lock goes with its process, however that
/// ends, so what is written of its holder is believed only while it is held.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
    holder: Holder,
}

impl Lock {
    /// Takes up a work, unless somebody is at it: then says who.
    pub fn attempt(project: &Project, work: Work, command: &str) -> Result<Result<Self, Holder>> {
        let path = path(project, work);
        let Some(file) = lock::hold(&path)? else {
            return Ok(Err(written(project, work)));
        };
        let lock = Self {
            _file: file,
            path: path.with_extension("json"),
            holder: Holder {
                pid: process::id(),
                command: command.to_owned(),
                environment: project.environment.clone(),
                url: None,
            },
        };
        lock.write()?;
        Ok(Ok(lock))
    }

    /// Takes up a work when whoever is at it has ended.
    pub fn wait(ui: &Ui, project: &Project, work: Work, command: &str) -> Result<Self> {
        lock::wait(ui, || {
            let taken = Self::attempt(project, work, command)?;
            Ok(taken.map_err(|holder| format!("{holder} to end in this project")))
        })
    }

    /// Says where its holder serves from now on.
    pub fn serve_at(&mut self, url: &str) -> Result<()> {
        self.holder.url = Some(url.to_owned());
        self.write()
    }

    fn write(&self) -> Result<()> {
        let text = serde_json::to_string(&self.holder)?;
        fs::write(&self.path, text).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// Who is at a work now.
pub fn holder(project: &Project, work: Work) -> Option<Holder> {
    let file = File::open(path(project, work)).ok()?;
    let is_held = file.try_lock_shared().is_err();
    is_held.then(|| written(project, work))
}

/// Where whoever served last did so, if that is known: it may have been killed a moment ago.
pub fn last_url(project: &Project) -> Option<String> {
    written(project, Work::Serve).url
}

fn written(project: &Project, work: Work) -> Holder {
    let path = path(project, work).with_extension("json");
    let text = fs::read_to_string(path).unwrap_or_default();
    // It may be about to be written.
    serde_json::from_str(&text).unwrap_or_else(|_| Holder {
        pid: 0,
        command: "…".to_owned(),
        environment: None,
        url: None,
    })
}

fn path(project: &Project, work: Work) -> PathBuf {
    project.machine_dir().join(format!("{}.lock", work.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::samples;

    #[test]
    fn whoever_comes_second_is_told_who_is_there() {
        let (_dir, project) = samples::project("");
        let attempt = |work| Lock::attempt(&project, work, "dev").unwrap();
        assert_eq!(holder(&project, Work::Serve), None);
        let mut first = attempt(Work::Serve).unwrap();
        first.serve_at("http://127.0.0.1:1").unwrap();
        let held = attempt(Work::Serve).unwrap_err();
        assert_eq!(held.pid, process::id());
        assert_eq!(held.url.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(holder(&project, Work::Serve), Some(held));
        attempt(Work::Bundle).unwrap();
        drop(first);
        assert_eq!(holder(&project, Work::Serve), None);
        let second = attempt(Work::Serve).unwrap();
        assert_eq!(holder(&project, Work::Serve).unwrap().url, None);
        drop(second);
    }
}
