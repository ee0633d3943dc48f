//! A project that an older release has written and deployed goes on with this one.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, small_project};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};
use ureq::http::Method;

/// As the release wrote it that had streams alone.
const OLDER: &str = include_str!("../../../cli/tests/older/wrangler.toml");
const DEPLOY: &[&str] = &["deploy", "--no-build", "--json"];
/// What was added, in the order of the file.
const BINDINGS: &str = r#"
# A few objects for all streams: they know which there are, and who is to be told of new ones.
[[durable_objects.bindings]]
name = "DIRECTORIES"
class_name = "DirectoryDO"

# One Durable Object per subscription: it wakes workers when their streams have grown.
[[durable_objects.bindings]]
name = "SUBSCRIPTIONS"
class_name = "SubscriptionDO"
"#;
const MIGRATION: &str = r#"
[[migrations]]
tag = "v2"
new_sqlite_classes = ["DirectoryDO", "SubscriptionDO"]
"#;

/// The project, deployed as it was then, with a file of its own settings.
fn deployed(scratch: &Scratch, cloud: &Cloud) -> Result<PathBuf> {
    let dir = small_project(scratch, "my-streams")?;
    let mine = OLDER.replace("[vars]\n", "[vars]\n# Mine.\nMINE = \"1\"\n");
    fs::write(dir.join("wrangler.toml"), mine)?;
    let script = dir.join("build/index.js");
    let newer = fs::read_to_string(&script)?;
    let lines = newer.lines().filter(|line| {
        let is_later = line.contains("DirectoryDO") || line.contains("SubscriptionDO");
        !is_later
    });
    fs::write(&script, lines.collect::<Vec<_>>().join("\n"))?;
    let first = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(first["added"], json!([]));
    assert_eq!(cloud.state()?["scripts"]["my-streams"]["tag"], "v1");
    // Built with the runtime of today.
    fs::write(&script, newer)?;
    Ok(dir)
}

fn manifest(dir: &Path) -> Result<String> {
    Ok(fs::read_to_string(dir.join("wrangler.toml"))?)
}

