//! What a server answers that is no success, and what is to be done about it.

use std::fmt;

use crate::{
    error::problem,
    interrupt::Interrupted,
    stream::{self, Said},
};

/// A request that came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// We were asked to end.
    Interrupted,
    /// It cannot be sent, as when no token could be made.
    Unsent(String),
    /// There is no answer.
    Unreachable {
        /// Where the server should be.
        url: String,
        /// What happened.
        why: String,
    },
    /// The server refused it.
    Refused {
        /// The status.
        status: u16,
        /// What the server says; empty when it does not say what it calls it.
        said: Said,
    },
    /// The answer is not that of a server of this kind.
    Strange {
        /// What was asked for.
        what: String,
    },
}

impl Error {
    /// What the client says of a request to the server at this URL.
    pub fn of(error: stream::Error, url: &str) -> Self {
        let refused = |status, said: Said| Self::Refused {
            status,
            said: match said.code.is_empty() {
                true => Said::default(),
                false => said,
            },
        };
        match error {
            stream::Error::Invalid(why) | stream::Error::Credentials(why) => Self::Unsent(why),
            stream::Error::Unreachable { why, .. } => Self::Unreachable {
                url: url.to_owned(),
                why,
            },
            stream::Error::NotFound(said) => refused(404, said),
            stream::Error::Gone(said) => refused(410, said),
            stream::Error::Refused { status, said, .. } => refused(status, said),
            stream::Error::Strange(what) => Self::Strange { what },
            // None of what is asked of a server here is answered like this.
            stream::Error::Truncated { .. }
            | stream::Error::Closed { .. }
            | stream::Error::StaleEpoch { .. }
            | stream::Error::SequenceGap { .. } => Self::Strange {
                what: error.to_string(),
            },
        }
    }

    /// What the server calls it.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { said, .. } => &said.code,
            _ => "",
        }
    }

    /// Whether it is about something that is not there, or not any more.
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 404 | 410,
                ..
            }
        )
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Interrupted | Self::Unsent(_) => "",
            Self::Unreachable { .. } => {
                "`durable-streams dev` serves the project here, `durable-streams status` looks at the \
                 deployed server, and --url names another one"
            }
            Self::Refused { said, .. } if said.code == "DIRECTORY_OFF" => {
                "`DIRECTORY` of wrangler.toml is what switches it on and off; `dev` or `deploy` again \
                 after a change"
            }
            Self::Refused { said, .. } if said.code == "SUBSCRIPTION_NOT_FOUND" => {
                "`durable-streams subscriptions list` shows those there are; --project names another \
                 project"
            }
            Self::Refused {
                status: 401 | 403, ..
            } => {
                "the registry here and that of the server may differ: --local and --remote say which \
                 to take the project's secret from; one that is new counts within a minute"
            }
            Self::Refused { said, .. } if OTHERS.contains(&said.code.as_str()) => NO_SUCH_SERVER,
            Self::Refused { .. } => "",
            Self::Strange { .. } => NO_SUCH_SERVER,
        }
    }
}

/// What a server says to whom subscriptions are streams like others; and nothing.
const OTHERS: &[&str] = &["", "stream_not_found", "unknown_route", "invalid_request"];
const NO_SUCH_SERVER: &str = "the server may be older than this program: build it with the newest \
                              runtime, and `dev` or `deploy` adds to wrangler.toml what it needs";

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => write!(f, "{Interrupted}"),
            Self::Unsent(why) => f.write_str(why),
            Self::Unreachable { url, why } => write!(f, "no server answers at {url}: {why}"),
            Self::Refused { status, said } => match said.code.as_str() {
                "" => write!(f, "the server answers with status {status}"),
                code => write!(f, "{code}: {} (status {status})", said.message),
            },
            Self::Strange { what } => {
                write!(f, "{what}: the answer is not that of a server of this kind")
            }
        }
    }
}

// `Error` is no `std::error::Error`, so that this conversion can add the way out.
impl From<Error> for anyhow::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Interrupted => Interrupted.into(),
            error => problem(error.to_string(), error.hint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{StatusCode, header::HeaderMap};
    use serde_json::{Value, json};

    use super::*;

    fn refused(status: u16, document: &Value) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let body = document.to_string();
        let error = stream::Error::refused(status, &HeaderMap::new(), body.as_bytes());
        Error::of(error, "http://x")
    }

    #[test]
    fn what_the_server_says_is_shown_with_its_code() {
        let document = json!({ "error": { "code": "FENCED", "message": "the wake is over" } });
        let error = refused(409, &document);
        assert_eq!(error.to_string(), "FENCED: the wake is over (status 409)");
        assert_eq!(error.code(), "FENCED");
        let off = json!({ "error": { "code": "DIRECTORY_OFF", "message": "it is off" } });
        let error = anyhow::Error::from(refused(501, &off));
        assert!(crate::error::hint(&error).unwrap().contains("`DIRECTORY`"));
    }

    #[test]
    fn an_answer_of_another_server_is_told_apart() {
        for document in [Value::Null, json!({}), json!({ "error": "no" }), json!([1])] {
            let error = refused(404, &document);
            assert_eq!(error.to_string(), "the server answers with status 404");
            assert!(error.is_gone());
            let error = anyhow::Error::from(error);
            assert!(crate::error::hint(&error).unwrap().contains("older"));
        }
    }
}
