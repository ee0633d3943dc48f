//! The project under test, as its user gets it: scaffolded and built by the command line program.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::Value;

use crate::places;
use crate::process::run;

/// A worker that can be served.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Its main module.
    pub script: PathBuf,
    /// The date whose runtime behaviour it expects.
    pub compatibility_date: String,
    /// What it expects beyond that.
    pub compatibility_flags: Vec<String>,
}

/// Who may use the streams of a project under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Everyone.
    None,
    /// Whoever has a token of the project.
    ProjectJwt,
    /// Whoever has a key: `tests/custom-auth/lib.rs`.
    ApiKeys,
    /// Whoever has a token of the project, and code of the worker's own: `tests/own-code/lib.rs`.
    OwnCode,
}

impl Auth {
    /// The name of the project.
    fn project(self) -> &'static str {
        match self {
            Self::None => "my-streams",
            Self::ProjectJwt => "my-projects",
            Self::ApiKeys => "api-keys",
            Self::OwnCode => "own-code",
        }
    }

    /// The option of `init`.
    fn option(self) -> &'static str {
        match self {
            Self::None | Self::ApiKeys => "none",
            Self::ProjectJwt | Self::OwnCode => "project-jwt",
        }
    }

    /// What the project has in place of the scaffolded code, below `tests`.
    fn code(self) -> Option<&'static str> {
        match self {
            Self::None | Self::ProjectJwt => None,
            Self::ApiKeys => Some("custom-auth"),
            Self::OwnCode => Some("own-code"),
        }
    }
}

impl Worker {
    /// The bundle of the scaffolded project that is open to everyone.
    pub fn ours() -> Result<Self> {
        Self::with(Auth::None)
    }

    /// The bundle of a scaffolded project. The first call of a process builds it.
    pub fn with(auth: Auth) -> Result<Self> {
        static BUILT: [OnceLock<Result<Worker, String>>; 4] = [const { OnceLock::new() }; 4];
        let built =
            BUILT[auth as usize].get_or_init(|| build(auth).map_err(|error| format!("{error:#}")));
        built.clone().map_err(|error| anyhow!(error))
    }

    /// The bundle of an example, as `init` writes it.
    pub fn of_example(name: &str) -> Result<Self> {
        let project = Project::of_example(name)?;
        build_in(&project.dir, &format!("example-{name}"))
    }

    /// The bundle of another checkout of this repository, with its template and its runtime: what ours
    /// was, or may become.
    pub fn of_checkout(checkout: &Path) -> Result<Self> {
        let _lock = places::lock("before")?;
        let dir = places::work_dir("before")?;
        let mut init = command(&cli()?)?;
        init.arg("init").arg(&dir).args(["--name", "before"]);
        init.arg("--template").arg(checkout.join("template"));
        init.arg("--runtime").arg(checkout.join("runtime"));
        run(init.args(["--yes", "--auth", "none", "--no-git", "--overwrite"]))?;
        build_in(&dir, "before")
    }

    /// The plain JavaScript worker that ours is measured against.
    pub fn floor() -> Result<Self> {
        Self::plain("worker.js")
    }

    /// The plain JavaScript worker that our live reads are measured against.
    pub fn bridge() -> Result<Self> {
        Self::plain("bridge.js")
    }

    fn plain(file: &str) -> Result<Self> {
        Ok(Self {
            script: places::repository().join("tests/floor").join(file),
            ..Self::ours()?
        })
    }

    /// The plain JavaScript worker that our way of catching up is measured against.
    pub fn stitching_floor() -> Result<Self> {
        Ok(Self {
            script: places::repository().join("tests/floor/stitch.js"),
            ..Self::ours()?
        })
    }
}

/// Holds the scaffolded project for one owner; others wait until it is dropped.
#[derive(Debug)]
pub struct Project {
    /// Its folder.
    pub dir: PathBuf,
    _lock: fs::File,
}

impl Project {
    /// Waits for the project and scaffolds it if the program is newer than what it wrote last.
    pub fn take(auth: Auth) -> Result<Self> {
        let lock = places::lock(auth.project())?;
        let program = cli()?;
        let dir = places::work_dir(auth.project())?;
        if modified(&dir.join("Cargo.toml")) < modified(&program) {
            let mut init = command(&program)?;
            init.arg("init").arg(&dir);
            run(init.args(["--yes", "--auth", auth.option(), "--no-git", "--overwrite"]))?;
        }
        if let Some(code) = auth.code() {
            let source = places::repository().join("tests").join(code);
            for file in fs::read_dir(source)? {
                let file = file?;
                fs::copy(file.path(), dir.join("src").join(file.file_name()))?;
            }
        }
        if auth == Auth::OwnCode {
            depend(&dir.join("Cargo.toml"))?;
        }
        Ok(Self { dir, _lock: lock })
    }

