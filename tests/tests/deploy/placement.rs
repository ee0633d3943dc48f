//! Where streams and their bucket are: what is sent of it, and that nothing is looked for elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{ACCOUNT, Cloud, small_project_with};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};
use ureq::http::Method;

const DEPLOY: &[&str] = &["deploy", "--no-build"];

fn stage(name: &str, options: &[&str]) -> Result<(Scratch, Cloud, PathBuf)> {
    let scratch = Scratch::new(name)?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project_with(&scratch, "my-streams", options)?;
    Ok((scratch, cloud, dir))
}

fn replace(dir: &Path, from: &str, to: &str) -> Result<()> {
    let path = dir.join("wrangler.toml");
    let text = fs::read_to_string(&path)?;
    assert!(text.contains(from), "{text}");
    Ok(fs::write(path, text.replace(from, to))?)
}

fn binding(cloud: &Cloud, name: &str) -> Result<Value> {
    let state = cloud.state()?;
    let bindings = &state["scripts"]["my-streams"]["metadata"]["bindings"];
    let mut bindings = bindings.as_array().into_iter().flatten();
    let found = bindings.find(|one| one["name"] == name);
    Ok(found.with_context(|| format!("no {name}"))?.clone())
}

#[test]
fn a_jurisdiction_holds_streams_and_bucket_from_the_first_deploy_to_the_last() -> Result<()> {
    let options = ["--jurisdiction", "eu", "--location-hint", "weur"];
    let (_scratch, cloud, dir) = stage("placed-eu", &options)?;
    // Somebody's bucket of the same name elsewhere is another one.
    let other = json!({ "name": "my-streams" });
    cloud.api(Method::POST, "/r2/buckets", &other)?;
    let said = cloud.run(&dir, DEPLOY)?.ok()?.stdout;
    assert!(
        said.contains("R2 bucket my-streams in jurisdiction eu as R2: created"),
        "{said}"
    );
    assert_eq!(binding(&cloud, "JURISDICTION")?["text"], "eu");
    assert_eq!(binding(&cloud, "LOCATION_HINT")?["text"], "weur");
    assert_eq!(binding(&cloud, "R2")?["jurisdiction"], "eu");
    let record: Value = serde_json::from_slice(&fs::read(dir.join(".durable-streams.json"))?)?;
    let account = &record["accounts"][ACCOUNT];
    assert_eq!(account["buckets"][0]["jurisdiction"], "eu", "{record}");

    let status = cloud.run(&dir, &["status"])?.stdout;
    assert!(
        status.contains("bucket my-streams in jurisdiction eu: is there"),
        "{status}"
    );
    cloud.put_object("my-streams", "a", "1")?;
    cloud.run(&dir, &["destroy", "--yes"])?.ok()?;
    let ours = cloud.requests()?;
    let about_buckets = ours
        .iter()
        .filter(|one| one.path.contains("/r2/buckets/my-streams"));
    let kinds: Vec<_> = about_buckets
        .map(|one| (one.method.as_str(), one.jurisdiction.as_deref()))
        .collect();
    assert!(kinds.len() >= 5, "{kinds:?}");
    assert!(
        kinds.iter().all(|(_, place)| *place == Some("eu")),
        "{kinds:?}"
    );
    let left = cloud.state()?["buckets"].clone();
    assert_eq!(left.as_array().map(Vec::len), Some(1), "{left}");
    assert!(left[0]["jurisdiction"].is_null(), "{left}");
    assert!(!dir.join(".durable-streams.json").exists());
    Ok(())
}

#[test]
fn a_hint_places_the_bucket_where_buckets_can_be() -> Result<()> {
    for (hint, sent) in [("apac", json!("apac")), ("afr", Value::Null)] {
        let name = format!("placed-{hint}");
        let (_scratch, cloud, dir) = stage(&name, &["--location-hint", hint])?;
        cloud.run(&dir, DEPLOY)?.ok()?;
        let requests = cloud.requests()?;
        let made = requests
            .iter()
            .find(|one| one.method == "POST" && one.path.ends_with("/r2/buckets"));
        let made = made.context("no bucket was made")?;
        assert_eq!(made.body["locationHint"], sent);
        assert_eq!(made.jurisdiction, None);
        assert_eq!(binding(&cloud, "LOCATION_HINT")?["text"], hint);
    }
    Ok(())
}

#[test]
fn another_jurisdiction_is_refused_once_there_are_streams() -> Result<()> {
    let (_scratch, cloud, dir) = stage("placed-moved", &["--jurisdiction", "eu"])?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    let before = cloud.state()?;
    let before_it = fs::read_to_string(dir.join("wrangler.toml"))?;
    let nowhere = before_it.replace("\njurisdiction = \"eu\"", "");
    for text in [
        before_it.replace("\"eu\"", "\"us\""),
        nowhere.replace("\"eu\"", "\"\""),
    ] {
        fs::write(dir.join("wrangler.toml"), text)?;
        let says = &["the streams of the deployed worker are in jurisdiction `eu`"];
        cloud.run(&dir, DEPLOY)?.fails(says)?;
        cloud.run(&dir, &["provision"])?.fails(says)?;
        let dry = &["deploy", "--dry-run", "--no-build"];
        cloud.run(&dir, dry)?.fails(says)?;
        let status = cloud.run(&dir, &["status"])?.fails(&[])?.stdout;
        assert!(status.contains("differs jurisdiction"), "{status}");
    }
    assert_eq!(cloud.state()?, before);
    Ok(())
}

#[test]
fn streams_that_are_in_no_jurisdiction_are_not_left_behind() -> Result<()> {
    let (_scratch, cloud, dir) = stage("placed-late", &[])?;
    cloud.run(&dir, DEPLOY)?.ok()?;
    replace(&dir, "JURISDICTION = \"\"", "JURISDICTION = \"eu\"")?;
    let says = &["add `jurisdiction = \"eu\"`"];
    cloud.run(&dir, DEPLOY)?.fails(says)?;
    let bucket = "bucket_name = \"my-streams\"";
    replace(&dir, bucket, &format!("{bucket}\njurisdiction = \"eu\""))?;
    let says = &["of the deployed worker are in no jurisdiction"];
    cloud.run(&dir, DEPLOY)?.fails(says)?;
    // Without the worker the streams are gone, and the bucket is still where it is.
    cloud
        .run(&dir, &["destroy", "--yes", "--keep-data"])?
        .ok()?;
    let says = &["has made the bucket my-streams in no jurisdiction"];
    cloud.run(&dir, DEPLOY)?.fails(says)?;
    assert_eq!(cloud.state()?["buckets"].as_array().map(Vec::len), Some(1));
    Ok(())
}
