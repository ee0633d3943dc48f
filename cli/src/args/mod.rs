//! The command line.

mod cloudflare;
mod console;
pub mod global;
mod init;
mod login;
mod logs;
mod machine;
mod operate;
mod projects;
mod server;
#[cfg(test)]
mod shown;
mod stream;
mod usage;
pub mod values;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use self::global::Global;
pub use self::{
    cloudflare::{Deploy, Destroy, Provision},
    console::Console,
    init::{Init, Upgrade},
    login::Login,
    logs::Logs,
    machine::{Completions, Dev, Doctor},
    operate::{Rollback, Secrets},
    projects::{CreateProject, PlaceFlags, Projects, Token, UpdateProject},
    server::{
        CreateSubscription, Delivery, Directory, Keys, ServerFlags, Since, SomeStreams, Streams,
        Subscriptions,
    },
    stream::{
        AppendStream, CreateStream, DeleteStream, ExportStreams, FollowStream, ForkStream,
        ImportStreams, ListStreams, OneStream, ReadStream, Stream, StreamFlags, TransportChoice,
        TruncateStream,
    },
    usage::{MOST, Usage, kept},
};
use crate::ui::Places;

/// From nothing to your own Durable Streams server on Cloudflare.
#[derive(Debug, Parser)]
#[command(name = "durable-streams", version, propagate_version = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Reads the command line, and where it says to work.
pub fn parse() -> Result<(Cli, Places), clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    Ok((cli, Places::of(&command, &matches)))
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a new project
    Init(Init),
    /// Bring a project that an earlier release has written to what this one writes
    Upgrade(Upgrade),
    /// Build the worker and serve it on this machine; data is kept between runs
    Dev(Dev),
    /// Serve a page on this machine that shows the streams of a server, and its projects
    Console(Console),
    /// Build the deployable bundle in build/
    Build,
    /// Make the R2 bucket and the KV namespace on Cloudflare, or adopt those that are there
    Provision(Provision),
    /// Build the worker and put it on Cloudflare, with all it needs
    Deploy(Deploy),
    /// Say what is on Cloudflare, whether it is what is here, and whether it answers
    Status,
    /// Remove from Cloudflare what this project has made there
    Destroy(Destroy),
    /// Show the requests and logs of the deployed worker as they come
    Logs(Logs),
    /// Say what the deployed worker was used for, and what that costs
    Usage(Usage),
    /// Let an earlier version of the deployed worker serve again
    Rollback(Rollback),
    /// Set, list and delete secrets of the deployed worker
    #[command(subcommand)]
    Secret(Secrets),
    /// Make and keep an API token for Cloudflare
    Login(Login),
    /// Remove the API token that is kept
    Logout,
    /// Say what we are known to Cloudflare by, and what that may do
    Whoami,
    /// The older name of `projects create`
    #[command(hide = true)]
    CreateProject(CreateProject),
    /// Make, list, show, change and delete the projects in the registry
    #[command(subcommand)]
    Projects(Projects),
    /// Print a token for the streams of a project
    Token(Token),
    /// List, show and change the subscriptions of a running server
    #[command(subcommand)]
    Subscriptions(Subscriptions),
    /// Create, append to, read, follow, fork, list, export and import streams of any server
    #[command(subcommand)]
    Stream(Stream),
    /// Mend the directory of streams of a running server
    #[command(subcommand)]
    Directory(Directory),
    /// Say what is missing on this machine to build and run a project
    Doctor(Doctor),
    /// Print the completion script of a shell
    Completions(Completions),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
