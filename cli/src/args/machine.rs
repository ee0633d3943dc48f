//! Options of commands that work on this machine alone.

use std::net::IpAddr;

use clap::Args;

use crate::local::listen::{self, Listen};

/// Options of `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// The port to serve on; 0 takes a free one [default: 4437, or the next one that is free]
    #[arg(long)]
    pub port: Option<u16>,
    /// The address to serve on; 0.0.0.0 is all of this machine, for others in the network [default:
    /// this machine alone]
    #[arg(long, value_name = "ADDRESS", value_parser = listen::host)]
    pub host: Option<IpAddr>,
    /// Serve no console
    #[arg(long)]
    pub no_console: bool,
}

impl Dev {
    /// Where to listen.
    pub fn listen(&self) -> Listen {
        Listen {
            host: self.host,
            port: self.port,
        }
    }
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
