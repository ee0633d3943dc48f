//! The values that a template asks for.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use regex_lite::Regex;
use toml_edit::{DocumentMut, Item, TableLike};

use crate::{error::problem, ui::Ui};

/// The file of a template that says what it asks for.
pub const CONFIG: &str = "cargo-generate.toml";

/// The placeholder that brings the workflow in.
pub const GITHUB_ACTIONS: &str = "github_actions";

/// Placeholders that have an option of their own, and the option.
const OPTIONS: &[(&str, &str)] = &[
    ("project-name", "--name"),
    ("crate_name", "--name"),
    ("runtime", "--runtime"),
    (GITHUB_ACTIONS, "--github-actions"),
    ("branch", "--github-actions"),
    ("auth", "--auth"),
];

/// Values every template gets from cargo-generate itself.
const BUILT_IN: &[&str] = &[
    "authors",
    "crate_name",
    "crate_type",
    "is_init",
    "os-arch",
    "project-name",
    "username",
    "within_cargo_project",
];

/// A value that a template asks for.
#[derive(Debug, PartialEq, Eq)]
struct Placeholder {
    name: String,
    prompt: String,
    kind: Kind,
    default: Option<String>,
    /// What an answer has to look like.
    regex: Option<String>,
    /// Only some answers bring it in.
    is_conditional: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Truth,
    Choice(Vec<String>),
}

/// Refuses values the template does not know, and those that have an option of their own.
pub fn check_definitions(template: &Path, define: &BTreeMap<String, String>) -> Result<()> {
    let known = placeholders(template)?;
    let option = |key: &str| OPTIONS.iter().find(|(name, _)| *name == key);
    for key in define.keys() {
        if let Some((_, option)) = option(key) {
            return Err(problem(
                format!("--define {key}: this has an option of its own"),
                format!("use {option}"),
            ));
        }
        if known.iter().any(|one| one.name == *key) || BUILT_IN.contains(&key.as_str()) {
            continue;
        }
        let mut names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        names.retain(|name| option(name).is_none());
        names.sort_unstable();
        let hint = match names.is_empty() {
            true => "the template has no values to set".to_owned(),
            false => format!("the template knows: {}", names.join(", ")),
        };
        return Err(problem(
            format!("--define {key}: the template has no value of this name"),
            hint,
        ));
    }
    Ok(())
}

/// Whether a template has a workflow to bring in.
pub fn has_github_actions(template: &Path) -> Result<bool> {
    let mut all = placeholders(template)?.into_iter();
    Ok(all.any(|one| one.name == GITHUB_ACTIONS))
}

/// Adds the values that have no default and that nobody has given: asked for, where somebody is there
/// to `ask`, and else an error that names them all.
pub fn complete(
    template: &Path,
    define: &mut BTreeMap<String, String>,
    ask: Option<&Ui>,
) -> Result<()> {
    let mut missing = placeholders(template)?;
    missing.retain(|one| {
        one.default.is_none() && !one.is_conditional && !define.contains_key(&one.name)
    });
    if missing.is_empty() {
        return Ok(());
    }
    let Some(ui) = ask else {
        return Err(unanswered(&missing));
    };
    for one in missing {
        let value = one.ask(ui)?;
        define.insert(one.name, value);
    }
    Ok(())
}

/// The values of all placeholders, given or by default, as cargo-generate would take them.
pub fn values(
    template: &Path,
    define: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut values = define.clone();
    for one in placeholders(template)? {
        let given = define.get(&one.name).map(|value| value.trim_start());
        let value = given.or(one.default.as_deref());
        let value = value.ok_or_else(|| missing(&one.name))?.to_owned();
        one.check(&value)?;
        values.insert(one.name, value);
    }
    Ok(values)
}

/// That a value is missing which only some answers bring in.
pub fn missing(name: &str) -> anyhow::Error {
    problem(
        format!("the template needs a value for `{name}`"),
        format!("give it with --define {name}=…"),
    )
}

/// The files and folders that a template leaves out where a value is `false`. The built-in template has
/// no other conditions.
pub fn ignored(template: &Path, values: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let config = config(template)?;
    let conditions = config.get("conditional").and_then(Item::as_table_like);
    let mut ignored = Vec::new();
    for (condition, table) in conditions.iter().flat_map(|table| table.iter()) {
        let value = condition
            .strip_prefix('!')
            .and_then(|name| values.get(name));
        let value = value.with_context(|| format!("the condition `{condition}` is not known"))?;
        if value == "false" {
            let files = table.get("ignore").and_then(Item::as_array);
            let files = files.into_iter().flatten();
            ignored.extend(files.filter_map(|file| file.as_str().map(str::to_owned)));
        }
    }
    Ok(ignored)
}

fn unanswered(missing: &[Placeholder]) -> anyhow::Error {
    let questions: Vec<String> = missing
        .iter()
        .map(|one| format!("{} ({}{})", one.name, one.prompt, one.kind))
        .collect();
    let options: Vec<String> = missing
        .iter()
        .map(|one| format!("--define {}=…", one.name))
        .collect();
    problem(
        format!("the template needs values: {}", questions.join(", ")),
        format!("give them with {}", options.join(" ")),
    )
}

