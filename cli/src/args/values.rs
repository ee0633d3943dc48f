//! Values of options: words with a meaning, and texts that are read.

use std::time::Duration;

use clap::{ValueEnum, builder::PossibleValuesParser};
use serde::{Deserialize, Serialize};

use crate::settings::Word;

/// The port `dev` serves on when none is named.
pub const DEFAULT_PORT: u16 = 4437;

/// The port of the console when none is named.
pub const CONSOLE_PORT: u16 = 4470;

/// Who may use the streams of a new project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Tokens signed with a secret of each project
    ProjectJwt,
    /// Anyone who knows the URL can read and write
    None,
    /// Whoever the worker's own code lets in
    #[value(skip)]
    Own,
}

impl Auth {
    /// The word for it in options and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::ProjectJwt => "project-jwt",
            Self::None => "none",
            Self::Own => "own",
        }
    }

    /// The word for it in the template, which knows no code but its own.
    pub fn in_template(self) -> &'static str {
        match self {
            Self::Own => Self::None.name(),
            auth => auth.name(),
        }
    }
}

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading streams
    Read,
    /// Creating, appending to, closing, deleting and reading streams
    Write,
}

/// Splits `KEY=VALUE`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.to_owned()))
        }
        _ => Err(format!("`{text}` is not of the form KEY=VALUE")),
    }
}

/// Takes one of the words of a setting of the worker.
pub fn word(setting: Word) -> PossibleValuesParser {
    PossibleValuesParser::new(setting.words)
}

/// Reads `90s`, `15m`, `1h`, `30d`.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    let wrong = || {
        let rule = "a number with `s`, `m`, `h` or `d` behind it, as in 15m or 1h";
        format!("`{text}` is not {rule}")
    };
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    let number: u64 = match digits.bytes().all(|b| b.is_ascii_digit()) {
        true => digits.parse().map_err(|_| wrong())?,
        false => return Err(wrong()),
    };
    match number.checked_mul(seconds) {
        Some(seconds @ 1..) => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_definition_is_split_at_the_first_equals_sign() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err());
        assert!(key_value("=a").is_err());
    }

    #[test]
    fn lifetimes_have_a_unit() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h", 3600), ("30d", 2_592_000)] {
            assert_eq!(lifetime(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "1",
            "h",
            "0s",
            "-1h",
            "+1h",
            "1.5h",
            "1 h",
            "1H",
            "1é",
            "99999999999999999d",
        ] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
