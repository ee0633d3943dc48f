//! What a person or a program reads: results on stdout, everything else on stderr; and what a person
//! is asked.

mod closed;
mod output;
mod password;
mod places;
mod questions;
mod steps;

use std::{
    env, fmt,
    io::{self, IsTerminal},
    sync::Mutex,
    time::Duration,
};

use console::style;
use serde_json::Value;

pub use self::places::{Places, quoted};
use self::{
    output::{Output, remark},
    steps::Drawn,
};
use crate::{args::global::Global, error, interrupt};

/// How to talk to whoever started the program.
#[derive(Debug)]
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    /// stderr is a terminal: progress may be drawn.
    terminal: bool,
    /// Where we were told to work.
    places: Places,
    output: Output,
    /// The step that is drawn.
    drawn: Mutex<Option<Drawn>>,
}

impl Ui {
    /// Takes the global options and looks at the terminal. Colours follow `NO_COLOR`.
    pub fn new(global: &Global, places: Places) -> Self {
        let no_color = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if no_color {
            console::set_colors_enabled(false);
            console::set_colors_enabled_stderr(false);
        }
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            terminal: io::stderr().is_terminal(),
            places,
            output: Output::default(),
            drawn: Mutex::new(None),
        }
    }

    /// The output of programs is to be shown as it comes.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Results are documents.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Only results and errors are wanted.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Progress may be drawn on stderr.
    pub fn can_draw(&self) -> bool {
        self.terminal && !self.quiet && !self.verbose
    }

    /// Programs that are run may colour their output.
    pub fn color(&self) -> bool {
        self.terminal && console::colors_enabled_stderr()
    }

    /// A person is there to answer questions. Machines that build and test have terminals, too, and
    /// say who they are by `CI`.
    pub fn can_ask(&self) -> bool {
        let can_read = self.terminal && io::stdin().is_terminal();
        can_read && !self.json && !self.quiet && !is_ci(env::var("CI").ok().as_deref())
    }

    /// A line of progress or explanation.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        self.say(self.places.keep_in(text.as_ref()));
    }

    /// Something that is not an error but should be known, also with `--quiet`.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.say(format_args!(
            "{} {}",
            style("warning:").yellow().bold().for_stderr(),
            self.places.keep_in(text.as_ref())
        ));
    }

    /// The result: `text` for a person, `document` for a program.
    pub fn result(&self, text: impl AsRef<str>, document: &Value) {
        if self.json {
            self.output.line(&format!("{document:#}"));
        } else {
            let text = self.places.keep_in(text.as_ref().trim_end());
            self.output.line(&text);
        }
    }

    /// An error the program goes on after.
    pub fn report(&self, error: &anyhow::Error) {
        let what = format!("{error:#}");
        self.say(format_args!(
            "{} {}",
            style("error:").red().bold().for_stderr(),
            self.places.keep_in(&what)
        ));
        if let Some(hint) = error::hint(error) {
            self.say(format_args!(
                "{} {}",
                style("help:").cyan().bold().for_stderr(),
                self.places.keep_in(hint)
            ));
        }
    }

    /// The error the program ends with.
    pub fn error(&self, error: &anyhow::Error) {
        self.report(error);
        if self.json {
            let what = format!("{error:#}");
            let hint = error::hint(error).map(|hint| self.places.keep_in(hint));
            let document = error::document(&self.places.keep_in(&what), hint.as_deref());
            self.output.line(&format!("{document:#}"));
        }
    }

    /// Why a result could not be written, if one could not.
    pub fn unwritten(&self) -> Option<&io::Error> {
        self.output.failure()
    }

    /// Leaves the terminal as it should be after an end in the midst of something: a question hides
    /// the cursor, and does not end its line.
    pub fn leave(&self, was_asking: bool) {
        if self.terminal && was_asking {
            interrupt::show_cursor();
            remark("");
        }
    }

    /// A line of a result that goes on: `text` for a person, `document` for a program. When nobody
    /// takes it, there is no reason to go on either: that counts as being asked to end.
    pub fn event(&self, text: impl AsRef<str>, document: &Value) {
        let is_taken = match self.json {
            true => self.output.line(&document.to_string()),
            false => self.output.line(text.as_ref()),
        };
        if !is_taken {
            interrupt::ask_to_end();
        }
    }

    /// A line on stderr, above the step that is drawn.
    fn say(&self, text: impl fmt::Display) {
        match &*self.drawn() {
            Some(Drawn { bar, .. }) => bar.suspend(|| remark(text)),
            None => remark(text),
        }
    }
}

/// A duration as people say it.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else {
        format!("{seconds:.0} s")
    }
}

/// A number of things as people say it.
pub fn how_many(number: u64, thing: &str) -> String {
    match number {
        1 => format!("1 {thing}"),
        number => format!("{number} {thing}s"),
    }
}

/// Prints one JSON document on stdout, before anything is known of how to talk.
pub fn print_json(document: &Value) {
    Output::default().line(&format!("{document:#}"));
}

/// Whether a value of `CI` says that a machine is at work.
fn is_ci(value: Option<&str>) -> bool {
    value.is_some_and(|value| !matches!(value, "" | "0" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_that_build_are_asked_nothing() {
        for value in ["1", "true", "woodpecker"] {
            assert!(is_ci(Some(value)), "{value}");
        }
        for value in [None, Some(""), Some("0"), Some("false")] {
            assert!(!is_ci(value), "{value:?}");
        }
    }

    #[test]
    fn durations_keep_a_decimal_while_it_matters() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_millis(9_940)), "9.9 s");
        assert_eq!(seconds(Duration::from_millis(92_400)), "92 s");
    }
}
