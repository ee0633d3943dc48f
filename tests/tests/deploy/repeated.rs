//! Doing things twice: nothing is doubled, nothing is lost, and nothing of anybody else is touched.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::cloud::{Ran, Request, checkout, stage};
use serde_json::{Map, Value, json};
use ureq::http::Method;

const DEPLOY: &[&str] = &["deploy", "--no-build", "--json"];

fn manifest(dir: &Path) -> Result<String> {
    Ok(fs::read_to_string(dir.join("wrangler.toml"))?)
}

#[test]
fn the_same_code_is_not_uploaded_again() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-same")?;
    let first = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(first["changed"], true);
    let before = manifest(&dir)?;
    cloud.forget_requests()?;

    let second = cloud.run(&dir, DEPLOY)?.ok()?;
    assert_eq!(second.json()?["changed"], false);
    assert!(cloud.requests()?.iter().all(|one| one.method == "GET"));
    assert_eq!(cloud.state()?["uploads"], 1);
    assert_eq!(manifest(&dir)?, before);
    let said = cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
    assert!(said.stdout.starts_with("Nothing to do"), "{}", said.stdout);

    // A variable, or a change of the code by somebody else, is a difference.
    let text = before.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"1\"");
    fs::write(dir.join("wrangler.toml"), text)?;
    let third = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(third["changed"], true);
    let mut state = cloud.state()?;
    state["scripts"]["my-streams"]["etag"] = json!("somebody else's");
    cloud.set(json!({ "scripts": state["scripts"] }))?;
    assert_eq!(cloud.run(&dir, DEPLOY)?.ok()?.json()?["changed"], true);
    assert_eq!(cloud.state()?["uploads"], 3);
    Ok(())
}

