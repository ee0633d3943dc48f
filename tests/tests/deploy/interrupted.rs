//! Killed after each of its requests in turn, whether the request was carried out or not: the next
//! run always ends right, and nothing is there twice.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::cloud::{Cloud, checkout, small_project};
use durable_streams_tests::places::Scratch;
use durable_streams_tests::process::interrupt;
use durable_streams_tests::wait_until;
use serde_json::{Value, json};

/// Runs the program and kills it at the request of this number; false when it makes fewer.
fn kill_at(cloud: &Cloud, dir: &Path, args: &[&str], number: usize, after: bool) -> Result<bool> {
    cloud.forget_requests()?;
    cloud.fail(json!([{ "at": number, "hang": true, "after": after }]))?;
    let mut child = cloud
        .command(dir)?
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut ended = None;
    wait_until("the request has come", || {
        ended = child.try_wait()?;
        Ok(ended.is_some() || cloud.requests()?.len() > number)
    })?;
    if let Some(status) = ended {
        ensure!(status.success(), "{args:?} ended with {status}");
        return Ok(false);
    }
    // Its effect comes right after it is counted.
    std::thread::sleep(std::time::Duration::from_millis(50));
    child.kill()?;
    child.wait()?;
    cloud.fail(json!([]))?;
    Ok(true)
}

fn assert_deployed(cloud: &Cloud, dir: &Path) -> Result<()> {
    let state = cloud.state()?;
    let names = |key: &str, name: &str| -> Vec<Value> {
        let all = state[key].as_array().into_iter().flatten();
        all.map(|one| one[name].clone()).collect()
    };
    assert_eq!(names("buckets", "name"), ["my-streams"]);
    assert_eq!(names("namespaces", "title"), ["my-streams-registry"]);
    let script = &state["scripts"]["my-streams"];
    assert_eq!(script["tag"], "v2");
    assert_eq!(script["enabled"], true);
    let text = fs::read_to_string(dir.join("wrangler.toml"))?;
    let ids: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("id = "))
        .collect();
    assert_eq!(ids, [format!("id = {}", state["namespaces"][0]["id"])]);
    Ok(())
}

fn assert_gone(cloud: &Cloud, dir: &Path) -> Result<()> {
    let state = cloud.state()?;
    assert_eq!(state["buckets"], json!([]));
    assert_eq!(state["namespaces"], json!([]));
    assert_eq!(state["scripts"], json!({}));
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn a_deploy_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let scratch = Scratch::new("interrupted-deploy")?;
    let project = small_project(&scratch, "my-streams")?;
    for after in [false, true] {
        for number in 0.. {
            let cloud = Cloud::answering(&scratch)?;
            let dir = scratch.path().join(format!("{after}-{number}"));
            checkout(&project, &dir)?;
            let deploy = ["deploy", "--no-build"];
            if !kill_at(&cloud, &dir, &deploy, number, after)? {
                // Accounts, workers, subdomain, bucket, namespaces, Analytics Engine; two created;
                // upload, two for the URL.
                assert_eq!(number, 11);
                break;
            }
            cloud.run(&dir, &deploy)?.ok().context(number)?;
            assert_deployed(&cloud, &dir)?;
            assert!(cloud.state()?["uploads"].as_u64() <= Some(2));
            // It knows what is its own, too.
            cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
            assert_gone(&cloud, &dir)?;
        }
    }
    Ok(())
}

#[test]
fn a_removal_that_is_killed_is_finished_by_the_next_or_taken_back_by_a_deploy() -> Result<()> {
    let scratch = Scratch::new("interrupted-destroy")?;
    let project = small_project(&scratch, "my-streams")?;
    for after in [false, true] {
        for number in 0.. {
            let cloud = Cloud::answering(&scratch)?;
            let dir = scratch.path().join(format!("{after}-{number}"));
            checkout(&project, &dir)?;
            cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
            cloud.put_object("my-streams", "a", "x")?;
            let destroy = ["destroy", "--yes"];
            if !kill_at(&cloud, &dir, &destroy, number, after)? {
                assert!(number > 8, "{number}");
                break;
            }
            cloud.run(&dir, &destroy)?.ok().context(number)?;
            assert_gone(&cloud, &dir)?;
            cloud.run(&dir, &["deploy", "--no-build"])?.ok()?;
            assert_deployed(&cloud, &dir)?;
        }
    }
    Ok(())
}

/// What a rename leaves, killed anywhere and run again: the way it was meant.
fn rename_is_finished(how: &str) -> Result<()> {
    let scratch = Scratch::new(&format!("interrupted-{how}"))?;
    let project = small_project(&scratch, "my-streams")?;
    let cloud = Cloud::answering(&scratch)?;
    let deploy = ["deploy", "--no-build"];
    let renaming = ["deploy", "--no-build", "--rename", how];
    for after in [false, true] {
        for number in 0.. {
            let nothing = json!({ "buckets": [], "namespaces": [], "scripts": {}, "uploads": 0 });
            cloud.set(nothing)?;
            let dir = scratch.path().join(format!("{after}-{number}"));
            checkout(&project, &dir)?;
            cloud.run(&dir, &deploy)?.ok()?;
            let path = dir.join("wrangler.toml");
            let text = fs::read_to_string(&path)?;
            fs::write(
                &path,
                text.replacen("name = \"my-streams\"", "name = \"b\"", 1),
            )?;
            if !kill_at(&cloud, &dir, &renaming, number, after)? {
                assert!(number > 8, "{number}");
                break;
            }
            // What was begun is gone on with; what was not is asked for again.
            if cloud.run(&dir, &deploy)?.code != Some(0) {
                cloud.run(&dir, &renaming)?.ok().context(number)?;
            }
            let state = cloud.state()?;
            let count = |kind: &str| state[kind].as_array().map_or(0, Vec::len);
            let classes = |name: &str| {
                let classes = state["scripts"][name]["classes"].as_object();
                classes.map(serde_json::Map::len)
            };
            let found = (
                classes("my-streams"),
                classes("b"),
                count("buckets"),
                count("namespaces"),
            );
            let expected = match how {
                "carry-over" => (Some(0), Some(3), 1, 1),
                _ => (Some(3), Some(3), 2, 2),
            };
            assert_eq!(found, expected, "{how} {after} {number}");
            cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
            assert_gone(&cloud, &dir)?;
        }
    }
    Ok(())
}

#[test]
fn streams_that_are_being_carried_over_arrive() -> Result<()> {
    rename_is_finished("carry-over")
}

#[test]
fn two_that_are_being_kept_apart_stay_apart() -> Result<()> {
    rename_is_finished("keep-both")
}

#[test]
fn ctrl_c_ends_it_while_cloudflare_says_nothing() -> Result<()> {
    let scratch = Scratch::new("interrupted-ctrl-c")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.fail(json!([{ "method": "PUT", "hang": true }]))?;
    let mut child = cloud
        .command(&dir)?
        .args(["deploy", "--no-build"])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    wait_until("it uploads", || {
        Ok(cloud.requests()?.iter().any(|one| one.method == "PUT"))
    })?;
    let pressed = Instant::now();
    interrupt(&child)?;
    assert_eq!(child.wait()?.code(), Some(130));
    assert!(pressed.elapsed() < Duration::from_secs(2));
    Ok(())
}
