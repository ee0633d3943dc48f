//! Where a new project takes the runtime crate from.

use std::{fmt, path::Path};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{error::problem, toml_file};

/// The package a project depends on.
pub const PACKAGE: &str = "durable-streams-cloudflare";

/// Where a new project takes the runtime crate from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuntimeSource {
    /// The registry, at this version or a compatible one.
    Version(String),
    /// A folder, as an absolute path.
    Path(String),
    /// A git repository, in the form cargo takes.
    Git(String),
}

impl RuntimeSource {
    /// Reads the value of `--runtime`.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if is_version(text) {
            return Ok(Self::Version(text.to_owned()));
        }
        let folder = Path::new(text);
        if !folder.is_dir()
            && let Some(url) = git_url(text)
        {
            return Ok(Self::Git(url));
        }
        Self::folder(folder).map_err(|wrong| {
            problem(
                format!("--runtime `{text}`: {wrong}"),
                format!("give a version (0.1.0), a folder that holds the package {PACKAGE}, or a git URL"),
            )
        })
    }

    /// What a project gets when nobody says otherwise: the checkout this program was built from
    /// while it is there, else the published version that matches this program.
    pub fn default_source() -> Self {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime");
        Self::folder(&checkout)
            .unwrap_or_else(|_| Self::Version(env!("CARGO_PKG_VERSION").to_owned()))
    }

    /// The value the template gets. It tells the three kinds apart by their looks.
    pub fn value(&self) -> &str {
        match self {
            Self::Version(text) | Self::Path(text) | Self::Git(text) => text,
        }
    }

    /// The source as JSON.
    pub fn document(&self) -> Value {
        match self {
            Self::Version(text) => json!({ "version": text }),
            Self::Path(text) => json!({ "path": text }),
            Self::Git(text) => json!({ "git": text }),
        }
    }

    fn folder(folder: &Path) -> Result<Self, String> {
        let absolute = folder
            .canonicalize()
            .map_err(|_| "it is not a version, a git URL or an existing folder".to_owned())?;
        let manifest = absolute.join("Cargo.toml");
        let document = toml_file::read(&manifest).map_err(|error| format!("{error:#}"))?;
        let name = document
            .get("package")
            .and_then(|package| package.get("name")?.as_str());
        if name != Some(PACKAGE) {
            return Err(format!(
                "{} is the manifest of {}, not of {PACKAGE}",
                manifest.display(),
                name.map_or("no package".to_owned(), |name| format!("`{name}`"))
            ));
        }
        let path = absolute
            .to_str()
            .ok_or("the path is not UTF-8, which a manifest cannot hold")?;
        if path.contains(|c: char| c.is_control()) {
            return Err("the path holds a control character".to_owned());
        }
        Ok(Self::Path(path.to_owned()))
    }
}

impl fmt::Display for RuntimeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(text) => write!(f, "{PACKAGE} {text}"),
            Self::Path(text) => write!(f, "{PACKAGE} at {text}"),
            Self::Git(text) => write!(f, "{PACKAGE} from {text}"),
        }
    }
}

/// `1.2.3`, with what may follow it: `-beta.1`, `+build`.
fn is_version(text: &str) -> bool {
    let (core, suffix) = match text.find(['-', '+']) {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let numbers: Vec<&str> = core.split('.').collect();
    let number = |part: &&str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part.len() == 1 || !part.starts_with('0'))
    };
    numbers.len() == 3
        && numbers.iter().all(number)
        && suffix.len() != 1
        && suffix
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
}

/// A git URL in the form cargo takes: `git@host:path` becomes `ssh://git@host/path`.
fn git_url(text: &str) -> Option<String> {
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '"' || c == '\\') {
        return None;
    }
    let schemes = ["https://", "http://", "ssh://", "git://", "file://"];
    if schemes.iter().any(|scheme| text.starts_with(scheme)) {
        return Some(text.to_owned());
    }
    let (host, path) = text.split_once(':')?;
    let scp = host.contains('@') && !host.contains('/') && !path.is_empty();
    scp.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\n");
        std::fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
        dir
    }

    #[test]
    fn a_version_is_told_from_the_rest() {
        for text in ["0.1.0", "1.20.300", "1.0.0-beta.1", "1.0.0+x"] {
            assert_eq!(
                RuntimeSource::parse(text).unwrap(),
                RuntimeSource::Version(text.into())
            );
        }
        for text in ["1", "1.2", "1.2.x", "01.2.3", "1.2.3-", "v1.2.3", ""] {
            assert!(!is_version(text), "{text}");
        }
    }

    #[test]
    fn git_urls_become_what_cargo_takes() {
        let git = |text| match RuntimeSource::parse(text).unwrap() {
            RuntimeSource::Git(url) => url,
            other => panic!("{other:?}"),
        };
        assert_eq!(git("https://host/a/b"), "https://host/a/b");
        assert_eq!(git("git@host:a/b.git"), "ssh://git@host/a/b.git");
        assert_eq!(git("ssh://git@host/a/b.git"), "ssh://git@host/a/b.git");
    }

    #[test]
    fn a_folder_must_hold_the_package() {
        let right = package(PACKAGE);
        let path = right.path().to_str().unwrap();
        let absolute = right.path().canonicalize().unwrap();
        assert_eq!(
            RuntimeSource::parse(path).unwrap(),
            RuntimeSource::Path(absolute.to_str().unwrap().into())
        );
        let wrong = package("something-else");
        let error = RuntimeSource::parse(wrong.path().to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("something-else"), "{error}");
        let error = RuntimeSource::parse("no/such/folder").unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }
}
