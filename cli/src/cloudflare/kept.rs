//! The login of this program: a token that somebody has asked to be kept.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{error::problem, replacement::Replacement};

/// The file, in the folder of this program where the system keeps configuration.
const FILE: &str = "durable-streams/login.toml";

/// What is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The token.
    pub token: String,
    /// The account it is used for, where nothing else says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
}

/// Where it is kept. A relative folder is none, says the rule of `XDG_CONFIG_HOME`.
pub fn path() -> Option<PathBuf> {
    let folder = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|dir| dir.is_absolute())
    };
    let system = if cfg!(windows) {
        folder("APPDATA")
    } else {
        None
    };
    let folder = folder("XDG_CONFIG_HOME")
        .or(system)
        .or_else(|| Some(env::home_dir()?.join(".config")))?;
    Some(folder.join(FILE))
}

impl Kept {
    /// Reads what is kept; nothing when nobody has logged in.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("cannot read the login {}", path.display()))?,
        };
        check_mode(path)?;
        // The parser's own message would show the line, which may be the token's.
        toml_edit::de::from_str(&text).map(Some).map_err(|_| {
            problem(
                format!(
                    "the login {} is not as `durable-streams login` writes it",
                    path.display()
                ),
                "`durable-streams login` writes it anew, `durable-streams logout` removes it",
            )
        })
    }

    /// Writes it, whole or not at all, for nobody else to read.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml_edit::ser::to_string(self)?;
        Replacement::private(path, text)
            .and_then(Replacement::place_for_good)
            .with_context(|| format!("cannot write the login {}", path.display()))
    }

    /// Removes it; false when there is none.
    pub fn remove(path: &Path) -> Result<bool> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            outcome => {
                outcome.with_context(|| format!("cannot remove the login {}", path.display()))?;
                Ok(true)
            }
        }
    }
}

/// Refuses a login that others on this machine can read.
#[cfg(unix)]
fn check_mode(path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let mode = fs::metadata(path)?.mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(problem(
        format!(
            "the login {} can be read by others on this machine",
            path.display()
        ),
        format!(
            "if nobody has: `chmod 600 {}`; else make another token",
            path.display()
        ),
    ))
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/login.toml");
        assert!(Kept::read(&path).unwrap().is_none());
        assert!(!Kept::remove(&path).unwrap());
        let mut kept = Kept {
            token: "tok-1".to_owned(),
            account_id: None,
        };
        kept.write(&path).unwrap();
        kept.account_id = Some("abc".to_owned());
        kept.write(&path).unwrap();
        assert!(Kept::read(&path).unwrap() == Some(kept));
        let beside = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(beside, 1);
        assert!(Kept::remove(&path).unwrap());
        assert!(Kept::read(&path).unwrap().is_none());
    }

    #[test]
    fn a_login_that_others_can_read_or_that_is_none_is_refused_without_showing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("login.toml");
        fs::write(&path, "token = \"tok-1").unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            mode(0o640);
            let error = Kept::read(&path).err().unwrap();
            assert!(crate::error::hint(&error).unwrap().contains("chmod 600"));
            mode(0o600);
        }
        let error = format!("{:#}", Kept::read(&path).err().unwrap());
        assert!(
            error.contains("login.toml") && !error.contains("tok-1"),
            "{error}"
        );
    }
}
