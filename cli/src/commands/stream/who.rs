//! Who asks a server, where an option or a variable says it.

use std::{
    env, fmt, fs,
    io::{self, BufRead},
};

use anyhow::{Context, Result};

use crate::{
    error::problem,
    stream::{Authorize, Need},
    ui::Ui,
};

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
