//! Rust's standard library for WebAssembly: from rustup, or built from the sources that Debian ships.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    cache,
    requirement::{Missing, Requirement},
};
use crate::{error::problem, interrupt, process, ui::Ui};

/// What workers are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";
/// A rustup that cannot reach its server tries for very long.
const RUSTUP_LIMIT: Duration = Duration::from_secs(60);
/// Rust, cargo, the library's sources and the linker. These packages are newer than Debian's own
/// `rustc`.
const DEBIAN: &[&str] = &["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
/// What those packages hold.
const DEBIAN_FILES: &[&str] = &[
    "/usr/bin/cargo",
    "/usr/bin/rustc",
    "/usr/bin/wasm-ld-22",
    "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
];
/// worker-build, which wrangler runs, looks whether this folder exists, and cargo does not mind that it is empty.
const DEBIAN_LIBDIR: &str = "/usr/lib/rustlib/wasm32-unknown-unknown/lib";

/// The folder of [`debian_programs`] in the cache.
const DEBIAN_PROGRAMS: &str = "debian-rust";

/// Where the library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The compiler in PATH has it.
    Sysroot,
    /// Debian's compiler builds it as a part of the project.
    Debian,
}

impl Source {
    /// Prepares a program that calls cargo.
    pub fn apply(self, command: &mut Command) -> Result<()> {
        if self == Self::Sysroot {
            return Ok(());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let path =
            env::join_paths(std::iter::once(debian_programs()?).chain(env::split_paths(&path)))
                .context("PATH cannot be extended")?;
        command
            .env("PATH", path)
            .env("RUSTC", "/usr/bin/rustc")
            // `build-std` is not stable, and Debian's compiler is.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
        Ok(())
    }
}

/// Looks for the library.
pub fn find() -> Option<Source> {
    if in_sysroot() {
        Some(Source::Sysroot)
    } else if on_debian() && debian_programs().is_ok_and(|dir| dir.is_dir()) {
        Some(Source::Debian)
    } else {
        None
    }
}

/// The library, from wherever it comes.
pub struct WasmStd;

impl Requirement for WasmStd {
    fn name(&self) -> String {
        format!("Rust for {TARGET}")
    }

    fn look(&self) -> Result<String, Missing> {
        match find() {
            Some(Source::Sysroot) => Ok("in the compiler's sysroot".to_owned()),
            Some(Source::Debian) => Ok("built from source, with Debian's rustc-web".to_owned()),
            // What this installs on Debian is no way to get Rust itself, which nobody has asked for.
            None if !has_rust() => Err(Missing::manual(
                "there is no Rust to add it to",
                "install Rust from https://rustup.rs first",
            )),
            None => Err(Missing::mendable(
                "the compiler has no standard library for WebAssembly",
                "from rustup, else from Debian's packages, a minute or two",
            )),
        }
    }

    fn mend(&self, ui: &Ui) -> Result<()> {
        if on_debian() {
            return link_debian_programs();
        }
        let rustup = match from_rustup(ui) {
            Ok(()) => return Ok(()),
            Err(error) if error.is::<interrupt::Interrupted>() => return Err(error),
            Err(error) => error,
        };
        ui.note(format!("  rustup did not help: {}", last_line(&rustup)));
        match from_debian(ui) {
            Err(debian) if !debian.is::<interrupt::Interrupted>() => Err(problem(
                format!(
                    "there is no standard library for {TARGET}: rustup: {}; Debian: {}",
                    last_line(&rustup),
                    last_line(&debian)
                ),
                format!(
                    "run `rustup target add {TARGET}` where its server can be reached, or, as root \
                     on Debian, `apt-get install {}`",
                    DEBIAN.join(" ")
                ),
            )),
            outcome => outcome,
        }
    }
}

fn has_rust() -> bool {
    process::first_line(Command::new("cargo").arg("--version")).is_some()
}

fn in_sysroot() -> bool {
    let mut command = Command::new("rustc");
    command.args(["--print", "target-libdir", "--target", TARGET]);
    process::first_line(&mut command).is_some_and(|libdir| {
        // An empty folder may be there: see DEBIAN_LIBDIR.
        fs::read_dir(libdir)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    })
}

fn on_debian() -> bool {
    has_debian_packages() && Path::new(DEBIAN_LIBDIR).is_dir()
}

fn has_debian_packages() -> bool {
    DEBIAN_FILES.iter().all(|file| Path::new(file).exists())
}

fn from_rustup(ui: &Ui) -> Result<()> {
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]);
    process::run_ok(ui, &mut command, Some(RUSTUP_LIMIT))?;
    Ok(())
}

fn from_debian(ui: &Ui) -> Result<()> {
    if !has_debian_packages() {
        apt_get(ui, &["update"])?;
        let install = ["install", "--yes", "--no-install-recommends"];
        apt_get(ui, &[&install, DEBIAN].concat())?;
    }
    fs::create_dir_all(DEBIAN_LIBDIR).with_context(|| format!("cannot make {DEBIAN_LIBDIR}"))?;
    link_debian_programs()
}

fn apt_get(ui: &Ui, args: &[&str]) -> Result<()> {
    if !is_root() {
        bail!("apt-get needs root");
    }
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    process::run_ok(ui, &mut command, None)?;
    Ok(())
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// A folder with Debian's cargo and rustc and nothing else, to be searched before rustup's.
fn debian_programs() -> Result<PathBuf> {
    Ok(cache::dir()?.join(DEBIAN_PROGRAMS))
}

fn link_debian_programs() -> Result<()> {
    cache::install(DEBIAN_PROGRAMS, |dir| {
        for name in ["cargo", "rustc"] {
            #[cfg(unix)]
            std::os::unix::fs::symlink(Path::new("/usr/bin").join(name), dir.join(name))?;
            #[cfg(not(unix))]
            bail!("{} has no {name} of Debian", dir.display());
        }
        Ok(())
    })?;
    Ok(())
}

/// The last line of an error is where programs say what went wrong.
fn last_line(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    text.trim().lines().last().unwrap_or_default().to_owned()
}
