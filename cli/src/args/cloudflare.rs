//! Options of commands that work on Cloudflare.

use clap::Args;

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
    /// Leave out the METRICS of wrangler.toml, as in an account that never opened Analytics Engine
    #[arg(long)]
    pub without_metrics: bool,
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
