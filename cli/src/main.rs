//! `durable-streams`: from nothing to your own Durable Streams server on Cloudflare.

mod args;
mod auth;
mod bundle;
mod cloudflare;
mod commands;
mod console;
mod deployment;
mod dev_vars;
mod environment;
mod error;
mod example;
mod git;
mod hex;
mod http;
mod interrupt;
mod keys;
mod liquid;
mod local;
mod lock;
mod mask;
mod name;
mod placeholders;
mod process;
mod project;
mod registry;
mod render;
mod replacement;
mod runtime_source;
mod scaffold;
mod server;
mod session;
mod settings;
mod snippets;
mod stream;
mod template;
mod token;
mod toml_file;
mod toolchain;
mod ui;
mod upgrade;
mod usage;
mod variables;
mod watch;
mod workflow;
mod workspace;

use std::{io, process::ExitCode};

use crate::{error::problem, interrupt::Interrupted, project::Here, ui::Ui};

fn main() -> ExitCode {
    let (cli, places) = match args::parse() {
        Ok(parsed) => parsed,
        Err(error) => return usage(&error),
    };
    let ui = Ui::new(&cli.global, places);
    let outcome = commands::enter_directory(cli.global.directory.as_deref())
        .and_then(|()| commands::run(cli.command, &ui, &Here::current(cli.global.environment)));
    let is_interrupted = |error: &anyhow::Error| {
        // Whatever it was that failed, it failed because of the interrupt.
        interrupt::interrupted() || interrupt::was_asking(error) || error.is::<Interrupted>()
    };
    let code = match outcome {
        Ok(code) => code,
        Err(error) if is_interrupted(&error) => {
            ui.leave(interrupt::was_asking(&error));
            ExitCode::from(130)
        }
        Err(error) => {
            ui.error(&error);
            return ExitCode::FAILURE;
        }
    };
    match ui.unwritten() {
        None => code,
        // Who has read enough goes away, as `head` does.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Some(error) => {
            ui.error(&problem(
                format!("the result cannot be written: {error}"),
                "look at where stdout goes; what was done stays done",
            ));
            ExitCode::FAILURE
        }
    }
}

/// What clap has to say: help and version on stdout, a usage error on stderr with exit code 2. With
/// `--json` the error is one document on stdout as well.
fn usage(error: &clap::Error) -> ExitCode {
    let shown = error.print();
    if !error.use_stderr() {
        return match shown {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
            _ => ExitCode::SUCCESS,
        };
    }
    if std::env::args_os().any(|arg| arg == "--json") {
        ui::print_json(&error::usage(error));
    }
    ExitCode::from(2)
}
