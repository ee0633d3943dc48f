//! That the command lines which the READMEs and the guides show are command lines of this program.
//! Most are run by the end-to-end tests, too; those that need Cloudflare are not.

use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::Cli;

/// How the program is called.
const NAMES: [&str; 2] = ["ds ", "durable-streams "];
/// What a command stands behind, but for the beginning of a line.
const BEFORE: [&str; 4] = ["`", "$(", "| ", "&& "];

#[test]
fn what_is_shown_is_understood() {
    let mut parsed = 0;
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("{{project-name}}", "my-streams");
        for command in commands(&without_tags(&text)) {
            let words = ["durable-streams"].into_iter();
            let words = words.chain(command.words.iter().map(String::as_str));
            match Cli::command().try_get_matches_from(words) {
                Err(error) if !command.allows(error.kind()) => {
                    panic!("{}: {:?}: {error}", path.display(), command.words);
                }
                _ => parsed += 1,
            }
        }
    }
    assert!(parsed > 100, "{parsed} are found");
}

#[test]
fn commands_are_found_wherever_a_shell_finds_them() {
    let found = |text: &str| -> Vec<String> {
        let all = commands(text).into_iter();
        all.map(|command| command.words.join(",")).collect()
    };
    assert_eq!(found("`ds stream\nlist`, and `ds`"), ["stream,list"]);
    let block = "```sh\nds a 'b c' \"d\\\" e\"\\\n  f  # g\ntest \"$(ds h | wc -l)\" && ds i <j\nwords x\n```";
    assert_eq!(found(block), ["a,b c,d\" e,f", "h", "i"]);
    assert!(found("```\nds a list of them\n```\n").is_empty());
}

/// All that shows commands.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let entries = |folder: &str| {
        let folder = fs::read_dir(root.join(folder)).unwrap();
        folder.map(|entry| entry.unwrap().path())
    };
    let guides = entries("docs").filter(|path| path.extension().is_some_and(|ext| ext == "md"));
    let examples = entries("template/examples").map(|path| path.join("README.md"));
    [
        "README.md",
        "cli/README.md",
        "runtime/README.md",
        "template/README.md",
        "tests/README.md",
    ]
    .map(|name| root.join(name))
    .into_iter()
    .chain(guides)
    .chain(examples.filter(|path| path.exists()))
    .collect()
}

/// A template without what Liquid does with it.
fn without_tags(text: &str) -> String {
    let mut parts = text.split("{%");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.split_once("%}").unwrap().1)
}

/// A command that is shown.
struct Shown {
    words: Vec<String>,
    /// A sentence may name a command without all that it takes; a block has the whole line.
    is_in_a_sentence: bool,
}

impl Shown {
    fn allows(&self, error: ErrorKind) -> bool {
        let incomplete = [
            ErrorKind::MissingRequiredArgument,
            ErrorKind::MissingSubcommand,
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ];
        let asks = [ErrorKind::DisplayHelp, ErrorKind::DisplayVersion];
        asks.contains(&error) || self.is_in_a_sentence && incomplete.contains(&error)
    }
}

/// The commands in blocks of the shell, and in sentences.
fn commands(text: &str) -> Vec<Shown> {
    let mut found = Vec::new();
    for (index, part) in text.split("```").enumerate() {
        let is_in_a_sentence = index % 2 == 0;
        if !is_in_a_sentence && !part.starts_with("sh") {
            continue;
        }
        for (at, _) in part.char_indices() {
            let (before, rest) = part.split_at(at);
            let starts = BEFORE.iter().any(|mark| before.ends_with(mark))
                || !is_in_a_sentence && before.ends_with('\n');
            let name = NAMES.iter().find_map(|name| rest.strip_prefix(name));
            if let Some(rest) = name.filter(|_| starts) {
                found.push(Shown {
                    words: words(rest, is_in_a_sentence),
                    is_in_a_sentence,
                });
            }
        }
    }
    found
}

/// The words of a command up to its end, as a shell splits them. What it would put in place of a variable
/// stays as it is.
fn words(text: &str, goes_on_behind_a_line: bool) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (quote, char) {
            (Some(open), _) if char == open => quote = None,
            (None | Some('"'), '\\') => {
                let next = chars.next().filter(|next| *next != '\n');
                word.get_or_insert_default().extend(next);
            }
            (Some(_), _) => word.get_or_insert_default().push(char),
            (None, '\'' | '"') => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (None, '\n') if !goes_on_behind_a_line => break,
            (None, '#') if word.is_none() => break,
            (None, '|' | '&' | ';' | '<' | '>' | ')' | '`' | '…') => break,
            (None, _) if char.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}
