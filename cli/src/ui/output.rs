//! What is written on stdout and stderr, and what could not be.

use std::{
    io::{self, Write},
    sync::OnceLock,
};

use super::closed;

/// stdout, as far as it takes what it is given.
#[derive(Debug, Default)]
pub struct Output {
    /// Why the first of what got lost got lost.
    failure: OnceLock<io::Error>,
}

impl Output {
    /// Writes a line at once, and says whether that went well.
    pub fn line(&self, text: &str) -> bool {
        let outcome = match closed::at_start() {
            true => Err(io::Error::other("stdout is closed")),
            false => line(text),
        };
        match outcome {
            Ok(()) => true,
            Err(error) => {
                let _ = self.failure.set(error);
                false
            }
        }
    }

    /// Why something got lost, if something did.
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.get()
    }
}

fn line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a line on stderr. Nobody is left to be told when that fails.
pub fn remark(text: impl std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
