//! What can go wrong in a call of the API, and what a person can do about it.

use std::{fmt, time::Duration};

use super::permissions::{self, Permission};
use crate::{error::problem, http, interrupt::Interrupted};

/// What a call is about. Error numbers repeat across Cloudflare's services, so a number means
/// something only together with this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// The accounts a token sees.
    Accounts,
    /// R2 buckets and their objects.
    R2,
    /// KV namespaces and their values.
    Kv,
    /// Workers: looked up, uploaded, deleted.
    Scripts,
    /// The account's workers.dev subdomain, and a worker's place there.
    Subdomain,
    /// Routes and custom domains.
    Routes,
    /// The live log.
    Tail,
    /// Data points.
    Analytics,
    /// The token itself, and whose it is.
    User,
}

impl Endpoint {
    /// The permission a token needs.
    fn permission(self) -> Permission {
        match self {
            Self::Accounts | Self::User => permissions::SETTINGS,
            Self::R2 => permissions::R2,
            Self::Kv => permissions::KV,
            Self::Scripts | Self::Subdomain => permissions::SCRIPTS,
            Self::Routes => permissions::ROUTES,
            Self::Tail => permissions::TAIL,
            Self::Analytics => permissions::ANALYTICS,
        }
    }
}

/// What an API call gives.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the API's own, as its envelope says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its number; 0 when it has none.
    pub code: i64,
    /// Its text.
    pub message: String,
}

/// Why a call has no result.
#[derive(Debug)]
pub enum Error {
    /// Cloudflare answered, and said no.
    Refused {
        /// What the call is about.
        endpoint: Endpoint,
        /// What was attempted, as in `creating the bucket x`.
        what: String,
        /// The HTTP status.
        status: u16,
        /// What the envelope says; empty when there is none.
        refusals: Vec<Refusal>,
        /// How long Cloudflare wants to be left alone.
        retry_after: Option<Duration>,
        /// Where the dashboard is for the account.
        dashboard: String,
    },
    /// No answer came.
    Unreachable {
        /// What was attempted.
        what: String,
        /// The host that was asked.
        host: String,
        /// Why.
        why: String,
        /// Its certificate is signed by nobody that this machine knows.
        untrusted: bool,
    },
    /// An answer came that is none of this API.
    Malformed {
        /// What was attempted.
        what: String,
        /// In what way.
        why: String,
    },
    /// We were asked to end.
    Interrupted,
}

impl Error {
    /// Whether Cloudflare said no with this number.
    pub fn has(&self, code: i64) -> bool {
        self.refusals().iter().any(|refusal| refusal.code == code)
    }

    /// Whether what the call is about does not exist.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the migrations sent do not fit what is deployed.
    pub fn is_outdated_migration(&self) -> bool {
        matches!(self.kind(), Some(Kind::Migration | Kind::ClassExists))
    }

    /// Whether the credentials lack a permission, or do not count any more.
    pub fn is_denied(&self) -> bool {
        self.kind() == Some(Kind::Permission)
    }

    /// Whether the credentials may not list accounts.
    pub fn is_missing_list(&self) -> bool {
        self.kind() == Some(Kind::NoAccountList)
    }

    /// Whether the call is about a service that the account has never opened.
    pub fn is_closed(&self) -> bool {
        matches!(self.kind(), Some(Kind::R2Disabled | Kind::NoAnalytics))
    }

    fn refusals(&self) -> &[Refusal] {
        match self {
            Self::Refused { refusals, .. } => refusals,
            _ => &[],
        }
    }

    /// What is wrong.
    fn message(&self) -> String {
        match self {
            Self::Refused {
                what,
                status,
                refusals,
                ..
            } => {
                let said: Vec<String> = refusals
                    .iter()
                    .map(|refusal| {
                        let message = refusal.message.trim_end_matches('.');
                        match refusal.code {
                            0 => message.to_owned(),
                            code => format!("{message} (code {code})"),
                        }
                    })
                    .collect();
                let said = match said.is_empty() {
                    true => format!("HTTP status {status}"),
                    false => said.join("; "),
                };
                match self.reading() {
                    Some(reading) => format!("{what}: {reading}: {said}"),
                    None => format!("{what}: {said}"),
                }
            }
            Self::Unreachable {
                what,
                host,
                why,
                untrusted,
            } => match untrusted {
                true => format!("{what}: the certificate of {host} is not trusted here: {why}"),
                false => format!("{what}: no answer from {host}: {why}"),
            },
            Self::Malformed { what, why } => {
                format!("{what}: Cloudflare's answer cannot be understood: {why}")
            }
            Self::Interrupted => Interrupted.to_string(),
        }
    }