impl Placeholder {
    fn read(name: &str, table: &dyn TableLike, is_conditional: bool) -> Self {
        let text = |key| table.get(key).and_then(|item| item.as_str());
        let choices = table.get("choices").and_then(|item| item.as_array());
        let choices = choices.map(|choices| {
            // A choice is its value, or a table with its value.
            let value = |choice: &toml_edit::Value| {
                let table = choice.as_inline_table();
                let inner = table.and_then(|table| table.get("value"));
                inner.unwrap_or(choice).as_str().map(str::to_owned)
            };
            choices.iter().filter_map(value).collect()
        });
        Self {
            name: name.to_owned(),
            prompt: text("prompt").unwrap_or(name).to_owned(),
            kind: match (choices, text("type")) {
                (Some(choices), _) => Kind::Choice(choices),
                (None, Some("bool")) => Kind::Truth,
                (None, _) => Kind::Text,
            },
            default: table.get("default").map(|default| {
                let text = default.as_str().map(str::to_owned);
                text.unwrap_or_else(|| default.to_string().trim().to_owned())
            }),
            regex: text("regex").map(str::to_owned),
            is_conditional,
        }
    }

    /// Refuses a value that the template does not take.
    fn check(&self, value: &str) -> Result<()> {
        let is_right = match (&self.kind, &self.regex) {
            (Kind::Choice(choices), _) => choices.iter().any(|choice| choice == value),
            (Kind::Truth, _) => value.parse::<bool>().is_ok(),
            // What is given to cargo-generate is in one line.
            (Kind::Text, _) if value.contains('\n') => false,
            (Kind::Text, None) => true,
            (Kind::Text, Some(regex)) => Regex::new(regex)?.is_match(value),
        };
        if is_right {
            return Ok(());
        }
        Err(problem(
            format!("`{value}` is not a valid value for {}", self.name),
            format!("{}{}", self.prompt, self.kind),
        ))
    }

    fn ask(&self, ui: &Ui) -> Result<String> {
        Ok(match &self.kind {
            Kind::Text => ui.line(&self.prompt, None, |_| Ok(()))?,
            Kind::Truth => ui.yes_or_no(&self.prompt, None)?.to_string(),
            Kind::Choice(choices) => {
                let chosen = ui.choose(&self.prompt, choices, 0)?;
                choices.get(chosen).cloned().unwrap_or_default()
            }
        })
    }
}

impl std::fmt::Display for Kind {
    /// What may be answered, behind the question.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text => Ok(()),
            Self::Truth => f.write_str(" true or false"),
            Self::Choice(choices) => write!(f, " {}", choices.join(" or ")),
        }
    }
}

/// The placeholders a template declares, by name, also those that only some answers bring in.
fn placeholders(template: &Path) -> Result<Vec<Placeholder>> {
    let document = config(template)?;
    let mut all: Vec<Placeholder> = Vec::new();
    let mut take = |item: Option<&Item>, is_conditional| {
        let tables = item.and_then(|item| item.as_table_like());
        for (name, item) in tables.iter().flat_map(|table| table.iter()) {
            if let Some(table) = item.as_table_like()
                && all.iter().all(|one| one.name != name)
            {
                all.push(Placeholder::read(name, table, is_conditional));
            }
        }
    };
    take(document.get("placeholders"), false);
    let conditions = document
        .get("conditional")
        .and_then(|item| item.as_table_like());
    for (_, condition) in conditions.iter().flat_map(|table| table.iter()) {
        take(condition.get("placeholders"), true);
    }
    Ok(all)
}

/// What a template says of itself, if it does.
fn config(template: &Path) -> Result<DocumentMut> {
    let path = template.join(CONFIG);
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    text.parse()
        .with_context(|| format!("the template's {} is not TOML", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cargo-generate.toml"), text).unwrap();
        dir
    }

    fn define(key: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), "x".to_owned())])
    }

    #[test]
    fn declared_and_built_in_values_may_be_set() {
        let dir = template(
            "[placeholders.colour]\ntype = \"string\"\nprompt = \"?\"\n\
             [conditional.'colour == \"red\"'.placeholders.shade]\ntype = \"string\"\nprompt = \"?\"\n",
        );
        for key in ["colour", "shade", "authors"] {
            check_definitions(dir.path(), &define(key)).unwrap();
        }
    }

    #[test]
    fn an_unknown_value_is_refused_with_the_known_ones() {
        let dir = template("[placeholders.colour]\ntype = \"string\"\nprompt = \"?\"\n");
        let error = check_definitions(dir.path(), &define("color")).unwrap_err();
        assert!(error.to_string().contains("color"));
        assert_eq!(
            crate::error::hint(&error),
            Some("the template knows: colour")
        );
        let error = check_definitions(dir.path(), &define("project-name")).unwrap_err();
        assert_eq!(crate::error::hint(&error), Some("use --name"));
    }

    #[test]
    fn what_may_be_answered_is_read() {
        let dir = template(
            "[placeholders.a]\ntype = \"bool\"\nprompt = \"A?\"\n\
             [placeholders.b]\ntype = \"string\"\nprompt = \"B?\"\n\
             choices = [\"x\", { value = \"y\", label = \"Why\" }]\n\
             [placeholders.c]\ntype = \"string\"\nprompt = \"C?\"\ndefault = \"c\"\n",
        );
        let mut given = define("z");
        let error = complete(dir.path(), &mut given, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the template needs values: a (A? true or false), b (B? x or y)"
        );
        given.extend([define("a"), define("b")].into_iter().flatten());
        complete(dir.path(), &mut given, None).unwrap();
    }
}