#[test]
fn a_dry_run_changes_nothing() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-dry")?;
    let before = manifest(&dir)?;
    for args in [
        &["provision", "--dry-run"][..],
        &["deploy", "--no-build", "--dry-run"],
    ] {
        let said = cloud.run(&dir, args)?.ok()?.stdout;
        for text in [
            "R2 bucket my-streams as R2: would be created",
            "KV namespace my-streams-registry as REGISTRY: would be created",
        ] {
            assert!(said.contains(text), "{said}");
        }
    }
    // A question in SQL is sent as a body.
    let asks = |one: &Request| one.method == "GET" || one.path.ends_with("/analytics_engine/sql");
    assert!(cloud.requests()?.iter().all(asks));
    assert_eq!(manifest(&dir)?, before);
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn provisioning_adopts_what_is_there_and_writes_the_id_beside_the_comments() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-adopt")?;
    cloud.api(
        Method::POST,
        "/r2/buckets",
        &json!({ "name": "my-streams" }),
    )?;
    let title = json!({ "title": "my-streams-registry" });
    let made = cloud.api(Method::POST, "/storage/kv/namespaces", &title)?;
    let id = made["result"]["id"].as_str().unwrap_or_default();
    let before = manifest(&dir)?;

    // They are somebody's, until they are asked for by name.
    for args in [&["provision"], DEPLOY] {
        let says = ["R2 bucket my-streams already", "--adopt my-streams"];
        cloud.run(&dir, args)?.fails(&says)?;
        let mut one = args.to_vec();
        one.extend(["--adopt", "my-streams"]);
        let says = ["KV namespace my-streams-registry already"];
        cloud.run(&dir, &one)?.fails(&says)?;
    }
    assert_eq!(manifest(&dir)?, before);
    let adopt = ["--adopt", "my-streams", "--adopt", "my-streams-registry"];
    let adopting = [&["provision", "--json"], &adopt[..]].concat();
    let document = cloud.run(&dir, &adopting)?.ok()?.json()?;
    for resource in document["resources"].as_array().into_iter().flatten() {
        assert_eq!(resource["created"], false, "{resource}");
    }
    let line = "binding = \"REGISTRY\"\n";
    let expected = before.replace(line, &format!("{line}id = \"{id}\"\n"));
    assert_eq!(manifest(&dir)?, expected);
    cloud.run(&dir, &["provision"])?.ok()?;
    assert_eq!(manifest(&dir)?, expected);

    // They were there before the project: they stay when it goes.
    cloud.run(&dir, DEPLOY)?.ok()?;
    let said = cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    let stays = "Stays: R2 bucket my-streams: it was there before this project used it";
    assert!(said.stderr.contains(stays), "{said:?}");
    let state = cloud.state()?;
    assert_eq!(state["scripts"], json!({}));
    assert_eq!(state["buckets"][0]["name"], "my-streams");
    assert_eq!(state["namespaces"][0]["id"], id);
    assert_eq!(manifest(&dir)?, expected);
    // Unless they are asked for here, too.
    let removing = [&["destroy", "--yes"], &adopt[..]].concat();
    cloud.run(&dir, &removing)?.ok()?;
    let state = cloud.state()?;
    assert_eq!(
        (&state["buckets"], &state["namespaces"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(manifest(&dir)?, before);
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn a_namespace_on_the_last_page_is_found() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-pages")?;
    let others =
        (0..2500).map(|number| json!({ "id": format!("{number}"), "title": format!("a{number}") }));
    let ours = json!({ "id": "ours", "title": "my-streams-registry" });
    let all: Vec<Value> = others.chain([ours]).collect();
    cloud.set(json!({ "namespaces": all }))?;
    let adopting = ["provision", "--json", "--adopt", "my-streams-registry"];
    let document = cloud.run(&dir, &adopting)?.ok()?.json()?;
    assert_eq!(document["resources"][1]["id"], "ours");
    assert!(manifest(&dir)?.contains("id = \"ours\""));
    Ok(())
}

#[test]
fn a_create_whose_answer_is_lost_is_repeated_and_adopted() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-lost")?;
    cloud.fail(json!([
        { "method": "POST", "path": "/r2/buckets$", "cut": true, "after": true, "times": 1 },
        { "method": "POST", "path": "/namespaces$", "status": 502, "after": true, "times": 1 },
        { "method": "PUT", "path": "/scripts/my-streams$", "status": 503, "after": true, "times": 1 },
    ]))?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let state = cloud.state()?;
    let count = |key: &str| state[key].as_array().map(Vec::len);
    assert_eq!((count("buckets"), count("namespaces")), (Some(1), Some(1)));
    assert_eq!(state["scripts"]["my-streams"]["tag"], "v2");
    // Its own, although the answers that said so never came.
    cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    assert_eq!(cloud.state()?["buckets"], json!([]));
    assert_eq!(cloud.state()?["namespaces"], json!([]));
    Ok(())
}

#[test]
fn two_deploys_at_once_end_as_one() -> Result<()> {
    let (scratch, cloud, dir) = stage("repeated-two")?;
    // The same project in another checkout, where no lock of this machine holds it back.
    let other = scratch.path().join("other");
    checkout(&dir, &other)?;
    // Whoever comes second finds what the other checkout has made, and says that it is the same.
    let adopt = ["--adopt", "my-streams", "--adopt", "my-streams-registry"];
    let deploy = [DEPLOY, &adopt[..]].concat();
    let runs: Vec<Result<Ran>> = std::thread::scope(|scope| {
        let dirs = [&dir, &dir, &other, &other];
        let running: Vec<_> = dirs
            .into_iter()
            .map(|dir| scope.spawn(|| cloud.run(dir, &deploy)))
            .collect();
        running
            .into_iter()
            .map(|run| run.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
            .collect()
    });
    for run in runs {
        run?.ok()?;
    }
    let state = cloud.state()?;
    let count = |key: &str| state[key].as_array().map(Vec::len);
    assert_eq!((count("buckets"), count("namespaces")), (Some(1), Some(1)));
    let script = &state["scripts"]["my-streams"];
    let classes = ["StreamDO", "DirectoryDO", "SubscriptionDO"];
    let classes: Map<_, _> = classes
        .map(|class| (class.into(), json!("sqlite")))
        .into_iter()
        .collect();
    assert_eq!(script["classes"], Value::Object(classes));
    assert_eq!(script["enabled"], true);
    let id = &state["namespaces"][0]["id"];
    for dir in [&dir, &other] {
        let text = manifest(dir)?;
        let lines = text.lines().filter(|line| line.starts_with("id = "));
        assert_eq!(lines.collect::<Vec<_>>(), [format!("id = {id}")]);
    }
    Ok(())
}

#[test]
fn another_worker_of_the_same_name_is_left_alone() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-other")?;
    let script = json!({
        "metadata": { "bindings": [], "compatibility_date": "2026-04-01" },
        "classes": {}, "secrets": {}, "modules": [], "etag": "x",
    });
    cloud.set(json!({ "scripts": { "my-streams": script } }))?;
    let refused = cloud.run(&dir, DEPLOY)?.fails(&[
        "another worker my-streams",
        "none of this project's classes",
    ])?;
    assert!(
        refused.json()?["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("`name`") && hint.contains("--adopt my-streams"))
    );
    let said = cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    assert!(said.stderr.contains("no record of making it"), "{said:?}");
    assert!(cloud.requests()?.iter().all(|one| one.method == "GET"));
    Ok(())
}

#[test]
fn destroying_asks_for_the_name_and_can_keep_data() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-destroy")?;
    let before = manifest(&dir)?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    cloud.forget_requests()?;
    cloud.run(&dir, &["destroy"])?.fails(&[
        "Will be lost: worker my-streams",
        "Will be lost: R2 bucket my-streams",
        "Will be lost: KV namespace my-streams-registry",
        "--yes",
    ])?;
    assert!(cloud.requests()?.iter().all(|one| one.method == "GET"));

    cloud
        .run(&dir, &["destroy", "--yes", "--keep-data"])?
        .ok()?;
    let state = cloud.state()?;
    assert_eq!(state["scripts"], json!({}));
    assert_eq!(state["buckets"].as_array().map(Vec::len), Some(1));

    cloud.put_object("my-streams", "streams/a b", "x")?;
    cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    assert_eq!(cloud.state()?["buckets"], json!([]));
    assert_eq!(cloud.state()?["namespaces"], json!([]));
    assert_eq!(manifest(&dir)?, before);
    assert!(!dir.join(".durable-streams.json").exists());
    let said = cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    assert!(said.stdout.contains("Nothing to remove"), "{said:?}");
    Ok(())
}

#[test]
fn status_says_what_is_missing_and_what_differs() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-status")?;
    let status = |ok: bool| -> Result<Value> {
        let ran = cloud.run(&dir, &["status", "--json"])?;
        assert_eq!(ran.code, Some(i32::from(!ok)), "{ran:?}");
        ran.json()
    };
    let found = |document: &Value, what: &str| -> String {
        let checks = document["checks"].as_array().into_iter().flatten();
        let mut found = checks.filter(|check| check["what"] == what);
        found
            .next()
            .map_or(String::new(), |check| check["found"].to_string())
    };
    let before = status(false)?;
    assert!(
        found(&before, "worker my-streams").contains("not deployed"),
        "{before}"
    );
    assert!(
        found(&before, "R2 bucket my-streams").contains("missing"),
        "{before}"
    );
    cloud.run(&dir, DEPLOY)?.ok()?;
    let after = status(true)?;
    assert_eq!(after["ok"], true);
    assert!(found(&after, "code").contains("that of build/"), "{after}");

    fs::write(dir.join("build/index.js"), "// other")?;
    let text = manifest(&dir)?.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"1\"");
    fs::write(dir.join("wrangler.toml"), text)?;
    let differs = status(false)?;
    assert!(found(&differs, "code").contains("is not that"), "{differs}");
    assert!(found(&differs, "settings").contains("differ"), "{differs}");
    Ok(())
}

