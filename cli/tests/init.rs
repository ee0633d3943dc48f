//! `init`, from outside.

mod common;

use std::{fs, net::TcpListener};

use common::{Place, Run, git};
use serde_json::json;

const FILES: [&str; 5] = [
    "my-streams/.gitignore",
    "my-streams/Cargo.toml",
    "my-streams/README.md",
    "my-streams/src/lib.rs",
    "my-streams/wrangler.toml",
];

#[test]
fn the_scaffold_is_this() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    assert_eq!(place.files(), FILES);
    let mut snapshot = String::new();
    for file in FILES {
        // The text for people is free to change.
        if !file.ends_with("README.md") {
            let text = fs::read_to_string(place.work(file)).unwrap();
            snapshot.push_str(&format!("==> {file}\n{text}"));
        }
    }
    let expected = include_str!("scaffold.txt");
    if snapshot != expected {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scaffold.txt");
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::write(path, &snapshot).unwrap();
        }
        panic!("the scaffold is not {path} (UPDATE_SNAPSHOTS=1 rewrites it):\n{snapshot}");
    }
}

#[test]
fn the_runtime_shows_the_worker_that_is_written() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    let written = fs::read_to_string(place.work("my-streams/src/lib.rs")).unwrap();
    let shown = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime/readme/worker.rs");
    assert_eq!(written, fs::read_to_string(shown).unwrap());
}

#[test]
fn nothing_of_the_template_is_left_unfilled() {
    let place = Place::new();
    place.init(&["my-streams"]).succeeds();
    for file in FILES {
        let text = fs::read_to_string(place.work(file)).unwrap();
        assert!(
            !text.contains("{{") && !text.contains("{%"),
            "{file}:\n{text}"
        );
    }
    let readme = fs::read_to_string(place.work("my-streams/README.md")).unwrap();
    assert!(readme.starts_with("# my-streams\n"), "{readme}");
}

#[test]
fn the_folder_and_the_name_follow_each_other() {
    let place = Place::new();
    let name = |args: &[&str]| {
        place
            .init(&[args, &["--json", "--dry-run"]].concat())
            .succeeds()
            .json()["project"]
            .clone()
    };
    let dir = |name: &str| place.work(name);
    assert_eq!(
        name(&[]),
        json!({ "name": "my-streams", "dir": dir("my-streams") })
    );
    assert_eq!(
        name(&["a/chat"]),
        json!({ "name": "chat", "dir": dir("a/chat") })
    );
    assert_eq!(
        name(&["--name", "chat"]),
        json!({ "name": "chat", "dir": dir("chat") })
    );
    assert_eq!(
        name(&["Some Where", "--name", "chat"]),
        json!({ "name": "chat", "dir": dir("Some Where") })
    );
}

#[test]
fn the_current_folder_can_become_a_project() {
    let place = Place::new();
    fs::create_dir(place.work("here")).unwrap();
    place.init(&["-C", "here", "."]).succeeds();
    let manifest = fs::read_to_string(place.work("here/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"here\""), "{manifest}");
}

#[test]
fn names_that_cargo_or_workers_refuse_are_refused_with_a_better_one() {
    let place = Place::new();
    for (name, why, hint) in [
        ("test", "reserved by Rust or cargo", "--name test-streams"),
        (
            "9lives",
            "cannot begin with a digit",
            "--name streams-9lives",
        ),
        ("My_App", "Workers take only a-z", "--name my-app"),
        ("../up", "Workers take only a-z", "--name up-streams"),
        ("ab", "under 3 characters", "--name ab-streams"),
        (&"x".repeat(64), "at most 63", "--name xxx"),
    ] {
        place.init(&["--name", name]).fails(1, &[why, hint]);
    }
    place
        .init(&["My App"])
        .fails(1, &["`My App`", "--name my-app"]);
    assert!(place.files().is_empty());
}

