//! What belongs to whom: nothing is replaced, adopted or removed that this project did not make, unless
//! it is asked for by name.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{ACCOUNT, Cloud, checkout, small_project, stage};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::terminal::Terminal;
use serde_json::{Value, json};
use ureq::http::Method;

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const DESTROY: &[&str] = &["destroy", "--yes"];

fn rename(dir: &Path, from: &str, to: &str) -> Result<()> {
    let path = dir.join("wrangler.toml");
    let text = fs::read_to_string(&path)?;
    let line = format!("name = \"{from}\"\n");
    assert!(text.starts_with(&line), "{text}");
    Ok(fs::write(
        &path,
        text.replacen(&line, &format!("name = \"{to}\"\n"), 1),
    )?)
}

#[test]
fn a_changed_name_is_told_before_anything_changes() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-told")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let before = cloud.state()?;
    rename(&dir, "my-streams", "renamed")?;
    for args in [
        DEPLOY,
        &["provision"],
        &["deploy", "--no-build", "--dry-run"],
    ] {
        cloud.run(&dir, args)?.fails(&[
            "wrangler.toml names the worker renamed, and this project has deployed it as my-streams",
            "--rename carry-over",
            "--rename keep-both",
        ])?;
    }
    assert_eq!(cloud.state()?, before);
    Ok(())
}

#[test]
fn what_another_folder_has_made_is_neither_replaced_nor_removed() -> Result<()> {
    let (scratch, cloud, dir) = stage("ownership-foreign")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let before = cloud.state()?;
    let other = small_project(&scratch, "other/my-streams")?;
    cloud.run(&other, DESTROY)?.ok()?;
    cloud
        .run(&other, DEPLOY)?
        .fails(&["worker my-streams", "--adopt my-streams"])?;
    assert_eq!(cloud.state()?, before);
    Ok(())
}

/// What is there, by name: workers, buckets, namespaces.
fn there(cloud: &Cloud) -> Result<(Vec<String>, Vec<String>, Vec<String>)> {
    let state = cloud.state()?;
    let names = |kind: &str, key: &str| {
        let all = state[kind].as_array().into_iter().flatten();
        let names = all.filter_map(|one| one[key].as_str());
        names.map(str::to_owned).collect()
    };
    let scripts = state["scripts"].as_object().context("no scripts")?;
    let scripts = scripts.keys().cloned().collect();
    Ok((
        scripts,
        names("buckets", "name"),
        names("namespaces", "title"),
    ))
}

fn record(dir: &Path) -> Result<Value> {
    let record = fs::read(dir.join(".durable-streams.json"))?;
    let record: Value = serde_json::from_slice(&record)?;
    Ok(record["accounts"][ACCOUNT].clone())
}

/// Somebody's worker with these bindings, beside what there is.
fn add_worker(cloud: &Cloud, name: &str, bindings: Value) -> Result<()> {
    let mut scripts = cloud.state()?["scripts"].clone();
    scripts[name] = json!({
        "metadata": { "bindings": bindings, "compatibility_date": "2026-04-01" },
        "classes": {}, "keys": {}, "secrets": {}, "modules": [], "etag": "x", "mark": name,
    });
    cloud.set(json!({ "scripts": scripts }))
}

