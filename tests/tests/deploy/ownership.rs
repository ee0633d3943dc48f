//! What belongs to whom: nothing is replaced, adopted or removed that this project did not make, unless
//! it is asked for by name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use durable_streams_tests::cloud::{Cloud, small_project};
use durable_streams_tests::places::Scratch;

const DEPLOY: &[&str] = &["deploy", "--no-build"];
const DESTROY: &[&str] = &["destroy", "--yes"];

fn stage(name: &str) -> Result<(Scratch, Cloud, PathBuf)> {
    let scratch = Scratch::new(&format!("ownership-{name}"))?;
    let cloud = Cloud::answering(&scratch)?;
    let dir = small_project(&scratch, "my-streams")?;
    Ok((scratch, cloud, dir))
}

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
    let (_scratch, cloud, dir) = stage("told")?;
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
    let (scratch, cloud, dir) = stage("foreign")?;
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
