//! `upgrade`, from outside: projects of earlier releases, as they were written and as their users have
//! changed them.

mod common;

use std::{collections::BTreeMap, fs, path::Path};

use common::Place;
use serde_json::json;

/// What the first release wrote for `init my-streams --runtime 0.1.0`.
const OLDER: [(&str, &str); 5] = [
    (".gitignore", include_str!("older/gitignore")),
    ("Cargo.toml", include_str!("older/Cargo.toml")),
    ("README.md", include_str!("older/README.md")),
    ("src/lib.rs", include_str!("older/src/lib.rs")),
    ("wrangler.toml", include_str!("older/wrangler.toml")),
];
const UPGRADE: [&str; 3] = ["upgrade", "-C", "my-streams"];

type Files = BTreeMap<String, String>;

fn older(place: &Place) {
    for (file, text) in OLDER {
        place.write(&format!("my-streams/{file}"), text);
    }
}

/// The project's files, as they are.
fn files(place: &Place, dir: &str) -> Files {
    let below = format!("{dir}/");
    let names = place.files().into_iter();
    let names = names.filter_map(|name| name.strip_prefix(&below).map(str::to_owned));
    // What belongs to this machine is no part of the project.
    names
        .filter(|name| !name.starts_with(".wrangler/"))
        .map(|name| {
            let text = fs::read_to_string(place.work(&format!("{dir}/{name}"))).unwrap();
            (name, text)
        })
        .collect()
}