    /// What a refusal means, where Cloudflare's own words do not say it.
    fn reading(&self) -> Option<String> {
        let Self::Refused {
            endpoint,
            status,
            retry_after,
            ..
        } = self
        else {
            return None;
        };
        Some(match self.kind()? {
            Kind::Permission => format!(
                "the credentials are not valid any more, or lack the permission `{}`",
                endpoint.permission()
            ),
            Kind::NoAccountList => "the token cannot list accounts".to_owned(),
            Kind::R2Disabled => "R2 is not enabled on this account".to_owned(),
            Kind::NoAnalytics => "Analytics Engine was never opened on this account".to_owned(),
            Kind::Unfit => "the credentials do not look like any".to_owned(),
            Kind::NoSubdomain => "the account has no workers.dev subdomain yet".to_owned(),
            Kind::NotDeployed => "the worker is not deployed".to_owned(),
            Kind::Migration => "the classes of Durable Objects have changed meanwhile".to_owned(),
            Kind::ClassExists => {
                "a class of Durable Objects that a migration makes is there already".to_owned()
            }
            Kind::Startup => "the worker does not start".to_owned(),
            Kind::TooLarge => "the worker is too large".to_owned(),
            Kind::TooMany => match retry_after {
                Some(wait) => format!("too many requests, for {} s", wait.as_secs()),
                None => "too many requests".to_owned(),
            },
            Kind::Outage => format!("Cloudflare has a fault of its own (status {status})"),
        })
    }

    /// The way out.
    fn hint(&self) -> String {
        let (endpoint, dashboard) = match self {
            Self::Refused {
                endpoint,
                dashboard,
                ..
            } => (*endpoint, dashboard),
            Self::Unreachable {
                untrusted: true, ..
            } => return http::UNTRUSTED.to_owned(),
            Self::Unreachable { .. } => {
                return "look at the network connection, and at CLOUDFLARE_API_BASE_URL if it is \
                        set; what was done so far stays, and the command can be run again"
                    .to_owned();
            }
            Self::Malformed { .. } => {
                return "look at CLOUDFLARE_API_BASE_URL if it is set, and whether a proxy answers \
                        in Cloudflare's place; the command can be run again"
                    .to_owned();
            }
            Self::Interrupted => return String::new(),
        };
        match self.kind() {
            Some(Kind::Permission) => format!(
                "give the token `{}` at https://dash.cloudflare.com/profile/api-tokens, or make a \
                 new one; after `wrangler login`, `npx wrangler whoami` refreshes the login",
                endpoint.permission()
            ),
            Some(Kind::NoAccountList) => "set CLOUDFLARE_ACCOUNT_ID, or `account_id` in \
                 wrangler.toml, to the id that https://dash.cloudflare.com shows for the account"
                .to_owned(),
            Some(Kind::R2Disabled) => {
                format!("enable it at {dashboard}/r2/overview, then run this again")
            }
            Some(Kind::NoAnalytics) => format!(
                "open {dashboard}/workers/analytics-engine once, or deploy with `--without-metrics`"
            ),
            Some(Kind::Unfit) => {
                "give the token alone, without quotes, and without `Bearer` before \
                 it; a global API key goes into CLOUDFLARE_API_KEY, with CLOUDFLARE_EMAIL"
                    .to_owned()
            }
            Some(Kind::NoSubdomain) => format!(
                "open {dashboard}/workers/onboarding once to register one, then run this again"
            ),
            Some(Kind::NotDeployed) => "`durable-streams deploy` deploys it".to_owned(),
            Some(Kind::Migration) => "run `durable-streams deploy` again: it starts from the \
                 migration tag that is deployed now"
                .to_owned(),
            Some(Kind::ClassExists) => "another deploy has made it under another `tag`: list the \
                 migrations in wrangler.toml as they were deployed"
                .to_owned(),
            Some(Kind::Startup) => {
                "`durable-streams dev` runs the same worker on this machine".to_owned()
            }
            Some(Kind::TooLarge) => "the limit is 3 MB after gzip on the free plan, 10 MB on the \
                 paid one; fewer or lighter dependencies make it smaller"
                .to_owned(),
            Some(Kind::TooMany) => "the limit is 1200 requests in 5 minutes for each user; wait, \
                 then run this again"
                .to_owned(),
            Some(Kind::Outage) => {
                "run this again in a while; https://www.cloudflarestatus.com says \
                 what is known"
                    .to_owned()
            }
            None => String::new(),
        }
    }

    fn kind(&self) -> Option<Kind> {
        let Self::Refused {
            endpoint, status, ..
        } = self
        else {
            return None;
        };
        let known = self
            .refusals()
            .iter()
            .find_map(|refusal| match (endpoint, refusal.code) {
                (Endpoint::Accounts, 9109) => Some(Kind::NoAccountList),
                (Endpoint::R2, 10042) => Some(Kind::R2Disabled),
                (Endpoint::Scripts, 10089) => Some(Kind::NoAnalytics),
                (_, 6003 | 6103 | 6111) => Some(Kind::Unfit),
                (Endpoint::Scripts | Endpoint::Subdomain, 10063) => Some(Kind::NoSubdomain),
                (Endpoint::Scripts | Endpoint::Tail, 10007 | 10090) => Some(Kind::NotDeployed),
                (Endpoint::Scripts, 10079) => Some(Kind::Migration),
                (Endpoint::Scripts, 10074) => Some(Kind::ClassExists),
                (Endpoint::Scripts, 10021) => Some(Kind::Startup),
                (Endpoint::Scripts, 10027) => Some(Kind::TooLarge),
                (_, 10000 | 9106 | 9109) | (Endpoint::User, 1000) => Some(Kind::Permission),
                _ => None,
            });
        known.or(match status {
            // The gateway refuses a token with a number of its own, and what is behind it an account.
            403 if *endpoint == Endpoint::Analytics && self.has(0) => Some(Kind::NoAnalytics),
            401 | 403 => Some(Kind::Permission),
            429 => Some(Kind::TooMany),
            500.. => Some(Kind::Outage),
            _ => None,
        })
    }
}

