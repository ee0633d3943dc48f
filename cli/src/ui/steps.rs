//! Steps that take a while: drawn on a terminal while they run, and elsewhere said.

use std::{
    cell::Cell,
    sync::{MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Ui, seconds};

/// After how many more things of a kind progress is said where it is not drawn.
const NOTED: u64 = 500;
/// After how long progress is said again where it is not drawn.
const SAID_AGAIN: Duration = Duration::from_secs(5);

/// A step that is drawn.
#[derive(Debug)]
pub struct Drawn {
    /// What is drawn of it.
    pub bar: ProgressBar,
    what: String,
}

impl Ui {
    /// Runs a step that takes a while and says how long it took. Of steps at the same time the first
    /// is drawn.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let outcome = self.draw(what, |is_drawn| {
            if !is_drawn {
                self.note(format!("{what} …"));
            }
            work()
        });
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
        let noted = Cell::new(0);
        self.draw(what, |is_drawn| {
            work(&|count| {
                if is_drawn {
                    self.progress(count.to_string());
                } else if count / NOTED > noted.get() {
                    noted.set(count / NOTED);
                    self.note(format!("{what} … {count}"));
                }
            })
        })
    }

    /// Runs a step that says how far it is, by calling what it is given: on a terminal as often as it
    /// says it, elsewhere every few seconds.
    pub fn telling<T>(
        &self,
        what: &str,
        work: impl FnOnce(&dyn Fn(&str)) -> Result<T>,
    ) -> Result<T> {
        let said = Cell::new(Instant::now());
        self.draw(what, |is_drawn| {
            work(&|text| {
                if is_drawn {
                    self.progress(text);
                } else if said.get().elapsed() > SAID_AGAIN {
                    said.set(Instant::now());
                    self.note(format!("{what} … {text}"));
                }
            })
        })
    }

    /// How far the step is that runs; drawn on a terminal, and nowhere else.
    pub fn progress(&self, text: impl AsRef<str>) {
        if let Some(Drawn { bar, what }) = &*self.drawn() {
            bar.set_message(format!("{what} … {}", text.as_ref()));
        }
    }

    /// The step that is drawn. What else is written on the terminal meanwhile suspends it.
    pub(super) fn drawn(&self) -> MutexGuard<'_, Option<Drawn>> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws a step while it runs, unless that cannot be or another one is drawn. It is told whether it
    /// is.
    fn draw<T>(&self, what: &str, work: impl FnOnce(bool) -> T) -> T {
        let is_drawn = self.begin(what);
        let outcome = work(is_drawn);
        if is_drawn && let Some(Drawn { bar, .. }) = self.drawn().take() {
            bar.finish_and_clear();
        }
        outcome
    }

    fn begin(&self, what: &str) -> bool {
        let mut drawn = self.drawn();
        if drawn.is_some() || !self.can_draw() {
            return false;
        }
        let bar = ProgressBar::new_spinner().with_message(format!("{what} …"));
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        *drawn = Some(Drawn {
            bar,
            what: what.to_owned(),
        });
        true
    }
}
