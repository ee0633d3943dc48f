//! Options of commands that operate a deployed worker.

use clap::{Args, Subcommand};

/// What to do with the secrets of a deployed worker.
#[derive(Debug, Subcommand)]
pub enum Secrets {
    /// Set a secret; its value is asked for, or read from stdin
    Put {
        /// The variable that the worker reads it from
        name: String,
    },
    /// List the names of the secrets; nobody can read their values
    List,
    /// Delete a secret
    Delete {
        /// The variable that the worker reads it from
        name: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// Options of `rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The version to serve again, or how its id begins [default: the one that served before]
    #[arg(value_name = "VERSION")]
    pub to: Option<String>,
    /// List the versions, and change nothing
    #[arg(long, conflicts_with_all = ["to", "yes", "message", "old_secrets"])]
    pub list: bool,
    /// Why; it is kept with the deployment
    #[arg(long, short, value_name = "TEXT")]
    pub message: Option<String>,
    /// Go back also where secrets have changed since: the old values come back, too
    #[arg(long)]
    pub old_secrets: bool,
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
}
