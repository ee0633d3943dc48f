//! `init --github-actions`: what is written works, or what is missing is said.

mod common;

use std::{fs, path::Path};

use common::{Place, Run, git, script};

const FILE: &str = ".github/workflows/deploy.yml";
const GIT: [&str; 2] = ["--runtime", "https://git.example/r.git"];

fn init(place: &Place, dir: &str, more: &[&str]) -> Run {
    place.run(&[&["init", dir, "--yes", "--github-actions"], more].concat())
}

/// The branch whose pushes the workflow deploys.
fn trigger(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join(FILE)).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("branches: [\""));
    line.unwrap().trim_end_matches("\"]").to_owned()
}

#[test]
fn a_new_repository_has_the_branch_that_is_deployed() {
    let place = Place::new();
    init(&place, "one", &GIT).succeeds();
    let dir = place.work("one");
    assert_eq!(trigger(&dir), "main");
    assert_eq!(git(&dir, &["symbolic-ref", "--short", "HEAD"]), "main");
    let config = place.path("gitconfig");
    fs::write(&config, "[init]\ndefaultBranch = trunk\n").unwrap();
    let mut command = place.command(&["init", "two", "--yes", "--github-actions"]);
    command.args(GIT).env("GIT_CONFIG_GLOBAL", &config);
    Run::of(command).succeeds();
    let dir = place.work("two");
    assert_eq!(trigger(&dir), "trunk");
    assert_eq!(git(&dir, &["symbolic-ref", "--short", "HEAD"]), "trunk");
}

#[test]
fn a_repository_that_is_there_is_deployed_from_its_own_branch() {
    let place = Place::new();
    let dir = place.work("one");
    fs::create_dir(&dir).unwrap();
    git(&dir, &["init", "--quiet"]);
    git(&dir, &["symbolic-ref", "HEAD", "refs/heads/release"]);
    init(&place, "one", &GIT).succeeds();
    assert_eq!(trigger(&dir), "release");
    // A clone knows the branch that counts for everybody.
    git(&dir, &["add", "."]);
    git(&dir, &["commit", "--quiet", "-m", "First"]);
    git(&place.work("."), &["clone", "--quiet", "one", "two"]);
    let clone = place.work("two");
    git(&clone, &["checkout", "--quiet", "-b", "mine"]);
    init(&place, "two", &[&GIT[..], &["--overwrite"]].concat()).succeeds();
    assert_eq!(trigger(&clone), "release");
}

#[test]
fn below_the_top_of_a_repository_nobody_would_run_it() {
    let place = Place::new();
    git(&place.work("."), &["init", "--quiet"]);
    init(&place, "below", &GIT).fails(1, &["top folder", ".github/workflows"]);
    assert!(!place.work("below").exists());
    init(&place, "below", &[&GIT[..], &["--git"]].concat()).succeeds();
}

#[test]
fn the_program_comes_from_where_it_can_be_had() {
    let place = Place::new();
    init(&place, "one", &GIT).succeeds();
    let text = fs::read_to_string(place.work("one").join(FILE)).unwrap();
    let install = "      - run: cargo install --locked --git 'https://git.example/r.git' durable-streams-cli\n";
    assert!(text.contains(install), "{text}");

    // A folder of this machine is nowhere else.
    place.write(
        "runtime/Cargo.toml",
        "[package]\nname = \"durable-streams-cloudflare\"\nversion = \"0.1.0\"\n",
    );
    let from_path = init(&place, "two", &["--runtime", "runtime"]);
    from_path.fails(1, &["a folder of this machine", "--runtime"]);
    let from_file = init(&place, "two", &["--runtime", "file:///srv/r.git"]);
    from_file.fails(1, &["a folder of this machine", "--runtime"]);
    assert!(!place.work("two").exists());
}

#[test]
fn a_version_is_published_or_it_is_said() {
    let place = Place::new();
    let programs = place.programs(&["git"]);
    let with_cargo = |dir: &str, says: &str| {
        script(&programs.join("cargo"), says);
        let mut command = place.command(&["init", dir, "--yes", "--github-actions"]);
        command.args(["--runtime", "9.9.9"]).env("PATH", &programs);
        Run::of(command)
    };
    let missing = "echo \"error: could not find \\`$5\\` in registry\" >&2; exit 101";
    with_cargo("one", missing).fails(
        1,
        &["durable-streams-cli 9.9.9 is not published", "--runtime"],
    );
    assert!(!place.work("one").exists());
    let offline = with_cargo("two", "echo 'error: no network' >&2; exit 101").succeeds();
    assert!(
        offline
            .stderr
            .contains("durable-streams-cli 9.9.9 is published")
            && offline.stderr.contains("no network"),
        "{}",
        offline.stderr
    );
    let there = with_cargo("three", "exit 0").succeeds();
    assert_eq!(there.stderr, "");
    let text = fs::read_to_string(place.work("three").join(FILE)).unwrap();
    let install = "      - run: cargo install --locked durable-streams-cli --version 9.9.9\n";
    assert!(text.contains(install), "{text}");
}

#[test]
fn that_a_project_builds_here_alone_is_said() {
    let place = Place::new();
    let run = place.run(&["init", "one", "--yes", "--no-git"]).succeeds();
    assert!(
        run.stdout.contains("builds on this machine alone"),
        "{}",
        run.stdout
    );
    let run = place.init(&["two"]).succeeds();
    assert!(!run.stdout.contains("this machine alone"), "{}", run.stdout);
}