#[test]
fn a_folder_that_is_not_empty_is_refused_and_left_alone() {
    let place = Place::new();
    place.write("my-streams/mine.txt", "mine");
    place
        .init(&["my-streams"])
        .fails(1, &["is not empty", "`mine.txt`", "--overwrite"]);
    assert_eq!(place.files(), ["my-streams/mine.txt"]);
    place.write("file", "");
    place
        .init(&["file", "--name", "abc"])
        .fails(1, &["a file is in its place"]);
}

#[test]
fn overwrite_replaces_its_own_files_and_keeps_others() {
    let place = Place::new();
    place.write("my-streams/mine.txt", "mine");
    place.write("my-streams/Cargo.toml", "old");
    place.init(&["my-streams", "--overwrite"]).succeeds();
    let text = |name| fs::read_to_string(place.work(name)).unwrap();
    assert_eq!(text("my-streams/mine.txt"), "mine");
    assert!(text("my-streams/Cargo.toml").contains("[package]"));
    assert_eq!(place.files().len(), FILES.len() + 1);
}

#[test]
fn a_dry_run_lists_the_files_and_writes_none() {
    let place = Place::new();
    let run = place.init(&["my-streams", "--dry-run"]).succeeds();
    for file in FILES {
        assert!(run.stdout.contains(file), "{}", run.stdout);
    }
    assert!(place.files().is_empty());
    assert!(!place.work("my-streams").exists());
}

#[test]
fn json_is_one_document() {
    let place = Place::new();
    let document = place.init(&["my-streams", "--json"]).succeeds().json();
    assert_eq!(
        document,
        json!({
            "project": { "name": "my-streams", "dir": place.work("my-streams") },
            "files": [".gitignore", "Cargo.toml", "README.md", "src/lib.rs", "wrangler.toml"],
            "runtime": { "version": "0.1.0" },
            "auth": "project-jwt",
            "example": null,
            "git": false,
            "githubActions": false,
            "dryRun": false,
        })
    );
    let error = place.init(&["my-streams", "--json"]);
    assert_eq!(error.code, Some(1));
    let error = error.json();
    let text = |key: &str| error["error"][key].as_str().unwrap().to_owned();
    assert!(text("message").contains("is not empty"), "{error}");
    assert!(text("hint").contains("--overwrite"), "{error}");
}

#[test]
fn that_anyone_can_read_and_write_is_said_openly() {
    let place = Place::new();
    let run = place.init(&["my-streams", "--auth", "none"]).succeeds();
    let text = "anyone who knows the URL can read and write";
    assert!(run.stdout.contains(text), "{}", run.stdout);
    let readme = fs::read_to_string(place.work("my-streams/README.md")).unwrap();
    assert!(readme.contains(text), "{readme}");
}

#[test]
fn auth_is_a_choice_with_a_safe_default() {
    let place = Place::new();
    let source = |args: &[&str]| {
        let dir = format!("p-{}", args.len());
        place.init(&[&[dir.as_str()], args].concat()).succeeds();
        let read = |file: &str| fs::read_to_string(place.work(&format!("{dir}/{file}"))).unwrap();
        (read("src/lib.rs"), read("Cargo.toml"))
    };
    let (safe, manifest) = source(&[]);
    assert!(safe.contains(".auth(ProjectJwt)"), "{safe}");
    assert!(manifest.contains("auth = \"project-jwt\""), "{manifest}");
    assert_eq!(source(&["--auth=project-jwt"]).0, safe);
    let (open, manifest) = source(&["--auth", "none"]);
    assert!(
        open.contains(".no_auth()") && !open.contains("ProjectJwt"),
        "{open}"
    );
    assert!(manifest.contains("auth = \"none\""), "{manifest}");
}

#[test]
fn there_is_no_other_auth() {
    let place = Place::new();
    place
        .init(&["my-streams", "--auth", "magic"])
        .fails(2, &["magic", "project-jwt", "none"]);
    assert!(place.files().is_empty());
}

