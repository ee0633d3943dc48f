//! Where a command works.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::manifest::Manifest;
use crate::error::problem;

/// The variable that chooses an environment where no option does, as for wrangler.
const ENVIRONMENT: &str = "CLOUDFLARE_ENV";

/// Where a command works: a folder of a project, and which of the project's environments.
#[derive(Debug, Clone)]
pub struct Here {
    /// The project's folder, or one in it.
    pub dir: PathBuf,
    /// A name below `env` in the settings; nothing for the top level.
    pub environment: Option<String>,
}

impl Here {
    /// The current folder, in the environment that `--env` or `CLOUDFLARE_ENV` names.
    pub fn current(environment: Option<String>) -> Self {
        let variable = || env::var(ENVIRONMENT).ok();
        Self {
            dir: PathBuf::from("."),
            environment: environment
                .or_else(variable)
                .filter(|name| !name.is_empty()),
        }
    }

    /// The top level of the project in a folder.
    pub fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            environment: None,
        }
    }

    /// The folder of the project that this is in, if it is in one.
    pub fn find(&self) -> Result<Option<PathBuf>> {
        let dir = self
            .dir
            .canonicalize()
            .with_context(|| format!("cannot find the folder {}", self.dir.display()))?;
        check_path(&dir)?;
        let is_root =
            |dir: &&Path| Manifest::find(dir, None).is_some() && dir.join("Cargo.toml").is_file();
        Ok(dir.ancestors().find(is_root).map(Path::to_owned))
    }

    /// The same, where there has to be one.
    pub fn root(&self) -> Result<PathBuf> {
        self.find()?.ok_or_else(|| {
            problem(
                format!(
                    "{} is in no project: neither it nor a folder above it has a Cargo.toml with a \
                     wrangler.toml, wrangler.jsonc or wrangler.json beside it",
                    self.dir.canonicalize().unwrap_or_else(|_| self.dir.clone()).display()
                ),
                "go to a project's folder, name it with -C, or make one with `durable-streams init`",
            )
        })
    }
}

/// Refuses a folder whose path is no text: cargo, Node and every document that names it need one.
pub fn check_path(dir: &Path) -> Result<()> {
    match dir.to_str() {
        Some(_) => Ok(()),
        None => Err(problem(
            format!("the path {} is not UTF-8", dir.display()),
            "rename the folder, or name another one",
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_project_is_found_from_its_subfolders_and_the_nearest_counts() {
        let dir = tempfile::tempdir().unwrap();
        let outer = dir.path().canonicalize().unwrap();
        let inner = outer.join("a/b");
        fs::create_dir_all(inner.join("src/deep")).unwrap();
        let find = |dir: &Path| Here::at(dir).find().unwrap();
        assert_eq!(find(&inner), None);
        for root in [&outer, &inner] {
            fs::write(root.join("Cargo.toml"), "").unwrap();
            fs::write(root.join("wrangler.toml"), "").unwrap();
        }
        assert_eq!(find(&inner.join("src/deep")), Some(inner));
        assert_eq!(find(&outer.join("a")), Some(outer));
    }
}
