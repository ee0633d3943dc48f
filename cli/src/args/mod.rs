//! The command line.

pub mod global;
mod server;
pub mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

pub use self::server::{
    CreateSubscription, Delivery, Directory, Keys, ServerFlags, Since, SomeStreams, Streams,
    Subscriptions,
};
use self::{
    global::Global,
    values::{Auth, DEFAULT_PORT, Scope, key_value, lifetime, word},
};
use crate::settings;

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

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder of the new project [default: ./NAME]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The name of the crate, the worker and the bucket [default: the name of DIR]
    #[arg(long)]
    pub name: Option<String>,
    /// Who may use the streams
    #[arg(long, value_enum, default_value_t = Auth::ProjectJwt)]
    pub auth: Auth,
    /// Keep the streams and what moves to R2 within these borders; cannot be changed later
    #[arg(long, value_name = "WORD", value_parser = word(settings::JURISDICTION))]
    pub jurisdiction: Option<String>,
    /// Near whom new streams are placed, as far as Cloudflare can [default: whoever creates one]
    #[arg(long, value_name = "WORD", value_parser = word(settings::LOCATION_HINT))]
    pub location_hint: Option<String>,
    /// A cargo-generate template to use instead of the built-in one
    #[arg(long, value_name = "PATH|GIT")]
    pub template: Option<String>,
    /// Set a value of the template; may be given several times
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = key_value)]
    pub define: Vec<(String, String)>,
    /// The durable-streams-cloudflare crate: a version, a path or a git URL
    #[arg(long, value_name = "VERSION|PATH|GIT")]
    pub runtime: Option<String>,
    /// Make a git repository [default: unless DIR already is in one]
    #[arg(long, conflicts_with = "no_git")]
    pub git: bool,
    /// Make no git repository
    #[arg(long)]
    pub no_git: bool,
    /// Add a workflow that deploys from GitHub Actions
    #[arg(long)]
    pub github_actions: bool,
    /// Ask nothing, take the defaults
    #[arg(long, short)]
    pub yes: bool,
    /// List the files that would be written, write none
    #[arg(long, conflicts_with = "dev")]
    pub dry_run: bool,
    /// Write into a folder that is not empty, over files of the same names
    #[arg(long)]
    pub overwrite: bool,
    /// Build and serve the project when it is written
    #[arg(long)]
    pub dev: bool,
    /// The port for --dev; 0 takes a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
}

/// Options of `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// The port to serve on; 0 takes a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
}

/// Options of `provision`.
#[derive(Debug, Args)]
pub struct Provision {
    /// Say what would be made, make nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `deploy`.
#[derive(Debug, Default, Args)]
pub struct Deploy {
    /// Build and say what would be done, change nothing on Cloudflare
    #[arg(long)]
    pub dry_run: bool,
    /// Deploy what is in build/
    #[arg(long)]
    pub no_build: bool,
    /// Then make this project in the registry if it is not there, and print tokens for it
    #[arg(long, value_name = "NAME", conflicts_with = "dry_run")]
    pub create_project: Option<String>,
}

/// Options of `destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Remove the worker only, and leave bucket and namespace; what the Durable Objects hold is lost
    #[arg(long)]
    pub keep_data: bool,
}

/// Which registry to work on.
#[derive(Debug, Clone, Copy, Args)]
pub struct PlaceFlags {
    /// Work on the data of local runs, in the project's folder [default]
    #[arg(long, conflicts_with = "remote")]
    pub local: bool,
    /// Work on the deployed server's data at Cloudflare
    #[arg(long)]
    pub remote: bool,
}

/// Options of `create-project`.
#[derive(Debug, Args)]
pub struct CreateProject {
    /// The project: the first segment of its streams' paths [default: the name of the worker]
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Let pages of this origin use the streams, `*` for all; may be given several times
    #[arg(long, value_name = "ORIGIN")]
    pub cors_origin: Vec<String>,
    /// Let everyone read all streams without a token
    #[arg(long)]
    pub public: bool,
    /// Take the secret from stdin instead of making a random one
    #[arg(long)]
    pub secret_stdin: bool,
    /// Which registry.
    #[command(flatten)]
    pub place: PlaceFlags,
}

/// What to do with the projects in the registry.
#[derive(Debug, Subcommand)]
pub enum Projects {
    /// List all projects
    List {
        /// Which registry.
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Show a project, without its secrets
    Show {
        /// The project
        name: String,
        /// Which registry.
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Give a project a new secret; tokens of the old one are still taken
    Rotate {
        /// The project
        name: String,
        /// Take the secret from stdin instead of making a random one
        #[arg(long)]
        secret_stdin: bool,
        /// Which registry.
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Remove a secret of a project, and with it all tokens it has signed
    RemoveSecret {
        /// The project
        name: String,
        /// The secret's id [default: the only one that is not the newest]
        #[arg(long, value_name = "ID")]
        secret: Option<String>,
        /// Which registry.
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Remove a project from the registry, and its streams if wanted
    Delete {
        /// The project
        name: String,
        /// Ask nothing
        #[arg(long, short)]
        yes: bool,
        /// What becomes of its streams [default: asked on a terminal, if there are any]
        #[arg(long, value_enum)]
        streams: Option<Streams>,
        /// Where the server is [default: where `dev` serves this folder; with --remote, where it is
        /// deployed]
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// Which registry.
        #[command(flatten)]
        place: PlaceFlags,
    },
}

/// Options of `token`.
#[derive(Debug, Args)]
pub struct Token {
    /// The project [default: the only one]
    #[arg(long, short)]
    pub project: Option<String>,
    /// What the token allows
    #[arg(long, value_enum)]
    pub scope: Scope,
    /// The only stream it is for: its path after the project [default: all]
    #[arg(long)]
    pub stream: Option<String>,
    /// How long it lasts, as in 90s, 15m, 1h or 30d
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = lifetime)]
    pub expires_in: Duration,
    /// Take the project's secret from stdin instead of the registry
    #[arg(long, requires = "project", conflicts_with_all = ["local", "remote"])]
    pub secret_stdin: bool,
    /// Which registry.
    #[command(flatten)]
    pub place: PlaceFlags,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Install what is missing
    #[arg(long)]
    pub fix: bool,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
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