#[test]
fn where_streams_are_is_written_for_the_worker_and_for_the_bucket() {
    let place = Place::new();
    let options = ["--jurisdiction", "eu", "--location-hint", "eeur"];
    place
        .init(&[&["my-streams"], &options[..]].concat())
        .succeeds();
    let wrangler = fs::read_to_string(place.work("my-streams/wrangler.toml")).unwrap();
    for line in [
        "bucket_name = \"my-streams\"\njurisdiction = \"eu\"\n\n",
        "\nJURISDICTION = \"eu\"\n",
        "\nLOCATION_HINT = \"eeur\"\n",
    ] {
        assert!(wrangler.contains(line), "{line} in {wrangler}");
    }
    for (option, value) in [("--jurisdiction", "mars"), ("--location-hint", "EU")] {
        place
            .init(&["other", option, value])
            .fails(2, &["possible values"]);
    }
}

#[test]
fn values_of_the_template_can_be_set_and_only_those() {
    let place = Place::new();
    place
        .init(&["my-streams", "--define", "compatibility_date=2026-01-02"])
        .succeeds();
    let wrangler = fs::read_to_string(place.work("my-streams/wrangler.toml")).unwrap();
    assert!(
        wrangler.contains("compatibility_date = \"2026-01-02\""),
        "{wrangler}"
    );
    let refused = |define: &str, code, says: &[&str]| {
        place.init(&["other", "--define", define]).fails(code, says);
        assert!(!place.work("other").exists());
    };
    refused(
        "colour=red",
        1,
        &["--define colour", "the template knows: compatibility_date"],
    );
    refused("runtime=1", 1, &["use --runtime"]);
    refused("project-name=x", 1, &["use --name"]);
    refused("auth=none", 1, &["use --auth"]);
    refused("compatibility_date=tomorrow", 1, &["compatibility_date"]);
    refused("nonsense", 2, &["KEY=VALUE"]);
}

#[test]
fn a_workflow_is_added_when_asked_for() {
    let place = Place::new();
    let runtime = ["--runtime", "https://git.example/r.git"];
    let args = [
        "init",
        "my-streams",
        "--yes",
        "--no-git",
        "--github-actions",
    ];
    place.run(&[&args[..], &runtime].concat()).succeeds();
    let file = "my-streams/.github/workflows/deploy.yml";
    assert_eq!(place.files()[0], file);
    let workflow = fs::read_to_string(place.work(file)).unwrap();
    for line in [
        "          CLOUDFLARE_API_TOKEN: ${{ secrets.CLOUDFLARE_API_TOKEN }}\n",
        "          key: deploy-${{ runner.os }}-${{ hashFiles('Cargo.lock') }}\n",
        "      - run: durable-streams deploy --adopt my-streams --adopt my-streams-registry\n        env:\n",
    ] {
        assert!(workflow.contains(line), "{line}\n{workflow}");
    }
    assert!(!workflow.contains("raw"), "{workflow}");
    place.write("mine/hello.txt", "Hello");
    place
        .init(&["other", "--template", "mine", "--github-actions"])
        .fails(1, &["no such workflow"]);
    let define = ["other", "--define", "github_actions=true"];
    place.init(&define).fails(1, &["use --github-actions"]);
}

#[test]
fn the_runtime_is_a_version_a_folder_or_a_repository() {
    let place = Place::new();
    place.write(
        "run time/Cargo.toml",
        "[package]\nname = \"durable-streams-cloudflare\"\nversion = \"0.1.0\"\n",
    );
    place.write("wrong/Cargo.toml", "[package]\nname = \"wrong\"\n");
    let folder = place.work("run time").display().to_string();
    for (runtime, line) in [
        ("1.2.3", "durable-streams-cloudflare = \"1.2.3\"".to_owned()),
        (
            "run time",
            format!("durable-streams-cloudflare = {{ path = \"{folder}\" }}"),
        ),
        (
            "https://git.example/r.git",
            "durable-streams-cloudflare = { git = \"https://git.example/r.git\" }".to_owned(),
        ),
        (
            "git@git.example:a/r.git",
            "durable-streams-cloudflare = { git = \"ssh://git@git.example/a/r.git\" }".to_owned(),
        ),
    ] {
        let args = [
            "init",
            "p-1",
            "--yes",
            "--no-git",
            "--overwrite",
            "--runtime",
            runtime,
        ];
        place.run(&args).succeeds();
        let manifest = fs::read_to_string(place.work("p-1/Cargo.toml")).unwrap();
        assert!(
            manifest.lines().any(|found| found == line),
            "{line}\n{manifest}"
        );
    }
    for (runtime, says) in [
        ("wrong", "`wrong`"),
        ("nowhere", "not a version"),
        ("", "not"),
    ] {
        place
            .run(&["init", "p-2", "--yes", "--runtime", runtime])
            .fails(1, &[says, "give a version"]);
        assert!(!place.work("p-2").exists());
    }
}

