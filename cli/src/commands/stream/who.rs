//! Who asks a server.

use std::{
    env, fmt, fs,
    io::{self, BufRead},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    args::values::Scope,
    error::problem,
    registry::Secret,
    stream::{Access, Authorize, Need},
    token::{self, Claims},
    ui::Ui,
};

/// How long a token lasts. Each request has one of its own.
const LIFETIME: Duration = Duration::from_secs(300);

/// Nobody in particular.
#[derive(Debug)]
pub struct Nobody;

impl Authorize for Nobody {
    fn authorization(&self, _: Need<'_>) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// Somebody by the value of `Authorization`, which is not shown anywhere.
pub struct Who(String);

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Who")
    }
}

impl Who {
    /// Takes the value of `Authorization`.
    pub fn value(value: String) -> Self {
        Self(value.trim().to_owned())
    }

    /// Takes a token from where an option says it is.
    pub fn read(ui: &Ui, source: &str) -> Result<Self> {
        let text = match source.split_at_checked(1) {
            Some(("-", "")) => {
                let mut line = String::new();
                io::stdin().lock().read_line(&mut line)?;
                line
            }
            Some(("@", file)) => fs::read_to_string(file)
                .with_context(|| format!("cannot read the token in the file {file}"))?,
            _ => match source.strip_prefix("env:") {
                Some(name) => env::var(name)
                    .ok()
                    .with_context(|| format!("the variable {name} of --token is not set"))?,
                None => {
                    ui.warn(
                        "other users of this machine see the token among the arguments: --token env:NAME, \
                         @FILE or - (stdin) hide it",
                    );
                    source.to_owned()
                }
            },
        };
        let text = text.trim();
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(problem(
                "--token leads to no token",
                "a token is one line of text; `durable-streams token` prints one",
            ));
        }
        // Other ways to say who asks than by a token have a word before it.
        Ok(Self(match text.contains(' ') {
            true => text.to_owned(),
            false => format!("Bearer {text}"),
        }))
    }
}

impl Authorize for Who {
    fn authorization(&self, _: Need<'_>) -> Result<Option<String>, String> {
        Ok(Some(self.0.clone()))
    }
}

/// Whoever has a project's secret: with a token for each request that allows it and no more.
#[derive(Debug)]
pub struct Tokens {
    project: String,
    secret: Secret,
}

impl Tokens {
    /// For the streams of a project.
    pub fn new(project: String, secret: Secret) -> Self {
        Self { project, secret }
    }
}

impl Authorize for Tokens {
    fn authorization(&self, need: Need<'_>) -> Result<Option<String>, String> {
        let mint = || {
            let claims = Claims {
                project: self.project.clone(),
                scope: match need.access {
                    Access::Read => Scope::Read,
                    Access::Write => Scope::Write,
                },
                expires_at: token::expiry(LIFETIME)?,
                stream: need.stream.map(str::to_owned),
            };
            token::mint(&self.secret, &claims)
        };
        let token = mint().map_err(|error| error.to_string())?;
        Ok(Some(format!("Bearer {token}")))
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_token_allows_what_is_done_and_no_more() {
        let secret = serde_json::from_value(json!("0123456789abcdef0123456789abcdef")).unwrap();
        let tokens = Tokens::new("p".to_owned(), secret);
        let said = |access, stream| {
            let token = tokens
                .authorization(Need { access, stream })
                .unwrap()
                .unwrap();
            let claims = token.split('.').nth(1).unwrap();
            let mut said: Value =
                serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
            said["exp"].take();
            said
        };
        assert_eq!(
            said(Access::Read, Some("chats/42")),
            json!({ "sub": "p", "scope": "read", "exp": null, "stream_id": "chats/42" })
        );
        assert_eq!(
            said(Access::Write, None),
            json!({ "sub": "p", "scope": "write", "exp": null })
        );
    }
}
