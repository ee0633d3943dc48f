//! What cargo makes of a project.
//!
//! All projects of a user are compiled in one folder, so that dependencies are compiled once. What they
//! are named after is the same for two projects of one name, though, and cargo would take one for the
//! other: the folder notes whose each is, and a stranger's is removed.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};

use super::Effort;
use crate::{
    error::problem,
    process,
    project::Project,
    toml_file,
    toolchain::{TARGET, Toolchain, cache},
    ui::Ui,
};

/// What is compiled, in the folder it is asked for in.
pub const COMPILED: &str = "compiled.wasm";

/// Compiles a project into a folder.
pub fn compile(
    ui: &Ui,
    project: &Project,
    toolchain: &Toolchain,
    effort: Effort,
    into: &Path,
) -> Result<()> {
    let target = target_dir()?;
    let _lock = cache::lock_file(ui, &target.join("durable-streams.lock"), "builds a worker")?;
    let name = crate_name(&project.root)?;
    claim(&target, &name, &project.root, effort)?;
    run_cargo(ui, project, toolchain, effort, &target)?;
    let [wasm, _] = outputs(&target, &name);
    if !wasm.is_file() {
        return Err(problem(
            "cargo has made no WebAssembly",
            "say `crate-type = [\"cdylib\"]` in [lib] of Cargo.toml",
        ));
    }
    fs::copy(&wasm, into.join(COMPILED))
        .with_context(|| format!("cannot copy {}", wasm.display()))?;
    Ok(())
}

/// Notes whose the files of a name are from now on. Those of another project, or of another effort, are
/// removed: cargo makes them again, where it would take them for up to date.
fn claim(target: &Path, name: &str, root: &Path, effort: Effort) -> Result<()> {
    let owner = format!("{}\n{effort:?}\n", root.display());
    let noted = target.join(format!("durable-streams-{name}"));
    if fs::read_to_string(&noted).is_ok_and(|there| there == owner) {
        return Ok(());
    }
    for path in outputs(target, name) {
        let _ = fs::remove_file(path);
    }
    fs::write(&noted, owner).with_context(|| format!("cannot write {}", noted.display()))
}

/// Where cargo leaves what it makes of a library: two links to one file.
fn outputs(target: &Path, name: &str) -> [PathBuf; 2] {
    let release = target.join(TARGET).join("release");
    let file = format!("{name}.wasm");
    [release.join(&file), release.join("deps").join(&file)]
}

fn run_cargo(
    ui: &Ui,
    project: &Project,
    toolchain: &Toolchain,
    effort: Effort,
    target: &Path,
) -> Result<()> {
    let mut command = toolchain.cargo()?;
    command
        .current_dir(&project.root)
        .args(["rustc", "--lib", "--release", "--target", TARGET])
        .arg("--target-dir")
        .arg(target)
        // Macros of wasm-bindgen then write promises by way of js-sys, as the crate `worker` expects.
        .env("WASM_BINDGEN_USE_JS_SYS", "1")
        // A build that fails says why; where cargo noticed it is of no use.
        .env("RUST_BACKTRACE", "0");
    if effort == Effort::Quick {
        // For the project's own crate, and with it for what is compiled when all is linked.
        command.args(["--", "-C", "opt-level=0"]);
    }
    if ui.color() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    if !ui.verbose() {
        command
            .env("CARGO_TERM_PROGRESS_WHEN", "always")
            .env("CARGO_TERM_PROGRESS_WIDTH", "100");
    }
    let line = process::describe(&command);
    let finished = process::run_watched(ui, &mut command, None, |output| {
        if let Some(progress) = progress(&String::from_utf8_lossy(output)) {
            ui.progress(format!("{progress} crates"));
        }
    })?;
    if finished.status.success() {
        return Ok(());
    }
    let said = without_progress(&finished.output);
    Err(process::failed(ui, &line, finished.status, &said))
}

/// Where cargo compiles: in one folder for all projects, which a user can choose as always.
fn target_dir() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => std::path::absolute(&dir)
            .with_context(|| format!("cannot use CARGO_TARGET_DIR, {}", dir.display())),
        None => Ok(cache::dir()?.join("target")),
    }
}

