//! What a person or a program reads: results on stdout, everything else on stderr.

use std::{
    cell::Cell,
    io::{IsTerminal, Write},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::{args::global::Global, error};

/// After how many more things of a kind progress is said where it cannot be drawn.
const NOTED: u64 = 500;

/// How to talk to whoever started the program.
#[derive(Debug)]
pub struct Ui {
    json: bool,
    quiet: bool,
    verbose: bool,
    /// stderr is a terminal: progress may be drawn.
    terminal: bool,
    /// The step that is drawn, and what it is.
    drawn: Mutex<Option<(ProgressBar, String)>>,
}

impl Ui {
    /// Takes the global options and looks at the terminal. Colours follow `NO_COLOR`.
    pub fn new(global: &Global) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if no_color {
            console::set_colors_enabled(false);
            console::set_colors_enabled_stderr(false);
        }
        Self {
            json: global.json,
            quiet: global.quiet,
            verbose: global.verbose,
            terminal: std::io::stderr().is_terminal(),
            drawn: Mutex::new(None),
        }
    }

    /// The output of programs is to be shown as it comes.
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Programs that are run may colour their output.
    pub fn color(&self) -> bool {
        self.terminal && console::colors_enabled_stderr()
    }

    /// A person is there to answer questions.
    pub fn can_ask(&self) -> bool {
        !self.json && !self.quiet && self.terminal && std::io::stdin().is_terminal()
    }

    /// A line of progress or explanation.
    pub fn note(&self, text: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        match &*drawn {
            Some((bar, _)) => bar.suspend(|| eprintln!("{}", text.as_ref())),
            None => eprintln!("{}", text.as_ref()),
        }
    }

    /// How far the step is that runs; drawn on a terminal, and nowhere else.
    pub fn progress(&self, text: impl AsRef<str>) {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bar, what)) = &*drawn {
            bar.set_message(format!("{what} … {}", text.as_ref()));
        }
    }

    /// Something that is not an error but should be known, also with `--quiet`.
    pub fn warn(&self, text: impl AsRef<str>) {
        eprintln!(
            "{} {}",
            style("warning:").yellow().bold().for_stderr(),
            text.as_ref()
        );
    }

    /// The result: `text` for a person, `document` for a program.
    pub fn result(&self, text: impl AsRef<str>, document: &Value) {
        if self.json {
            print_json(document);
        } else {
            print_line(text.as_ref().trim_end());
        }
    }

    /// An error the program goes on after.
    pub fn report(&self, error: &anyhow::Error) {
        eprintln!("{} {error:#}", style("error:").red().bold().for_stderr());
        if let Some(hint) = error::hint(error) {
            eprintln!("{} {hint}", style("help:").cyan().bold().for_stderr());
        }
    }

    /// The error the program ends with.
    pub fn error(&self, error: &anyhow::Error) {
        self.report(error);
        if self.json {
            print_json(&error::document(&format!("{error:#}"), error::hint(error)));
        }
    }

    /// Runs a step that takes a while and says how long it took. Of steps at the same time the first
    /// is drawn.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let draws = self.draw(what);
        if !draws {
            self.note(format!("{what} …"));
        }
        let outcome = work();
        if draws {
            let drawn = self.drawn.lock().map(|mut drawn| drawn.take());
            if let Ok(Some((bar, _))) = drawn {
                bar.finish_and_clear();
            }
        }
        if outcome.is_ok() {
            self.note(format!("{what} … {}", seconds(started.elapsed())));
        }
        outcome
    }

    /// Runs a step that counts what it has done so far, by calling what it is given.
    pub fn counting<T>(
        &self,
        what: &str,
        work: impl FnOnce(&dyn Fn(u64)) -> Result<T>,
    ) -> Result<T> {
        let spinner = self.spinner(what);
        let noted = Cell::new(0);
        let outcome = work(&|count| match &spinner {
            Some(spinner) => spinner.set_message(format!("{what} … {count}")),
            None if count / NOTED > noted.get() => {
                noted.set(count / NOTED);
                self.note(format!("{what} … {count}"));
            }
            None => {}
        });
        if let Some(spinner) = spinner {
            spinner.finish_and_clear();
        }
        outcome
    }

    /// A line of a result that goes on: `text` for a person, `document` for a program.
    pub fn event(&self, text: impl AsRef<str>, document: &Value) {
        if self.json {
            print_line(&document.to_string());
        } else {
            print_line(text.as_ref());
        }
    }

    fn draw(&self, what: &str) -> bool {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.is_some() {
            return false;
        }
        *drawn = self.spinner(what).map(|bar| (bar, what.to_owned()));
        drawn.is_some()
    }

    fn spinner(&self, what: &str) -> Option<ProgressBar> {
        if !self.terminal || self.quiet || self.verbose {
            return None;
        }
        let spinner = ProgressBar::new_spinner().with_message(format!("{what} …"));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.enable_steady_tick(Duration::from_millis(120));
        Some(spinner)
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

/// Prints one JSON document on stdout.
pub fn print_json(document: &Value) {
    print_line(&format!("{document:#}"));
}

/// Prints a line on stdout at once. A reader that has gone away is not our error.
fn print_line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}");
    let _ = stdout.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_a_decimal_while_it_matters() {
        assert_eq!(seconds(Duration::from_millis(340)), "0.3 s");
        assert_eq!(seconds(Duration::from_millis(9_940)), "9.9 s");
        assert_eq!(seconds(Duration::from_millis(92_400)), "92 s");
    }
}