#[test]
fn a_deploy_adds_what_is_new_and_leaves_streams_and_all_else_alone() -> Result<()> {
    let scratch = Scratch::new("upgrade")?;
    let cloud = Cloud::booting(&scratch)?;
    let dir = deployed(&scratch, &cloud)?;
    let kept = |method: Method| cloud.worker().call(method, "/object/a");
    kept(Method::PUT).send_bytes(b"here")?.expect(200)?;
    let before = manifest(&dir)?;
    cloud.forget_requests()?;

    let second = cloud.run(&dir, DEPLOY)?.ok()?;
    let said = "wrangler.toml has got what it lacked, to be kept with the project: the binding DIRECTORIES of DirectoryDO, the \
                binding SUBSCRIPTIONS of SubscriptionDO, the migration v2 for DirectoryDO and \
                SubscriptionDO";
    assert!(second.stderr.contains(said), "{}", second.stderr);
    let document = second.json()?;
    assert_eq!(document["added"].as_array().map(Vec::len), Some(3));
    let migrations = json!({
        "old_tag": "v1",
        "new_tag": "v2",
        "steps": [{ "new_sqlite_classes": ["DirectoryDO", "SubscriptionDO"] }],
    });
    assert_eq!(document["migrations"], migrations);
    let requests = cloud.requests()?;
    let metadata = requests
        .iter()
        .filter_map(|one| one.body.pointer("/multipart/0/json"));
    let uploads: Vec<&Value> = metadata.map(|one| &one["migrations"]).collect();
    assert_eq!(uploads, [&migrations]);
    assert_eq!(kept(Method::GET).send()?.expect(200)?.text(), "here");

    let expected = before
        .replace(
            "class_name = \"StreamDO\"\n",
            &format!("class_name = \"StreamDO\"\n{BINDINGS}"),
        )
        .replace("[\"StreamDO\"]\n", &format!("[\"StreamDO\"]\n{MIGRATION}"));
    assert_eq!(manifest(&dir)?, expected);
    let third = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(
        (&third["changed"], &third["added"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(manifest(&dir)?, expected);
    Ok(())
}

#[test]
fn a_dry_run_says_what_would_be_added_and_adds_nothing() -> Result<()> {
    let scratch = Scratch::new("upgrade-dry")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = deployed(&scratch, &cloud)?;
    let before = manifest(&dir)?;
    cloud.forget_requests()?;
    let run = cloud
        .run(&dir, &["deploy", "--no-build", "--dry-run"])?
        .ok()?;
    assert!(
        run.stderr.contains("wrangler.toml would get"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout.contains("Migrations up to \"v2\""),
        "{}",
        run.stdout
    );
    assert_eq!(manifest(&dir)?, before);
    assert!(cloud.requests()?.iter().all(|one| one.method == "GET"));
    Ok(())
}

#[test]
fn a_deploy_that_broke_off_after_the_file_was_written_is_made_up_for() -> Result<()> {
    let scratch = Scratch::new("upgrade-broken")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = deployed(&scratch, &cloud)?;
    cloud.fail(json!([{ "method": "PUT", "path": "/scripts/my-streams$", "status": 400 }]))?;
    cloud.run(&dir, DEPLOY)?.fails(&["wrangler.toml has got"])?;
    let written = manifest(&dir)?;
    assert!(written.contains(MIGRATION), "{written}");
    cloud.fail(json!([]))?;
    let again = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(again["added"], json!([]));
    assert_eq!(cloud.state()?["scripts"]["my-streams"]["tag"], "v2");
    assert_eq!(manifest(&dir)?, written);
    Ok(())
}

#[test]
fn a_file_that_was_not_kept_is_upgraded_anew() -> Result<()> {
    let scratch = Scratch::new("upgrade-lost")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = deployed(&scratch, &cloud)?;
    let older = manifest(&dir)?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let newer = manifest(&dir)?;
    // As in the next checkout that deploys itself.
    fs::write(dir.join("wrangler.toml"), &older)?;
    let again = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(again["changed"], false);
    assert_eq!(again["migrations"], Value::Null);
    assert_eq!(manifest(&dir)?, newer);
    // Whose bundle does not have what is deployed is told so.
    fs::write(dir.join("wrangler.toml"), &older)?;
    fs::write(dir.join("build/index.js"), "export class StreamDO {}")?;
    cloud
        .run(&dir, DEPLOY)?
        .fails(&["at migration `v2`, which wrangler.toml does not list"])?;
    assert_eq!(manifest(&dir)?, older);
    Ok(())
}

#[test]
fn migrations_of_ones_own_come_before_what_is_added() -> Result<()> {
    let scratch = Scratch::new("upgrade-own")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = deployed(&scratch, &cloud)?;
    let own = "[[migrations]]\ntag = \"v2\"\nnew_sqlite_classes = [\"Own\"]\n\n# Cold segments";
    fs::write(
        dir.join("wrangler.toml"),
        manifest(&dir)?.replace("# Cold segments", own),
    )?;
    let document = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(document["migrations"]["old_tag"], "v1");
    assert_eq!(document["migrations"]["new_tag"], "v3");
    let steps = document["migrations"]["steps"]
        .as_array()
        .context("no steps")?;
    assert_eq!(steps[0], json!({ "new_sqlite_classes": ["Own"] }));
    assert_eq!(
        steps[1],
        json!({ "new_sqlite_classes": ["DirectoryDO", "SubscriptionDO"] })
    );
    Ok(())
}

#[test]
fn who_wants_no_directory_gets_none() -> Result<()> {
    let scratch = Scratch::new("upgrade-off")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = deployed(&scratch, &cloud)?;
    let off = manifest(&dir)?.replace("[vars]\n", "[vars]\nDIRECTORY = \"off\"\n");
    fs::write(dir.join("wrangler.toml"), &off)?;
    let document = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(document["added"], json!([]));
    assert_eq!(manifest(&dir)?, off);
    Ok(())
}

#[test]
fn what_is_for_local_runs_alone_is_not_deployed() -> Result<()> {
    let scratch = Scratch::new("upgrade-dev")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let text = manifest(&dir)?;
    let set = |value: &str| {
        let text = text.replace("[vars]\n", &format!("[vars]\nDEV = {value}\n"));
        fs::write(dir.join("wrangler.toml"), text)
    };
    for on in ["\"1\"", "true", "1"] {
        set(on)?;
        for args in [DEPLOY, &["deploy", "--no-build", "--dry-run"]] {
            cloud
                .run(&dir, args)?
                .fails(&["wrangler.toml sets DEV", "durable-streams dev"])?;
        }
    }
    assert!(cloud.requests()?.is_empty());
    set("\"0\"")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    Ok(())
}
