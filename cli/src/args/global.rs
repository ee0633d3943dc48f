//! Options of every command.

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// Print one JSON document on stdout, and everything else on stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print the output of the programs that are run, and the requests that are sent
    #[arg(long, short, global = true)]
    pub verbose: bool,
    /// Run as if started in this folder
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = ValueHint::DirPath)]
    pub directory: Option<PathBuf>,
    /// The environment of wrangler.toml to work on [default: the top level; env: CLOUDFLARE_ENV]
    #[arg(long = "env", value_name = "NAME", global = true)]
    pub environment: Option<String>,
}