#[test]
fn the_default_runtime_is_the_checkout() {
    let place = Place::new();
    let args = ["init", "p-1", "--yes", "--no-git", "--json", "--dry-run"];
    let runtime = place.run(&args).succeeds().json()["runtime"].clone();
    let checkout = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime")).unwrap();
    assert_eq!(runtime, json!({ "path": checkout }));
}

#[test]
fn another_template_can_be_used() {
    let place = Place::new();
    place.write("mine/hello.txt", "Hello {{project-name}}, {{crate_name}}");
    place.init(&["my-streams", "--template", "mine"]).succeeds();
    let hello = fs::read_to_string(place.work("my-streams/hello.txt")).unwrap();
    assert_eq!(hello, "Hello my-streams, my_streams");
    place
        .init(&["other", "--template", "nowhere"])
        .fails(1, &["`nowhere` is no folder and no git URL"]);
    let missing = format!("file://{}", place.work("nowhere").display());
    place
        .init(&["other", "--template", &missing])
        .fails(1, &["cannot fetch --template"]);
    assert!(!place.work("other").exists());
}

#[test]
fn a_template_that_cannot_be_filled_in_leaves_nothing() {
    let place = Place::new();
    place.write("mine/a.txt", "fine");
    place.write("mine/b.txt", "{% if %}");
    let run = place.init(&["my-streams", "--template", "mine"]);
    // cargo-generate may pass over a file it cannot read as a template, but must not lose one.
    match run.code {
        Some(0) => assert!(place.work("my-streams/b.txt").exists()),
        _ => assert!(!place.work("my-streams").exists(), "{}", run.stderr),
    }
}

#[test]
fn a_repository_is_made_unless_there_is_one() {
    let place = Place::new();
    let init = |dir: &str, more: &[&str]| {
        let args = ["init", dir, "--yes", "--runtime", "0.1.0", "--json"];
        let document = place.run(&[&args, more].concat()).succeeds().json();
        let made = place.work(dir).join(".git").is_dir();
        assert_eq!(document["git"], made, "{dir}");
        made
    };
    assert!(init("by-default", &[]));
    assert!(init("asked-for", &["--git"]));
    assert!(!init("refused", &["--no-git"]));
    assert!(!init("by-default/inside", &[]));
    assert!(init("by-default/inside-asked-for", &["--git"]));
    place
        .run(&["init", "both", "--git", "--no-git"])
        .fails(2, &["--no-git"]);
}

#[test]
fn a_repository_that_is_still_empty_is_a_fine_place() {
    let place = Place::new();
    fs::create_dir_all(place.work("my-streams/.git")).unwrap();
    place.init(&["my-streams"]).succeeds();
    assert_eq!(place.files(), FILES);
}

#[test]
fn git_that_is_asked_for_must_be_there() {
    let place = Place::new();
    let empty = place.programs(&[]);
    let with_path = |args: &[&str]| {
        let mut command = place.command(args);
        command.env("PATH", &empty);
        Run::of(command)
    };
    let args = ["init", "abc", "--yes", "--runtime", "0.1.0"];
    with_path(&[&args[..], &["--git"]].concat()).fails(1, &["no `git` on this machine"]);
    assert!(place.files().is_empty());
    with_path(&args).succeeds();
    assert!(!place.work("abc/.git").exists());
}

#[test]
fn init_dev_looks_at_the_port_before_it_writes() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    place
        .init(&["my-streams", "--dev", "--port", &port])
        .fails(1, &[&format!("port {port}"), "--port"]);
    assert!(place.files().is_empty());
}

