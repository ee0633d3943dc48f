//! A bucket is emptied before it is removed: quickly, where Cloudflare allows it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use durable_streams_tests::cloud::{Cloud, Ran, Request, deployed};
use durable_streams_tests::say;
use serde_json::json;

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const DESTROY: &[&str] = &["destroy", "--yes"];

/// Destroys the project; says how long it took, and how many requests of each way removed objects.
fn destroy(cloud: &Cloud, dir: &Path) -> Result<(Ran, Duration, usize, usize)> {
    cloud.forget_requests()?;
    let started = Instant::now();
    let ran = cloud.run(dir, DESTROY)?.ok()?;
    let took = started.elapsed();
    let requests = cloud.requests()?;
    let count = |method: &str, path: &str| {
        let is_it = |one: &&Request| one.method == method && one.path.contains(path);
        requests.iter().filter(is_it).count()
    };
    let counts = (count("POST", "/s3/"), count("DELETE", "/objects/"));
    assert_eq!(cloud.state()?["buckets"], json!([]));
    Ok((ran, took, counts.0, counts.1))
}

#[test]
fn many_objects_go_a_thousand_at_a_time() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("emptying-many")?;
    cloud.put_object("my-streams", "streams/a&b/<c>\r d é", "x")?;
    cloud.put_objects("my-streams", "streams/a b/", 20_500)?;
    let (_, took, together, alone) = destroy(&cloud, &dir)?;
    say(&format!("20501 objects were removed in {took:?}"));
    assert_eq!((together, alone), (21, 0));
    Ok(())
}

#[test]
fn few_objects_need_no_key() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("emptying-few")?;
    cloud.put_objects("my-streams", "streams/a b/", 100)?;
    let (_, _, together, alone) = destroy(&cloud, &dir)?;
    assert_eq!((together, alone), (0, 100));
    Ok(())
}

#[test]
fn without_the_quick_way_the_limit_of_requests_is_kept() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("emptying-limit")?;
    let ways = [
        // Nobody says what the key is called: a login has none.
        json!([{ "path": "/tokens/verify$", "status": 401 }]),
        json!([{ "path": "/s3/", "status": 403, "text": "<Error/>" }]),
        json!([{ "path": "/s3/", "status": 200, "text": "<Error><Code>InternalError</Code></Error>" }]),
    ];
    for (number, fault) in ways.into_iter().enumerate() {
        cloud.run(&dir, DEPLOY)?.ok()?;
        // One of them is slow: Cloudflare takes 1200 requests in 5 minutes, so from the 901st on they
        // come 4 a second.
        let objects = if number == 0 { 950 } else { 150 };
        cloud.put_objects("my-streams", "streams/a b/", objects)?;
        cloud.fail(fault)?;
        let (ran, took, _, alone) = destroy(&cloud, &dir)?;
        cloud.fail(json!([]))?;
        assert_eq!(alone, objects);
        match number {
            0 => {
                assert!(took >= Duration::from_secs(10), "{took:?}");
                assert!(
                    ran.stderr.contains("of about 950 objects are gone"),
                    "{ran:?}"
                );
            }
            _ => assert!(ran.stderr.contains("one by one now"), "{ran:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_bucket_that_cannot_be_emptied_is_not_tried_for_ever() -> Result<()> {
    let (_scratch, cloud, dir) = deployed("emptying-stuck")?;
    cloud.put_objects("my-streams", "streams/a b/", 150)?;
    // Both ways say that all is well, and nothing goes.
    cloud.fail(json!([
        { "path": "/s3/", "status": 200, "text": "<DeleteResult/>" },
        { "method": "DELETE", "path": "/objects/", "status": 200,
          "text": "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":{}}" },
    ]))?;
    cloud
        .run(&dir, DESTROY)?
        .fails(&["streams/a b/0", "does not go away"])?;
    cloud.fail(json!([]))?;
    cloud.run(&dir, DESTROY)?.ok()?;
    Ok(())
}
