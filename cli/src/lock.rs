//! Files that one process at a time holds. What a process holds goes with it, however it ends.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    interrupt::{self, Interrupted},
    ui::Ui,
};

/// Makes a file, and holds it until what this gives is dropped; nothing if somebody else holds it.
pub fn hold(path: &Path) -> Result<Option<File>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Attempts something until nobody is in its way. Whoever is gives a name, and is told of once.
pub fn wait<T>(ui: &Ui, mut attempt: impl FnMut() -> Result<Result<T, String>>) -> Result<T> {
    let mut is_told = false;
    loop {
        let other = match attempt()? {
            Ok(done) => return Ok(done),
            Err(other) => other,
        };
        if interrupt::interrupted() {
            return Err(Interrupted.into());
        }
        if !is_told {
            ui.note(format!("Waiting for {other}"));
            is_told = true;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
