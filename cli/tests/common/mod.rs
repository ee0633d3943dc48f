//! What the tests of the command line share.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod console;
pub mod renderer;
pub mod stand_in;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use assert_cmd::Command;
use serde_json::Value;

/// The program in an empty folder, with an empty cache and no terminal.
pub struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.path("work")).unwrap();
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    /// A path in the folder the program works in.
    pub fn work(&self, name: &str) -> PathBuf {
        self.path("work").join(name)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("durable-streams").unwrap();
        command
            .args(args)
            .current_dir(self.path("work"))
            .env("DURABLE_STREAMS_CACHE_DIR", self.path("cache"))
            // No repository above the folder counts, and no settings of whoever runs the tests.
            .env("GIT_CEILING_DIRECTORIES", self.path(""))
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        if args.contains(&"--template") {
            renderer::program();
        }
        Run::of(self.command(args))
    }

    /// `init` without questions, repository and real runtime.
    pub fn init(&self, args: &[&str]) -> Run {
        let first = ["init", "--yes", "--no-git", "--runtime", "0.1.0"];
        self.run(&[&first, args].concat())
    }

    /// Writes a file below the working folder.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.work(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// All files below the working folder, sorted, without those in `.git`.
    pub fn files(&self) -> Vec<String> {
        let root = self.path("work");
        let mut files = Vec::new();
        list(&root, &root, &mut files);
        files.sort();
        files
    }

    /// A folder with links to these programs and to no others, to be the whole PATH.
    pub fn programs(&self, names: &[&str]) -> PathBuf {
        let dir = self.path("programs");
        fs::create_dir_all(&dir).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        for name in names {
            let program = std::env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|program| program.is_file())
                .unwrap_or_else(|| panic!("{name} is not in PATH"));
            std::os::unix::fs::symlink(program, dir.join(name)).unwrap();
        }
        dir
    }
}

/// Runs git in a folder, as somebody, and returns what it says.
#[track_caller]
pub fn git(dir: &Path, args: &[&str]) -> String {
    let mut git = std::process::Command::new("git");
    git.args(["-c", "user.name=x", "-c", "user.email=x@x", "-C"])
        .arg(dir)
        .args(args);
    let output = git.output().unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Writes a shell script that stands for another program.
pub fn script(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn list(root: &Path, dir: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == ".git" {
            continue;
        }
        if path.is_dir() {
            list(root, &path, files);
        } else {
            files.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// How a run ended and what it printed.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(mut command: Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().unwrap();
        Self {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// Ends with this code and says all of this on stderr, and nothing on stdout.
    #[track_caller]
    pub fn fails(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        for text in says {
            assert!(self.stderr.contains(text), "no {text:?} in {}", self.stderr);
        }
        assert_eq!(self.stdout, "");
        self
    }

    /// Ends with code 1 and a document that says this.
    #[track_caller]
    pub fn fails_with_json(self, says: &str) {
        assert_eq!(self.code, Some(1), "{}{}", self.stdout, self.stderr);
        let message = self.json()["error"]["message"].to_string();
        assert!(message.contains(says), "no {says:?} in {message}");
    }

    /// stdout as the one JSON document it has to be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {:?} {}", self.stdout, self.stderr))
    }
}
