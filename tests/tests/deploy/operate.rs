//! A deployed worker, operated: what differs, its secrets, and the way back to an earlier version.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, Ran, TOKEN, deployed};
use durable_streams_tests::terminal::Terminal;
use serde_json::{Value, json};
use ureq::http::Method;

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const VALUE: &str = "a-value-that-nobody-must-see";

fn replace(dir: &Path, file: &str, from: &str, to: &str) -> Result<()> {
    let path = dir.join(file);
    let text = fs::read_to_string(&path)?;
    assert!(text.contains(from), "{text}");
    Ok(fs::write(path, text.replace(from, to))?)
}

/// Runs the program with something on its stdin.
fn fed(cloud: &Cloud, dir: &Path, args: &[&str], input: &str) -> Result<Ran> {
    Ran::fed(cloud.command(dir)?.args(args), input)
}

fn secrets(cloud: &Cloud) -> Result<Value> {
    Ok(cloud.state()?["scripts"]["my-streams"]["secrets"].clone())
}

fn tag_of(cloud: &Cloud) -> Result<Value> {
    Ok(cloud.state()?["scripts"]["my-streams"]["etag"].clone())
}

#[test]
fn status_names_each_setting_that_differs_and_no_value_of_others() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-status")?;
    let text = "DEBUG_TIMING = \"1\"\nMINE = \"mine-here\"";
    replace(&dir, "wrangler.toml", "DEBUG_TIMING = \"0\"", text)?;
    replace(&dir, "wrangler.toml", "enabled = true", "enabled = false")?;
    let path = "/workers/scripts/my-streams/subdomain";
    cloud.api(Method::POST, path, &json!({ "enabled": false }))?;
    let ran = cloud.run(&dir, &["status"])?;
    assert_eq!(ran.code, Some(1));
    for text in [
        "settings: differ from wrangler.toml",
        "vars.DEBUG_TIMING: \"1\" here, \"0\" there",
        "vars.MINE: a value here, nothing there",
        "observability.enabled: false here, true there",
        "workers_dev: true here, false there",
    ] {
        assert!(ran.stdout.contains(text), "no {text} in {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("mine-here"), "{}", ran.stdout);
    let document = cloud.run(&dir, &["status", "--json"])?.json()?;
    let checks = document["checks"].as_array().into_iter().flatten();
    let settings = checks.into_iter().find(|check| check["what"] == "settings");
    assert_eq!(
        settings.context("no settings")?["differences"][0],
        json!({ "path": "vars.DEBUG_TIMING", "here": "\"1\"", "there": "\"0\"" })
    );
    Ok(())
}

#[test]
fn a_secret_is_set_listed_and_deleted_and_never_shown() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-secrets")?;
    let put = |name: &str, input: &str| {
        let args = ["secret", "put", name, "--verbose"];
        let ran = fed(&cloud, &dir, &args, input)?;
        assert!(
            !ran.stdout.contains(VALUE) && !ran.stderr.contains(VALUE),
            "{ran:?}"
        );
        anyhow::Ok(ran)
    };
    let ran = put("API_KEY", &format!("{VALUE}\r\n"))?.ok()?;
    assert!(ran.stdout.contains("secret API_KEY"), "{}", ran.stdout);
    put("OTHER", &format!(" {VALUE}\n\n"))?.ok()?;
    assert_eq!(
        secrets(&cloud)?,
        json!({ "API_KEY": VALUE, "OTHER": format!(" {VALUE}\n") })
    );
    let list = cloud.run(&dir, &["secret", "list"])?.ok()?;
    assert_eq!(list.stdout, "API_KEY\nOTHER\n");
    let list = cloud.run(&dir, &["secret", "list", "--json"])?.ok()?;
    assert_eq!(list.json()?["secrets"], json!(["API_KEY", "OTHER"]));
    // A deploy keeps them, and they are no difference.
    let again = cloud.run(&dir, DEPLOY)?.ok()?.stdout;
    assert!(again.starts_with("Nothing to do"), "{again}");
    cloud.run(&dir, &["status"])?.ok()?;

    let delete = |args: &[&str]| cloud.run(&dir, &[&["secret", "delete"], args].concat());
    delete(&["OTHER"])?.fails(&["nobody is there to confirm", "--yes"])?;
    delete(&["NONE", "--yes"])?.fails(&["has no secret NONE: it has API_KEY, OTHER"])?;
    delete(&["OTHER", "--yes"])?.ok()?;
    assert_eq!(secrets(&cloud)?, json!({ "API_KEY": VALUE }));
    Ok(())
}

