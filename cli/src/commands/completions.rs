//! `completions`: the completion script of a shell.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::{
    args::{Cli, Completions},
    ui::Ui,
};

const PROGRAM: &str = "durable-streams";
/// The program's name for clap's script for bash, which takes a hyphen in it for one between two
/// commands, and then finds none.
const PLAIN: &str = "durable_streams";

/// Prints the script.
pub fn run(ui: &Ui, args: &Completions) {
    let script = script(args.shell);
    ui.result(
        &script,
        &json!({ "shell": args.shell.to_string(), "script": script }),
    );
}

fn script(shell: Shell) -> String {
    let generate = |name: &str| {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut shown(&Cli::command()), name, &mut script);
        String::from_utf8_lossy(&script).into_owned()
    };
    match shell {
        Shell::Bash => named(&generate(PLAIN)),
        _ => generate(PROGRAM),
    }
}

/// The script for bash, registered for the name that the program has.
fn named(script: &str) -> String {
    let lines = script.lines().map(|line| {
        let is_registration = line.trim_start().starts_with("complete ");
        match line.strip_suffix(PLAIN).filter(|_| is_registration) {
            Some(start) => format!("{start}{PROGRAM}\n"),
            None => format!("{line}\n"),
        }
    });
    lines.collect()
}

/// A command without what its help does not show, either.
fn shown(command: &Command) -> Command {
    let below = command.get_subcommands();
    let below = below.filter(|below| !below.is_hide_set()).map(shown);
    let arguments = command.get_arguments();
    let arguments = arguments.filter(|arg| !arg.is_hide_set()).cloned();
    let mut copy = Command::new(command.get_name().to_owned())
        .args(arguments)
        .subcommands(below);
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    if let Some(version) = command.get_version() {
        copy = copy.version(version.to_owned());
    }
    copy.visible_aliases(command.get_visible_aliases().map(str::to_owned))
}
