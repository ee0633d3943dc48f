//! Command lines that the program shows. Whoever follows one wants to go on where they are: options
//! that say where a command works are kept in all of them, and this is the one place that does so.

use std::borrow::Cow;

use clap::{Arg, ArgMatches, Command, CommandFactory, parser::ValueSource};

use crate::args::Cli;

/// The program's name at the start of a command line.
const PROGRAM: &str = "durable-streams ";
/// The options that say where a command works, by the names of their fields, in the order in which
/// they are shown.
const PLACES: &[&str] = &[
    "project",
    "url",
    "local",
    "remote",
    "environment",
    "directory",
];
/// Of these a command takes one.
const REGISTRIES: &[&str] = &["--local", "--remote"];

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    id: &'static str,
    /// How it is written, with its value.
    text: String,
}

/// Where the program was told to work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<Given>);

impl Places {
    /// What a command line says of it.
    pub fn of(mut command: &Command, mut matches: &ArgMatches) -> Self {
        while let Some((name, below)) = matches.subcommand() {
            let Some(found) = command.find_subcommand(name) else {
                break;
            };
            (command, matches) = (found, below);
        }
        let given = PLACES.iter().filter_map(|id| {
            let arg = argument(command, id)?;
            let is_given = matches.value_source(id) == Some(ValueSource::CommandLine);
            let name = spelling(arg).filter(|_| is_given)?;
            let text = match arg.get_action().takes_values() {
                false => name,
                true => {
                    let value = matches.get_raw(id)?.next_back()?;
                    format!("{name} {}", quoted(value.to_str()?))
                }
            };
            Some(Given { id, text })
        });
        Self(given.collect())
    }

    /// A text with these options in each command line between backticks that lacks them and takes
    /// them.
    pub fn keep_in<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let shown = format!("`{PROGRAM}");
        if self.0.is_empty() || !text.contains(&shown) {
            return Cow::Borrowed(text);
        }
        let mut program = Cli::command();
        program.build();
        let mut parts = text.split('`').peekable();
        let mut kept = String::new();
        let mut is_code = false;
        while let Some(part) = parts.next() {
            let is_closed = parts.peek().is_some();
            kept.push_str(part);
            if is_code && is_closed && part.starts_with(PROGRAM) {
                kept.push_str(&self.lacking(&program, part));
            }
            if is_closed {
                kept.push('`');
            }
            is_code = !is_code;
        }
        Cow::Owned(kept)
    }

    /// The options that a command line takes and does not have.
    fn lacking(&self, program: &Command, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let mut command = program;
        for word in &words {
            match command.find_subcommand(word) {
                Some(found) => command = found,
                None => break,
            }
        }
        if std::ptr::eq(command, program) {
            return String::new();
        }
        let has = |arg: &Arg| {
            let long = arg.get_long().map(|long| format!("--{long}"));
            let short = arg.get_short().map(|short| format!("-{short}"));
            let is_registry = |name: &String| REGISTRIES.contains(&name.as_str());
            let others = long.iter().filter(|long| is_registry(long));
            let names: Vec<&str> = long
                .iter()
                .chain(&short)
                .map(String::as_str)
                .chain(others.flat_map(|_| REGISTRIES.iter().copied()))
                .collect();
            words.iter().any(|word| {
                let name = word.split_once('=').map_or(*word, |(name, _)| name);
                names.contains(&name)
            })
        };
        let given = self.0.iter().filter(|given| {
            let arg = argument(command, given.id);
            arg.is_some_and(|arg| !has(arg))
        });
        given.map(|given| format!(" {}", given.text)).collect()
    }
}

fn argument<'a>(command: &'a Command, id: &str) -> Option<&'a Arg> {
    let mut arguments = command.get_arguments();
    arguments.find(|arg| arg.get_id() == id && spelling(arg).is_some())
}

/// How an option is written.
fn spelling(arg: &Arg) -> Option<String> {
    let long = arg.get_long().map(|long| format!("--{long}"));
    long.or_else(|| arg.get_short().map(|short| format!("-{short}")))
}

/// A word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*, sample::select};

    use super::*;

    /// What a text may be made of.
    const PIECES: &[&str] = &[
        "`",
        "durable-streams ",
        "projects ",
        "list",
        " --local",
        " -C",
        "dev",
        "é",
        " ",
    ];

    proptest! {
        /// A text that has them has them once, and loses nothing.
        #[test]
        fn what_was_kept_is_not_kept_again(pieces in vec(select(PIECES), 0..20)) {
            let text = pieces.concat();
            let places = places("projects list --remote -C x");
            let kept = places.keep_in(&text);
            prop_assert_eq!(places.keep_in(&kept), kept.clone());
            let removed = kept.replace(" --remote", "").replace(" -C x", "");
            prop_assert_eq!(removed, text);
        }
    }

    fn places(line: &str) -> Places {
        let mut command = Cli::command();
        let words = std::iter::once("durable-streams").chain(line.split_whitespace());
        let matches = command.try_get_matches_from_mut(words).unwrap();
        Places::of(&command, &matches)
    }

    #[track_caller]
    fn shows(line: &str, text: &str, shown: &str) {
        assert_eq!(places(line).keep_in(text), shown, "{line}");
    }

    #[test]
    fn whoever_follows_a_hint_stays_where_they_are() {
        let rotate = "`durable-streams projects rotate chat` gives it a new secret";
        shows("projects create chat", rotate, rotate);
        shows(
            "projects create chat --remote -C /tmp/x",
            rotate,
            "`durable-streams projects rotate chat --remote -C /tmp/x` gives it a new secret",
        );
        shows(
            "-C x --env staging projects create chat",
            rotate,
            "`durable-streams projects rotate chat --env staging -C x` gives it a new secret",
        );
        shows(
            "subscriptions retry a --url https://x.example -p chat",
            "`durable-streams subscriptions show a` tells",
            "`durable-streams subscriptions show a --project chat --url https://x.example` tells",
        );
    }

    #[test]
    fn an_option_is_only_shown_where_it_is_taken_and_missing() {
        shows(
            "projects show chat --remote",
            "`durable-streams dev`, `durable-streams deploy`, `durable-streams --help`",
            "`durable-streams dev`, `durable-streams deploy`, `durable-streams --help`",
        );
        for text in [
            "`durable-streams projects list --remote` and `durable-streams token --remote`",
            "`durable-streams projects list --local`",
            "durable-streams projects list",
            "`projects list`",
            "an `durable-streams projects list",
        ] {
            shows("projects show chat --remote", text, text);
        }
        for text in [
            "`durable-streams token -p other`",
            "`durable-streams token --project=other`",
        ] {
            shows("token --scope read --project chat", text, text);
        }
        shows("dev", "`durable-streams build`", "`durable-streams build`");
    }

    #[test]
    fn a_value_is_one_word_for_a_shell() {
        assert_eq!(quoted("a/b-c.d_e"), "a/b-c.d_e");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
