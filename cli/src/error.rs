//! Errors a person can act on: what is wrong, and the way out.

use std::fmt;

use serde_json::{Value, json};

/// An error with the way out of it.
#[derive(Debug)]
pub struct Problem {
    message: String,
    hint: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// Makes an error that says what is wrong and what to do.
pub fn problem(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Problem {
        message: message.into(),
        hint: hint.into(),
    })
}

/// The way out, when the error or one of its causes knows it.
pub fn hint(error: &anyhow::Error) -> Option<&str> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Problem>())
        .map(|problem| problem.hint.as_str())
        .filter(|hint| !hint.is_empty())
}

/// The JSON document of an error.
pub fn document(message: &str, hint: Option<&str>) -> Value {
    json!({ "error": { "message": message, "hint": hint } })
}
