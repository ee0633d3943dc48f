//! TOML files of others, such as a project's `Cargo.toml`.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use toml_edit::DocumentMut;

/// Reads one.
pub fn read(path: &Path) -> Result<DocumentMut> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse()
        .with_context(|| format!("{} is not TOML", path.display()))
}
