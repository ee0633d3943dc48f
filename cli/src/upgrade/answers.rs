//! What a project was written from: the state of the template, and what was answered then.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, de::IntoDeserializer};
use toml_edit::{DocumentMut, Item};

use super::{CARGO, WRANGLER};
use crate::{error::problem, name, runtime_source::PACKAGE};

/// What was answered when a project was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Answers {
    /// The project's name then.
    pub name: String,
    /// Who may use the streams.
    pub auth: String,
    /// Borders that streams stay within, or nothing.
    #[serde(default)]
    pub jurisdiction: String,
    /// Near whom new streams are placed, or nothing.
    #[serde(default)]
    pub location_hint: String,
    /// Whether there is a workflow that deploys.
    #[serde(default)]
    pub github_actions: bool,
    /// The branch that the workflow deploys.
    #[serde(default = "main")]
    pub branch: String,
    /// The example that was laid over the template.
    #[serde(default)]
    pub example: Option<String>,
}

/// What a project says of its own origin.
#[derive(Debug, PartialEq, Eq)]
pub struct Origin {
    /// The state of the template, where the project says it.
    pub state: Option<usize>,
    /// What was answered, as far as it is known: else what the project has now.
    pub answers: Answers,
    /// Where the project takes the runtime from, in the form the template takes.
    pub runtime: String,
    /// The date whose runtime behaviour the worker expects.
    pub compatibility_date: Option<String>,
}

fn main() -> String {
    "main".to_owned()
}

impl Origin {
    /// Reads it from the texts of `Cargo.toml` and of `wrangler.toml`, if there is one.
    pub fn read(manifest: &str, wrangler: Option<&str>, has_workflow: bool) -> Result<Self> {
        let manifest: DocumentMut = manifest.parse().with_context(|| format!("in {CARGO}"))?;
        let wrangler: DocumentMut = wrangler
            .unwrap_or_default()
            .parse()
            .with_context(|| format!("in {WRANGLER}"))?;
        let metadata = at(&manifest, &["package", "metadata", "durable-streams"]);
        let written = metadata.and_then(|metadata| metadata.get("template"));
        let (state, answers) = match written {
            Some(written) => {
                let wrong = || format!("[package.metadata.durable-streams.template] of {CARGO}");
                let Written { state, answers } = Written::read(written).with_context(wrong)?;
                (Some(state), answers)
            }
            None => {
                let text = |document, path: &[&str]| {
                    at(document, path).and_then(Item::as_str).map(str::to_owned)
                };
                let auth = metadata.and_then(|metadata| metadata.get("auth")?.as_str());
                let answers = Answers {
                    name: named(
                        text(&manifest, &["package", "name"]),
                        text(&wrangler, &["name"]),
                    )
                    .with_context(|| format!("{CARGO} has no package with a name"))?,
                    auth: auth.unwrap_or("project-jwt").to_owned(),
                    jurisdiction: text(&wrangler, &["vars", "JURISDICTION"]).unwrap_or_default(),
                    location_hint: text(&wrangler, &["vars", "LOCATION_HINT"]).unwrap_or_default(),
                    github_actions: has_workflow,
                    branch: main(),
                    example: None,
                };
                (None, answers)
            }
        };
        Ok(Self {
            state,
            answers,
            runtime: runtime(&manifest)?,
            compatibility_date: at(&wrangler, &["compatibility_date"])
                .and_then(Item::as_str)
                .map(str::to_owned),
        })
    }
}

#[derive(Deserialize)]
struct Written {
    state: usize,
    #[serde(flatten)]
    answers: Answers,
}

impl Written {
    fn read(table: &Item) -> Result<Self> {
        let table = table.clone().into_value();
        let table = table.map_err(|_| anyhow!("it is no table"))?;
        Ok(Self::deserialize(table.into_deserializer())?)
    }
}

