//! The name of a project: one word that cargo takes as a crate and Workers take as a script and a
//! bucket.

use anyhow::Result;

use crate::error::problem;

/// The longest name Workers take.
const MAX: usize = 63;
/// The shortest bucket name R2 takes.
const MIN: usize = 3;

/// Crate names that cargo refuses or that would hide a crate every program links.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "worker",
    "yield",
    "durable-streams-cloudflare",
];

/// Device names of Windows, which no file there can have.
const DEVICES: &[&str] = &[
    "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8",
    "com9", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

/// Accepts a name, or says what is wrong with it and suggests one that is right.
pub fn check(name: &str) -> Result<()> {
    let Some(wrong) = fault(name) else {
        return Ok(());
    };
    let hint = match suggest(name) {
        Some(better) => format!("`--name {better}` would do"),
        None => "take 3 to 63 of a-z, 0-9 and `-`, beginning with a letter, as in `my-streams`"
            .to_owned(),
    };
    Err(problem(
        format!("`{name}` cannot be the project's name: {wrong}"),
        hint,
    ))
}

/// The nearest valid name, if there is one that still resembles `text`.
pub fn suggest(text: &str) -> Option<String> {
    let mut name = String::new();
    for c in text.chars() {
        let c = c.to_ascii_lowercase();
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    if name.chars().all(|c| c == '-') {
        return None;
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        name.insert_str(0, "streams-");
    }
    name.truncate(MAX);
    let mut name = name.trim_end_matches('-').to_owned();
    if name.len() < MIN || is_reserved(&name) {
        name.truncate(MAX - "-streams".len());
        name.push_str("-streams");
    }
    fault(&name).is_none().then_some(name)
}

fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name) || DEVICES.contains(&name)
}

fn fault(name: &str) -> Option<String> {
    let first = name.chars().next();
    let stray = name
        .chars()
        .find(|c| !c.is_ascii_lowercase() && !c.is_ascii_digit() && *c != '-');
    if first.is_none() {
        Some("it is empty".to_owned())
    } else if let Some(c) = stray {
        Some(format!(
            "it contains {c:?}, and Workers take only a-z, 0-9 and `-`"
        ))
    } else if first.is_some_and(|c| c.is_ascii_digit()) {
        Some("a crate's name cannot begin with a digit".to_owned())
    } else if name.starts_with('-') || name.ends_with('-') {
        Some("it cannot begin or end with `-`".to_owned())
    } else if name.len() > MAX {
        Some(format!(
            "it has {} characters, and Workers take at most {MAX}",
            name.len()
        ))
    } else if name.len() < MIN {
        Some(format!("R2 takes no bucket name under {MIN} characters"))
    } else if is_reserved(name) {
        Some("the name is reserved by Rust or cargo".to_owned())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_template_refuses_the_same_words() {
        let hook = include_str!("../template/check-name.rhai");
        let (_, list) = hook.split_once("let reserved = [").unwrap();
        let (list, _) = list.split_once("];").unwrap();
        let words: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        assert_eq!(words, [RESERVED, DEVICES].concat());
    }

    #[test]
    fn ordinary_names_are_taken() {
        for name in ["my-streams", "abc", "a1-b2", &"x".repeat(63)] {
            assert!(fault(name).is_none(), "{name}");
        }
    }

    #[test]
    fn what_cargo_or_workers_refuse_is_refused() {
        for name in [
            "",
            "a",
            "ab",
            "1abc",
            "-abc",
            "abc-",
            "My-App",
            "my_app",
            "my app",
            "mÿ-app",
            "test",
            "core",
            "std",
            "fn",
            "self",
            "async",
            "build",
            "deps",
            "com1",
            "a.b",
            "a/b",
            "../x",
            &"x".repeat(64),
        ] {
            assert!(fault(name).is_some(), "{name}");
        }
    }

    #[test]
    fn suggestions_resemble_what_was_asked_for() {
        assert_eq!(suggest("My App").as_deref(), Some("my-app"));
        assert_eq!(suggest("my_app").as_deref(), Some("my-app"));
        assert_eq!(suggest("9lives").as_deref(), Some("streams-9lives"));
        assert_eq!(suggest("test").as_deref(), Some("test-streams"));
        assert_eq!(suggest("__x__").as_deref(), Some("x-streams"));
        assert_eq!(suggest("日本"), None);
        assert_eq!(suggest(""), None);
    }

    proptest! {
        #[test]
        fn a_suggestion_is_always_valid(text in ".{0,80}") {
            if let Some(name) = suggest(&text) {
                prop_assert_eq!(fault(&name), None);
            }
        }

        #[test]
        fn a_valid_name_is_its_own_suggestion(name in "[a-z][a-z0-9]{2,20}(-[a-z0-9]{1,9}){0,3}") {
            if fault(&name).is_none() {
                prop_assert_eq!(suggest(&name), Some(name));
            }
        }
    }
}
