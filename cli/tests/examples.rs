//! `init --example`, from outside.

mod common;

use std::{fs, path::Path};

use common::Place;
use serde_json::json;

/// The names of the examples in the repository.
fn names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/template/examples");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names.sort();
    assert!(names.contains(&"own-auth".to_owned()), "{names:?}");
    names
}

/// What a file of an example says that is in the repository.
fn source(name: &str, file: &str) -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/template/examples");
    fs::read_to_string(Path::new(folder).join(name).join(file)).ok()
}

#[test]
fn each_example_becomes_a_project() {
    for name in names() {
        let place = Place::new();
        let run = place.init(&["my-app", "--example", &name, "--json"]);
        let document = run.succeeds().json();
        assert_eq!(document["example"], json!(name));
        let read = |file: &str| fs::read_to_string(place.work(&format!("my-app/{file}"))).unwrap();

        let manifest = read("Cargo.toml");
        for line in [
            "name = \"my-app\"".to_owned(),
            format!("example = \"{name}\""),
        ] {
            assert!(
                manifest.contains(&format!("\n{line}\n")),
                "{line}\n{manifest}"
            );
        }
        assert!(read("wrangler.toml").contains("name = \"my-app\""));

        let readme = read("README.md");
        let own = source(&name, "README.md").unwrap();
        let (first, _) = own.split_once('\n').unwrap();
        let (head, rest) = readme.split_once("\n## Run\n").unwrap();
        assert!(
            head.starts_with("# my-app\n") && head.contains(first),
            "{head}"
        );
        for other in [
            "There is no authentication",
            "whoever uses them needs a token of the project.\n\n",
        ] {
            let is_own = own.contains(other.trim());
            assert_eq!(head.contains(other.trim()), is_own, "{other}\n{head}");
        }
        assert!(rest.contains("## What is where"), "{rest}");

        for file in place.files() {
            let text = fs::read_to_string(place.work(&file)).unwrap();
            for markup in ["{{project-name}}", "{{ project-name }}", "{% ", "{%-"] {
                assert!(!text.contains(markup), "{markup} in {name}: {file}");
            }
            let no_part = ["example.toml", ".liquid", "examples"];
            assert!(!no_part.iter().any(|part| file.contains(part)), "{file}");
        }

        // Secrets are named, empty, and kept out of git.
        let about: toml_edit::DocumentMut = source(&name, "example.toml").unwrap().parse().unwrap();
        let secrets = about.get("secrets").and_then(|secrets| secrets.as_table());
        for (secret, _) in secrets.iter().flat_map(|secrets| secrets.iter()) {
            assert!(read(".dev.vars").contains(&format!("\n{secret}=\"\"\n")));
        }
        assert!(read(".gitignore").contains(".dev.vars"));
    }
}

#[test]
fn an_example_that_there_is_not_is_answered_with_those_that_there_are() {
    let place = Place::new();
    let names = names();
    let mut says = vec!["'cat' for '--example"];
    says.extend(names.iter().map(String::as_str));
    place.init(&["my-app", "--example", "cat"]).fails(2, &says);
    let both = ["my-app", "--example", "own-auth", "--template", "mine"];
    place
        .init(&both)
        .fails(2, &["--example", "--template", "cannot be used with"]);
    assert!(place.files().is_empty());

    let help = place.run(&["init", "--help"]).succeeds().stdout;
    for name in names {
        let about: toml_edit::DocumentMut = source(&name, "example.toml").unwrap().parse().unwrap();
        let description = about["description"].as_str().unwrap();
        assert!(description.len() <= 90, "{description} is no line");
        let words: Vec<&str> = help.split_whitespace().collect();
        assert!(
            words
                .join(" ")
                .contains(&format!("- {name}: {description}")),
            "{help}"
        );
    }
}