#[test]
fn the_environment_of_whoever_runs_it_does_not_change_the_result() {
    let place = Place::new();
    let home = place.path("home");
    fs::create_dir_all(home.join(".cargo")).unwrap();
    // Settings of cargo-generate itself that would bring in other values.
    fs::write(
        home.join(".cargo/cargo-generate.toml"),
        "[values]\ncompatibility_date = \"2000-01-01\"\n",
    )
    .unwrap();
    let args = ["init", "abc", "--yes", "--no-git", "--runtime", "0.1.0"];
    let mut command = place.command(&args);
    command
        .env("HOME", &home)
        .env("CARGO_HOME", home.join(".cargo"))
        .env("CARGO_GENERATE_VALUE_COMPATIBILITY_DATE", "2000-01-01")
        .env_remove("USER");
    Run::of(command).succeeds();
    let wrangler = fs::read_to_string(place.work("abc/wrangler.toml")).unwrap();
    assert!(!wrangler.contains("2000-01-01"), "{wrangler}");
}

#[test]
fn a_repository_of_others_that_the_environment_names_is_left_alone() {
    let place = Place::new();
    // As in a hook of git.
    let other = place.work("other");
    fs::create_dir(&other).unwrap();
    git(&other, &["init", "--quiet"]);
    let init = |dir: &str, more: &[&str]| {
        let args = ["init", dir, "--yes", "--runtime", "0.1.0", "--json"];
        let mut command = place.command(&[&args, more].concat());
        command
            .env("GIT_DIR", other.join(".git"))
            .env("GIT_WORK_TREE", &other)
            .env("GIT_INDEX_FILE", "index");
        Run::of(command).succeeds().json()["git"].clone()
    };
    assert_eq!(init("asked-for", &["--git"]), true);
    assert!(place.work("asked-for/.git").is_dir());
    assert_eq!(init("by-default", &[]), true);
    assert!(place.work("by-default/.git").is_dir());
}

#[test]
fn a_workspace_above_that_would_take_the_project_is_not_broken() {
    let place = Place::new();
    let workspace = |text: &str| place.write("Cargo.toml", &format!("[workspace]\n{text}\n"));
    for members in [
        "[\"crates/*\"]",
        "[\"**\"]",
        "[\"crates/my-streams\"]",
        "[\"*/*-stream[s]\"]",
    ] {
        workspace(&format!("members = {members}"));
        place.init(&["crates/my-streams"]).fails(
            1,
            &[
                "Cargo.toml takes crates/my-streams",
                "exclude = [\"crates/my-streams\"]",
            ],
        );
        assert!(!place.work("crates").exists());
    }
    for others in [
        "members = [\"*\", \"crates\", \"crates/my\", \"crates/*/x\"]",
        "members = [\"crates/*\"]\nexclude = [\"crates/my-streams\"]",
        "exclude = [\"crates\"]\nmembers = [\"crates/*\"]",
        "",
    ] {
        workspace(others);
        place.init(&["crates/my-streams", "--overwrite"]).succeeds();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_whose_name_is_no_text_is_refused_before_anything_is_written() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let place = Place::new();
    let name = OsStr::from_bytes(b"na\xffme");
    let run = |args: &[&str], dir: &OsStr| {
        let mut command = place.command(args);
        command.arg(dir);
        Run::of(command)
    };
    let args = ["init", "--name", "abc", "--yes", "--runtime", "0.1.0"];
    run(&args, name).fails(1, &["not UTF-8"]);
    run(&["init", "--yes"], OsStr::from_bytes(b"na\xffme/abc")).fails(1, &["not UTF-8"]);
    assert_eq!(fs::read_dir(place.work(".")).unwrap().count(), 0);
    // One that came there otherwise is no place to work in.
    place.init(&["abc"]).succeeds();
    fs::rename(place.work("abc"), place.work(".").join(name)).unwrap();
    for command in ["build", "status", "upgrade"] {
        run(&[command, "--json", "-C"], name).fails_with_json("not UTF-8");
    }
}