#[test]
fn the_record_tells_what_was_made_from_what_has_its_name() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-marks")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let state = cloud.state()?;
    let worker = &state["scripts"]["my-streams"];
    assert_eq!(
        record(&dir)?,
        json!({
            "workers": [{
                "name": "my-streams", "id": worker["mark"], "created": worker["created"],
                "classes": ["DirectoryDO", "StreamDO", "SubscriptionDO"],
            }],
            "buckets": [{
                "name": "my-streams", "created": state["buckets"][0]["creation_date"],
            }],
            "namespaces": [{
                "title": "my-streams-registry", "id": state["namespaces"][0]["id"],
            }],
        })
    );
    // Somebody has removed all of it in the dashboard, and made others of the same names.
    let mut other = state.clone();
    other["scripts"]["my-streams"]["mark"] = json!("another");
    other["buckets"][0]["creation_date"] = json!("2020-01-01T00:00:00.000Z");
    other["namespaces"][0]["id"] = json!("another");
    cloud.set(other.clone())?;
    cloud
        .run(&dir, DEPLOY)?
        .fails(&["the account has no KV namespace"])?;
    let path = dir.join("wrangler.toml");
    let text = fs::read_to_string(&path)?;
    let without = text.lines().filter(|line| !line.starts_with("id = "));
    fs::write(&path, without.collect::<Vec<_>>().join("\n"))?;
    let says = ["the worker my-streams is not the one that this project has made"];
    cloud.run(&dir, DEPLOY)?.fails(&says)?;
    let said = cloud.run(&dir, DESTROY)?.ok()?;
    for stays in [
        "worker my-streams",
        "R2 bucket my-streams",
        "KV namespace my-streams-registry",
    ] {
        let stays = format!("Stays: {stays}: this project has no record of making it");
        assert!(said.stderr.contains(&stays), "{stays}: {said:?}");
    }
    assert_eq!(cloud.state()?, other);
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn the_record_of_the_first_release_is_as_good() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-older")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let older = || {
        let created = json!({
            "worker": "my-streams", "buckets": ["my-streams"], "namespaces": ["my-streams-registry"],
        });
        let older = json!({ ACCOUNT: created });
        fs::write(dir.join(".durable-streams.json"), older.to_string())
    };
    older()?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let state = cloud.state()?;
    assert_eq!(
        record(&dir)?["workers"][0]["id"],
        state["scripts"]["my-streams"]["mark"]
    );
    assert_eq!(
        record(&dir)?["namespaces"][0]["id"],
        state["namespaces"][0]["id"]
    );
    older()?;
    rename(&dir, "my-streams", "renamed")?;
    let says = ["has deployed it as my-streams"];
    cloud.run(&dir, DEPLOY)?.fails(&says)?;
    // Whatever the name is now, all of it goes.
    cloud.run(&dir, DESTROY)?.ok()?;
    assert_eq!(there(&cloud)?, Default::default());
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn nothing_is_removed_that_another_worker_is_bound_to() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-bound")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let id = cloud.state()?["namespaces"][0]["id"].clone();
    let bucket = json!({ "name": "B", "type": "r2_bucket", "bucket_name": "my-streams" });
    let namespace = json!({ "name": "N", "type": "kv_namespace", "namespace_id": id });
    let class = json!({
        "name": "C", "type": "durable_object_namespace", "class_name": "StreamDO",
        "script_name": "my-streams",
    });
    let service = json!({ "name": "S", "type": "service", "service": "my-streams" });
    // Whoever uses the worker uses all that it has.
    for binding in [class, service] {
        add_worker(&cloud, "other", json!([binding]))?;
        let before = cloud.state()?;
        let said = cloud.run(&dir, DESTROY)?.ok()?;
        let stays = "Stays: worker my-streams: the worker other is bound to it";
        assert!(said.stderr.contains(stays), "{said:?}");
        assert!(said.stdout.starts_with("Nothing to remove"), "{said:?}");
        assert_eq!(cloud.state()?, before);
    }
    add_worker(&cloud, "other", json!([bucket, namespace]))?;
    // Should one worker not say what it is bound to, nothing is removed.
    cloud.fail(json!([{ "path": "/scripts/other/settings$", "status": 403 }]))?;
    let before = cloud.state()?;
    let says = ["reading the settings of the worker other"];
    cloud.run(&dir, DESTROY)?.fails(&says)?;
    assert_eq!(cloud.state()?, before);
    // One that has gone meanwhile is no obstacle.
    cloud.fail(json!([{ "path": "/scripts/other/settings$", "status": 404 }]))?;
    let says = ["Will be lost: R2 bucket my-streams"];
    cloud.run(&dir, &["destroy"])?.fails(&says)?;
    cloud.fail(json!([]))?;
    let said = cloud.run(&dir, DESTROY)?.ok()?;
    assert_eq!(said.stdout.trim(), "Removed: worker my-streams");
    let (workers, buckets, namespaces) = there(&cloud)?;
    assert_eq!(workers, ["other"]);
    assert_eq!((buckets.len(), namespaces.len()), (1, 1));
    // Once it is not any more, they go.
    add_worker(&cloud, "other", json!([]))?;
    cloud.run(&dir, DESTROY)?.ok()?;
    let (workers, buckets, namespaces) = there(&cloud)?;
    assert_eq!(workers, ["other"]);
    assert_eq!((buckets.len(), namespaces.len()), (0, 0));
    Ok(())
}

