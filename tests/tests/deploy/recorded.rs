//! The requests of the program held against those that wrangler 4.86 was recorded to send. Each test
//! names every difference; one that is not named fails it.

use std::fs;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, Request, small_project};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};
use ureq::http::Method;

/// The settings the recordings were made with.
const WRANGLER: &str = r#"
name = "streams-demo"
main = "build/index.js"
compatibility_date = "2026-04-01"
[vars]
REGION = "test"
[[kv_namespaces]]
binding = "REGISTRY"
[[durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["StreamDO"]
[[r2_buckets]]
binding = "R2"
bucket_name = "streams-demo-bucket"
[[analytics_engine_datasets]]
binding = "METRICS"
dataset = "streams_demo_metrics"
[observability]
enabled = true
"#;
const ACCOUNT: &str = "/client/v4/accounts/0123456789abcdef0123456789abcdef";

/// A project like the recorded one, and its Cloudflare.
struct Stage {
    cloud: Cloud,
    dir: std::path::PathBuf,
    _scratch: Scratch,
}

impl Stage {
    fn new(name: &str) -> Result<Self> {
        let scratch = Scratch::new(&format!("recorded-{name}"))?;
        let cloud = Cloud::answering(&scratch)?;
        let dir = small_project(&scratch, "streams-demo")?;
        fs::write(dir.join("wrangler.toml"), WRANGLER)?;
        // The worker of the recordings knew streams alone.
        let script = dir.join("build/index.js");
        let code = fs::read_to_string(&script)?;
        let code = code.lines().filter(|line| !line.contains("DirectoryDO"));
        let code = code.filter(|line| !line.contains("SubscriptionDO"));
        fs::write(script, code.collect::<Vec<_>>().join("\n"))?;
        Ok(Self {
            cloud,
            dir,
            _scratch: scratch,
        })
    }

    /// A project that is deployed, with what came so far forgotten.
    fn deployed(name: &str) -> Result<Self> {
        let stage = Self::new(name)?;
        stage.run(&["deploy", "--no-build"])?;
        stage.cloud.forget_requests()?;
        Ok(stage)
    }

    fn run(&self, args: &[&str]) -> Result<()> {
        self.cloud.run(&self.dir, args)?.ok().map(drop)
    }

    /// Changes the code, so that there is something to upload.
    fn change_code(&self) -> Result<()> {
        let path = self.dir.join("build/index.js");
        let code = fs::read_to_string(&path)?;
        Ok(fs::write(path, format!("{code}// Another.\n"))?)
    }

    /// Ours that are not recorded, and recorded ones that are not ours.
    fn compare(&self, recorded: &str) -> Result<(Vec<String>, Vec<String>)> {
        let ours: Vec<Value> = self.cloud.requests()?.iter().map(compact).collect();
        let mut theirs = read(recorded)?;
        let mut extra = Vec::new();
        for request in ours {
            match theirs.iter().position(|one| *one == request) {
                Some(at) => drop(theirs.remove(at)),
                None => extra.push(line(&request)),
            }
        }
        Ok((extra, theirs.iter().map(line).collect()))
    }

    /// The one upload that came, and the recorded one.
    fn uploads(&self, recorded: &str) -> Result<(Value, Value)> {
        let ours = self.cloud.requests()?.iter().map(compact).find(is_upload);
        let theirs = read(recorded)?.into_iter().find(is_upload);
        Ok((ours.context("no upload")?, theirs.context("no upload")?))
    }
}

fn is_upload(request: &Value) -> bool {
    !request["metadata"].is_null()
}

/// A request in the form of the recordings, with ids and hashes that differ by chance made equal.
fn compact(request: &Request) -> Value {
    let mut compact = json!({
        "method": request.method,
        "path": request.path.replace(ACCOUNT, "A"),
    });
    if request
        .query
        .as_object()
        .is_some_and(|query| !query.is_empty())
    {
        compact["query"] = request.query.clone();
    }
    if let Some(parts) = request.body["multipart"].as_array() {
        compact["metadata"] = parts[0]["json"].clone();
        let mut parts = parts.clone();
        if let Some(first) = parts[0].as_object_mut() {
            first.remove("json");
        }
        compact["parts"] = json!(parts);
    } else if !request.body.is_null() {
        compact["json"] = request.body.clone();
    }
    without_chance(compact)
}

fn read(recorded: &str) -> Result<Vec<Value>> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/recorded");
    let text = fs::read_to_string(format!("{dir}/{recorded}.jsonl"))?;
    text.lines()
        .map(|line| Ok(without_chance(serde_json::from_str(line)?)))
        .collect()
}

/// The same with one id for all namespaces.
fn without_chance(mut request: Value) -> Value {
    let bindings = request.pointer_mut("/metadata/bindings");
    for binding in bindings.and_then(Value::as_array_mut).into_iter().flatten() {
        if binding["type"] == "kv_namespace" {
            binding["namespace_id"] = json!("an id");
        }
    }
    if let Some(path) = request["path"].as_str() {
        let parts = path.split('/').map(|part| {
            let is_id = part.len() == 32 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_id { "ID" } else { part }
        });
        request["path"] = json!(parts.collect::<Vec<_>>().join("/"));
    }
    request
}

fn line(request: &Value) -> String {
    let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
    let query = request["query"].as_object().into_iter().flatten();
    let query: Vec<String> = query
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let query = match query.is_empty() {
        true => String::new(),
        false => format!("?{}", query.join("&")),
    };
    format!("{} {}{query}", text("method"), text("path"))
}

/// The two uploads are the same but for what is said here: secrets are always kept, and the wasm
/// goes by the name the script imports it by, as with wrangler's `--no-bundle`.
fn assert_alike(ours: &Value, theirs: &Value) {
    let mut ours = ours.clone();
    let mut theirs = theirs.clone();
    let kept = ours["metadata"]["keep_bindings"].take();
    assert_eq!(kept, json!(["secret_text", "secret_key"]));
    for upload in [&mut ours, &mut theirs] {
        upload["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("keep_bindings");
        let wasm = &mut upload["parts"][2];
        let name = wasm["name"].as_str().unwrap().to_owned();
        assert!(name.ends_with("index_bg.wasm"), "{name}");
        assert_eq!(wasm["filename"], name.as_str());
        *wasm = json!({ "name": "wasm", "contentType": wasm["contentType"] });
    }
    assert_eq!(ours["metadata"], theirs["metadata"]);
    assert_eq!(ours["parts"], theirs["parts"]);
}

#[test]
fn a_first_deploy_sends_what_wrangler_sends() -> Result<()> {
    let stage = Stage::new("first")?;
    stage.run(&["deploy", "--no-build"])?;
    let (ours, theirs) = stage.compare("first")?;
    assert_eq!(
        ours,
        [
            // The only account is looked up; the recordings were made with one given.
            "GET /client/v4/accounts?page=1",
            // Namespaces are looked up before one is made.
            "GET A/storage/kv/namespaces?direction=asc&order=title&per_page=1000",
            // The title is the worker's name and the binding's, so that two projects of one account
            // do not meet; with `kv namespace create` it is what a person types.
            // Whether the account ever opened Analytics Engine is known before anything is made.
            "POST A/analytics_engine/sql",
            "POST A/storage/kv/namespaces",
            // Compared below.
            "PUT A/workers/scripts/streams-demo?bindings_inherit=strict&excludeScript=true",
        ]
    );
    assert_eq!(
        theirs,
        [
            "POST A/storage/kv/namespaces",
            // Whether the worker is there is known from the list of workers.
            "GET A/workers/services/streams-demo",
            "GET A/workers/scripts/streams-demo/deployments",
            "GET A/workers/scripts/streams-demo/settings",
            "PUT A/workers/scripts/streams-demo?bindings_inherit=strict&excludeScript=true",
        ]
    );
    let (ours, theirs) = stage.uploads("first")?;
    assert_eq!(line(&ours), line(&theirs));
    assert_alike(&ours, &theirs);
    let upload = stage
        .cloud
        .requests()?
        .into_iter()
        .find(|one| one.method == "PUT");
    let kind = upload.context("no upload")?.content_type;
    assert_eq!(kind.as_deref(), Some("multipart/form-data"));
    Ok(())
}

#[test]
fn a_second_deploy_sends_no_migrations() -> Result<()> {
    let stage = Stage::deployed("second")?;
    stage.change_code()?;
    stage.run(&["deploy", "--no-build"])?;
    let (ours, theirs) = stage.compare("second")?;
    assert_eq!(
        ours,
        [
            "GET /client/v4/accounts?page=1",
            "GET A/r2/buckets/streams-demo-bucket",
            "GET A/storage/kv/namespaces?direction=asc&order=title&per_page=1000",
            // One upload that is whole or not at all, also here: wrangler makes a version, deploys
            // it and sets what a version does not hold, in three requests.
            "PUT A/workers/scripts/streams-demo?bindings_inherit=strict&excludeScript=true",
        ]
    );
    assert_eq!(
        theirs,
        [
            "GET A/workers/services/streams-demo",
            "GET A/workers/scripts/streams-demo/deployments",
            "POST A/workers/scripts/streams-demo/versions?bindings_inherit=strict",
            "POST A/workers/scripts/streams-demo/deployments",
            "PATCH A/workers/scripts/streams-demo/script-settings",
            // It is served already.
            "POST A/workers/scripts/streams-demo/subdomain",
        ]
    );
    let (ours, theirs) = stage.uploads("second")?;
    assert_alike(&ours, &theirs);
    assert!(ours["metadata"].get("migrations").is_none(), "{ours}");
    Ok(())
}

#[test]
fn a_pending_migration_is_sent_from_the_deployed_tag_onwards() -> Result<()> {
    let stage = Stage::deployed("migration")?;
    let more = "[[migrations]]\ntag = \"v2\"\nnew_sqlite_classes = [\"Second\"]\n";
    fs::write(
        stage.dir.join("wrangler.toml"),
        fs::read_to_string(stage.dir.join("wrangler.toml"))? + more,
    )?;
    stage.run(&["deploy", "--no-build"])?;
    let (ours, theirs) = stage.uploads("migration")?;
    assert_eq!(line(&ours), line(&theirs));
    assert_alike(&ours, &theirs);
    let migrations = &ours["metadata"]["migrations"];
    assert_eq!(migrations["old_tag"], "v1");
    assert_eq!(stage.cloud.state()?["scripts"]["streams-demo"]["tag"], "v2");
    Ok(())
}

#[test]
fn secrets_that_were_set_elsewhere_are_kept() -> Result<()> {
    let stage = Stage::deployed("secret")?;
    let put = read("secret")?.into_iter().next().context("no secret")?;
    stage.cloud.api(
        Method::PUT,
        "/workers/scripts/streams-demo/secrets",
        &put["json"],
    )?;
    stage.change_code()?;
    stage.run(&["deploy", "--no-build"])?;
    let (ours, theirs) = stage.uploads("secret")?;
    assert_alike(&ours, &theirs);
    let secrets = &stage.cloud.state()?["scripts"]["streams-demo"]["secrets"];
    assert_eq!(*secrets, json!({ "API_SECRET": "s3cret" }));
    Ok(())
}

#[test]
fn variables_that_were_set_elsewhere_are_kept_when_asked_for() -> Result<()> {
    let stage = Stage::new("keep-vars")?;
    let text = format!("keep_vars = true\n{}", WRANGLER.trim_start());
    fs::write(stage.dir.join("wrangler.toml"), text)?;
    stage.run(&["deploy", "--no-build"])?;
    let (ours, theirs) = stage.uploads("keep-vars")?;
    let kept = |upload: &Value| upload["metadata"]["keep_bindings"].clone();
    assert_eq!(kept(&ours), kept(&theirs));
    Ok(())
}

#[test]
fn what_is_removed_is_removed_as_wrangler_does_it() -> Result<()> {
    let stage = Stage::deployed("remove")?;
    stage.run(&["destroy", "--yes"])?;
    let (ours, theirs) = stage.compare("remove")?;
    assert_eq!(
        ours,
        [
            "GET /client/v4/accounts?page=1",
            "GET A/workers/scripts",
            "GET A/r2/buckets/streams-demo-bucket",
            "GET A/storage/kv/namespaces?direction=asc&order=title&per_page=1000",
            // What each worker of the account is bound to stays.
            "GET A/workers/scripts/streams-demo/settings",
            // Only an empty bucket can be removed.
            "GET A/r2/buckets/streams-demo-bucket/objects?per_page=1000",
        ]
    );
    assert_eq!(
        theirs,
        // Looks for namespaces that wrangler made for static files.
        ["GET A/storage/kv/namespaces?direction=asc&order=title&page=1&per_page=100"]
    );
    Ok(())
}