/// The name of a package's library, as cargo names files after it.
fn crate_name(root: &Path) -> Result<String> {
    let path = root.join("Cargo.toml");
    let manifest = toml_file::read(&path)?;
    let name = |table: &str| manifest.get(table)?.get("name")?.as_str();
    let name = name("lib")
        .or_else(|| name("package"))
        .ok_or_else(|| anyhow!("{} is the manifest of no package", path.display()))?;
    Ok(name.replace('-', "_"))
}

/// How far cargo is, as in `17/132`.
fn progress(output: &str) -> Option<&str> {
    let (_, bar) = output.rsplit_once("Building")?;
    let (_, behind) = bar.split_once("] ")?;
    let (progress, _) = behind.split_once(':')?;
    let (done, all) = progress.split_once('/')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(done) && digits(all)).then_some(progress)
}

/// How wide the words are that cargo begins a line of progress with, set flush right.
const STATUS_WIDTH: usize = 12;
/// Those words.
const STATUS: &[&str] = &[
    "Adding",
    "Blocking",
    "Building",
    "Compiling",
    "Downloaded",
    "Downloading",
    "Finished",
    "Fresh",
    "Locking",
    "Updating",
    "Waiting",
];

/// What is left of cargo's output when it says no more than what is wrong.
fn without_progress(output: &str) -> String {
    let lines = output.lines().filter_map(|line| {
        let line = line.rsplit('\r').next().unwrap_or(line);
        let plain = console::strip_ansi_codes(line);
        let word = plain.get(..STATUS_WIDTH).map(str::trim_start);
        (!word.is_some_and(|word| STATUS.contains(&word))).then_some(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "   Compiling serde v1.0.229\n\
        \x1b[1m\x1b[92m    Building\x1b[0m [=>       ] 3/132: serde, syn\r\x1b[K\
        warning: unused variable: `a`\n --> src/lib.rs:1:2\n\
        \x1b[1m\x1b[92m    Building\x1b[0m [====>    ] 17/132: worker(build), syn\r\x1b[K\
        error: it is wrong\n  Building on sand\n\
        \x1b[1m\x1b[92m    Building\x1b[0m [====>    ] 18/132: my_streams\r\x1b[K\
        error: could not compile `my-streams` (lib) due to 1 previous error\n";

    #[test]
    fn progress_is_told_from_what_is_wrong() {
        assert_eq!(progress(OUTPUT), Some("18/132"));
        assert_eq!(progress("   Compiling serde v1.0.229\n"), None);
        assert_eq!(progress("    Building [==> ] 1a/2: x"), None);
        let said = without_progress(OUTPUT);
        assert!(!said.contains("132"), "{said}");
        assert!(!said.contains("Compiling"), "{said}");
        for part in [
            "warning: unused variable: `a`\n --> src/lib.rs:1:2\n",
            "error: it is wrong\n  Building on sand\n",
            "error: could not compile `my-streams`",
        ] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
    }

    #[test]
    fn what_another_project_of_the_name_has_made_is_not_taken_for_ones_own() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path();
        let made = outputs(target, "zoo");
        fs::create_dir_all(made[1].parent().unwrap()).unwrap();
        let make = || made.iter().for_each(|path| fs::write(path, "x").unwrap());
        let is_there = || made.iter().all(|path| path.is_file());
        let claim = |root: &str, effort| claim(target, "zoo", Path::new(root), effort).unwrap();
        make();
        claim("/a", Effort::Quick);
        assert!(!is_there(), "nobody knows whose it was");
        make();
        claim("/a", Effort::Quick);
        assert!(is_there());
        for (root, effort) in [
            ("/b", Effort::Quick),
            ("/a", Effort::Quick),
            ("/a", Effort::Full),
        ] {
            make();
            claim(root, effort);
            assert!(made.iter().all(|path| !path.exists()), "{root} {effort:?}");
        }
    }

    #[test]
    fn files_are_named_after_the_library() {
        let dir = tempfile::tempdir().unwrap();
        let name = |manifest: &str| {
            fs::write(dir.path().join("Cargo.toml"), manifest).unwrap();
            crate_name(dir.path()).ok()
        };
        let package = "[package]\nname = \"my-streams\"\n";
        assert_eq!(name(package).as_deref(), Some("my_streams"));
        let library = format!("{package}[lib]\nname = \"other\"\n");
        assert_eq!(name(&library).as_deref(), Some("other"));
        assert_eq!(name("[workspace]\n"), None);
    }
}