#[test]
fn a_checkout_without_the_record_asks_by_name() -> Result<()> {
    let (scratch, cloud, dir) = stage("ownership-checkout")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let other = scratch.path().join("checkout");
    checkout(&dir, &other)?;
    let adopt = ["deploy", "--no-build", "--adopt", "my-streams"];
    cloud.run(&other, DEPLOY)?.fails(&["--adopt my-streams"])?;
    cloud.run(&other, &adopt)?.ok()?;
    // Once is enough; and what the worker had is not this checkout's.
    cloud.run(&other, DEPLOY)?.ok()?;
    let before = cloud.state()?;
    let said = cloud.run(&other, DESTROY)?.ok()?;
    assert!(
        said.stderr
            .contains("Stays: worker my-streams: it was there before"),
        "{said:?}"
    );
    assert_eq!(cloud.state()?, before);
    cloud
        .run(&other, &["destroy", "--yes", "--adopt", "my-strems"])?
        .fails(&["--adopt my-strems", "`my-streams`"])?;
    assert_eq!(cloud.state()?, before);
    // Bucket and worker have one name.
    cloud
        .run(&other, &["destroy", "--yes", "--adopt", "my-streams"])?
        .ok()?;
    let (workers, buckets, namespaces) = there(&cloud)?;
    assert_eq!((workers.len(), buckets.len(), namespaces.len()), (0, 0, 1));
    // Whoever has made it takes that for what it is.
    cloud.run(&dir, DESTROY)?.ok()?;
    assert_eq!(there(&cloud)?, Default::default());
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn deploys_from_new_checkouts_go_on_by_name() -> Result<()> {
    let (scratch, cloud, project) = stage("ownership-checkouts")?;
    let adopt = [
        "deploy",
        "--no-build",
        "--adopt",
        "my-streams",
        "--adopt",
        "my-streams-registry",
    ];
    // The third is broken off before there is a worker.
    let no_upload = json!([{ "method": "PUT", "path": "/scripts/my-streams$", "status": 401 }]);
    for (number, fault) in [json!([]), json!([]), no_upload, json!([])]
        .iter()
        .enumerate()
    {
        let dir = scratch.path().join(format!("checkout-{number}"));
        checkout(&project, &dir)?;
        if number == 2 {
            let everything = json!({ "buckets": [], "namespaces": [], "scripts": {} });
            cloud.set(everything)?;
        }
        cloud.fail(fault.clone())?;
        let ran = cloud.run(&dir, &adopt)?;
        assert_eq!(ran.code == Some(0), number != 2, "{number}: {ran:?}");
    }
    let (workers, buckets, namespaces) = there(&cloud)?;
    assert_eq!((workers.len(), buckets.len(), namespaces.len()), (1, 1, 1));
    Ok(())
}

#[test]
fn what_another_environment_has_made_is_not_replaced() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-sibling")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let path = dir.join("wrangler.toml");
    let text = fs::read_to_string(&path)?;
    let staging = "[env.staging]\nname = \"my-streams\"\n\
                   [[env.staging.durable_objects.bindings]]\nname = \"STREAMS\"\nclass_name = \"StreamDO\"\n";
    fs::write(&path, format!("{text}\n{staging}"))?;
    let before = cloud.state()?;
    let says = ["the worker my-streams is that of the top level of this project"];
    let staging = ["deploy", "--no-build", "--env", "staging"];
    cloud.run(&dir, &staging)?.fails(&says)?;
    let staging = ["destroy", "--yes", "--env", "staging"];
    let said = cloud.run(&dir, &staging)?.ok()?;
    let stays = "Stays: worker my-streams: the top level has made it, and removes it";
    assert!(said.stderr.contains(stays), "{said:?}");
    assert_eq!(cloud.state()?, before);
    Ok(())
}

