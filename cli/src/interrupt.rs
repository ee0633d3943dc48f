//! Being asked to end, by Ctrl-C or SIGTERM: noted, and looked up by whatever takes a while.

use std::{
    fmt, io,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// The person pressed Ctrl-C, or the process was asked to end.
#[derive(Debug)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static HANDLER: Once = Once::new();

/// From now on Ctrl-C and SIGTERM are noted instead of ending the process on the spot, so that what
/// was started can be ended too. A second Ctrl-C ends the process at once.
pub fn note_interrupts() {
    HANDLER.call_once(|| {
        let noted = ctrlc::set_handler(|| {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                show_cursor();
                crate::keys::restore();
                std::process::exit(130);
            }
        });
        if let Err(error) = noted {
            eprintln!("warning: Ctrl-C will not be handled: {error}");
        }
    });
}

/// Shows the cursor, which a question that is on the screen has hidden.
pub fn show_cursor() {
    let terminal = console::Term::stderr();
    if terminal.is_term() {
        let _ = terminal.show_cursor();
    }
}

/// From here on it is as if we were asked to end.
pub fn ask_to_end() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Whether a question was on the screen when an error came of an interrupt.
pub fn was_asking(error: &anyhow::Error) -> bool {
    let is_ours = |error: &io::Error| error.kind() == io::ErrorKind::Interrupted;
    error.chain().any(|cause| match cause.downcast_ref() {
        Some(dialoguer::Error::IO(error)) => is_ours(error),
        None => cause.downcast_ref().is_some_and(is_ours),
    })
}

/// Whether we were asked to end.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// What was asked has been done: what follows can be interrupted anew.
pub fn forget_interrupt() {
    INTERRUPTED.store(false, Ordering::SeqCst);
}
