//! Options of commands that work on Cloudflare.

use clap::Args;

use crate::deployment::{Consent, Rename};

/// What has to be asked for by name.
#[derive(Debug, Default, Args)]
pub struct Ownership {
    /// Use what has this name though this project has not made it: a worker is replaced, a bucket or
    /// namespace is shared; may be given several times
    #[arg(long, value_name = "NAME")]
    pub adopt: Vec<String>,
    /// What becomes of the deployed worker when `name` has changed in wrangler.toml [default: ask]
    #[arg(long, value_name = "HOW")]
    pub rename: Option<Rename>,
}

impl Ownership {
    /// As a deployment takes it.
    pub fn consent(&self) -> Consent {
        Consent {
            adopt: self.adopt.clone(),
            rename: self.rename,
        }
    }
}

/// Options of `provision`.
#[derive(Debug, Args)]
pub struct Provision {
    /// Say what would be made, make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What has to be asked for by name.
    #[command(flatten)]
    pub ownership: Ownership,
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
    /// What has to be asked for by name.
    #[command(flatten)]
    pub ownership: Ownership,
}

/// Options of `destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// Do not ask
    #[arg(long, short)]
    pub yes: bool,
    /// Remove workers only, and leave buckets and namespaces; what the Durable Objects hold is lost
    #[arg(long)]
    pub keep_data: bool,
    /// Remove this worker only, as one of an earlier name, and leave all else
    #[arg(long, value_name = "NAME", conflicts_with = "adopt")]
    pub worker: Option<String>,
    /// Remove also what has this name though this project has not made it; may be given several times
    #[arg(long, value_name = "NAME")]
    pub adopt: Vec<String>,
}
