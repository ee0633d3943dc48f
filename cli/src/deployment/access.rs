//! What stands in the way of a deploy that only a person can move: permissions that the credentials lack,
//! and services that the account has never opened. It is all found before anything is made.

use anyhow::Result;

use super::{Deployment, Findings, metadata};
use crate::cloudflare::{Ability, Access, Error, obstacle, permissions};

impl Deployment<'_> {
    /// Everything that stands in the way, where a refusal says the first thing alone.
    pub(super) fn all_obstacles(&self, error: anyhow::Error) -> anyhow::Error {
        if !self.account.was_denied() {
            return error;
        }
        let Ok(mut abilities) = self.account.abilities() else {
            return error;
        };
        // A deploy reads no data points, and whoever binds no dataset needs none.
        abilities.retain(|one| {
            let is_missing = one.access == Access::Closed && self.binds_dataset();
            one.permission != permissions::ANALYTICS || is_missing
        });
        obstacle(&abilities, &self.account, &self.token_page()).unwrap_or(error)
    }

    /// Refuses to begin what Cloudflare would refuse when bucket and namespace are made: a worker that
    /// writes data points, in an account that never opened Analytics Engine. A deployed worker that
    /// writes some proves that it has.
    pub fn check_metrics(&self, findings: &Findings) -> Result<()> {
        let mut bound = findings.settings.bindings.iter();
        if !self.binds_dataset() || bound.any(|binding| binding["type"] == metadata::DATASET) {
            return Ok(());
        }
        match self.account.datasets() {
            Err(Error::Interrupted) => Err(Error::Interrupted.into()),
            Err(error) if error.is_closed() => {
                let closed = Ability {
                    permission: permissions::ANALYTICS,
                    access: Access::Closed,
                };
                let said = obstacle(&[closed], &self.account, &self.token_page());
                Err(said.unwrap_or_else(|| error.into()))
            }
            // Whoever may not ask may still deploy.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn token_page(&self) -> String {
        let has_routes = !self.project.wrangler.all_routes().is_empty();
        permissions::token_page(has_routes)
    }

    fn binds_dataset(&self) -> bool {
        let datasets = &self.project.wrangler.analytics_engine_datasets;
        !datasets.is_empty() && !self.without_metrics
    }
}
