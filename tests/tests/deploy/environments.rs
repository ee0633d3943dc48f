//! Environments: each is a worker with a bucket and a namespace of its own.

use std::fs;

use anyhow::Result;
use durable_streams_tests::cloud::{Ran, stage};
use serde_json::{Value, json};

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const STAGING: &[&str] = &["deploy", "--no-build", "--env", "staging"];

/// What an environment has to say for itself.
const ENVIRONMENT: &str = r#"
# To try things.
[env.staging]
[[env.staging.durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[[env.staging.durable_objects.bindings]]
name = "DIRECTORIES"
class_name = "DirectoryDO"
[[env.staging.durable_objects.bindings]]
name = "SUBSCRIPTIONS"
class_name = "SubscriptionDO"
[[env.staging.r2_buckets]]
binding = "R2" # cold
[[env.staging.kv_namespaces]]
binding = "REGISTRY" # projects
[env.staging.vars]
DEBUG_TIMING = "1"
"#;

/// A project whose settings are in JSON.
const JSON: &str = r#"{
  // Mine.
  "name": "my-streams",
  "main": "build/index.js",
  "compatibility_date": "2026-04-01",
  "durable_objects": {
    "bindings": [
      { "name": "STREAMS", "class_name": "StreamDO" }, // first
    ],
  },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["StreamDO"] }],
  "r2_buckets": [{ "binding": "R2" }],
  "kv_namespaces": [{ "binding": "REGISTRY" }],
}
"#;

fn names(list: &Value, key: &str) -> Vec<String> {
    let all = list.as_array().into_iter().flatten();
    let mut names: Vec<String> = all
        .filter_map(|one| Some(one[key].as_str()?.to_owned()))
        .collect();
    names.sort();
    names
}

fn bindings(state: &Value, worker: &str, kind: &str) -> Vec<Value> {
    let bindings = state["scripts"][worker]["metadata"]["bindings"].as_array();
    let bindings = bindings.into_iter().flatten();
    bindings
        .filter(|one| one["type"] == kind)
        .cloned()
        .collect()
}

fn assert_says(ran: &Ran, texts: &[&str]) {
    for text in texts {
        assert!(ran.stderr.contains(text), "no {text:?} in {}", ran.stderr);
    }
}

#[test]
fn an_environment_is_deployed_beside_the_top_level() -> Result<()> {
    let (_scratch, cloud, dir) = stage("environments-beside")?;
    let manifest = dir.join("wrangler.toml");
    let top = fs::read_to_string(&manifest)?;
    fs::write(&manifest, format!("{top}{ENVIRONMENT}"))?;

    let ran = cloud.run(&dir, STAGING)?.ok()?;
    assert!(ran.stdout.contains("my-streams-staging"), "{}", ran.stdout);
    // The dataset is not inherited, and that is all.
    assert_says(
        &ran,
        &["`env.staging` has no `analytics_engine_datasets`, and"],
    );
    let text = fs::read_to_string(&manifest)?;
    let (before, own) = text.split_once("\n# To try things.").unwrap_or_default();
    assert_eq!(before, top, "the top level is left alone");
    assert!(
        own.contains("binding = \"R2\" # cold\nbucket_name = \"my-streams-staging-r2\"\n"),
        "{own}"
    );
    assert!(
        own.contains("binding = \"REGISTRY\" # projects\nid = \""),
        "{own}"
    );

    let ran = cloud.run(&dir, DEPLOY)?.ok()?;
    assert_says(&ran, &["no environment was named", "`staging`"]);
    let state = cloud.state()?;
    assert_eq!(
        names(&state["buckets"], "name"),
        ["my-streams", "my-streams-staging-r2"]
    );
    assert_eq!(
        names(&state["namespaces"], "title"),
        ["my-streams-registry", "my-streams-staging-registry"]
    );
    let of = |worker, kind, key: &str| bindings(&state, worker, kind)[0][key].clone();
    assert_eq!(of("my-streams", "r2_bucket", "bucket_name"), "my-streams");
    assert_eq!(
        of("my-streams-staging", "r2_bucket", "bucket_name"),
        "my-streams-staging-r2"
    );
    assert_ne!(
        of("my-streams", "kv_namespace", "namespace_id"),
        of("my-streams-staging", "kv_namespace", "namespace_id")
    );
    assert_eq!(
        bindings(&state, "my-streams-staging", "plain_text"),
        [json!({ "name": "DEBUG_TIMING", "type": "plain_text", "text": "1" })]
    );
    assert_eq!(state["scripts"]["my-streams-staging"]["tag"], "v2");

    let mut command = cloud.command(&dir)?;
    command.args(["status", "--json"]);
    let status = Ran::of(command.env("CLOUDFLARE_ENV", "staging"))?.json()?;
    assert_eq!(status["project"]["name"], "my-streams-staging");
    assert_eq!(cloud.state()?["uploads"], 2);
    Ok(())
}

#[test]
fn an_environment_that_cannot_be_meant_is_refused_before_anything_is_made() -> Result<()> {
    let (_scratch, cloud, dir) = stage("environments-refused")?;
    let manifest = dir.join("wrangler.toml");
    cloud.run(&dir, STAGING)?.fails(&[
        "wrangler.toml has no environment `staging`: it has none",
        "[env.staging]",
    ])?;
    let top = fs::read_to_string(&manifest)?;
    fs::write(&manifest, format!("{top}\n[env.staging]\n[env.live]\n"))?;
    for command in [&["deploy", "--no-build"][..], &["provision"], &["dev"]] {
        let named = |name| cloud.run(&dir, &[command, &["--env", name]].concat());
        named("staging")?.fails(&[
            "`env.staging` has no `analytics_engine_datasets`, `durable_objects`",
            "its worker would have no streams",
            "say it once more in `env.staging`",
        ])?;
        named("stagnig")?.fails(&["no environment `stagnig`: it has `live`, `staging`"])?;
    }
    assert_eq!(cloud.state()?["scripts"], json!({}));
    assert_eq!(cloud.state()?["buckets"], json!([]));
    Ok(())
}

#[test]
fn settings_in_json_are_read_and_written() -> Result<()> {
    let (_scratch, cloud, dir) = stage("environments-json")?;
    fs::remove_file(dir.join("wrangler.toml"))?;
    fs::write(dir.join("wrangler.jsonc"), JSON)?;

    cloud.run(&dir, DEPLOY)?.ok()?;
    let text = fs::read_to_string(dir.join("wrangler.jsonc"))?;
    assert!(
        text.contains("// Mine.") && text.contains("// first"),
        "{text}"
    );
    // What a release brought, it has got as well.
    assert!(
        text.contains("\"DIRECTORIES\"") && text.contains("\"v2\""),
        "{text}"
    );
    let state = cloud.state()?;
    let id = state["namespaces"][0]["id"].as_str().unwrap_or_default();
    assert!(text.contains(&format!("\"id\": \"{id}\"")), "{text}");
    assert!(
        text.contains("\"bucket_name\": \"my-streams-r2\""),
        "{text}"
    );
    let again = cloud.run(&dir, DEPLOY)?.ok()?.stdout;
    assert!(again.starts_with("Nothing to do"), "{again}");
    assert_eq!(fs::read_to_string(dir.join("wrangler.jsonc"))?, text);
    Ok(())
}