impl Answers {
    /// The values of a template's placeholders.
    pub fn define(&self, runtime: &str, date: Option<&str>) -> BTreeMap<String, String> {
        let github_actions = self.github_actions.to_string();
        let mut define = BTreeMap::new();
        for (key, value) in [
            ("auth", Some(self.auth.as_str())),
            ("jurisdiction", Some(&self.jurisdiction)),
            ("location_hint", Some(&self.location_hint)),
            ("github_actions", Some(&github_actions)),
            ("branch", Some(&self.branch)),
            ("runtime", Some(runtime)),
            ("compatibility_date", date),
        ] {
            define.extend(value.map(|value| (key.to_owned(), value.to_owned())));
        }
        define
    }
}

/// The crate's name, unless that cannot have been the project's and the worker's can.
fn named(package: Option<String>, worker: Option<String>) -> Option<String> {
    let names = [&package, &worker];
    let first = names
        .into_iter()
        .flatten()
        .find(|name| name::check(name).is_ok());
    first.cloned().or(package)
}

/// Where a project takes the runtime from: a version, a path or a git URL.
fn runtime(manifest: &DocumentMut) -> Result<String> {
    let dependency = at(manifest, &["dependencies", PACKAGE]);
    let source = dependency.and_then(|dependency| {
        let part = |key| dependency.get(key).and_then(Item::as_str);
        let source = dependency.as_str().or(part("git"));
        source.or(part("path")).or(part("version"))
    });
    source.map(str::to_owned).ok_or_else(|| {
        problem(
            format!("{CARGO} names no version, path or git URL of {PACKAGE} in [dependencies]"),
            "this is for projects that `durable-streams init` has written from its own template",
        )
    })
}

fn at<'a>(document: &'a DocumentMut, path: &[&str]) -> Option<&'a Item> {
    path.iter()
        .try_fold(document.as_item(), |item, key| item.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(manifest: &str, wrangler: &str) -> Result<Origin> {
        Origin::read(manifest, Some(wrangler), false)
    }

    #[test]
    fn a_project_says_what_it_was_written_from() {
        let manifest = r#"
[package]
name = "renamed"
[package.metadata.durable-streams]
auth = "none"
[package.metadata.durable-streams.template]
state = 7
name = "first"
auth = "project-jwt"
jurisdiction = "eu"
location_hint = ""
github_actions = true
branch = "trunk"
more = 1
[dependencies]
durable-streams-cloudflare = { version = "0.3.0", features = ["x"] }
"#;
        let origin = read(manifest, "compatibility_date = \"2026-05-01\"").unwrap();
        assert_eq!(origin.state, Some(7));
        assert_eq!(origin.answers.name, "first");
        assert_eq!(origin.answers.auth, "project-jwt");
        assert_eq!(origin.answers.branch, "trunk");
        assert_eq!(origin.runtime, "0.3.0");
        assert_eq!(origin.compatibility_date.as_deref(), Some("2026-05-01"));
        let define = origin.answers.define(&origin.runtime, None);
        assert_eq!(define["github_actions"], "true");
        assert_eq!(define["jurisdiction"], "eu");
        assert!(!define.contains_key("compatibility_date"));
        read(&manifest.replace("state = 7", "state = \"x\""), "").unwrap_err();
    }

    #[test]
    fn what_an_older_one_does_not_say_is_what_it_has() {
        let manifest = "[package]\nname = \"old\"\n[package.metadata.durable-streams]\n\
                        auth = \"none\"\n[dependencies.durable-streams-cloudflare]\n\
                        path = \"../runtime\"\n";
        let wrangler = "[vars]\nJURISDICTION = \"eu\"\n";
        let Origin {
            state,
            answers,
            runtime,
            ..
        } = read(manifest, wrangler).unwrap();
        assert_eq!((state, runtime.as_str()), (None, "../runtime"));
        assert_eq!(
            (answers.name.as_str(), answers.auth.as_str()),
            ("old", "none")
        );
        assert_eq!(
            (answers.jurisdiction.as_str(), answers.branch.as_str()),
            ("eu", "main")
        );
    }

    #[test]
    fn a_crate_that_does_not_use_the_runtime_is_none_of_ours() {
        let error = read(
            "[package]\nname = \"x\"\n[dependencies]\nworker = \"1\"\n",
            "",
        );
        let error = error.unwrap_err().to_string();
        assert!(error.contains(PACKAGE), "{error}");
    }
}
