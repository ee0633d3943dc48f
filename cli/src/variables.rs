//! The worker's variables, checked before anything is done with the worker: its runtime would
//! refuse every request because of one malformed setting.

use anyhow::Result;
use serde_json::{Map, Value};

use crate::{
    dev_vars::{self, DevVars},
    error::problem,
    project::Project,
    settings,
};

/// Refuses malformed settings in `wrangler.toml`.
pub fn check(project: &Project) -> Result<()> {
    refuse(&malformed(
        project.manifest().name(),
        &project.wrangler.vars,
    ))
}

/// The same, and refuses what is for local runs alone.
pub fn check_to_deploy(project: &Project) -> Result<()> {
    check(project)?;
    let dev = project.wrangler.vars.get(settings::DEV.name).and_then(text);
    match settings::DEV.parse(dev.as_deref()) {
        Ok(true) => Err(problem(
            format!(
                "{} sets {}: the worker would send webhooks without TLS, and log each of them",
                project.manifest().name(),
                settings::DEV.name
            ),
            "take it out: `durable-streams dev` sets it by itself, and nothing else may",
        )),
        _ => Ok(()),
    }
}

/// Whether a variable is a setting of the server, and so none of its user's own.
pub fn is_setting(name: &str) -> bool {
    // No setting may be this, and all other variables may be anything.
    settings::check(name, "\u{7f}").is_err()
}

/// Refuses malformed settings there and in those of a local run.
pub fn check_with(project: &Project, dev_vars: &DevVars) -> Result<()> {
    let mut wrong = malformed(project.manifest().name(), &project.wrangler.vars);
    wrong.extend(malformed(dev_vars::FILE, dev_vars.entries()));
    refuse(&wrong)
}

/// All at once, so that they can be mended at once.
fn refuse(wrong: &[String]) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    Err(problem(
        format!(
            "variables of the worker are malformed:\n  {}",
            wrong.join("\n  ")
        ),
        "mend them, or take them out: each has a default",
    ))
}

/// A line for each malformed setting in a file. Other variables are none of our business, and may be
/// secrets: they are not shown.
fn malformed(file: &str, vars: &Map<String, Value>) -> Vec<String> {
    let checked = vars
        .iter()
        .filter_map(|(name, value)| settings::check(name, &text(value)?).err());
    checked.map(|wrong| format!("{file}: {wrong}")).collect()
}

/// A value as the runtime reads it: a text as it is, and anything else as JavaScript writes it.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        // JavaScript writes 1.0 as 1.
        Value::Number(number) if number.is_f64() => number.as_f64().map(|float| float.to_string()),
        value => Some(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn malformed_in(text: &str) -> Vec<String> {
        malformed("FILE", &toml_edit::de::from_str(text).unwrap())
    }

    #[test]
    fn numbers_and_booleans_count_as_their_text() {
        let right = "MAX_APPEND_BYTES = 1024\nDEBUG_TIMING = true\nREAD_MAX_BYTES = 1e3\n";
        assert!(malformed_in(right).is_empty());
        assert_eq!(
            malformed_in("DEBUG_TIMING = 2\nMAX_LIVE_READERS = 1.5\nSSE_TIMEOUT_MS = [1]"),
            [
                "FILE: DEBUG_TIMING is \"2\", not \"0\" or \"1\"",
                "FILE: MAX_LIVE_READERS is \"1.5\", not a number of readers from 1 to 32768",
                "FILE: SSE_TIMEOUT_MS is \"[1]\", not a number of milliseconds from 1 to 3600000",
            ]
        );
    }

    #[test]
    fn settings_are_known_by_their_names() {
        for name in [
            "DEBUG_TIMING",
            "JURISDICTION",
            "PUBLIC_URL",
            "MAX_APPEND_BYTES",
        ] {
            assert!(is_setting(name), "{name}");
        }
        assert!(!is_setting("API_KEY"));
    }

    #[test]
    fn variables_of_others_are_left_alone() {
        assert!(malformed_in("MAX_BYTES = \"many\"\nSECRET = \"\"\nX = { y = 1 }").is_empty());
    }

    #[test]
    fn all_are_refused_at_once() {
        refuse(&[]).unwrap();
        let error = refuse(&["a".to_owned(), "b".to_owned()]).unwrap_err();
        assert!(error.to_string().ends_with("\n  a\n  b"), "{error}");
    }
}