    /// The same, without the data of earlier runs of `dev`.
    pub fn take_empty(auth: Auth) -> Result<Self> {
        Self::take(auth)?.emptied()
    }

    /// A project as `init --example` writes it, without the data of earlier runs. The examples are a
    /// part of the program.
    pub fn of_example(name: &str) -> Result<Self> {
        let folder = format!("example-{name}");
        let lock = places::lock(&folder)?;
        let program = cli()?;
        let dir = places::work_dir(&folder)?;
        if modified(&dir.join("Cargo.toml")) < modified(&program) {
            let mut init = command(&program)?;
            init.arg("init").arg(&dir).args(["--example", name]);
            run(init.args(["--yes", "--no-git", "--overwrite"]))?;
        }
        Self { dir, _lock: lock }.emptied()
    }

    fn emptied(self) -> Result<Self> {
        match fs::remove_dir_all(self.dir.join(".wrangler/state")) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(self),
        }
    }

    /// Runs a command of the program in it, which must succeed, and gives its stdout.
    pub fn run(&self, args: &[&str]) -> Result<String> {
        let mut command = command(&cli()?)?;
        let stdout = run(command.arg("-C").arg(&self.dir).args(args))?;
        Ok(String::from_utf8(stdout)?)
    }

    /// The document that a command of the program prints.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let stdout = self.run(&[args, &["--json"]].concat())?;
        Ok(serde_json::from_str(&stdout)?)
    }

    /// Why a command of the program fails in it.
    pub fn refusal(&self, args: &[&str]) -> Result<String> {
        match self.run(args) {
            Ok(stdout) => bail!("{args:?} succeeded: {stdout}"),
            Err(error) => Ok(error.to_string()),
        }
    }

    /// Changes a file of it, until what this gives is dropped.
    pub fn edit(&self, file: &str, change: impl FnOnce(&str) -> String) -> Result<Edited> {
        let path = self.dir.join(file);
        let before = fs::read_to_string(&path)?;
        let after = change(&before);
        ensure!(after != before, "nothing has changed in {file}");
        fs::write(&path, after)?;
        Ok(Edited { path, before })
    }
}

/// Lets a project use what its own code needs.
fn depend(manifest: &Path) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let Some((start, rest)) = text.split_once("\nworker = \"") else {
        return Ok(());
    };
    let (version, rest) = rest.split_once('"').context("no version of worker")?;
    let own = format!(
        "{start}\nserde_json = \"1\"\nworker = {{ version = \"{version}\", features = [\"queue\"] }}{rest}"
    );
    Ok(fs::write(manifest, own)?)
}

/// A file that gets back what was in it.
#[derive(Debug)]
pub struct Edited {
    path: PathBuf,
    before: String,
}

impl Drop for Edited {
    fn drop(&mut self) {
        let _ = fs::write(&self.path, &self.before);
    }
}

/// The command line program, ready for arguments, in an environment like a person's.
pub fn command(program: &Path) -> Result<Command> {
    let mut command = Command::new(program);
    // The projects are no part of the workspace, and neither are their outputs, which they share:
    // what is compiled for one is not compiled again for the others.
    let target = places::work_dir(Auth::None.project())?.join("target");
    command.env("CARGO_TARGET_DIR", target);
    Ok(command)
}

/// The command line program of this checkout, brought up to date.
pub fn cli() -> Result<PathBuf> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| build_cli().map_err(|error| format!("{error:#}")));
    program.clone().map_err(|error| anyhow!(error))
}

fn build_cli() -> Result<PathBuf> {
    let profile_dir = places::profile_dir()?;
    let target = profile_dir.parent().context("no target folder")?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    // With the whole workspace and one test selected, cargo resolves features as in a test run of
    // all of it, and builds no dependency a second time.
    run(Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "durable-streams",
            // Which fills in templates of others for it.
            "--bin",
            "durable-streams-render",
        ])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(places::repository()))?;
    Ok(profile_dir.join("durable-streams"))
}

fn build(auth: Auth) -> Result<Worker> {
    let project = Project::take(auth)?;
    build_in(&project.dir, auth.project())
}

fn build_in(dir: &Path, name: &str) -> Result<Worker> {
    run(command(&cli()?)?.arg("-C").arg(dir).arg("build"))?;
    // A copy, which `dev` does not rewrite while other tests start servers.
    let bundle = places::work_dir("bundle")?.join(name);
    copy_dir(&dir.join("build"), &bundle)?;
    let config = fs::read_to_string(dir.join("wrangler.toml"))?;
    let value = |name| config.lines().find_map(|line| line.strip_prefix(name));
    let date = value("compatibility_date = ").context("wrangler.toml has no compatibility date")?;
    let flags = value("compatibility_flags = ").unwrap_or("[]");
    Ok(Worker {
        script: bundle.join("index.js"),
        compatibility_date: date.trim_matches('"').to_owned(),
        compatibility_flags: serde_json::from_str(flags)?,
    })
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Copies a folder with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
