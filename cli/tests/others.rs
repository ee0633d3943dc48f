//! The other commands, from outside, as far as nothing has to be built.

mod common;

use std::{fs, net::TcpListener};

use common::{Place, Run, script};
use serde_json::Value;

/// What `doctor` says of a thing that is needed.
#[track_caller]
fn requirement<'a>(document: &'a Value, name: &str) -> &'a Value {
    let mut all = document["requirements"].as_array().unwrap().iter();
    all.find(|one| one["name"].as_str().unwrap().starts_with(name))
        .unwrap_or_else(|| panic!("no {name} in {document}"))
}

#[test]
fn wrong_usage_ends_with_code_2() {
    let place = Place::new();
    place.run(&["bild"]).fails(2, &["bild", "build"]);
    place.run(&["dev", "--port", "70000"]).fails(2, &["70000"]);
    place
        .run(&["dev", "--host", "here"])
        .fails(2, &["`here` is no address of this machine", "0.0.0.0"]);
    place
        .run(&["dev", "--quiet", "--verbose"])
        .fails(2, &["--verbose"]);
    let run = place.run(&["--json", "bild"]);
    assert_eq!(run.code, Some(2));
    let message = run.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("bild"), "{message}");
}

#[test]
fn help_names_every_command() {
    let place = Place::new();
    let help = place.run(&["--help"]).succeeds().stdout;
    for command in [
        "init",
        "upgrade",
        "dev",
        "build",
        "provision",
        "deploy",
        "status",
        "destroy",
        "logs",
        "usage",
        "rollback",
        "secret",
        "login",
        "logout",
        "whoami",
        "projects",
        "token",
        "subscriptions",
        "stream",
        "directory",
        "doctor",
        "completions",
    ] {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command}: {help}"
        );
    }
    assert!(!help.contains("create-project"), "{help}");
    let version = place.run(&["--version"]).succeeds().stdout;
    assert_eq!(
        version.trim(),
        concat!("durable-streams ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_are_a_script() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.run(&["completions", shell]).succeeds().stdout;
        assert!(script.contains("durable-streams"), "{shell}");
        assert!(script.contains("doctor"), "{shell}");
        assert!(script.contains("wake-stream"), "{shell}");
        let document = place
            .run(&["completions", shell, "--json"])
            .succeeds()
            .json();
        assert_eq!(document["script"].as_str().unwrap().trim(), script.trim());
    }
    place
        .run(&["completions", "tcl"])
        .fails(2, &["tcl", "bash"]);
}

#[test]
fn no_project_no_build() {
    let place = Place::new();
    for command in ["dev", "build"] {
        place
            .run(&[command])
            .fails(1, &["is in no project", "durable-streams init"]);
    }
    place
        .run(&["-C", "nowhere", "build"])
        .fails(1, &["nowhere", "-C"]);
}

#[test]
fn a_broken_wrangler_toml_is_named() {
    let place = Place::new();
    place.write("Cargo.toml", "");
    place.write("wrangler.toml", "name = \n");
    for command in ["dev", "build", "doctor"] {
        place.run(&[command]).fails(1, &["wrangler.toml", "line 1"]);
    }
}

#[test]
fn a_busy_port_is_told_before_anything_is_installed_or_built() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let args = ["dev", "-C", "my-streams", "--port", &port];
    place
        .run(&args)
        .fails(1, &[&format!("port {port}"), "--port 0"]);
    let run = place.run(&[&args[..], &["--json"]].concat());
    assert_eq!(run.code, Some(1));
    assert!(
        run.json()["error"]["hint"]
            .as_str()
            .unwrap()
            .contains("--port")
    );
    assert!(!place.path("cache").exists());
}

#[test]
fn a_missing_or_old_node_is_told() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    let programs = place.programs(&["cargo", "rustc"]);
    let run = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("PATH", &programs);
        Run::of(command)
    };
    let dev = ["dev", "-C", "my-streams", "--port", "0"];
    run(&dev).fails(1, &["Node: `node` cannot be run", "https://nodejs.org"]);
    script(&programs.join("node"), "echo v18.19.0");
    run(&dev).fails(1, &["v18.19.0 is too old", "20.12"]);
    script(&programs.join("node"), "echo v20.12.0");
    run(&dev).fails(1, &["`npm` cannot be run"]);
    assert!(!place.work("my-streams/build").exists());
}

