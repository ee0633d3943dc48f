//! How far work on many streams has come.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::ui::{Ui, seconds};

/// How often progress is said where it cannot be drawn.
const EVERY: Duration = Duration::from_secs(10);

/// How far work on many streams has come: a bar on a terminal, a line now and then elsewhere.
pub struct Progress<'a> {
    ui: &'a Ui,
    what: &'static str,
    bar: Option<ProgressBar>,
    /// The bar is one of bytes, and not of streams.
    is_of_bytes: bool,
    streams: u64,
    streams_done: Cell<u64>,
    bytes: Cell<u64>,
    started: Instant,
    said: Cell<Instant>,
}

impl<'a> Progress<'a> {
    /// Nothing yet of so many streams, and of so many bytes if that is known.
    pub fn new(ui: &'a Ui, what: &'static str, streams: u64, bytes: Option<u64>) -> Self {
        let bar = ui.can_draw().then(|| {
            let bar = ProgressBar::new(bytes.unwrap_or(streams));
            let template = match bytes {
                Some(_) => {
                    "{prefix} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta} {msg}"
                }
                None => "{prefix} {bar:30} {msg} {elapsed}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(what);
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        let progress = Self {
            ui,
            what,
            bar,
            is_of_bytes: bytes.is_some(),
            streams,
            streams_done: Cell::new(0),
            bytes: Cell::new(0),
            started: Instant::now(),
            said: Cell::new(Instant::now()),
        };
        progress.show();
        progress
    }

    /// So many bytes more are done.
    pub fn bytes(&self, count: u64) {
        self.bytes.set(self.bytes.get() + count);
        self.show();
    }

    /// Another stream is done.
    pub fn stream(&self) {
        self.streams_done.set(self.streams_done.get() + 1);
        self.show();
    }

    /// How many bytes were done.
    pub fn total(&self) -> u64 {
        self.bytes.get()
    }

    /// How long it took.
    pub fn took(&self) -> String {
        seconds(self.started.elapsed())
    }

    fn show(&self) {
        let streams = format!("{}/{} streams", self.streams_done.get(), self.streams);
        let bytes = HumanBytes(self.bytes.get());
        match &self.bar {
            Some(bar) if self.is_of_bytes => {
                bar.set_position(self.bytes.get());
                bar.set_message(streams);
            }
            Some(bar) => {
                bar.set_position(self.streams_done.get());
                bar.set_message(format!("{streams}, {bytes}"));
            }
            None if self.said.get().elapsed() >= EVERY => {
                self.said.set(Instant::now());
                self.ui.note(format!("{} … {streams}, {bytes}", self.what));
            }
            None => {}
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
