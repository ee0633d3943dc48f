//! Completion scripts, in the shells they are for. A shell that this machine lacks is passed over,
//! but bash.

mod common;

use std::{fs, path::PathBuf, process::Command};

use common::Place;

/// What is typed, and words that are offered then and no others that begin like the last one typed.
const CASES: &[(&str, &[&str])] = &[
    ("pro", &["projects", "provision"]),
    ("projects s", &["show"]),
    ("projects remove-secret --loc", &["--local"]),
    ("-C . subscriptions keys ro", &["rotate"]),
    ("token --scope w", &["write"]),
    ("subscriptions create --type pull", &["pull-wake"]),
    ("init --example own", &["own-auth"]),
    ("render", &[]),
    ("create-", &[]),
];

fn is_there(shell: &str) -> bool {
    let found = Command::new(shell).args(["-c", "true"]).output();
    assert!(shell != "bash" || found.is_ok(), "bash has to be there");
    if found.is_err() {
        eprintln!("{shell} is not on this machine");
    }
    found.is_ok()
}

/// Writes the script of a shell, beside a program for it to complete.
fn script(place: &Place, shell: &str) -> PathBuf {
    let script = place.run(&["completions", shell]).succeeds().stdout;
    let path = place.path("script");
    fs::write(&path, script).unwrap();
    common::script(&place.path("durable-streams"), "echo");
    path
}

fn output(place: &Place, shell: &str, args: &[&str]) -> String {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(shell)
        .args(args)
        .current_dir(place.path("work"))
        .env("PATH", format!("{}:{path}", place.path("").display()))
        .env("HOME", place.path(""))
        .env("TERM", "xterm")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[track_caller]
fn check(typed: &str, offered: &str, words: &[&str]) {
    let last = typed.split(' ').next_back().unwrap_or_default();
    let mut offered: Vec<&str> = offered
        .lines()
        .map(str::trim_end)
        .filter(|word| word.starts_with(last))
        .collect();
    offered.sort_unstable();
    offered.dedup();
    assert_eq!(offered, words, "{typed}");
}

#[test]
fn bash_completes_commands_options_and_values() {
    assert!(is_there("bash"));
    let place = Place::new();
    let script = script(&place, "bash");
    for (typed, words) in CASES {
        // As readline does it: the function that is registered for the program is called.
        let line = format!(
            "source {}
            COMP_WORDS=(durable-streams {typed}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            spec=$(complete -p durable-streams); spec=${{spec#*-F }}
            ${{spec%% *}} durable-streams \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"
            printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        check(
            typed,
            &output(&place, "bash", &["--norc", "-c", &line]),
            words,
        );
    }
}

#[test]
fn fish_completes_commands_options_and_values() {
    if !is_there("fish") {
        return;
    }
    let place = Place::new();
    let script = script(&place, "fish");
    for (typed, words) in CASES {
        let line = format!(
            "source {}; complete -C 'durable-streams {typed}' | string split -f1 \\t; true",
            script.display()
        );
        let offered = output(&place, "fish", &["--no-config", "-c", &line]);
        check(typed, &offered, words);
    }
}

#[test]
fn zsh_completes_commands_options_and_values() {
    if !is_there("zsh") {
        return;
    }
    let place = Place::new();
    let script = script(&place, "zsh");
    for (typed, words) in CASES {
        // A zsh on a terminal is typed to; in place of showing what it would offer, it notes it.
        let line = format!(
            "zmodload zsh/zpty
            zpty shell zsh -f -i
            zpty -w shell 'autoload -Uz compinit; compinit -u -D; source {script}'
            zpty -w shell 'compadd() {{ builtin compadd -O found \"$@\"; printf \"%s\\n\" $found >>offered; builtin compadd \"$@\" }}'
            zpty -w shell 'bindkey \"^I\" complete-word; setopt no_beep; print rea''dy'
            zpty -r -m shell out '*ready*'
            zpty -w -n shell $'durable-streams {typed}\\t'
            zpty -w -n shell $'\\C-u print do\"\"ne\\n'
            zpty -r -m shell out '*done*'
            zpty -d shell",
            script = script.display(),
        );
        fs::write(place.work("offered"), "").unwrap();
        output(&place, "zsh", &["-f", "-c", &line]);
        let offered = fs::read_to_string(place.work("offered")).unwrap();
        check(typed, &offered, words);
    }
}
