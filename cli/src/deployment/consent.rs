//! What a person has to ask for by name, because it is not this project's.

use anyhow::Result;
use clap::ValueEnum;

use crate::{error::problem, ui::Ui};

/// What becomes of a worker whose name in `wrangler.toml` was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Rename {
    /// The worker of the new name takes over the streams, the bucket and the namespace of the old one
    CarryOver,
    /// The worker of the new name starts empty, with a bucket and a namespace of its own
    KeepBoth,
}

/// What was asked for by name.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    /// Names of workers, buckets and namespaces that are no longer left alone.
    pub adopt: Vec<String>,
    /// What becomes of the worker of an earlier name.
    pub rename: Option<Rename>,
}

impl Consent {
    /// Whether this was asked for by its name.
    pub fn names(&self, name: &str) -> bool {
        self.adopt.iter().any(|one| one == name)
    }
}

/// Goes on when something was asked for by name, or is now. `what` says what it is, `why` why it is
/// left alone, `would` what would become of it.
pub fn ask_for(
    ui: &Ui,
    consent: &Consent,
    name: &str,
    why: &str,
    would: &str,
    way_out: &str,
) -> Result<()> {
    if consent.names(name) {
        return Ok(());
    }
    let refusal = || {
        problem(
            format!("{why}: {would}"),
            format!("{way_out}; or, if that is what you want, add `--adopt {name}`"),
        )
    };
    if !ui.can_ask() {
        return Err(refusal());
    }
    ui.warn(format!("{why}: {would}"));
    match ui.is_typed(name, &format!("Type `{name}` to go on"))? {
        true => Ok(()),
        false => Err(refusal()),
    }
}
