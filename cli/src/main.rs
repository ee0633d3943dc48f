//! `durable-streams`: from nothing to your own Durable Streams server on Cloudflare.

mod args;
mod auth;
mod bundle;
mod cloudflare;
mod commands;
mod deployment;
mod dev_vars;
mod environment;
mod error;
mod git;
mod http;
mod interrupt;
mod local;
mod name;
mod process;
mod project;
mod registry;
mod render;
mod runtime_source;
mod scaffold;
mod server;
mod session;
mod settings;
mod snippets;
mod token;
mod toolchain;
mod ui;
mod variables;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, project::Here, ui::Ui};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let ui = Ui::new(&cli.global);
    let outcome = commands::enter_directory(cli.global.directory.as_deref())
        .and_then(|()| commands::run(cli.command, &ui, &Here::current(cli.global.environment)));
    match outcome {
        Ok(code) => code,
        // Whatever it was that failed, it failed because of the interrupt.
        Err(_) if interrupt::interrupted() => {
            // A question that was on the screen has hidden it.
            let _ = console::Term::stderr().show_cursor();
            ExitCode::from(130)
        }
        Err(error) => {
            ui.error(&error);
            ExitCode::FAILURE
        }
    }
}

/// What clap has to say: help and version on stdout, a usage error on stderr with exit code 2. With
/// `--json` the error is one document on stdout as well.
fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().any(|arg| arg == "--json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default();
        let message = message.strip_prefix("error: ").unwrap_or(message);
        ui::print_json(&error::document(message, Some("durable-streams --help")));
    }
    ExitCode::from(2)
}
