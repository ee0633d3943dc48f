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

/// The JSON document of a wrong command line.
pub fn usage(error: &clap::Error) -> Value {
    let text = error.to_string();
    document(&wrong(&text), Some(&ways(&text)))
}

/// What is wrong, with all that belongs to it, in one line.
fn wrong(text: &str) -> String {
    let is_last = |line: &&str| line.is_empty() || line.starts_with("tip:");
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !is_last(line));
    let message = lines.collect::<Vec<_>>().join(" ");
    let message = message.strip_prefix("error: ").map(str::to_owned);
    message.unwrap_or_else(|| text.lines().next().unwrap_or_default().to_owned())
}

/// What may have been meant, and where the rest is told.
fn ways(text: &str) -> String {
    let lines = || text.lines().map(str::trim);
    let tips = lines().filter_map(|line| line.strip_prefix("tip: ").map(str::to_owned));
    let usage = lines().find_map(|line| line.strip_prefix("Usage: "));
    let is_word = |word: &&str| !word.starts_with(['[', '<', '-']);
    let command: Vec<&str> = usage
        .unwrap_or("durable-streams")
        .split_whitespace()
        .take_while(is_word)
        .collect();
    let help = format!("`{} --help` tells the rest", command.join(" "));
    tips.chain([help]).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn a_wrong_command_line_is_told_whole() {
        for (line, message, hint) in [
            (
                "token",
                "the following required arguments were not provided: --scope <SCOPE>",
                "`durable-streams token --help` tells the rest",
            ),
            (
                "subscriptions create a --type copy",
                "the following required arguments were not provided: --target <STREAM> --pattern <GLOB>",
                "`durable-streams subscriptions create --help` tells the rest",
            ),
            (
                "bild",
                "unrecognized subcommand 'bild'",
                "a similar subcommand exists: 'build'; `durable-streams --help` tells the rest",
            ),
            (
                "token --scope admin",
                "invalid value 'admin' for '--scope <SCOPE>' [possible values: read, write]",
                "`durable-streams --help` tells the rest",
            ),
            (
                "projects --json",
                "'durable-streams projects' requires a subcommand but one was not provided \
                 [subcommands: list, create, show, update, rotate, remove-secret, delete, help]",
                "`durable-streams projects --help` tells the rest",
            ),
        ] {
            let words = std::iter::once("durable-streams").chain(line.split_whitespace());
            let document = usage(&Cli::try_parse_from(words).unwrap_err());
            assert_eq!(document["error"]["message"], message, "{line}");
            assert_eq!(document["error"]["hint"], hint, "{line}");
        }
    }
}
