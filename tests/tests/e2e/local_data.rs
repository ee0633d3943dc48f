//! What was stored in local runs is there whatever the worker and what it is bound to are called.

use std::fs;

use anyhow::Result;
use durable_streams_tests::dev::Dev;
use durable_streams_tests::project::{Auth, Project};
use durable_streams_tests::stream::Stream;
use durable_streams_tests::wait_until;

use crate::JSON;

const SOME_ID: &str = "0123456789abcdef0123456789abcdef";

/// Writes what the first deploy does.
fn with_id(text: &str) -> String {
    let binding = "binding = \"REGISTRY\"\n";
    text.replace(binding, &format!("{binding}id = \"{SOME_ID}\"\n"))
}

#[test]
fn a_first_deploy_and_a_rename_leave_projects_and_streams_where_they_are() -> Result<()> {
    let project = Project::take_empty(Auth::ProjectJwt)?;
    let bucket = project.dir.join(".wrangler/state/v3/r2/my-projects/blobs");
    let small = project.edit("wrangler.toml", |text| {
        text.replace(
            "SEGMENT_MAX_MESSAGES = \"1000\"",
            "SEGMENT_MAX_MESSAGES = \"4\"",
        )
    })?;
    let dev = Dev::start(&project)?;
    let stream = Stream::create(&dev.writer()?, "my-projects/kept", JSON)?;
    for n in 0..6 {
        stream.append(n.to_string())?;
    }
    wait_until("some of it has moved to the bucket", || {
        Ok(fs::read_dir(&bucket).is_ok_and(|mut moved| moved.next().is_some()))
    })?;
    let secret = project.run(&["projects", "show", "my-projects", "--json"])?;

    // While it is served.
    let deployed = project.edit("wrangler.toml", with_id)?;
    let same = |when: &str| -> Result<()> {
        let now = project.run(&["projects", "show", "my-projects", "--json"])?;
        assert_eq!(now, secret, "{when}");
        Ok(())
    };
    same("before dev has noticed")?;
    wait_until("dev has noticed", || {
        Ok(dev.log()?.contains("Serving the new build after"))
    })?;
    same("afterwards")?;
    stream.append("6")?;
    dev.interrupt()?;
    same("while nobody serves")?;

    let renamed = project.edit("wrangler.toml", |text| {
        text.replace("name = \"my-projects\"", "name = \"other-name\"")
    })?;
    let dev = Dev::start(&project)?;
    assert!(dev.log()?.contains("was called my-projects"));
    assert_eq!(dev.access()?.project, "my-projects");
    let stream = stream.on(&dev.writer()?);
    stream.append("7")?;
    assert_eq!(stream.read()?.messages()?, [0, 1, 2, 3, 4, 5, 6, 7]);
    dev.interrupt()?;

    drop((renamed, deployed, small));
    let dev = Dev::start(&project)?;
    let stream = stream.on(&dev.writer()?);
    assert_eq!(stream.read()?.messages()?, [0, 1, 2, 3, 4, 5, 6, 7]);
    dev.interrupt()?;
    Ok(())
}
