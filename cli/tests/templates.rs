//! Templates of others, and ours in the hands of cargo-generate.

mod common;

use std::fs;

use common::{Place, Run, git, renderer, script};

const ASKING: &str = r#"
[placeholders.colour]
type = "string"
prompt = "Which colour?"
[placeholders.shade]
type = "string"
prompt = "Which shade?"
choices = ["light", "dark"]
[placeholders.size]
type = "string"
prompt = "Which size?"
default = "small"
[conditional.'size == "large"'.placeholders.weight]
type = "string"
prompt = "How heavy?"
"#;

#[test]
fn all_values_that_have_no_default_are_asked_for_at_once() {
    let place = Place::new();
    place.write("mine/cargo-generate.toml", ASKING);
    place.write("mine/a.txt", "{{colour}} {{shade}} {{size}} {{weight}}");
    let template = ["other", "--template", "mine"];
    place.init(&template).fails(
        1,
        &[
            "colour (Which colour?)",
            "shade (Which shade? light or dark)",
            "--define colour=… --define shade=…",
        ],
    );
    let first = [&template[..], &["-d", "colour=red", "-d", "shade=light"]].concat();
    place
        .init(&[&first[..], &["-d", "size=large"]].concat())
        .fails(1, &["`weight`", "--define weight=…"]);
    assert!(!place.work("other").exists());
    place.init(&first).succeeds();
    let text = fs::read_to_string(place.work("other/a.txt")).unwrap();
    assert_eq!(text, "red light small ");
}

#[test]
fn a_hook_that_runs_programs_is_refused_with_the_way_to_run_it() {
    let place = Place::new();
    place.write(
        "mine/cargo-generate.toml",
        "[hooks]\npre = [\"hook.rhai\"]\n",
    );
    place.write("mine/hook.rhai", "system::command(\"ls\", []);");
    let run = place.init(&["other", "--template", "mine"]);
    let run = run.fails(1, &["hook", "runs programs", "cargo generate"]);
    assert!(!run.stderr.contains("silent mode"), "{}", run.stderr);
}

#[test]
fn links_that_are_not_taken_over_are_named() {
    let place = Place::new();
    place.write("mine/a.txt", "a");
    std::os::unix::fs::symlink("a.txt", place.work("mine/link")).unwrap();
    fs::create_dir(place.work("mine/below")).unwrap();
    std::os::unix::fs::symlink("/etc", place.work("mine/below/away")).unwrap();
    let run = place.init(&["other", "--template", "mine"]).succeeds();
    assert!(
        run.stderr.contains("symbolic links") && run.stderr.contains("below/away, link"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_bare_repository_is_cloned() {
    let place = Place::new();
    place.write("mine/hello.txt", "Hello {{project-name}}");
    let git = |args: &[&str]| git(&place.work("mine"), args);
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "Say hello"]);
    git(&["clone", "--quiet", "--bare", ".", "../bare"]);
    place.init(&["other", "--template", "bare"]).succeeds();
    let text = fs::read_to_string(place.work("other/hello.txt")).unwrap();
    assert_eq!(text, "Hello other");
    assert!(!place.work("other/HEAD").exists());
}

/// cargo-generate asks for what has no default, and the template refuses by a hook what we refuse.
#[test]
fn our_template_refuses_names_itself() {
    let place = Place::new();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/template");
    let text = fs::read_to_string(format!("{template}/check-name.rhai")).unwrap();
    place.write("mine/check-name.rhai", &text);
    place.write(
        "mine/cargo-generate.toml",
        "[hooks]\npre = [\"check-name.rhai\"]\n[placeholders.as]\ntype = \"string\"\nprompt = \"?\"\n",
    );
    // Our own check lets none of these names through, so another value stands for it.
    place.write(
        "mine/check-name.rhai",
        &text.replace("\"project-name\"", "\"as\""),
    );
    for (name, wrong) in [
        ("test", "reserved"),
        ("worker", "reserved"),
        ("nul", "reserved"),
        ("ab", "3 to 63"),
        ("9lives", "begin with a letter"),
        ("a-", "a-z, 0-9"),
        ("My_App", "a-z, 0-9"),
        (&"x".repeat(64), "3 to 63"),
    ] {
        let define = format!("as={name}");
        let args = ["other", "--template", "mine", "--define", &define];
        place.init(&args).fails(1, &[wrong]);
    }
    let args = ["other", "--template", "mine", "--define", "as=my-streams2"];
    place.init(&args).succeeds();
    assert!(!place.work("other/check-name.rhai").exists());
}

/// The program alone, as it is installed, gets the other one when a template of others asks for it.
#[test]
fn the_program_that_fills_them_in_is_installed_once() {
    let place = Place::new();
    place.write("mine/hello.txt", "Hello {{project-name}}");
    let program = place.path("durable-streams");
    fs::copy(assert_cmd::cargo::cargo_bin("durable-streams"), &program).unwrap();
    let path = place.programs(&["cp", "mkdir"]);
    let init = |cargo: &str, dir: &str, args: &[&str]| {
        script(&path.join("cargo"), cargo);
        let mut command = assert_cmd::Command::new(&program);
        command
            .args(["init", dir, "--yes", "--no-git", "--runtime", "0.1.0"])
            .args(args)
            .current_dir(place.work(""))
            .env("PATH", &path)
            .env("DURABLE_STREAMS_CACHE_DIR", place.path("cache"));
        Run::of(command)
    };
    let template = ["--template", "mine"];
    let fails = "echo no network >&2; exit 101";
    // Ours needs no other program.
    init(fails, "ours", &[]).succeeds();
    let version = "[ \"$1\" = --version ] && echo 'cargo 1.95.0' && exit";
    init(&format!("{version}; {fails}"), "one", &template)
        .fails(1, &["cannot install durable-streams-render", "no network"]);
    assert!(!place.work("one").exists());
    let log = place.path("log");
    let installs = format!(
        "{version}; echo \"$@\" >> {}; mkdir -p \"$4/bin\" \"$4/target\"; cp {} \"$4/bin\"",
        log.display(),
        renderer::program().display()
    );
    let run = init(&installs, "one", &template).succeeds();
    assert!(
        run.stderr.contains("Installing durable-streams-render") && run.stderr.contains("a minute"),
        "{}",
        run.stderr
    );
    let said = fs::read_to_string(&log).unwrap();
    let from = concat!("--locked --path ", env!("CARGO_MANIFEST_DIR"), "/render\n");
    assert!(
        said.starts_with("install ") && said.ends_with(from),
        "{said}"
    );
    let run = init(fails, "two", &template).succeeds();
    assert!(!run.stderr.contains("Installing"), "{}", run.stderr);
    let text = fs::read_to_string(place.work("two/hello.txt")).unwrap();
    assert_eq!(text, "Hello two");
}

/// Examples are laid over it by us alone: in the hands of cargo-generate it is the template.
#[test]
fn our_template_leaves_its_examples_out() {
    let place = Place::new();
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/template");
    place.init(&["other", "--template", template]).succeeds();
    let files = place.files();
    assert!(files.contains(&"other/src/lib.rs".to_owned()), "{files:?}");
    assert!(
        !files.iter().any(|file| file.contains("examples")),
        "{files:?}"
    );
}