/// Replaces a text in a file, where it has to be.
#[track_caller]
fn change(place: &Place, file: &str, from: &str, to: &str) {
    let path = place.work(&format!("my-streams/{file}"));
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "no {from:?} in {file}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

/// What a user may do to a project.
fn change_as_a_user(place: &Place) {
    let migrations = "new_sqlite_classes = [\"StreamDO\"]\n";
    let own = "\n[[migrations]]\ntag = \"v2\"\nnew_sqlite_classes = [\"Room\"]\n";
    for (file, from, to) in [
        (
            "wrangler.toml",
            "binding = \"REGISTRY\"\n",
            "binding = \"REGISTRY\"\nid = \"0123456789abcdef0123456789abcdef\"\n",
        ),
        ("wrangler.toml", migrations, &format!("{migrations}{own}")),
        ("wrangler.toml", "= \"25000\"", "= \"10000\" # sooner"),
        (
            "wrangler.toml",
            "enabled = true\n",
            "enabled = true\n\n# Mine.\n[[routes]]\npattern = \"streams.example/*\"\n",
        ),
        (
            "Cargo.toml",
            "worker = \"0.8.7\"",
            "worker = { version = \"0.8.6\", features = [\"http\"] } # routes\nserde = \"1\"",
        ),
        (
            "src/lib.rs",
            "-> Result<Answer> {\n",
            "-> Result<Answer> {\n    // Mine.\n",
        ),
        (
            "README.md",
            "## Run\n",
            "## Who to call\n\nAsk Ada.\n\n## Run\n",
        ),
    ] {
        change(place, file, from, to);
    }
    place.write("my-streams/src/room.rs", "//! Mine.\n");
}

#[test]
fn a_project_that_its_user_has_changed_gets_what_is_new_and_loses_nothing() {
    let place = Place::new();
    older(&place);
    change_as_a_user(&place);
    let before = files(&place, "my-streams");
    let run = place.run(&[&UPGRADE[..], &["--json"]].concat()).succeeds();
    let document = run.json();
    assert_eq!(
        (&document["from"], &document["conflicts"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(
        document["moved"],
        json!([
            "the binding DIRECTORIES of DirectoryDO",
            "the binding SUBSCRIPTIONS of SubscriptionDO",
            "the migration v3 for DirectoryDO and SubscriptionDO",
            "worker 0.8.6 -> 0.8.7",
        ])
    );

    place.init(&["fresh/my-streams"]).succeeds();
    let fresh = files(&place, "fresh/my-streams");
    let after = files(&place, "my-streams");
    for (file, text) in &before {
        let template = OLDER.iter().find(|(name, _)| name == file);
        let of_template: Vec<&str> = template
            .map(|(_, text)| text.lines().collect())
            .unwrap_or_default();
        // Every line of the user's is there, apart from the version.
        for line in text.lines().filter(|line| !of_template.contains(line)) {
            let line = line.replace("0.8.6", "0.8.7");
            assert!(
                after[file].lines().any(|one| one == line),
                "{line} in {file}"
            );
        }
        // And so is every line of the template that its user has not changed.
        for line in fresh
            .get(file)
            .map(|text| text.lines())
            .into_iter()
            .flatten()
        {
            let changed = ["LONG_POLL_TIMEOUT_MS = ", "worker = \"", "tag = \"v2\""];
            if !changed.iter().any(|start| line.starts_with(start)) {
                assert!(
                    after[file].lines().any(|one| one == line),
                    "{line} in {file}"
                );
            }
        }
    }
    assert_eq!(after.len(), before.len());

    let again = place.run(&UPGRADE).succeeds();
    assert!(
        again.stdout.starts_with("Nothing to do"),
        "{}",
        again.stdout
    );
    assert_eq!(files(&place, "my-streams"), after);

    // Cut short before Cargo.toml, which comes last, it is done again.
    place.write("my-streams/Cargo.toml", &before["Cargo.toml"]);
    place.run(&UPGRADE).succeeds();
    assert_eq!(files(&place, "my-streams"), after);
}

#[test]
fn a_dry_run_shows_all_and_changes_nothing() {
    let place = Place::new();
    older(&place);
    change_as_a_user(&place);
    let before = files(&place, "my-streams");
    let shown = place.run(&[&UPGRADE[..], &["--dry-run"]].concat());
    let shown = shown.succeeds().stdout;
    for text in [
        "Would go from state 1 of the template to ",
        "\n  merged    wrangler.toml (+",
        "\n+++ src/lib.rs\n",
        "\n+pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};\n",
    ] {
        assert!(shown.contains(text), "no {text:?} in {shown}");
    }
    assert_eq!(files(&place, "my-streams"), before);
}

#[test]
fn what_both_have_changed_is_left_to_the_user_and_asked_for_before_the_next_time() {
    let place = Place::new();
    older(&place);
    let mine = "pub use durable_streams_cloudflare::StreamDO as Mine;";
    change(
        &place,
        "src/lib.rs",
        "pub use durable_streams_cloudflare::StreamDO;",
        mine,
    );
    let run = place.run(&UPGRADE);
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(
        run.stdout.contains("CONFLICT  src/lib.rs: 1 place"),
        "{}",
        run.stdout
    );
    let text = fs::read_to_string(place.work("my-streams/src/lib.rs")).unwrap();
    let theirs = "pub use durable_streams_cloudflare::{DirectoryDO, StreamDO, SubscriptionDO};";
    let marked = format!("<<<<<<< ours\n{mine}\n=======\n{theirs}\n>>>>>>> theirs\n");
    assert!(text.contains(&marked), "{text}");

    let before = files(&place, "my-streams");
    place
        .run(&UPGRADE)
        .fails(1, &["src/lib.rs has places", "<<<<<<<"]);
    assert_eq!(files(&place, "my-streams"), before);
    change(&place, "src/lib.rs", &marked, &format!("{mine}\n"));
    let again = place.run(&UPGRADE).succeeds();
    assert!(
        again.stdout.starts_with("Nothing to do"),
        "{}",
        again.stdout
    );
}

#[test]
fn settings_that_a_user_has_made_before_the_template_are_not_made_again() {
    let place = Place::new();
    older(&place);
    let line = "[vars]\n";
    let vars = format!("{line}SSE_HEARTBEAT_MS = \"5000\"\nDIRECTORY = \"on\"\n");
    change(&place, "wrangler.toml", line, &vars);
    let run = place.run(&UPGRADE).succeeds();
    let own = "yours     vars.SSE_HEARTBEAT_MS of wrangler.toml";
    assert!(run.stdout.contains(own), "{}", run.stdout);
    assert!(!run.stdout.contains("vars.DIRECTORY"), "{}", run.stdout);
    let text = fs::read_to_string(place.work("my-streams/wrangler.toml")).unwrap();
    for name in ["SSE_HEARTBEAT_MS", "DIRECTORY", "PUBLIC_URL"] {
        let set = format!("\n{name} = ");
        assert_eq!(text.matches(&set).count(), 1, "{name} in {text}");
    }
}

#[test]
fn what_its_user_has_removed_stays_away() {
    let place = Place::new();
    older(&place);
    fs::remove_file(place.work("my-streams/README.md")).unwrap();
    let run = place.run(&UPGRADE).succeeds();
    assert!(
        run.stdout
            .contains("left out  README.md: you have removed it"),
        "{}",
        run.stdout
    );
    assert!(!place.work("my-streams/README.md").exists());
}

#[test]
fn line_ends_of_another_system_stay() {
    let place = Place::new();
    for (file, text) in OLDER {
        place.write(&format!("my-streams/{file}"), &text.replace('\n', "\r\n"));
    }
    place.run(&UPGRADE).succeeds();
    let wrangler = fs::read_to_string(place.work("my-streams/wrangler.toml")).unwrap();
    assert!(wrangler.contains("JURISDICTION = \"\"\r\n"), "{wrangler}");
    assert!(!wrangler.replace("\r\n", "").contains('\n'), "{wrangler}");
    assert!(!wrangler.contains("<<<<<<<"), "{wrangler}");
}

fn init(place: &Place, dir: &str, options: &[&str]) {
    let first = ["init", dir, "--yes", "--no-git", "--overwrite"];
    place.run(&[&first, options].concat()).succeeds();
}

/// The folder of a state of the template, put together from what each had otherwise than the next.
fn template_of(place: &Place, state: usize, states: usize) -> String {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let name = format!("templates/{state}");
    let mut folders = vec![manifest.join("template")];
    let earlier = (state..states).rev();
    folders.extend(earlier.map(|one| manifest.join(format!("assets/templates/{one}"))));
    for folder in folders {
        copy(&folder, &place.work(&name));
    }
    // No state of the template has them.
    fs::remove_dir_all(place.work(&format!("{name}/examples"))).unwrap();
    let config = fs::read_to_string(place.work(&format!("{name}/cargo-generate.toml"))).unwrap();
    if !config.contains("check-name.rhai") {
        fs::remove_file(place.work(&format!("{name}/check-name.rhai"))).unwrap();
    }
    name
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn what_nobody_has_changed_becomes_what_is_written_today() {
    let place = Place::new();
    let digests = include_str!("../assets/templates/digests.txt");
    let states = digests.lines().count();
    let options = |auth| {
        [
            "--runtime",
            "https://git.example/r.git",
            "--github-actions",
            "--auth",
            auth,
        ]
    };
    for auth in ["project-jwt", "none"] {
        init(&place, "fresh/my-streams", &options(auth));
        let fresh = files(&place, "fresh/my-streams");
        for state in 1..=states {
            let template = template_of(&place, state, states);
            let mut options = options(auth).to_vec();
            options.extend(["--template", &template]);
            init(&place, "my-streams", &options);
            let run = place.run(&[&UPGRADE[..], &["--json"]].concat()).succeeds();
            let document = run.json();
            assert_eq!(document["from"], state, "{document}");
            assert_eq!(document["conflicts"], 0, "{document}");
            for (file, text) in files(&place, "my-streams") {
                assert_eq!(fresh.get(&file), Some(&text), "{file} of state {state}");
            }
        }
    }
}

#[test]
fn the_answers_of_then_count() {
    let place = Place::new();
    let args = ["my-streams", "--jurisdiction", "eu", "--auth", "none"];
    place.init(&args).succeeds();
    let run = place.run(&UPGRADE).succeeds();
    assert!(run.stdout.starts_with("Nothing to do"), "{}", run.stdout);
    // The user has moved on since, which is no reason to move back.
    change(
        &place,
        "Cargo.toml",
        "[package]\nname = \"my-streams\"",
        "[package]\nname = \"other\"",
    );
    change(
        &place,
        "Cargo.toml",
        "auth = \"none\"",
        "auth = \"project-jwt\"",
    );
    let before = files(&place, "my-streams");
    place.run(&UPGRADE).succeeds();
    assert_eq!(files(&place, "my-streams"), before);
}

#[test]
fn the_runtime_comes_from_where_it_came_from_unless_told() {
    let place = Place::new();
    place.write(
        "runtime/Cargo.toml",
        "[package]\nname = \"durable-streams-cloudflare\"\nversion = \"0.1.0\"\n",
    );
    older(&place);
    let line = "durable-streams-cloudflare = \"0.1.0\"";
    let path = "durable-streams-cloudflare = { path = \"../runtime\" }";
    change(&place, "Cargo.toml", line, path);
    place.run(&UPGRADE).succeeds();
    let manifest = || fs::read_to_string(place.work("my-streams/Cargo.toml")).unwrap();
    assert!(manifest().contains(path), "{}", manifest());
    let elsewhere = ["--runtime", "https://git.example/r.git"];
    place.run(&[&UPGRADE[..], &elsewhere].concat()).succeeds();
    let git = "durable-streams-cloudflare = { git = \"https://git.example/r.git\" }";
    assert!(manifest().contains(git), "{}", manifest());

    older(&place);
    change(&place, "Cargo.toml", line, &path.replace("runtime", "gone"));
    place
        .run(&UPGRADE)
        .fails(1, &["../gone, where it is not any more", "--runtime"]);
}

#[test]
fn what_is_no_older_project_of_ours_is_refused_and_left_alone() {
    let place = Place::new();
    place.run(&["upgrade"]).fails(1, &["is in no project"]);
    let refused = |says: &[&str]| {
        let before = files(&place, "my-streams");
        place.run(&UPGRADE).fails(1, says);
        assert_eq!(files(&place, "my-streams"), before);
    };
    older(&place);
    change(
        &place,
        "Cargo.toml",
        "cloudflare = \"0.1.0\"",
        "cloudflare = \"99.0.0\"",
    );
    refused(&["by a newer release", "update the program"]);
    place.write(
        "my-streams/Cargo.toml",
        "[package]\nname = \"x\"\n[dependencies]\ndurable-streams-cloudflare = \"0.1.0\"\n",
    );
    place.write("my-streams/src/lib.rs", "//! Mine.\n");
    place.write(
        "my-streams/wrangler.toml",
        "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n",
    );
    refused(&["not written from this program's own template"]);
    place.write("my-streams/Cargo.toml", "[package]\nname = \"x\"\n");
    refused(&["durable-streams-cloudflare in [dependencies]"]);
}
