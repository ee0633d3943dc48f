//! The text of settings, in either format that wrangler reads: what it says, and small changes to
//! it. Comments, order and everything else in it stay as they are.

use std::fmt;

use anyhow::{Context, Result};
use jsonc_parser::cst::CstRootNode;
use serde_json::{Map, Value};
use toml_edit::DocumentMut;

use super::{jsonc, toml};

/// Settings as they are written.
#[derive(Debug)]
pub enum Document {
    /// TOML.
    Toml(DocumentMut),
    /// JSON, which may have comments.
    Json(CstRootNode),
}

/// What can be put into a table.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(&'a [&'a str]),
}

impl Document {
    /// Reads a text; `name` is that of its file, and says what it is written in.
    pub fn parse(text: &str, name: &str) -> Result<Self, String> {
        // Editors on Windows put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if name.ends_with(".toml") {
            return match text.parse() {
                Ok(document) => Ok(Self::Toml(document)),
                Err(error) => Err(error.to_string().trim_end().to_owned()),
            };
        }
        jsonc::parse(text).map(Self::Json)
    }

    /// What it says.
    pub fn settings(&self) -> Result<Map<String, Value>, String> {
        match self {
            Self::Toml(document) => {
                toml_edit::de::from_document(document.clone()).map_err(|error| error.to_string())
            }
            Self::Json(root) => match root.to_serde_value() {
                Some(Value::Object(settings)) => Ok(settings),
                _ => Err("it is not an object".to_owned()),
            },
        }
    }

    /// Sets `key` in the entry of the list at `path` whose `binding` is this one; without a value,
    /// removes it.
    pub fn set(
        &mut self,
        path: &[&str],
        binding: &str,
        key: &str,
        new: Option<&str>,
    ) -> Result<()> {
        let done = match self {
            Self::Toml(document) => toml::set(document, path, binding, key, new),
            Self::Json(root) => jsonc::set(root, path, binding, key, new),
        };
        done.with_context(|| {
            format!(
                "`{}` has no entry with the binding `{binding}`",
                path.join(".")
            )
        })
    }

    /// Puts a table at the end of the list at `path`, in the way the list is written. The comment is
    /// for whoever reads the text, and left out where there is no place for one.
    pub fn push(
        &mut self,
        path: &[&str],
        entry: &[(&str, Entry<'_>)],
        comment: Option<&str>,
    ) -> Result<()> {
        let done = match self {
            Self::Toml(document) => toml::push(document, path, entry, comment),
            Self::Json(root) => jsonc::push(root, path, entry),
        };
        done.with_context(|| format!("`{}` is no list of tables", path.join(".")))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml(document) => document.fmt(f),
            Self::Json(root) => root.fmt(f),
        }
    }
}
