//! Options of commands that work on the registry.

use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

use super::{
    Streams,
    values::{Scope, lifetime},
};

/// Which registry to work on.
#[derive(Debug, Clone, Copy, Args)]
pub struct PlaceFlags {
    /// Work on the data of local runs, in the project's folder (the default)
    #[arg(long, conflicts_with = "remote")]
    pub local: bool,
    /// Work on the deployed server's data at Cloudflare
    #[arg(long)]
    pub remote: bool,
}

/// Options of `projects create`.
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

/// Options of `projects update`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true))]
pub struct UpdateProject {
    /// The project
    pub name: String,
    /// Let everyone read all streams without a token
    #[arg(long, group = "change", conflicts_with = "no_public")]
    pub public: bool,
    /// Let nobody read without a token; streams that are public by themselves stay so
    #[arg(long, group = "change")]
    pub no_public: bool,
    /// Let pages of this origin use the streams, and of no others than are given here, `*` for all;
    /// may be given several times
    #[arg(
        long,
        group = "change",
        value_name = "ORIGIN",
        conflicts_with = "no_cors_origin"
    )]
    pub cors_origin: Vec<String>,
    /// Let no pages of other origins use the streams
    #[arg(long, group = "change")]
    pub no_cors_origin: bool,
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
    /// Make a project, with a secret that signs tokens
    Create(CreateProject),
    /// Show a project
    Show {
        /// The project
        name: String,
        /// Show the secret that signs tokens, too: whoever has it can do everything in the project
        #[arg(long)]
        show_secret: bool,
        /// Which registry.
        #[command(flatten)]
        place: PlaceFlags,
    },
    /// Change who may read a project, and which pages may use it
    Update(UpdateProject),
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
    /// The project [default: that of the worker's name, or the only one]
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
