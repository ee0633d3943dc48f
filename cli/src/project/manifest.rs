//! The file with a project's settings.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::{
    document::Document,
    environment::{self, Selected},
    layout::MANIFESTS,
    wrangler::Wrangler,
};
use crate::{error::problem, replacement::Replacement};

/// The file with a project's settings, and the environment in it that is worked on.
#[derive(Debug, Clone)]
pub struct Manifest {
    path: PathBuf,
    environment: Option<String>,
}

/// What a file says of an environment.
#[derive(Debug)]
pub struct Read {
    /// The file as it is written.
    pub document: Document,
    /// The settings that count.
    pub wrangler: Wrangler,
    /// What the top level has, the environment lacks, and is not inherited.
    pub missing: Vec<String>,
    /// What is likely to be meant otherwise.
    pub warnings: Vec<String>,
}

impl Manifest {
    /// The file in a project's folder.
    pub fn find(root: &Path, environment: Option<String>) -> Option<Self> {
        let path = present(root).next()?;
        Some(Self { path, environment })
    }

    /// A `wrangler.toml` that is not written yet.
    pub fn to_be() -> Self {
        Self {
            path: PathBuf::from("wrangler.toml"),
            environment: None,
        }
    }

    /// The name of the file.
    pub fn name(&self) -> &str {
        let name = self.path.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }

    /// Reads the file.
    pub fn read(&self) -> Result<Read> {
        let path = &self.path;
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.parse(&text)
    }

    /// What a text says that is, or will be, the file's.
    pub fn parse(&self, text: &str) -> Result<Read> {
        let document = Document::parse(text, self.name()).map_err(|wrong| self.wrong(&wrong))?;
        self.understand(document)
    }

    /// What a document says that is, or will be, the file's.
    pub fn understand(&self, document: Document) -> Result<Read> {
        let settings = document.settings().map_err(|wrong| self.wrong(&wrong))?;
        let Selected {
            settings,
            missing,
            mut warnings,
        } = environment::select(settings, self.environment.as_deref())
            .map_err(|known| self.unknown(&known))?;
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let others = present(folder).filter(|path| *path != self.path);
        warnings.extend(others.map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            format!("{name} is not read: {} beside it comes first", self.name())
        }));
        let wrangler = Wrangler::of(settings).map_err(|wrong| self.wrong(&wrong))?;
        Ok(Read {
            document,
            wrangler,
            missing,
            warnings,
        })
    }

    /// Where in the file a setting of the environment is written.
    pub fn place<'a>(&'a self, settings: &Map<String, Value>, key: &'a str) -> Vec<&'a str> {
        environment::path(settings, self.environment.as_deref(), key)
    }

    /// Puts a new text in the place of the file's, whole or not at all. Its permissions stay.
    pub fn write(&self, text: &str) -> Result<()> {
        Replacement::open(&self.path, text)
            .and_then(Replacement::place)
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The same setting, as the format of the file writes it.
    fn example(&self, environment: &str) -> String {
        match self.name().ends_with(".toml") {
            true => format!("[env.{environment}]"),
            false => format!("\"env\": {{ \"{environment}\": {{}} }}"),
        }
    }

    fn wrong(&self, wrong: &str) -> anyhow::Error {
        problem(
            format!("{}: {wrong}", self.path.display()),
            "mend the file; `durable-streams init` writes one that is right",
        )
    }

    fn unknown(&self, known: &[String]) -> anyhow::Error {
        let name = self.environment.as_deref().unwrap_or_default();
        let there = match known.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has `{}`", known.join("`, `")),
        };
        problem(
            format!(
                "{} has no environment `{name}`: {there}",
                self.path.display()
            ),
            format!(
                "--env or CLOUDFLARE_ENV chooses one; to make this one, add `{}` with the bindings \
                 its worker needs",
                self.example(name)
            ),
        )
    }
}

/// The files with settings in a folder, first the one that counts.
fn present(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = MANIFESTS.iter().map(|name| folder.join(name));
    paths.filter(|path| path.is_file())
}
