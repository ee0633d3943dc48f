//! What tests of a deployed registry begin with.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use durable_streams_tests::cloud::{Cloud, small_project};
use durable_streams_tests::places::Scratch;

/// A deployed registry with the project `chat`, and who administers it.
pub struct Stage {
    pub cloud: Cloud,
    pub dir: PathBuf,
    pub secret: String,
    _scratch: Scratch,
}

impl Stage {
    /// Deploys it, in a place of its own of this name.
    pub fn new(name: &str) -> Result<Self> {
        let scratch = Scratch::new(name)?;
        let cloud = Cloud::answering(&scratch)?;
        let dir = small_project(&scratch, "my-streams")?;
        let manifest = dir.join("Cargo.toml");
        let text = fs::read_to_string(&manifest)?;
        fs::write(&manifest, text.replace("\"none\"", "\"project-jwt\""))?;
        cloud.run(&dir, &["provision"])?.ok()?;
        let create = ["create-project", "chat", "--remote", "--json"];
        let made = cloud.run(&dir, &create)?.ok()?.json()?;
        let secret = made["secret"].as_str().context("no secret")?.to_owned();
        Ok(Self {
            cloud,
            dir,
            secret,
            _scratch: scratch,
        })
    }
}
