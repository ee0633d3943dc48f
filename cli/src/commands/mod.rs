//! The commands, a file each.

mod build;
mod completions;
mod create_project;
mod delete_project;
mod deploy;
mod destroy;
mod dev;
mod directory;
mod doctor;
mod init;
mod logs;
mod projects;
mod provision;
mod status;
mod subscriptions;
mod token;

use std::{path::Path, process::ExitCode};

use anyhow::{Context, Result};

use crate::{args::Command, render, ui::Ui};

/// Works in another folder from now on, as `-C` asks.
pub fn enter_directory(dir: Option<&Path>) -> Result<()> {
    match dir {
        None => Ok(()),
        Some(dir) => std::env::set_current_dir(dir)
            .with_context(|| format!("cannot enter the folder {} given by -C", dir.display())),
    }
}

/// Does what was asked for.
pub fn run(command: Command, ui: &Ui) -> Result<ExitCode> {
    match command {
        Command::Init(args) => init::run(ui, args)?,
        Command::Dev(args) => dev::run(ui, Path::new("."), args.port)?,
        Command::Build => build::run(ui)?,
        Command::Provision(args) => provision::run(ui, &args)?,
        Command::Deploy(args) => deploy::run(ui, Path::new("."), &args, None)?,
        Command::Status => return status::run(ui),
        Command::Destroy(args) => destroy::run(ui, &args)?,
        Command::Logs => logs::run(ui)?,
        Command::CreateProject(args) => create_project::run(ui, &args)?,
        Command::Projects(args) => projects::run(ui, &args)?,
        Command::Token(args) => token::run(ui, &args)?,
        Command::Subscriptions(args) => subscriptions::run(ui, &args)?,
        Command::Directory(args) => directory::run(ui, &args)?,
        Command::Doctor(args) => return doctor::run(ui, &args),
        Command::Completions(args) => completions::run(ui, &args),
        Command::RenderTemplate => render::serve()?,
    }
    Ok(ExitCode::SUCCESS)
}
