//! Where a project is served: here, for as long as `dev` runs, and on Cloudflare.

use anyhow::Result;

use crate::{
    cloudflare::Account,
    deployment::addresses,
    error::problem,
    project::{Project, Work, holder},
};

/// Where `dev` serves a project now.
pub fn local(project: &Project) -> Result<String> {
    let serving = holder(project, Work::Serve);
    serving.and_then(|serving| serving.url).ok_or_else(|| {
        problem(
            "the project is not served on this machine: a running server is needed for this",
            "start `durable-streams dev` in another terminal, name a server with --url, or take the \
             deployed one with --remote",
        )
    })
}

/// Where the deployed worker of a project is reached.
pub fn remote(project: &Project, account: &Account) -> Result<String> {
    let subdomain = match project.wrangler.on_workers_dev() {
        true => account.subdomain()?,
        false => None,
    };
    let mut urls = addresses(project, subdomain.as_deref()).into_iter();
    urls.next().ok_or_else(|| {
        problem(
            format!(
                "{} has no URL of its own: only routes lead to it",
                project.name
            ),
            "name one with --url",
        )
    })
}
