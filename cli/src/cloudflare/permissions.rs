//! What a token has to be allowed, and the page of the dashboard that makes one which is.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

/// A page on which a token is made.
pub const TOKENS: &str = "https://dash.cloudflare.com/profile/api-tokens";
/// What an address has as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-').remove(b'.');
/// The name that the page suggests for the token.
const NAME: &str = "durable-streams";

/// Something a token may do, as the dashboard names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// The dashboard's name and level.
    pub name: &'static str,
    /// What it is needed for.
    pub why: &'static str,
    /// What it is called in the address of the dashboard's page.
    key: &'static str,
    level: &'static str,
}

/// Workers are looked up, uploaded and deleted.
pub const SCRIPTS: Permission = Permission {
    name: "Workers Scripts: Edit",
    why: "the worker",
    key: "workers_scripts",
    level: "edit",
};
/// The registry is kept.
pub const KV: Permission = Permission {
    name: "Workers KV Storage: Edit",
    why: "the registry of projects",
    key: "workers_kv_storage",
    level: "edit",
};
/// Streams move to a bucket.
pub const R2: Permission = Permission {
    name: "Workers R2 Storage: Edit",
    why: "the bucket",
    key: "workers_r2",
    level: "edit",
};
/// The accounts are listed.
pub const SETTINGS: Permission = Permission {
    name: "Account Settings: Read",
    why: "finding the account",
    key: "account_settings",
    level: "read",
};
/// Data points are read.
pub const ANALYTICS: Permission = Permission {
    name: "Account Analytics: Read",
    why: "`usage`",
    key: "account_analytics",
    level: "read",
};
/// Logs are read.
pub const TAIL: Permission = Permission {
    name: "Workers Tail: Read",
    why: "`logs`",
    key: "workers_tail",
    level: "read",
};
/// Requests of a zone reach the worker.
pub const ROUTES: Permission = Permission {
    name: "Workers Routes: Edit",
    why: "routes and custom domains",
    key: "workers_routes",
    level: "edit",
};

/// What a deploy needs.
pub const DEPLOY: [Permission; 4] = [SCRIPTS, KV, R2, SETTINGS];

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The page of the dashboard that makes a token for all commands together, in a project that has routes or
/// has none. Whoever opens it chooses the account and the zones, and says yes.
pub fn token_page(has_routes: bool) -> String {
    let mut needed = DEPLOY.to_vec();
    needed.extend([ANALYTICS, TAIL]);
    needed.extend(has_routes.then_some(ROUTES));
    page(&needed)
}

/// The page with these permissions filled in.
fn page(permissions: &[Permission]) -> String {
    let keys = permissions
        .iter()
        .map(|one| json!({ "key": one.key, "type": one.level }));
    let keys = json!(keys.collect::<Vec<_>>()).to_string();
    let keys = utf8_percent_encode(&keys, PLAIN);
    format!("{TOKENS}?permissionGroupKeys={keys}&accountId=*&zoneId=all&name={NAME}")
}

/// Names in a row, as a sentence has them.
pub fn names(permissions: &[Permission]) -> String {
    let names: Vec<String> = permissions.iter().map(|one| format!("`{one}`")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_the_permissions_in_its_address() {
        assert_eq!(
            page(&[SCRIPTS, SETTINGS]),
            "https://dash.cloudflare.com/profile/api-tokens?permissionGroupKeys=%5B%7B%22key%22%3A%22\
             workers_scripts%22%2C%22type%22%3A%22edit%22%7D%2C%7B%22key%22%3A%22account_settings\
             %22%2C%22type%22%3A%22read%22%7D%5D&accountId=*&zoneId=all&name=durable-streams"
        );
        // It has to survive being pasted into a shell and a chat.
        let page = token_page(true);
        assert!(page.bytes().all(|byte| byte.is_ascii_graphic()), "{page}");
    }

    #[test]
    fn what_a_deploy_needs_is_said_as_the_table_has_it() {
        assert_eq!(
            DEPLOY.map(|one| one.name).join(", "),
            "Workers Scripts: Edit, Workers KV Storage: Edit, Workers R2 Storage: Edit, Account \
             Settings: Read"
        );
    }
}
