//! Fills in templates.

mod others;
mod own;

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

pub use others::others;
pub use own::{own, values};

/// What to fill in and where to put it.
#[derive(Debug, Serialize)]
pub struct Request {
    /// The folder of the template.
    pub template: PathBuf,
    /// A folder; the project is made in a folder of the project's name inside it.
    pub into: PathBuf,
    /// The project's name.
    pub name: String,
    /// Values of the template's placeholders.
    pub define: BTreeMap<String, String>,
}
