//! What the registry of local runs said last. To open it takes seconds, because Node and workerd have to
//! start; commands that ask a server do with what was said before, for as long as nothing in its files has
//! changed. The secret lies as openly in those files, beside the streams of local runs.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{hex::hex, local::STATE, project::Project, registry::Secret, replacement::Replacement};

const FILE: &str = "known.json";
/// For how long it counts at most, in seconds: whatever may go unnoticed goes for no longer.
const LIFETIME: u64 = 3600;

/// A project of the registry, with what signs its tokens.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Known {
    /// Which project was asked for, if one was named.
    asked: Option<String>,
    /// Its name.
    pub project: String,
    /// Its secret.
    pub secret: Secret,
    /// The state of the registry's files.
    files: String,
    /// When it was said, in seconds since the Unix epoch.
    at: u64,
}

impl Known {
    /// What is known, if it still counts.
    pub fn find(project: &Project, asked: Option<&str>) -> Option<Self> {
        let text = fs::read(project.machine_dir().join(FILE)).ok()?;
        let known: Self = serde_json::from_slice(&text).ok()?;
        let age = now().checked_sub(known.at)?;
        let counts = known.asked.as_deref() == asked
            && age < LIFETIME
            && Some(&known.files) == state(project).as_ref();
        counts.then_some(known)
    }

    /// Keeps what was said. That it cannot be kept costs time and nothing else.
    pub fn keep(project: &Project, asked: Option<&str>, name: &str, secret: &Secret) {
        let Some(files) = state(project) else { return };
        let known = Self {
            asked: asked.map(str::to_owned),
            project: name.to_owned(),
            secret: secret.clone(),
            files,
            at: now(),
        };
        let _ = known.write(&project.machine_dir());
    }

    fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)?;
        Ok(Replacement::private(&dir.join(FILE), text)?.place()?)
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The state of the registry's files: all that changes when something is written there.
pub fn state(project: &Project) -> Option<String> {
    let mut found = Vec::new();
    list(&project.root.join(STATE).join("kv"), &mut found)?;
    found.sort();
    // Another namespace or environment may be in the same files.
    let which = format!(
        "{}\n{:?}\n{found:?}",
        project.name,
        project.namespace("REGISTRY")
    );
    Some(hex(&Sha256::digest(which.as_bytes())))
}

fn list(dir: &Path, found: &mut Vec<String>) -> Option<()> {
    for entry in fs::read_dir(dir).ok()? {
        let path = entry.ok()?.path();
        if path.is_dir() {
            list(&path, found)?;
            continue;
        }
        let name = path.display().to_string();
        // Readers write to this one, too.
        if name.ends_with("-shm") {
            continue;
        }
        let about = fs::metadata(&path).ok()?;
        found.push(format!(
            "{name} {} {:?}",
            about.len(),
            about.modified().ok()?
        ));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::project::Here;

    #[test]
    fn what_was_said_counts_until_the_registry_changes() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::write(root.join("Cargo.toml"), "[package]\nname = \"shop\"").unwrap();
        let manifest =
            "name = \"shop\"\ncompatibility_date = \"2026-04-01\"\nmain = \"build/index.js\"\n";
        fs::write(root.join("wrangler.toml"), manifest).unwrap();
        let project = Project::open(&Here::at(root)).unwrap();
        let secret: Secret =
            serde_json::from_value(json!("0123456789abcdef0123456789abcdef")).unwrap();
        let keep = || Known::keep(&project, None, "shop", &secret);
        keep();
        assert!(
            Known::find(&project, None).is_none(),
            "there is no registry"
        );

        let kv = root.join(STATE).join("kv/x");
        fs::create_dir_all(&kv).unwrap();
        fs::write(kv.join("a.sqlite"), "1").unwrap();
        keep();
        assert_eq!(Known::find(&project, None).unwrap().project, "shop");
        assert!(Known::find(&project, Some("other")).is_none());
        fs::write(kv.join("a.sqlite-shm"), "1").unwrap();
        assert!(
            Known::find(&project, None).is_some(),
            "somebody has read it"
        );
        fs::write(kv.join("a.sqlite-wal"), "1").unwrap();
        assert!(
            Known::find(&project, None).is_none(),
            "somebody has written to it"
        );

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = project.machine_dir().join(FILE);
            let mode = fs::metadata(path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "others can read it");
        }
    }
}
