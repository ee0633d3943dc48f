//! The commands, a file each.

mod build;
mod completions;
mod console;
mod create_project;
mod delete_project;
mod deploy;
mod destroy;
mod dev;
mod directory;
mod doctor;
mod init;
mod login;
mod logs;
mod projects;
mod provision;
mod rollback;
mod secret;
mod status;
mod stream;
mod subscriptions;
mod token;
mod upgrade;
mod usage;

pub use usage::answer as usage;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};

use crate::{args::Command, project::Here, ui::Ui};

/// Works in another folder from now on, as `-C` asks.
pub fn enter_directory(dir: Option<&Path>) -> Result<()> {
    match dir {
        None => Ok(()),
        Some(dir) => std::env::set_current_dir(dir)
            .with_context(|| format!("cannot enter the folder {} given by -C", dir.display())),
    }
}

/// Does what was asked for.
pub fn run(command: Command, ui: &Ui, here: &Here) -> Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(ui, args)?,
        Command::Upgrade(args) => return upgrade::run(ui, here, &args),
        Command::Dev(args) => dev::run(ui, here, args.listen(), !args.no_console)?,
        Command::Console(args) => console::run(ui, here, &args)?,
        Command::Build => build::run(ui, here)?,
        Command::Provision(args) => provision::run(ui, here, &args)?,
        Command::Deploy(args) => deploy::run(ui, here, &args, None)?,
        Command::Status => return status::run(ui, here),
        Command::Destroy(args) => destroy::run(ui, here, &args)?,
        Command::Logs(args) => logs::run(ui, here, &args)?,
        Command::Usage(args) => usage::run(ui, here, &args)?,
        Command::Rollback(args) => rollback::run(ui, here, &args)?,
        Command::Secret(secrets) => secret::run(ui, here, &secrets)?,
        Command::Login(args) => login::login(ui, here, &args)?,
        Command::Logout => login::logout(ui)?,
        Command::Whoami => login::whoami(ui, here)?,
        Command::CreateProject(args) => create_project::run(ui, here, &args)?,
        Command::Projects(args) => projects::run(ui, here, &args)?,
        Command::Token(args) => token::run(ui, here, &args)?,
        Command::Subscriptions(args) => subscriptions::run(ui, here, &args)?,
        Command::Stream(args) => stream::run(ui, here, &args)?,
        Command::Directory(args) => directory::run(ui, here, &args)?,
        Command::Doctor(args) => return doctor::run(ui, here, &args),
        Command::Completions(args) => completions::run(ui, &args),
    }
    Ok(ExitCode::SUCCESS)
}