/// The refusals a person can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Permission,
    NoAccountList,
    R2Disabled,
    NoAnalytics,
    Unfit,
    NoSubdomain,
    NotDeployed,
    Migration,
    ClassExists,
    Startup,
    TooLarge,
    TooMany,
    Outage,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

// `Error` is no `std::error::Error`, so that this conversion can add the way out.
impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted => Interrupted.into(),
            error => problem(error.message(), error.hint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(endpoint: Endpoint, status: u16, code: i64) -> anyhow::Error {
        Error::Refused {
            endpoint,
            what: "doing it".to_owned(),
            status,
            refusals: vec![Refusal {
                code,
                message: "Its words.".to_owned(),
            }],
            retry_after: None,
            dashboard: "https://dash.cloudflare.com/abc".to_owned(),
        }
        .into()
    }

    #[test]
    fn a_number_is_read_together_with_what_the_call_is_about() {
        let says = |endpoint, status, code, message: &str, hint: &str| {
            let error = refused(endpoint, status, code);
            let text = error.to_string();
            assert!(text.starts_with("doing it: "), "{text}");
            assert!(text.contains(&format!("Its words (code {code})")), "{text}");
            assert!(text.contains(message), "{text}");
            let found = crate::error::hint(&error).unwrap_or_default();
            assert!(found.contains(hint), "{found}");
        };
        says(
            Endpoint::R2,
            403,
            10000,
            "lack the permission `Workers R2 Storage: Edit`",
            "api-tokens",
        );
        says(
            Endpoint::Kv,
            403,
            10000,
            "`Workers KV Storage: Edit`",
            "wrangler whoami",
        );
        says(Endpoint::Scripts, 401, 1, "`Workers Scripts: Edit`", "");
        says(
            Endpoint::Accounts,
            403,
            9109,
            "cannot list accounts",
            "CLOUDFLARE_ACCOUNT_ID",
        );
        says(
            Endpoint::R2,
            403,
            10042,
            "R2 is not enabled",
            "/abc/r2/overview",
        );
        says(
            Endpoint::Scripts,
            403,
            10063,
            "no workers.dev subdomain",
            "/abc/workers/onboarding",
        );
        says(
            Endpoint::Scripts,
            404,
            10007,
            "not deployed",
            "durable-streams deploy",
        );
        says(
            Endpoint::Scripts,
            412,
            10079,
            "changed meanwhile",
            "deploy` again",
        );
        says(
            Endpoint::Scripts,
            400,
            10074,
            "there already",
            "as they were deployed",
        );
        says(
            Endpoint::Scripts,
            400,
            10021,
            "does not start",
            "durable-streams dev",
        );
        says(Endpoint::Scripts, 413, 10027, "too large", "10 MB");
        says(Endpoint::Kv, 429, 971, "too many requests", "1200");
        says(
            Endpoint::Kv,
            503,
            10013,
            "fault of its own",
            "cloudflarestatus",
        );
        says(
            Endpoint::Scripts,
            403,
            10089,
            "Analytics Engine was never opened",
            "--without-metrics",
        );
        says(
            Endpoint::Kv,
            400,
            6111,
            "do not look like any",
            "without quotes",
        );
        says(
            Endpoint::Analytics,
            403,
            10000,
            "`Account Analytics: Read`",
            "",
        );
        // The same number elsewhere means something else, and is given in Cloudflare's words.
        says(Endpoint::R2, 400, 10027, "Its words", "");
        says(Endpoint::Kv, 400, 10042, "Its words", "");
    }

    #[test]
    fn an_account_without_analytics_engine_is_refused_without_a_number() {
        let error = |endpoint| Error::Refused {
            endpoint,
            what: "doing it".to_owned(),
            status: 403,
            refusals: vec![Refusal {
                code: 0,
                message: "Authorization error".to_owned(),
            }],
            retry_after: None,
            dashboard: "https://dash.cloudflare.com/abc".to_owned(),
        };
        let closed = error(Endpoint::Analytics);
        assert!(closed.is_closed() && !closed.is_denied());
        let text = closed.to_string();
        assert!(
            text.ends_with("on this account: Authorization error"),
            "{text}"
        );
        assert!(error(Endpoint::Kv).is_denied());
    }

    #[test]
    fn a_refusal_without_an_envelope_has_its_status() {
        let error = Error::Refused {
            endpoint: Endpoint::Kv,
            what: "doing it".to_owned(),
            status: 418,
            refusals: Vec::new(),
            retry_after: None,
            dashboard: String::new(),
        };
        assert_eq!(error.to_string(), "doing it: HTTP status 418");
    }
}