#[test]
fn malformed_variables_are_refused_before_anything_is_sent() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-malformed")?;
    let text = manifest(&dir)?.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"yes\"");
    fs::write(dir.join("wrangler.toml"), text)?;
    for args in [DEPLOY, &["deploy", "--no-build", "--dry-run"]] {
        let says = ["wrangler.toml: DEBUG_TIMING is \"yes\", not \"0\" or \"1\""];
        cloud.run(&dir, args)?.fails(&says)?;
    }
    assert!(cloud.requests()?.is_empty());
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn settings_that_would_be_lost_are_refused_before_anything_is_sent() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-lost-settings")?;
    let text = format!("{}\n[[d1_databases]]\nbinding = \"DB\"\n", manifest(&dir)?);
    fs::write(dir.join("wrangler.toml"), text)?;
    cloud
        .run(&dir, DEPLOY)?
        .fails(&["`d1_databases`", "wrangler deploy"])?;
    assert!(
        cloud
            .requests()?
            .iter()
            .all(|one| one.path.ends_with("/accounts"))
    );
    Ok(())
}

#[test]
fn what_is_not_built_is_told_before_anything_is_sent() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-unbuilt")?;
    fs::remove_dir_all(dir.join("build"))?;
    cloud
        .run(&dir, DEPLOY)?
        .fails(&["build/index.js", "--no-build"])?;
    assert!(
        cloud
            .requests()?
            .iter()
            .all(|one| one.path.ends_with("/accounts"))
    );
    Ok(())
}

