//! Options of commands about credentials.

use clap::Args;

/// Options of `login`.
#[derive(Debug, Args)]
pub struct Login {
    /// Take the token from stdin instead of asking for it
    #[arg(long)]
    pub token_stdin: bool,
    /// Keep a token that lacks permissions without asking
    #[arg(long, short)]
    pub yes: bool,
}
