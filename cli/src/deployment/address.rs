//! Where a deployed worker is reached, and whether it answers there.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{cloudflare::Account, project::Project};

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The first deploy of an account's first worker takes a minute to be known everywhere.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_secs(1);
/// A stream that nobody has: to ask for it takes the way of every request and leaves nothing.
const PROBE: &str = "/v1/stream/durable-streams/health";
/// A header the runtime puts on each of its answers, and an error page of Cloudflare does not have.
const MARK: &str = "cross-origin-resource-policy";

/// How an address answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// As a worker of this kind does.
    Healthy,
    /// In another way; what that was.
    Unhealthy(String),
}

/// The URLs a project is reached at: on workers.dev, and at its custom domains. A route is a pattern
/// and no URL.
pub fn addresses(project: &Project, subdomain: Option<&str>) -> Vec<String> {
    let on_workers_dev =
        subdomain.map(|subdomain| format!("https://{}.{subdomain}.workers.dev", project.name));
    let routes = project.wrangler.all_routes();
    let domains = routes.iter().filter(|route| route.custom_domain);
    let urls: Vec<String> = on_workers_dev
        .into_iter()
        .chain(domains.map(|domain| format!("https://{}", domain.pattern)))
        .collect();
    // Lets tests deploy to a Cloudflare of their own.
    match std::env::var("DURABLE_STREAMS_DEPLOYED_URL") {
        Ok(url) if !urls.is_empty() => vec![url.trim_end_matches('/').to_owned()],
        _ => urls,
    }
}

/// Asks the worker at this URL once.
pub fn ask(account: &Account, url: &str) -> Result<Health> {
    let (status, marked) = match account.visit(&format!("{url}{PROBE}"), ANSWER_LIMIT, MARK)? {
        Ok(answer) => answer,
        Err(why) => return Ok(Health::Unhealthy(why)),
    };
    Ok(match (status, marked) {
        (..500, true) => Health::Healthy,
        (status, true) => Health::Unhealthy(format!("the worker answers with status {status}")),
        (status, false) => Health::Unhealthy(format!(
            "status {status}, and not from a worker of this kind"
        )),
    })
}

/// Asks again and again until the worker answers, or it takes too long.
pub fn wait_until_healthy(account: &Account, url: &str) -> Result<Health> {
    let started = Instant::now();
    loop {
        let health = ask(account, url)?;
        if health == Health::Healthy || started.elapsed() > PATIENCE {
            return Ok(health);
        }
        account.pause(PAUSE)?;
    }
}