#[test]
fn a_missing_or_old_cargo_is_told() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    let programs = place.programs(&[]);
    let run = || {
        let mut command = place.command(&["build", "-C", "my-streams"]);
        command.env("PATH", &programs);
        Run::of(command)
    };
    run().fails(1, &["cargo: it cannot be run", "https://rustup.rs"]);
    script(
        &programs.join("cargo"),
        "echo 'cargo 1.63.0 (abc 2022-01-01)'",
    );
    run().fails(1, &["1.63.0", "too old", "rustup update"]);
}

#[test]
fn doctor_lists_what_is_there_and_what_is_missing_and_changes_nothing() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    let before = place.files();
    let run = place.run(&["doctor", "-C", "my-streams", "--json"]);
    assert_eq!(run.code, Some(1));
    let document = run.json();
    assert_eq!(document["ok"], false);
    let found = |name: &str| requirement(&document, name);
    assert_eq!(found("cargo")["ok"], true);
    assert_eq!(found("Node")["ok"], true);
    assert_eq!(found("wasm-bindgen")["ok"], true);
    let packages = found("miniflare");
    assert_eq!(packages["ok"], false);
    assert_eq!(packages["mendable"], true);
    assert!(!packages["hint"].as_str().unwrap().is_empty());
    assert_eq!(place.files(), before);
    assert!(!place.path("cache").exists());

    let run = place.run(&["doctor", "-C", "my-streams"]);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("doctor --fix"), "{}", run.stdout);
}

#[test]
fn without_rust_nothing_is_installed_to_build_with() {
    let place = Place::new();
    let programs = place.programs(&["node"]);
    for name in ["npm", "rustup", "apt-get"] {
        let mark = format!(
            "echo {name} \"$@\" >> {}; exit 1",
            place.path("ran").display()
        );
        script(&programs.join(name), &mark);
    }
    let mut command = place.command(&["doctor", "--fix", "--json"]);
    command.env("PATH", &programs);
    let run = Run::of(command);
    assert_eq!(run.code, Some(1));
    let document = run.json();
    let wasm = requirement(&document, "Rust for");
    assert_eq!(wasm["mendable"], false, "{document}");
    let ran = fs::read_to_string(place.path("ran")).unwrap_or_default();
    assert!(
        ran.lines().all(|line| line == "npm --version"),
        "nothing else may be run: {ran}"
    );
}

#[test]
fn packages_that_do_not_run_are_no_packages() {
    let place = Place::new();
    let programs = place.programs(&["node", "sh", "mkdir", "cat", "chmod"]);
    // As npm does when it is told to leave out optional packages, which hold the programs themselves.
    script(
        &programs.join("npm"),
        "test \"$1\" = --version && echo 11 && exit\n\
         echo \"$@\" > npm-was-told\n\
         mkdir -p node_modules/.bin\n\
         for name in esbuild workerd wasm-opt; do\n\
         echo '#!/bin/sh\necho not here >&2; exit 1' > node_modules/.bin/$name\n\
         chmod +x node_modules/.bin/$name\ndone",
    );
    let doctor = |args: &[&str]| {
        let mut command = place.command(&[&["doctor", "--json"], args].concat());
        command.env("PATH", &programs);
        requirement(&Run::of(command).json(), "miniflare").clone()
    };
    let found = doctor(&["--fix"]);
    assert_eq!(found["ok"], false, "{found}");
    let problem = found["problem"].as_str().unwrap();
    assert!(problem.contains("`esbuild` does not run"), "{problem}");
    assert!(found["hint"].as_str().unwrap().contains("omit"), "{found}");
    assert_eq!(doctor(&[])["ok"], false);
}

#[test]
fn an_installation_that_fails_says_why_and_leaves_nothing() {
    let place = Place::new();
    let programs = place.programs(&["node"]);
    script(
        &programs.join("cargo"),
        "test \"$1\" = --version && echo 'cargo 1.95.0' && exit; echo no network >&2; exit 101",
    );
    // The compiler has the library for WebAssembly, as far as one can see.
    let libdir = place.path("libdir");
    fs::create_dir(&libdir).unwrap();
    fs::write(libdir.join("libstd-1.rlib"), "").unwrap();
    script(
        &programs.join("rustc"),
        &format!("echo {}", libdir.display()),
    );
    script(
        &programs.join("npm"),
        "test \"$1\" = --version && echo 11 && exit; echo no registry >&2; exit 1",
    );
    let mut command = place.command(&["doctor", "--fix"]);
    command.env("PATH", &programs);
    let run = Run::of(command);
    assert_eq!(run.code, Some(1));
    assert!(run.stdout.contains("no registry"), "{}", run.stdout);
    let left: Vec<_> = fs::read_dir(place.path("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}
