//! Options of `console`.

use clap::Args;

use super::StreamFlags;

/// Options of `console`.
#[derive(Debug, Args)]
pub struct Console {
    /// The port to serve the page on, on this machine alone; 0 takes a free one [default: 4470, or the
    /// next one that is free]
    #[arg(long)]
    pub port: Option<u16>,
    /// Open the page in a browser
    #[arg(long)]
    pub open: bool,
    /// Which server.
    #[command(flatten)]
    pub server: StreamFlags,
}
