//! Examples: what `init --example` lays over the template, as the start of somebody's own.
//!
//! An example is a folder of `template/examples`. Its files are put into the project or stand in the
//! place of the template's, and its `example.toml` says the rest.

mod overlay;

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::{Deserialize, de::IgnoredAny};
use toml_edit::de;

use crate::{args::values::Auth, error::problem};

/// Says what an example is, and what it adds to the settings.
const ABOUT: &str = "example.toml";

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// An example, as it is in the repository.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// What it is called.
    pub name: &'static str,
    /// What is in its folder.
    files: &'static [(&'static str, &'static str)],
}

/// What an example says of itself, but for what it adds to `Cargo.toml` and `wrangler.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    /// What it is, in a line.
    description: String,
    /// Who may use its streams: all that it can be written with, and what it is by default first.
    #[serde(default = "either")]
    auth: Vec<Auth>,
    /// Secrets that it needs, with what they are.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    #[serde(rename = "cargo")]
    _cargo: Option<IgnoredAny>,
    #[serde(rename = "wrangler")]
    _wrangler: Option<IgnoredAny>,
}

fn either() -> Vec<Auth> {
    vec![Auth::ProjectJwt, Auth::None]
}

/// Takes the name of an example.
pub fn by_name() -> impl TypedValueParser<Value = Example> {
    let names = EXAMPLES.iter().map(|example| {
        let description = example.description().unwrap_or_default();
        PossibleValue::new(example.name).help(description)
    });
    PossibleValuesParser::new(names).try_map(|name| find(&name).context("no such example"))
}

fn find(name: &str) -> Option<Example> {
    EXAMPLES
        .iter()
        .find(|example| example.name == name)
        .copied()
}

impl Example {
    /// Who may use the streams of its project, `asked` for or by default.
    pub fn auth(&self, asked: Option<Auth>) -> Result<Auth> {
        let can = self.about()?.auth;
        let wrong = || {
            let ways: Vec<String> = can
                .iter()
                .filter(|way| **way != Auth::Own)
                .map(|way| format!("--auth {}", way.name()))
                .collect();
            problem(
                format!(
                    "the example {} cannot be written with --auth {}",
                    self.name,
                    asked.map_or("", Auth::name)
                ),
                match ways.is_empty() {
                    true => "leave --auth out: it decides by itself who may use the streams".into(),
                    false => format!("use {}", ways.join(" or ")),
                },
            )
        };
        let found = can
            .iter()
            .find(|way| asked.is_none_or(|asked| asked == **way));
        found.copied().ok_or_else(wrong)
    }

    /// The names of the secrets that it needs.
    pub fn secrets(&self) -> Vec<String> {
        let about = self.about().ok();
        let secrets = about.map(|about| about.secrets.into_keys());
        secrets.into_iter().flatten().collect()
    }

    fn description(&self) -> Result<String> {
        Ok(self.about()?.description)
    }

    fn about(&self) -> Result<About> {
        let about = self.file(ABOUT).context("it is missing");
        let about = about.and_then(|text| Ok(de::from_str(text)?));
        about.with_context(|| format!("{ABOUT} of the example {}", self.name))
    }

    fn file(&self, name: &str) -> Option<&'static str> {
        let mut files = self.files.iter();
        files
            .find(|(known, _)| *known == name)
            .map(|(_, text)| *text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_says_what_it_is() {
        for example in EXAMPLES {
            let about = example.about().unwrap();
            assert!(!about.description.is_empty(), "{}", example.name);
            assert_eq!(example.auth(None).unwrap(), about.auth[0]);
            for file in ["README.md", "src/lib.rs"] {
                let is_there = [file, &format!("{file}.liquid")]
                    .iter()
                    .any(|file| example.file(file).is_some());
                assert!(is_there, "{} has no {file}", example.name);
            }
        }
    }

    #[test]
    fn what_an_example_says_wrongly_is_found() {
        let files: &[_] = &[(ABOUT, "description = \"x\"\n[secret]\nKEY = \"y\"\n")];
        let example = Example { name: "x", files };
        let error = format!("{:#}", example.about().err().unwrap());
        assert!(
            error.contains("example.toml of the example x") && error.contains("secret"),
            "{error}"
        );
        let example = Example {
            name: "x",
            files: &[],
        };
        assert!(example.about().is_err());
    }
}
