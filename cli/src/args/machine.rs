//! Options of commands that work on this machine alone.

use clap::Args;

use super::values::DEFAULT_PORT;

/// Options of `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// The port to serve on; 0 takes a free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub port: u16,
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
