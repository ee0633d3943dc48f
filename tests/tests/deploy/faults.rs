//! What a person reads when Cloudflare says no, says nothing, or says nonsense. The whole table is
//! in `faults.txt`; UPDATE_SNAPSHOTS=1 rewrites it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use durable_streams_tests::cloud::{Cloud, Ran, small_project};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};
use ureq::http::Method;

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const DESTROY: &[&str] = &["destroy", "--yes"];
const VERSIONS: &[&str] = &["rollback", "--list"];
const ROLLBACK: &[&str] = &["rollback", "--yes", "--old-secrets"];
const SECRETS: &[&str] = &["secret", "list"];
const DELETE_SECRET: &[&str] = &["secret", "delete", "A", "--yes"];

/// A request that goes wrong.
struct Endpoint {
    name: &'static str,
    method: &'static str,
    path: &'static str,
    /// The command that sends it.
    command: &'static [&'static str],
    /// It is sent only when there is something already.
    is_late: bool,
}

const fn early(name: &'static str, method: &'static str, path: &'static str) -> Endpoint {
    Endpoint {
        name,
        method,
        path,
        command: DEPLOY,
        is_late: false,
    }
}

const fn late(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    command: &'static [&'static str],
) -> Endpoint {
    Endpoint {
        name,
        method,
        path,
        command,
        is_late: true,
    }
}

/// Where many objects are removed at once.
const MANY: &str = "/s3/";

const ENDPOINTS: &[Endpoint] = &[
    early("accounts", "GET", "/accounts$"),
    early("workers", "GET", "/workers/scripts$"),
    late("settings", "GET", "/settings$", DEPLOY),
    early("subdomain", "GET", "/workers/subdomain$"),
    early("bucket", "GET", "/buckets/my-streams$"),
    early("namespaces", "GET", "/namespaces$"),
    early("create bucket", "POST", "/buckets$"),
    early("create namespace", "POST", "/namespaces$"),
    early("upload", "PUT", "/scripts/my-streams$"),
    early("is served", "GET", "/scripts/my-streams/subdomain$"),
    early("serve", "POST", "/scripts/my-streams/subdomain$"),
    late("tail", "POST", "/tails$", &["logs"]),
    late("token", "GET", "/user/tokens/verify$", &["whoami"]),
    late("data points", "POST", "/analytics_engine/sql$", &["usage"]),
    late("bindings", "GET", "/settings$", DESTROY),
    late("delete worker", "DELETE", "/services/my-streams$", DESTROY),
    late("objects", "GET", "/objects$", DESTROY),
    late("delete object", "DELETE", "/objects/", DESTROY),
    late("token id", "GET", "/tokens/verify$", DESTROY),
    late("delete objects", "POST", MANY, DESTROY),
    late("delete bucket", "DELETE", "/buckets/my-streams$", DESTROY),
    late("delete namespace", "DELETE", "/namespaces/", DESTROY),
    late("deployments", "GET", "/deployments$", VERSIONS),
    late("versions", "GET", "/versions$", VERSIONS),
    late("version", "GET", "/versions/", ROLLBACK),
    late("roll back", "POST", "/deployments$", ROLLBACK),
    late("secrets", "GET", "/secrets$", SECRETS),
    late("delete secret", "DELETE", "/secrets/", DELETE_SECRET),
];

/// What goes wrong. Those after which the command succeeds come last.
fn faults(endpoint: &Endpoint) -> Vec<(&'static str, Value)> {
    let code = |code: i64, message: &str| json!([{ "code": code, "message": message }]);
    let mut faults = vec![
        (
            "401",
            json!({ "status": 401, "errors": code(10000, "Authentication error") }),
        ),
        (
            "403",
            json!({ "status": 403, "errors": code(10000, "Authentication error") }),
        ),
        (
            "429",
            json!({ "status": 429, "errors": code(971, "Please wait") }),
        ),
        (
            "429, 300 s",
            json!({ "status": 429, "headers": { "retry-after": "300" }, "errors": code(971, "Please wait") }),
        ),
        ("500", json!({ "status": 500, "text": "<html>no</html>" })),
        ("cut", json!({ "cut": true })),
        (
            "malformed",
            json!({ "status": 200, "text": "{\"success\":" }),
        ),
    ];
    // Nobody is there to end a log that works.
    if endpoint.name != "tail" {
        faults.push((
            "429, 1 s, once",
            json!({ "status": 429, "headers": { "retry-after": "1" }, "times": 1 }),
        ));
    }
    faults
}

