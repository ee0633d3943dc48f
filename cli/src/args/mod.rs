//! The command line.

mod cloudflare;
pub mod global;
mod init;
mod machine;
mod projects;
mod server;
pub mod values;

use clap::{Parser, Subcommand};

use self::global::Global;
pub use self::{
    cloudflare::{Deploy, Destroy, Provision},
    init::{Init, Upgrade},
    machine::{Completions, Dev, Doctor},
    projects::{CreateProject, PlaceFlags, Projects, Token},
    server::{
        CreateSubscription, Delivery, Directory, Keys, ServerFlags, Since, SomeStreams, Streams,
        Subscriptions,
    },
};

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

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a new project
    Init(Init),
    /// Bring a project that an earlier release has written to what this one writes
    Upgrade(Upgrade),
    /// Build the worker and serve it on this machine; data is kept between runs
    Dev(Dev),
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
    Logs,
    /// Make a project in the registry, with a secret that signs tokens
    CreateProject(CreateProject),
    /// List, show and change the projects in the registry
    #[command(subcommand)]
    Projects(Projects),
    /// Print a token for the streams of a project
    Token(Token),
    /// List, show and change the subscriptions of a running server
    #[command(subcommand)]
    Subscriptions(Subscriptions),
    /// Mend the directory of streams of a running server
    #[command(subcommand)]
    Directory(Directory),
    /// Say what is missing on this machine to build and run a project
    Doctor(Doctor),
    /// Print the completion script of a shell
    Completions(Completions),
    /// Fill in a template; the request is read from stdin
    #[command(hide = true)]
    RenderTemplate,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
