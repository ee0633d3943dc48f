//! What a requirement is.

use anyhow::Result;

use crate::ui::Ui;

/// Something that has to be on the machine.
pub trait Requirement {
    /// What it is, as in `worker-build 0.8.7`.
    fn name(&self) -> String;
    /// Looks for it. What is found is described in a few words.
    fn look(&self) -> Result<String, Missing>;
    /// Gets it. Called only for what is missing and can be mended.
    fn mend(&self, ui: &Ui) -> Result<()>;
}

/// Why a requirement is not met, and the way out.
#[derive(Debug)]
pub struct Missing {
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub way_out: String,
    /// `mend` can do it.
    pub mendable: bool,
}

impl Missing {
    /// Something this program can get by itself; `cost` says how.
    pub fn mendable(why: impl Into<String>, cost: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            way_out: cost.into(),
            mendable: true,
        }
    }

    /// Something a person has to do.
    pub fn manual(why: impl Into<String>, way_out: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            way_out: way_out.into(),
            mendable: false,
        }
    }
}