#[test]
fn a_worker_that_somebody_makes_meanwhile_is_not_replaced() -> Result<()> {
    let (scratch, cloud, dir) = stage("ownership-meanwhile")?;
    let other = small_project(&scratch, "other/my-streams")?;
    let path = other.join("wrangler.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(
        &path,
        text.replace("bucket_name = \"my-streams\"", "bucket_name = \"theirs\""),
    )?;
    cloud.run(&other, DEPLOY)?.ok()?;
    let before = cloud.state()?["scripts"].clone();
    // It was not there when this one looked.
    cloud.fail(json!([{
        "method": "GET", "path": "/workers/scripts$", "times": 1,
        "text": "{\"success\":true,\"errors\":[],\"result\":[]}",
    }]))?;
    cloud
        .run(
            &dir,
            &["deploy", "--no-build", "--adopt", "my-streams-registry"],
        )?
        .fails(&["somebody else has made a worker my-streams"])?;
    assert_eq!(cloud.state()?["scripts"], before);
    assert!(record(&dir)?["workers"].is_null());
    Ok(())
}

#[test]
fn streams_are_carried_over_to_the_new_name() -> Result<()> {
    let scratch = Scratch::new("ownership-carried")?;
    let cloud = Cloud::booting(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let secret = json!({ "name": "KEY", "text": "x", "type": "secret_text" });
    cloud.api(Method::PUT, "/workers/scripts/my-streams/secrets", &secret)?;
    cloud.put_object("my-streams", "cold", "3")?;
    let ask = |method: Method, path: &str| cloud.worker().call(method, path);
    ask(Method::PUT, "/object/a")
        .send_bytes(b"here")?
        .expect(200)?;
    rename(&dir, "my-streams", "renamed")?;
    cloud
        .run(&dir, DEPLOY)?
        .fails(&["its secrets have to be set again (KEY)"])?;
    let how = ["deploy", "--no-build", "--json", "--rename", "carry-over"];
    let document = cloud.run(&dir, &how)?.ok()?.json()?;
    let transfer = |class: &str| json!({ "from": class, "from_script": "my-streams", "to": class });
    let classes = ["DirectoryDO", "StreamDO", "SubscriptionDO"].map(transfer);
    assert_eq!(
        document["migrations"],
        json!({ "new_tag": "v2", "steps": [{ "transferred_classes": classes }] })
    );
    let again = cloud.run(&dir, &["deploy", "--no-build", "--json"])?.ok()?;
    assert_eq!(again.json()?["changed"], false);
    let workers = record(&dir)?["workers"].clone();
    assert_eq!(workers[0]["name"], "my-streams");
    assert!(workers[0]["classes"].is_null(), "{workers}");
    assert_eq!(workers[1]["classes"].as_array().map(Vec::len), Some(3));

    // The old one can go alone, and takes nothing along.
    let mut command = cloud.command(&dir)?;
    command.args(["destroy", "--worker", "my-streams"]);
    let mut terminal = Terminal::run(&mut command)?;
    terminal.wait_for("Will be lost: worker my-streams and its URL")?;
    terminal.answer("Type `my-streams`", "my-streams\r")?;
    terminal.wait_for("Removed: worker my-streams")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    assert_eq!(there(&cloud)?.0, ["renamed"]);
    assert_eq!(
        ask(Method::GET, "/object/a").send()?.expect(200)?.text(),
        "here"
    );
    assert_eq!(ask(Method::GET, "/cold").send()?.expect(200)?.text(), "3");
    let says = ["no record of making a worker my-streams", "`renamed`"];
    cloud
        .run(&dir, &["destroy", "--yes", "--worker", "my-streams"])?
        .fails(&says)?;
    cloud.run(&dir, DESTROY)?.ok()?;
    assert_eq!(there(&cloud)?, Default::default());
    Ok(())
}

#[test]
fn both_are_kept_apart_and_neither_is_served_the_others_data() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-both")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let before = cloud.state()?;
    rename(&dir, "my-streams", "second")?;
    cloud
        .run(&dir, &["deploy", "--no-build", "--rename", "keep-both"])?
        .ok()?;
    let after = cloud.state()?;
    assert_eq!(
        after["scripts"]["my-streams"],
        before["scripts"]["my-streams"]
    );
    let (workers, buckets, namespaces) = there(&cloud)?;
    assert_eq!(workers, ["my-streams", "second"]);
    assert_eq!(buckets, ["my-streams", "second-r2"]);
    assert_eq!(namespaces, ["my-streams-registry", "second-registry"]);
    let id = |number: usize| {
        after["namespaces"][number]["id"]
            .as_str()
            .unwrap_or_default()
    };
    let text = fs::read_to_string(dir.join("wrangler.toml"))?;
    assert!(text.contains("bucket_name = \"second-r2\"\n"), "{text}");
    assert!(text.contains(id(1)) && !text.contains(id(0)), "{text}");
    // Back under the old name, its streams are not led to the new bucket.
    rename(&dir, "second", "my-streams")?;
    let says = [
        "the bucket my-streams holds",
        "set `bucket_name = \"my-streams\"`",
    ];
    cloud.run(&dir, DEPLOY)?.fails(&says)?;
    assert_eq!(cloud.state()?, after);
    Ok(())
}

