//! `completions`: the completion script of a shell.

use clap::CommandFactory;
use serde_json::json;

use crate::{
    args::{Cli, Completions},
    ui::Ui,
};

/// Prints the script.
pub fn run(ui: &Ui, args: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "durable-streams",
        &mut script,
    );
    let script = String::from_utf8_lossy(&script);
    ui.result(
        &script,
        &json!({ "shell": args.shell.to_string(), "script": script }),
    );
}
