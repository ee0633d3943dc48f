//! Where a project is served: here, for as long as `dev` runs, and on Cloudflare.

use anyhow::Result;

use crate::{
    cloudflare::Account,
    deployment::addresses,
    error::problem,
    project::{Project, Work, holder},
};

/// Where the server of a project is: at the URL that was named, or where it is deployed if that is what an
/// account is at hand for, or else where `dev` serves it.
pub fn url(project: &Project, named: Option<&str>, account: Option<&Account>) -> Result<String> {
    match (named, account) {
        (Some(url), _) => Ok(url.to_owned()),
        (None, None) => local(project),
        (None, Some(account)) => remote(project, account),
    }
}

/// Where `dev` serves a project now. Another environment has other streams: it does not stand in for the
/// one that is meant.
fn local(project: &Project) -> Result<String> {
    let Some(serving) = holder(project, Work::Serve) else {
        return Err(problem(
            "the project is not served on this machine: a running server is needed for this",
            "start `durable-streams dev` in another terminal, name a server with --url, or take the \
             deployed one with --remote",
        ));
    };
    if serving.environment != project.environment {
        let meant = environment(project.environment.as_deref());
        let way_out = match &serving.environment {
            Some(name) => format!("add --env {name}"),
            None => "leave --env and CLOUDFLARE_ENV out".to_owned(),
        };
        return Err(problem(
            format!("{meant} is meant, and what is served on this machine is another: {serving}"),
            format!(
                "{way_out} to use that one; or end it, and start `durable-streams dev` for this one"
            ),
        ));
    }
    serving.url.clone().ok_or_else(|| {
        problem(
            format!("{serving} does not serve the project yet: it is still being built or started"),
            "wait until it says that it serves",
        )
    })
}

fn environment(name: Option<&str>) -> String {
    name.map_or("the top level".to_owned(), |name| {
        format!("the environment {name}")
    })
}

/// Where the deployed worker of a project is reached.
fn remote(project: &Project, account: &Account) -> Result<String> {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        error::hint,
        project::{Here, Lock},
    };

    #[test]
    fn what_is_served_is_not_taken_for_another_environment() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let settings = "name = \"shop\"\nmain = \"build/index.js\"\ncompatibility_date = \
                        \"2026-04-01\"\n[env.staging]\n";
        fs::write(dir.path().join("wrangler.toml"), settings).unwrap();
        let open = |environment: Option<&str>| {
            let here = Here {
                environment: environment.map(str::to_owned),
                ..Here::at(dir.path())
            };
            Project::open(&here).unwrap()
        };
        let (top, staging) = (open(None), open(Some("staging")));
        for (served, other, way_out) in [
            (&staging, &top, "add --env staging"),
            (&top, &staging, "leave --env"),
        ] {
            let mut lock = Lock::attempt(served, Work::Serve, "dev").unwrap().unwrap();
            let early = local(served).unwrap_err().to_string();
            assert!(early.contains("yet"), "{early}");
            lock.serve_at("http://127.0.0.1:1").unwrap();
            assert_eq!(local(served).unwrap(), "http://127.0.0.1:1");
            let error = local(other).unwrap_err();
            assert!(error.to_string().contains("is another"), "{error}");
            assert!(hint(&error).unwrap().starts_with(way_out), "{error:?}");
        }
        let none = local(&top).unwrap_err().to_string();
        assert!(none.contains("not served"), "{none}");
    }
}