#[test]
fn a_person_is_asked_for_the_value_and_does_not_see_it() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-asked")?;
    let run = |args: &[&str]| Terminal::run(cloud.command(&dir)?.args(args).env_remove("CI"));
    let mut terminal = run(&["secret", "put", "API_KEY"])?;
    terminal.answer("Value of API_KEY", &format!("{VALUE}\r"))?;
    terminal.wait_for("reads the secret API_KEY")?;
    assert!(!terminal.screen().contains(VALUE), "{}", terminal.screen());
    assert!(terminal.end()?.success());
    assert_eq!(secrets(&cloud)?, json!({ "API_KEY": VALUE }));

    let mut terminal = run(&["secret", "delete", "API_KEY"])?;
    terminal.answer("Nobody can bring its value back", "n")?;
    terminal.wait_for("nothing was deleted")?;
    assert!(!terminal.end()?.success());
    let mut terminal = run(&["rollback", "--old-secrets"])?;
    terminal.answer("serve from now on?", "n")?;
    terminal.wait_for("nothing was changed")?;
    assert!(!terminal.end()?.success());
    assert_eq!(secrets(&cloud)?, json!({ "API_KEY": VALUE }));
    Ok(())
}

#[test]
fn what_cannot_be_a_secret_is_refused_before_anything_is_sent() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-no-secret")?;
    let put = |name: &str, input: &str| fed(&cloud, &dir, &["secret", "put", name], input);
    cloud.forget_requests()?;
    put("DEBUG_TIMING", "1")?.fails(&["is a setting of the server"])?;
    put("REGISTRY", "1")?.fails(&["wrangler.toml gives REGISTRY to the worker already"])?;
    put("KEY", "\n")?.fails(&["the value of KEY is empty"])?;
    put("KEY", &"x".repeat(5 * 1024 + 1))?.fails(&["larger than 5120 bytes"])?;
    let sent = cloud.requests()?;
    assert!(sent.iter().all(|one| one.method == "GET"), "{sent:?}");
    // As an argument all could read it.
    let ran = cloud.run(&dir, &["secret", "put", "KEY", VALUE])?;
    assert_eq!(ran.code, Some(2));
    // A careless server.
    cloud.fail(json!([{
        "method": "PUT", "path": "/secrets$", "status": 400,
        "errors": [{ "code": 10021, "message": format!("bad {VALUE} from {TOKEN}") }],
    }]))?;
    let ran = put("KEY", VALUE)?.fails(&["bad *** from ***"])?;
    assert!(!ran.stderr.contains(VALUE), "{}", ran.stderr);
    cloud.fail(json!([]))?;
    cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    put("KEY", VALUE)?.fails(&["the worker is not deployed", "durable-streams deploy"])?;
    Ok(())
}