#[test]
fn routes_and_custom_domains_are_set_and_replace_workers_dev() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-routes")?;
    let plain = manifest(&dir)?;
    let write = |text: &str| fs::write(dir.join("wrangler.toml"), format!("{text}\n{plain}"));
    // Without workers.dev, the account needs no subdomain.
    write("route = { pattern = \"a.example/*\", zone_name = \"a.example\" }")?;
    let document = cloud.run(&dir, DEPLOY)?.ok()?.json()?;
    assert_eq!(document["url"], Value::Null);
    let script = &cloud.state()?["scripts"]["my-streams"];
    assert_eq!(script["enabled"], false);
    let route = json!({ "pattern": "a.example/*", "zone_name": "a.example" });
    assert_eq!(script["routes"], json!([route]));

    write("workers_dev = true\nroutes = [{ pattern = \"b.example\", custom_domain = true }]")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let script = &cloud.state()?["scripts"]["my-streams"];
    assert_eq!(script["enabled"], true);
    assert_eq!(
        script["domains"]["origins"],
        json!([{ "hostname": "b.example" }])
    );
    assert_eq!(script["domains"]["override_existing_dns_record"], false);
    cloud.forget_requests()?;
    assert_eq!(cloud.run(&dir, DEPLOY)?.ok()?.json()?["changed"], false);
    assert!(cloud.requests()?.iter().all(|one| one.method == "GET"));
    Ok(())
}

#[test]
fn no_other_program_is_needed_once_the_worker_is_built() -> Result<()> {
    let (scratch, cloud, dir) = stage("repeated-alone")?;
    let nothing = scratch.path().join("nothing");
    fs::create_dir(&nothing)?;
    for args in [DEPLOY, &["status"], &["destroy", "--yes"]] {
        let mut command = cloud.command(&dir)?;
        Ran::of(command.args(args).env("PATH", &nothing))?.ok()?;
    }
    Ok(())
}

#[test]
fn what_others_write_while_a_deploy_waits_for_them_is_deployed() -> Result<()> {
    let (_scratch, cloud, dir) = stage("repeated-waiting")?;
    let folder = dir.join(".wrangler/durable-streams");
    fs::create_dir_all(&folder)?;
    // As `dev` has it while it builds, and gives the settings what the bundle needs.
    let bundle = fs::File::create(folder.join("bundle.lock"))?;
    bundle.lock()?;
    let mut command = cloud.command(&dir)?;
    let mut deploy = command
        .args(DEPLOY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(deploy.stderr.take().context("no stderr")?);
    let mut line = String::new();
    while !line.contains("Waiting for") {
        line.clear();
        ensure!(said.read_line(&mut line)? > 0, "it does not wait");
    }
    let text = manifest(&dir)?.replace("DEBUG_TIMING = \"0\"", "DEBUG_TIMING = \"1\"");
    fs::write(dir.join("wrangler.toml"), text)?;
    drop(bundle);
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    ensure!(deploy.wait()?.success(), "{rest}");
    let state = cloud.state()?;
    let bindings = &state["scripts"]["my-streams"]["metadata"]["bindings"];
    let mut bindings = bindings.as_array().into_iter().flatten();
    let timing = bindings.find(|one| one["name"] == "DEBUG_TIMING");
    assert_eq!(timing.context("no variable")?["text"], "1");
    Ok(())
}
