//! Where things are: the checkout, and the folder below cargo's target folder in which the
//! tests keep what they build, so that a second run is fast and `cargo clean` removes it.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The root of the checkout.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder with cargo's outputs for the profile that is running, such as `target/debug`.
pub fn profile_dir() -> Result<PathBuf> {
    let exe = env::current_exe().context("finding the running test")?;
    let dir = exe.parent().context("the running test is in no folder")?;
    // Tests lie in `deps`, binaries beside it.
    Ok(match dir.file_name() {
        Some(name) if name == "deps" => dir.parent().unwrap_or(dir).to_owned(),
        _ => dir.to_owned(),
    })
}

/// A folder of this name for what the tests build, created when missing.
pub fn work_dir(name: &str) -> Result<PathBuf> {
    let profile = profile_dir()?;
    let target = profile.parent().context("no target folder")?;
    let dir = target.join("e2e").join(name);
    fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
    Ok(dir)
}

/// Waits until nobody else holds the lock of this name, in this process or another one.
/// Dropping the file gives it back.
pub fn lock(name: &str) -> Result<File> {
    let path = work_dir("locks")?.join(name);
    let file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    file.lock()
        .with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// An empty folder that is nobody else's while this lives. What is in it stays for a look.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    _lock: File,
}

impl Scratch {
    /// The folder of this name, emptied.
    pub fn new(name: &str) -> Result<Self> {
        let lock = lock(name)?;
        let dir = work_dir("scratch")?.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("emptying {}", dir.display()))?;
        }
        fs::create_dir_all(&dir)?;
        Ok(Self { dir, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.dir
    }
}
