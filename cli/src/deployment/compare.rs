//! What is deployed, held against what is here.

use anyhow::Result;

use super::{
    Deployment,
    difference::{self, Difference},
};
use crate::cloudflare::{self, Deployed, Settings};

impl Deployment<'_> {
    /// Whether the newest version serves alone. After a rollback an earlier one does.
    pub fn serves_newest(&self) -> Result<bool> {
        let name = &self.project.name;
        let deployments = self.account.deployments(name)?;
        let versions = self.account.versions(name)?;
        let serving = deployments.first().and_then(Deployed::only);
        Ok(serving == versions.first().map(|version| version.id.as_str()))
    }

    /// Whether requests reach the deployed worker otherwise than wrangler.toml says.
    pub fn differences_in_serving(&self) -> cloudflare::Result<Vec<Difference>> {
        let wrangler = &self.project.wrangler;
        let found = self.account.workers_dev(&self.project.name)?;
        let mut differences = Vec::new();
        let on = wrangler.on_workers_dev();
        if on != found.enabled {
            differences.push(Difference::new(
                "workers_dev",
                Some(on),
                Some(found.enabled),
            ));
        }
        if let Some(previews) = wrangler.preview_urls
            && previews != found.previews_enabled
        {
            let found = found.previews_enabled;
            differences.push(Difference::new("preview_urls", Some(previews), Some(found)));
        }
        Ok(differences)
    }

    /// What the deployed worker is set to otherwise than wrangler.toml says.
    pub fn differences(&self, settings: &Settings) -> Vec<Difference> {
        difference::differences(&self.metadata(), settings)
    }
}
