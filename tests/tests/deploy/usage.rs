//! What `usage` makes of the data points there are.

use anyhow::{Result, ensure};
use durable_streams_tests::cloud::{Cloud, small_project};
use durable_streams_tests::places::Scratch;
use serde_json::{Value, json};
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

fn point(
    age: u64,
    stream: &str,
    operation: &str,
    outcome: &str,
    doubles: [u64; 3],
) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let project = stream.split('/').next();
    Ok(json!({
        "at": now - age, "index": stream, "blobs": [operation, outcome, project], "doubles": doubles,
    }))
}

#[test]
fn operations_errors_streams_and_prices_are_added_up() -> Result<()> {
    let scratch = Scratch::new("usage")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    // Nothing was written yet.
    let empty = cloud.run(&dir, &["usage"])?.ok()?;
    ensure!(
        empty
            .stderr
            .contains("my_streams_metrics has nothing of that time"),
        "{empty:?}"
    );

    let mut sampled = point(3600, "chat/busy", "append", "ok", [2, 100, 1])?;
    sampled["sampled"] = json!(1000);
    cloud.set(json!({ "points": { "my_streams_metrics": [
        sampled,
        point(7200, "chat/busy", "append", "SEQUENCE_CONFLICT", [0, 0, 0])?,
        point(7200, "mail/calm", "read", "ok", [5, 500, 0])?,
        point(7200, "mail/calm", "seal", "ok", [5, 500, 3])?,
        // Longer ago than is asked about.
        point(200_000, "mail/calm", "read", "ok", [5, 500, 0])?,
    ], "another_dataset": [] } }))?;
    let document = cloud.run(&dir, &["usage", "--json"])?.ok()?.json()?;
    assert_eq!(document["dataset"], "my_streams_metrics");
    let usage = &document["usage"];
    let append = &usage["operations"][0];
    assert_eq!(append["operation"], "append");
    assert_eq!(append["operations"], 1001);
    assert_eq!(append["errors"], 1);
    assert_eq!(append["items"], 2000);
    assert_eq!(append["bodyBytes"], 100_000);
    assert_eq!(append["byError"], json!({ "SEQUENCE_CONFLICT": 1 }));
    assert_eq!(usage["total"]["rowsWritten"], 1003);
    assert_eq!(usage["estimated"], true);
    let streams = usage["streams"].as_array().map(Vec::len);
    assert_eq!(streams, Some(2));
    assert_eq!(usage["streams"][0]["stream"], "chat/busy");
    // 1000 rows at $1 and 1001 requests at $0.30 and $0.15 a million.
    assert_eq!(usage["streams"][0]["dollars"], 0.001_450_45);
    assert_eq!(usage["costs"][0]["quantity"], 1002);
    assert_eq!(usage["costs"][3]["quantity"], 1);
    ensure!(document["prices"]["asOf"].is_string());

    let text = cloud
        .run(&dir, &["usage", "--since", "7d", "--top", "1"])?
        .ok()?
        .stdout;
    for part in [
        "Requests in 3 hours each, UTC",
        "█",
        "SEQUENCE_CONFLICT",
        "chat/busy",
        "all numbers are estimates",
    ] {
        ensure!(text.contains(part), "no {part:?} in\n{text}");
    }
    ensure!(!text.contains("mail/calm"), "{text}");
    let only = ["usage", "--json", "--project", "mail"];
    let only = cloud.run(&dir, &only)?.ok()?.json()?;
    assert_eq!(only["usage"]["total"]["operations"], 2);
    assert_eq!(only["usage"]["estimated"], false);
    Ok(())
}

#[test]
fn without_a_dataset_or_a_service_it_says_what_to_do() -> Result<()> {
    let scratch = Scratch::new("usage-none")?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    cloud.set(json!({ "analytics": false }))?;
    cloud.run(&dir, &["usage"])?.fails(&[
        "never opened on this account",
        "/workers/analytics-engine once",
    ])?;
    let errors = json!([{ "code": 10000, "message": "Authentication error" }]);
    cloud.fail(json!([{ "path": "/analytics_engine/", "status": 403, "errors": errors }]))?;
    cloud
        .run(&dir, &["usage"])?
        .fails(&["lack the permission `Account Analytics: Read`"])?;
    let wrangler = fs::read_to_string(dir.join("wrangler.toml"))?;
    let wrangler = wrangler.replace("binding = \"METRICS\"", "binding = \"OTHER\"");
    fs::write(dir.join("wrangler.toml"), wrangler)?;
    cloud
        .run(&dir, &["usage"])?
        .fails(&["no dataset for METRICS", "`analytics_engine_datasets`"])?;
    Ok(())
}
