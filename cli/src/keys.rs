//! Single keys, pressed on a terminal while something goes on, without Enter.

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The server starts again, on the same data.
    Restart,
    /// The worker is built again.
    Build,
    /// Where it serves is said again.
    Url,
    /// New tokens are made.
    Tokens,
    /// The end.
    Quit,
    /// What keys there are.
    Help,
    /// A line of space.
    Space,
}

/// The keys, for a person.
pub const HELP: &str = "  r  restart the server; the data stays
  b  build again
  o  show the URL
  t  make new tokens, with lines to try them
  q  quit, as Ctrl-C does";

impl Key {
    fn of(byte: u8) -> Option<Self> {
        /// Ctrl-D.
        const END: u8 = 4;
        Some(match byte.to_ascii_lowercase() {
            b'r' => Self::Restart,
            b'b' => Self::Build,
            b'o' => Self::Url,
            b't' => Self::Tokens,
            b'q' | END => Self::Quit,
            b'h' | b'?' => Self::Help,
            b'\r' | b'\n' => Self::Space,
            _ => return None,
        })
    }

    /// What was pressed. Arrows and their like send several bytes, and mean nothing.
    fn all(bytes: &[u8]) -> Vec<Self> {
        let mut keys = Vec::new();
        let mut rest = bytes.iter().copied();
        while let Some(byte) = rest.next() {
            match byte {
                ESCAPE => skip_sequence(&mut rest),
                byte => keys.extend(Self::of(byte)),
            }
        }
        keys
    }
}

/// The first byte of what a key without a letter sends.
const ESCAPE: u8 = 0x1b;

/// Takes what follows it: a letter, or `[` or `O` with numbers up to one that ends it.
fn skip_sequence(bytes: &mut impl Iterator<Item = u8>) {
    if matches!(bytes.next(), Some(b'[' | b'O')) {
        bytes.find(|byte| matches!(byte, b'@'..=b'~'));
    }
}

pub use terminal::{Keys, restore};

#[cfg(unix)]
mod terminal {
    use std::{
        io::{Stdin, stdin},
        sync::{Mutex, PoisonError},
    };

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        process::getpgrp,
        termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcsetattr},
    };

    use super::Key;

    /// How the terminal was before.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    /// Reads keys, until it is dropped.
    #[derive(Debug)]
    pub struct Keys(Stdin);

    impl Keys {
        /// Begins to read keys, if stdin is a terminal.
        pub fn read() -> Option<Self> {
            let stdin = stdin();
            if !isatty(&stdin) || !is_ours(&stdin) {
                return None;
            }
            let mode = tcgetattr(&stdin).ok()?;
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(mode);
            Some(Self(stdin))
        }

        /// What was pressed since the last time.
        pub fn pressed(&self) -> Vec<Key> {
            let Self(stdin) = self;
            // A shell puts a program into the background, and others run meanwhile.
            if !is_ours(stdin) || !self.take_single() {
                return Vec::new();
            }
            let at_once = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            let mut waiting = [PollFd::new(stdin, PollFlags::IN)];
            if !poll(&mut waiting, Some(&at_once)).is_ok_and(|ready| ready > 0) {
                return Vec::new();
            }
            let mut bytes = [0; 64];
            let count = rustix::io::read(stdin, &mut bytes).unwrap_or(0);
            Key::all(bytes.get(..count).unwrap_or_default())
        }

        /// Has the terminal hand over each key by itself and show none. Ctrl-C stays a signal.
        fn take_single(&self) -> bool {
            let Self(stdin) = self;
            let Ok(mut mode) = tcgetattr(stdin) else {
                return false;
            };
            let whole_lines = LocalModes::ICANON | LocalModes::ECHO;
            if !mode.local_modes.intersects(whole_lines) {
                return true;
            }
            mode.local_modes -= whole_lines;
            tcsetattr(stdin, OptionalActions::Now, &mode).is_ok()
        }
    }

    impl Drop for Keys {
        fn drop(&mut self) {
            restore();
        }
    }

    /// Leaves the terminal as it was.
    pub fn restore() {
        let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stdin = stdin();
        if let Some(mode) = before.filter(|_| is_ours(&stdin)) {
            let _ = tcsetattr(&stdin, OptionalActions::Now, &mode);
        }
    }

    /// Whether we are in the foreground: a program that is not is stopped when it touches the
    /// terminal. Where no shell rules over it there is no background.
    fn is_ours(stdin: &Stdin) -> bool {
        tcgetpgrp(stdin).map_or(true, |group| group == getpgrp())
    }
}

#[cfg(not(unix))]
mod terminal {
    /// Keys cannot be read one by one here.
    #[derive(Debug)]
    pub struct Keys;

    impl Keys {
        /// No keys.
        pub fn read() -> Option<Self> {
            None
        }

        /// No keys.
        pub fn pressed(&self) -> Vec<super::Key> {
            Vec::new()
        }
    }

    /// Nothing was changed.
    pub fn restore() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_keys_and_arrows_are_not() {
        assert_eq!(Key::all(b"rB?"), [Key::Restart, Key::Build, Key::Help]);
        assert_eq!(Key::all(b"\n\x04"), [Key::Space, Key::Quit]);
        assert_eq!(Key::all(b"xyz"), []);
        for sequence in ["\x1b[B", "\x1bOR", "\x1b[15;2R", "\x1bb", "\x1b"] {
            assert_eq!(Key::all(sequence.as_bytes()), []);
            let more = format!("r{sequence}\x1b[Aq");
            assert_eq!(Key::all(more.as_bytes()), [Key::Restart, Key::Quit]);
        }
        assert_eq!(Key::all(b""), []);
    }

    #[test]
    fn all_keys_are_told() {
        for line in HELP.lines() {
            let key = line.trim_start().as_bytes()[0];
            assert!(Key::of(key).is_some(), "{line}");
        }
    }
}
