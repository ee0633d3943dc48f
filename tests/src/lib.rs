//! What the end-to-end tests and benchmarks share: a scaffolded and built project, servers that run
//! it on workerd, and a client that hides nothing.

pub mod bundle;
pub mod cloud;
pub mod conformance;
pub mod costs;
pub mod dev;
pub mod events;
pub mod hooks;
pub mod http;
pub mod npm;
pub mod pip;
pub mod places;
pub mod process;
pub mod project;
pub mod provider;
pub mod readers;
pub mod reference;
pub mod rows;
pub mod server;
pub mod storage;
pub mod stream;
pub mod terminal;
pub mod token;

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Far longer than anything takes that is waited for: it ends a run that hangs, and measures nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is yes.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        if start.elapsed() > PATIENCE {
            bail!("waited {PATIENCE:?} in vain until {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Prints what is worth reading when the test passes, too; `println!` is kept back then.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}
