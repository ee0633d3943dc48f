//! Options of `init` and `upgrade`.

use std::path::PathBuf;

use clap::Args;

use super::values::{Auth, key_value, word};
use crate::{
    example::{self, Example},
    settings,
};

/// Options of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The folder of the new project [default: ./NAME]
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The name of the crate, the worker and the bucket [default: the name of DIR]
    #[arg(long)]
    pub name: Option<String>,
    /// Who may use the streams [default: project-jwt]
    #[arg(long, value_enum)]
    pub auth: Option<Auth>,
    /// Keep the streams and what moves to R2 within these borders; cannot be changed later
    #[arg(long, value_name = "WORD", value_parser = word(settings::JURISDICTION))]
    pub jurisdiction: Option<String>,
    /// Near whom new streams are placed, as far as Cloudflare can [default: whoever creates one]
    #[arg(long, value_name = "WORD", value_parser = word(settings::LOCATION_HINT))]
    pub location_hint: Option<String>,
    /// Start from an example
    #[arg(long, value_name = "EXAMPLE", value_parser = example::by_name(), conflicts_with = "template")]
    pub example: Option<Example>,
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
    /// The port for --dev; 0 takes a free one [default: 4437, or the next one that is free]
    #[arg(long)]
    pub port: Option<u16>,
}

/// Options of `upgrade`.
#[derive(Debug, Args)]
pub struct Upgrade {
    /// Show what would be done, as a list and as a diff, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take the durable-streams-cloudflare crate from elsewhere: a version, a path or a git URL
    /// [default: from where it comes now, in this program's version]
    #[arg(long, value_name = "VERSION|PATH|GIT")]
    pub runtime: Option<String>,
}