#[test]
fn streams_are_not_carried_over_without_what_has_moved_of_them() -> Result<()> {
    let (_scratch, cloud, dir) = stage("ownership-partly")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let before = cloud.state()?;
    // The whole file was searched and replaced.
    let path = dir.join("wrangler.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace("\"my-streams\"", "\"renamed\""))?;
    let how = ["deploy", "--no-build", "--rename", "carry-over"];
    let says = ["the bucket my-streams holds what has moved of the streams of my-streams"];
    cloud.run(&dir, &how)?.fails(&says)?;
    assert_eq!(cloud.state()?, before);
    Ok(())
}

#[test]
fn on_a_terminal_it_is_asked() -> Result<()> {
    let (scratch, cloud, dir) = stage("ownership-terminal")?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    rename(&dir, "my-streams", "renamed")?;
    let before = cloud.state()?;
    let run = |dir: &Path, args: &[&str]| -> Result<Terminal> {
        Terminal::run(cloud.command(dir)?.args(args))
    };
    let mut terminal = run(&dir, DEPLOY)?;
    terminal.wait_for("to Cloudflare these are two workers")?;
    terminal.answer("What is to be done?", "\r")?;
    terminal.wait_for("nothing was changed")?;
    assert_eq!(terminal.end()?.code(), Some(1));
    assert_eq!(cloud.state()?, before);
    let mut terminal = run(&dir, DEPLOY)?;
    terminal.answer("What is to be done?", "\u{1b}[B\u{1b}[B\r")?;
    terminal.wait_for("Deployed renamed")?;
    assert_eq!(terminal.end()?.code(), Some(0));
    assert_eq!(there(&cloud)?.0, ["my-streams", "renamed"]);

    let other = small_project(&scratch, "other/my-streams")?;
    let before = cloud.state()?;
    for (typed, code) in [("no\r", 1), ("my-streams\r", 0)] {
        let mut terminal = run(&other, DEPLOY)?;
        terminal.wait_for("no record of making: a deploy would replace it")?;
        assert_eq!(cloud.state()?, before);
        terminal.answer("Type `my-streams` to go on", typed)?;
        assert_eq!(terminal.end()?.code(), Some(code));
    }
    assert_ne!(cloud.state()?, before);
    Ok(())
}