#[test]
fn who_may_use_it_is_for_an_example_to_say() {
    let place = Place::new();
    let document = place
        .init(&["a-1", "--example", "own-auth", "--json"])
        .succeeds()
        .json();
    assert_eq!(document["auth"], "own");
    let manifest = fs::read_to_string(place.work("a-1/Cargo.toml")).unwrap();
    assert!(
        manifest.contains("[package.metadata.durable-streams]\nauth = \"own\"\n"),
        "{manifest}"
    );
    for auth in ["none", "project-jwt"] {
        place
            .init(&["a-2", "--example", "own-auth", "--auth", auth])
            .fails(
                1,
                &["own-auth", &format!("--auth {auth}"), "leave --auth out"],
            );
    }
    assert!(!place.work("a-2").exists());
}

#[test]
fn what_is_to_be_done_about_its_secrets_is_said() {
    let place = Place::new();
    let run = place.init(&["my-app", "--example", "own-auth"]).succeeds();
    for says in ["ADMIN_KEY", ".dev.vars", "secret put", "decided in `src/`"] {
        assert!(run.stdout.contains(says), "no {says} in {}", run.stdout);
    }
}

#[test]
fn a_folder_is_looked_at_as_for_any_project() {
    let place = Place::new();
    place.write("full/mine.txt", "mine");
    let init = |dir: &str, more: &[&str]| {
        place.init(&[&[dir, "--name", "my-app", "--example", "own-auth"], more].concat())
    };
    init("full", &[]).fails(1, &["is not empty", "`mine.txt`"]);
    init("full", &["--overwrite"]).succeeds();
    assert_eq!(
        fs::read_to_string(place.work("full/mine.txt")).unwrap(),
        "mine"
    );
    place.write("above/Cargo.toml", "[workspace]\nmembers = [\"*\"]\n");
    init("above/inside", &[]).fails(1, &["takes inside for one of its members"]);
    let run = init("dry", &["--dry-run"]).succeeds();
    assert!(run.stdout.contains("dry/src/api_keys.rs"), "{}", run.stdout);
    assert!(!place.work("dry").exists());
}

/// The template's own code has changed since its second state, and an example's stands in its place.
#[test]
fn an_upgrade_leaves_the_code_of_an_example_alone() {
    for name in names() {
        let place = Place::new();
        place.init(&["my-app", "--example", &name]).succeeds();
        let files = || {
            let mut files = place.files();
            // What belongs to this machine is no part of the project.
            files.retain(|file| !file.contains("/.wrangler/"));
            let read = |file: &String| fs::read_to_string(place.work(file)).unwrap();
            let texts: Vec<String> = files.iter().map(read).collect();
            files.into_iter().zip(texts).collect::<Vec<_>>()
        };
        let before = files();
        let upgrade = || place.run(&["upgrade", "-C", "my-app", "--json"]).json();
        assert_eq!(upgrade()["files"], json!([]));
        assert!(files() == before, "there was nothing to do");

        let path = place.work("my-app/Cargo.toml");
        let manifest = fs::read_to_string(&path).unwrap();
        let older = of_state(&manifest, 2);
        fs::write(&path, older).unwrap();
        let document = upgrade();
        assert_eq!(document["from"], 2);
        // No project of that state said what it was written from, so that this alone is in doubt.
        let touched = document["files"].as_array().unwrap().iter();
        let touched: Vec<_> = touched.map(|file| file["file"].as_str().unwrap()).collect();
        assert_eq!(touched, ["Cargo.toml"]);
        let others = |files: Vec<(String, String)>| {
            let files = files.into_iter();
            files
                .filter(|(file, _)| file != "my-app/Cargo.toml")
                .collect::<Vec<_>>()
        };
        assert!(others(files()) == others(before), "of the others, none is");
    }
}

/// A manifest that says it was written from another state of the template.
fn of_state(manifest: &str, state: usize) -> String {
    let lines = manifest
        .lines()
        .map(|line| match line.starts_with("state = ") {
            true => format!("state = {state}\n"),
            false => format!("{line}\n"),
        });
    lines.collect()
}