/// What each number of the contract means, and others a person may meet.
fn numbers() -> Vec<(&'static Endpoint, &'static str, Value)> {
    let refuse = |name: &str, status: u16, code: i64, message: &'static str| {
        let endpoint = ENDPOINTS.iter().find(|one| one.name == name);
        let errors = json!([{ "code": code, "message": message }]);
        let fault = json!({ "status": status, "errors": errors });
        (endpoint.unwrap_or(&ENDPOINTS[0]), message, fault)
    };
    vec![
        refuse(
            "accounts",
            403,
            9109,
            "Unauthorized to access requested resource",
        ),
        refuse(
            "bucket",
            403,
            10042,
            "Please enable R2 through the Cloudflare Dashboard.",
        ),
        refuse(
            "create bucket",
            403,
            10042,
            "Please enable R2 through the Cloudflare Dashboard.",
        ),
        refuse(
            "create namespace",
            400,
            10014,
            "a namespace with this title already exists",
        ),
        refuse("subdomain", 404, 10007, "No workers.dev subdomain."),
        refuse(
            "upload",
            403,
            10063,
            "You need a workers.dev subdomain in order to proceed.",
        ),
        refuse("upload", 412, 10079, "Migration tag precondition failed"),
        refuse("upload", 400, 10074, "Class StreamDO exists already"),
        refuse("upload", 400, 10021, "Uncaught Error: no at index.js:1"),
        refuse(
            "upload",
            403,
            10089,
            "workers.api.error.no_access_to_analytics_engine",
        ),
        refuse("workers", 400, 6003, "Invalid request headers"),
        refuse("upload", 413, 10027, "workers.api.error.script_too_large"),
        refuse(
            "tail",
            404,
            10007,
            "This Worker does not exist on your account.",
        ),
        refuse(
            "settings",
            404,
            10090,
            "This Worker does not exist on your account.",
        ),
        refuse("roll back", 400, 10220, "These secrets have changed: A"),
        refuse("delete secret", 400, 10215, "Secret edit failed."),
    ]
}

/// Runs the command of an endpoint with a fault, and gives the table's lines.
fn row(
    cloud: &Cloud,
    dir: &Path,
    endpoint: &Endpoint,
    name: &str,
    fault: &Value,
) -> Result<String> {
    let mut fault = fault.clone();
    fault["method"] = json!(endpoint.method);
    fault["path"] = json!(endpoint.path);
    cloud.fail(json!([fault]))?;
    cloud.forget_requests()?;
    let ran = cloud.run(dir, endpoint.command)?;
    cloud.fail(json!([]))?;
    let sent = cloud.requests()?;
    let is_it = |path: &str| match endpoint.path.strip_suffix('$') {
        Some(end) => path.ends_with(end),
        None => path.contains(endpoint.path),
    };
    let sent = sent
        .iter()
        .filter(|one| one.method == endpoint.method && is_it(&one.path));
    let count = sent.count();
    ensure!(count > 0, "{} was not asked: {ran:?}", endpoint.name);
    let code = ran.code.context("it was killed")?;
    let mut text = format!("{} | {name} | sent {count} | exit {code}\n", endpoint.name);
    for line in said(&ran, cloud, dir) {
        text.push_str(&format!("    {line}\n"));
    }
    Ok(text)
}

/// Warnings, errors and ways out, without what differs from run to run.
fn said(ran: &Ran, cloud: &Cloud, dir: &Path) -> Vec<String> {
    let kinds = ["warning:", "error:", "help:"];
    let is_said = |line: &&str| kinds.iter().any(|kind| line.starts_with(kind));
    let host = cloud
        .worker()
        .base()
        .replace("http://", "")
        .replace("/deployed", "");
    // Hints keep where the command worked.
    let place = format!(" -C {}", dir.display());
    let same = |line: &str| {
        let words = line.replace(&host, "HOST").replace(&place, "");
        let words = words.split(' ').map(|word| {
            let bare = word.trim_end_matches(':');
            let is_hex = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
            let is_id = matches!(bare.len(), 32 | 36) && bare.bytes().all(is_hex);
            match (is_id, word == bare) {
                (true, true) => "ID",
                (true, false) => "ID:",
                (false, _) => word,
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    ran.stderr.lines().filter(is_said).map(same).collect()
}

fn rows(number: usize, endpoint: &Endpoint, faults: &[(&str, Value)]) -> Result<String> {
    let scratch = Scratch::new(&format!("faults-{number}"))?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    let mut text = String::new();
    for (name, fault) in faults {
        if endpoint.is_late {
            cloud.run(&dir, DEPLOY)?.ok()?;
            cloud.put_object("my-streams", "a", "x")?;
            if ["token id", "delete objects"].contains(&endpoint.name) {
                cloud.put_objects("my-streams", "b", 150)?;
            }
            // One more version, to come back from.
            let secret = json!({ "name": "A", "text": "x", "type": "secret_text" });
            cloud.api(Method::PUT, "/workers/scripts/my-streams/secrets", &secret)?;
        }
        text.push_str(&row(&cloud, &dir, endpoint, name, fault)?);
    }
    // Whatever went wrong, the next run is right.
    cloud.run(&dir, DEPLOY)?.ok()?;
    Ok(text)
}

#[test]
fn every_fault_is_told_as_the_table_says() -> Result<()> {
    let mut work: Vec<(&Endpoint, Vec<(&str, Value)>)> =
        ENDPOINTS.iter().map(|one| (one, faults(one))).collect();
    work.extend(
        numbers()
            .into_iter()
            .map(|(one, name, fault)| (one, vec![(name, fault)])),
    );
    // They wait more than they work.
    let parts: Vec<Result<String>> = std::thread::scope(|scope| {
        let running: Vec<_> = work
            .iter()
            .enumerate()
            .map(|(number, (endpoint, faults))| scope.spawn(move || rows(number, endpoint, faults)))
            .collect();
        running
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
            .collect()
    });
    let table = parts.into_iter().collect::<Result<Vec<_>>>()?.concat();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/faults.txt");
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(path, &table)?;
    }
    assert_eq!(table, fs::read_to_string(path)?, "the table is not {path}");
    Ok(())
}
