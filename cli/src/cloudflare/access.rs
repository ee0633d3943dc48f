//! What credentials may do in an account, and whether the account has what is needed: all of it found at
//! once, by asking for something small of each kind.

use reqwest::Method;
use serde::Serialize;
use serde_json::Value;

use super::{
    account::Account,
    error::{Endpoint, Error, Result},
    permissions::{self, Permission, names},
};
use crate::error::problem;

/// What was found out about a permission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Access {
    /// What needs it was answered. That writing is allowed too is known when something is written.
    Granted,
    /// What needs it was refused.
    Lacking,
    /// The account has never opened the service that it is about.
    Closed,
    /// Nothing; why.
    Unknown(String),
}

/// A permission, and what was found out about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ability {
    /// The permission.
    pub permission: Permission,
    /// What was found out.
    pub access: Access,
}

/// How the service that a permission is about is opened in an account, whose dashboard is there.
pub fn opening(permission: Permission, dashboard: &str) -> String {
    match permission {
        permissions::R2 => format!("enable R2 at {dashboard}/r2/overview"),
        _ => format!("open {dashboard}/workers/analytics-engine once"),
    }
}

impl Account {
    /// Asks for something of each kind that a project needs.
    pub fn abilities(&self) -> Result<Vec<Ability>> {
        let small = |endpoint, path: &str| {
            let what = "finding out what the credentials may do";
            let request = self.request(endpoint, what, Method::GET, path);
            self.client.call::<Value>(&request).map(drop)
        };
        let asked = [
            (
                permissions::SCRIPTS,
                small(Endpoint::Scripts, "/workers/scripts"),
            ),
            (
                permissions::KV,
                small(Endpoint::Kv, "/storage/kv/namespaces?per_page=5"),
            ),
            (
                permissions::R2,
                small(Endpoint::R2, "/r2/buckets?per_page=1"),
            ),
            (permissions::ANALYTICS, self.datasets().map(drop)),
        ];
        asked
            .into_iter()
            .map(|(permission, outcome)| {
                let access = access(outcome)?;
                Ok(Ability { permission, access })
            })
            .collect()
    }

    /// Whether something was refused that other credentials, or a person in the dashboard, could
    /// change.
    pub fn was_denied(&self) -> bool {
        self.client.was_denied()
    }
}

fn access(outcome: Result<()>) -> Result<Access> {
    match outcome {
        Ok(()) => Ok(Access::Granted),
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) if error.is_closed() => Ok(Access::Closed),
        Err(error) if error.is_denied() => Ok(Access::Lacking),
        Err(error) => Ok(Access::Unknown(error.to_string())),
    }
}

/// The error that says all that stands in the way of these permissions; nothing if nothing does. `page`
/// makes a token that has all.
pub fn obstacle(abilities: &[Ability], account: &Account, page: &str) -> Option<anyhow::Error> {
    let credentials = account.client.credentials();
    let remedy = format!(
        "{}; this page makes a token with all that is needed: {page}",
        credentials.remedy()
    );
    let (wrong, ways) = describe(abilities, &account.dashboard(), &remedy)?;
    Some(problem(
        format!("{wrong} (credentials: {})", credentials.source),
        ways,
    ))
}

/// What is wrong, and the ways out.
fn describe(abilities: &[Ability], dashboard: &str, remedy: &str) -> Option<(String, String)> {
    let with = |access: &Access| -> Vec<Permission> {
        let found = abilities.iter().filter(|one| one.access == *access);
        found.map(|one| one.permission).collect()
    };
    let (lacking, closed) = (with(&Access::Lacking), with(&Access::Closed));
    let mut wrong = Vec::new();
    let mut ways = Vec::new();
    if !lacking.is_empty() {
        let lacks = names(&lacking);
        wrong.push(match lacking.len() == abilities.len() {
            true => format!("the credentials do not count in this account, or lack {lacks}"),
            false => format!("the credentials lack {lacks}"),
        });
    }
    if closed.contains(&permissions::R2) {
        wrong.push("R2 is not enabled on this account".to_owned());
        ways.push(opening(permissions::R2, dashboard));
    }
    if closed.contains(&permissions::ANALYTICS) {
        wrong.push("Analytics Engine was never opened on this account".to_owned());
        let opening = opening(permissions::ANALYTICS, dashboard);
        ways.push(format!("{opening}, or deploy with `--without-metrics`"));
    }
    // The address comes last, so that nothing behind it is taken for a part of it.
    if !lacking.is_empty() {
        ways.push(remedy.to_owned());
    }
    let (wrong, ways) = (wrong.join("; "), ways.join("; "));
    (!wrong.is_empty()).then_some((wrong, ways))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abilities(access: [Access; 4]) -> Vec<Ability> {
        let all = [
            permissions::SCRIPTS,
            permissions::KV,
            permissions::R2,
            permissions::ANALYTICS,
        ];
        let pairs = all.into_iter().zip(access);
        pairs
            .map(|(permission, access)| Ability { permission, access })
            .collect()
    }

    #[test]
    fn all_that_stands_in_the_way_is_said_at_once() {
        use Access::{Closed, Granted, Lacking, Unknown};
        let describe = |access| describe(&abilities(access), "https://dash", "do it");
        let unknown = Unknown("no answer".to_owned());
        assert_eq!(describe([Granted, Granted, unknown, Granted]), None);
        let (wrong, ways) = describe([Granted, Lacking, Closed, Closed]).unwrap();
        assert!(ways.ends_with("; do it"), "{ways}");
        assert_eq!(
            wrong,
            "the credentials lack `Workers KV Storage: Edit`; R2 is not enabled on this account; \
             Analytics Engine was never opened on this account"
        );
        for part in [
            "https://dash/r2/overview",
            "https://dash/workers/analytics-engine once, or deploy with `--without-metrics`",
        ] {
            assert!(ways.contains(part), "{ways}");
        }
        let (wrong, _) = describe([Lacking, Lacking, Lacking, Lacking]).unwrap();
        assert!(wrong.starts_with("the credentials do not count in this account, or lack"));
    }
}
