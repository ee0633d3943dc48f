//! Questions before what cannot be undone.

use anyhow::Result;
use dialoguer::Confirm;

use crate::{error::problem, ui::Ui};

/// Asks a person, unless the answer is given already; where nobody can be asked, the answer is no.
pub fn confirm(ui: &Ui, yes: bool, what: &str) -> Result<()> {
    if yes {
        return Ok(());
    }
    if !ui.can_ask() {
        return Err(problem(
            format!("{what}? Nobody is here to answer that"),
            "--yes says that it is meant",
        ));
    }
    match Confirm::new()
        .with_prompt(format!("{what}?"))
        .default(false)
        .interact()?
    {
        true => Ok(()),
        false => Err(problem("nothing was changed", "")),
    }
}