#[test]
fn an_earlier_version_serves_again_until_the_next_deploy() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-rollback")?;
    let rollback = |args: &[&str]| cloud.run(&dir, &[&["rollback"], args].concat());
    rollback(&["--yes"])?.fails(&["no other version has served alone before"])?;
    let first = tag_of(&cloud)?;
    replace(&dir, "build/index.js", "// Stands", "// Still stands")?;
    replace(
        &dir,
        "wrangler.toml",
        "DEBUG_TIMING = \"0\"",
        "DEBUG_TIMING = \"1\"",
    )?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let second = tag_of(&cloud)?;
    assert_ne!(first, second);

    let list = rollback(&["--list", "--json"])?.ok()?.json()?;
    let ids: Vec<&str> = (0..2)
        .filter_map(|index| list["versions"][index]["id"].as_str())
        .collect();
    assert_eq!(list["versions"][0]["percentage"], 100.0);
    assert_eq!(list["versions"][1]["percentage"], 0.0);
    assert_eq!(list["versions"][1]["number"], 1);
    let shown = rollback(&["--list"])?.ok()?.stdout;
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(
        shown.starts_with(&ids[0][..8]) && shown.contains("serves"),
        "{shown}"
    );

    rollback(&[])?.fails(&["nobody is there to confirm", "--yes"])?;
    rollback(&["x"])?.fails(&["no version x", "rollback --list"])?;
    let said = rollback(&["--yes", "--message", "slow"])?.ok()?;
    assert!(said.stdout.contains(&ids[1][..8]), "{}", said.stdout);
    assert!(said.stderr.contains("stay as they are"), "{}", said.stderr);
    assert_eq!(tag_of(&cloud)?, first);
    let sent = cloud.requests()?;
    let sent = sent
        .iter()
        .find(|one| one.method == "POST" && one.path.ends_with("/deployments"));
    assert_eq!(
        sent.context("nothing was sent")?.body,
        json!({
            "strategy": "percentage",
            "versions": [{ "version_id": ids[1], "percentage": 100 }],
            "annotations": { "workers/message": "slow" },
        })
    );
    let again = rollback(&[&ids[1][..8], "--yes"])?.ok()?.stdout;
    assert!(again.starts_with("Nothing to do"), "{again}");

    // It is seen, and what is here is not taken for what serves.
    let status = cloud.run(&dir, &["status"])?;
    assert_eq!(status.code, Some(1));
    assert!(
        status.stdout.contains("version: is not the newest"),
        "{}",
        status.stdout
    );
    fed(&cloud, &dir, &["secret", "put", "KEY"], "x")?.fails(&["newest version"])?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    assert_eq!(tag_of(&cloud)?, second);
    cloud.run(&dir, &["status"])?.ok()?;

    // By somebody else, in the dashboard: code and settings are those of the last upload.
    let body = json!({ "versions": [{ "version_id": ids[0], "percentage": 100 }] });
    cloud.api(
        Method::POST,
        "/workers/scripts/my-streams/deployments",
        &body,
    )?;
    let ran = cloud.run(&dir, DEPLOY)?.ok()?;
    assert!(ran.stdout.starts_with("Deployed"), "{}", ran.stdout);
    Ok(())
}

#[test]
fn secrets_that_have_changed_since_come_back_only_when_that_is_wanted() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-rollback-secrets")?;
    fed(&cloud, &dir, &["secret", "put", "KEY"], "old")?.ok()?;
    fed(&cloud, &dir, &["secret", "put", "KEY"], "new")?.ok()?;
    let rollback = |args: &[&str]| cloud.run(&dir, &[&["rollback", "--yes"], args].concat());
    rollback(&[])?.fails(&["secrets have changed: KEY", "--old-secrets"])?;
    assert_eq!(secrets(&cloud)?, json!({ "KEY": "new" }));
    rollback(&["--old-secrets"])?.ok()?;
    assert_eq!(secrets(&cloud)?, json!({ "KEY": "old" }));
    Ok(())
}

#[test]
fn no_way_leads_back_across_a_migration() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("operate-rollback-migration")?;
    let before = tag_of(&cloud)?;
    let more = "[[migrations]]\ntag = \"v3\"\nnew_sqlite_classes = [\"Own\"]\n\n[vars]";
    replace(&dir, "wrangler.toml", "[vars]", more)?;
    replace(&dir, "build/index.js", "// Stands", "// Still stands")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    assert_ne!(tag_of(&cloud)?, before);
    cloud.forget_requests()?;
    cloud.run(&dir, &["rollback", "--yes"])?.fails(&[
        "it was made at the migration `v2`, and `v3` has been carried out since",
        "cannot be undone",
    ])?;
    assert!(cloud.requests()?.iter().all(|one| one.method == "GET"));
    Ok(())
}
