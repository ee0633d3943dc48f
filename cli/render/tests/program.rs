//! The program, from outside.

use std::fs;

use assert_cmd::Command;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_durable-streams-render"))
}

#[test]
fn it_says_which_version_it_is() {
    let version = concat!("durable-streams-render ", env!("CARGO_PKG_VERSION"), "\n");
    program()
        .arg("--version")
        .assert()
        .success()
        .stdout(version);
}

#[test]
fn a_request_is_answered_with_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    fs::create_dir(dir.join("template")).unwrap();
    fs::create_dir(dir.join("out")).unwrap();
    fs::write(dir.join("template/a.txt"), "{{project-name}} {{colour}}").unwrap();
    let request = serde_json::json!({
        "template": dir.join("template"),
        "into": dir.join("out"),
        "name": "mine",
        "define": { "colour": "red" },
    });
    let answer = format!("{}\n", dir.join("out/mine").display());
    program()
        .env("CARGO_NAME", "nobody")
        .write_stdin(request.to_string())
        .assert()
        .success()
        .stdout(answer);
    let text = fs::read_to_string(dir.join("out/mine/a.txt")).unwrap();
    assert_eq!(text, "mine red");
}

#[test]
fn what_is_no_request_is_said() {
    let assert = program().write_stdin("{}").assert().failure();
    let said = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    assert!(said.starts_with("stdin holds no request"), "{said}");
}
