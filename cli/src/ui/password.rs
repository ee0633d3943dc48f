//! A line that is typed and not shown. Unlike a read that only hides it, this one ends at once when
//! it is interrupted, and leaves the terminal as it was.

use anyhow::Result;

#[cfg(unix)]
pub use unix::ask;

#[cfg(not(unix))]
pub fn ask(question: &str) -> Result<String> {
    Ok(dialoguer::Password::new()
        .with_prompt(question)
        .interact()?)
}

#[cfg(unix)]
mod unix {
    use std::io::{self, ErrorKind, Write};

    use rustix::{
        event::{PollFd, PollFlags, Timespec, poll},
        stdio::stdin,
        termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr},
    };

    use super::Result;
    use crate::interrupt;

    /// How long nobody looks whether we were asked to end.
    const PATIENCE: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };

    /// The terminal on stdin shows nothing of what is typed, until this is dropped.
    struct Hidden {
        before: Termios,
    }

    impl Hidden {
        fn new() -> io::Result<Self> {
            let before = tcgetattr(stdin())?;
            let mut hidden = before.clone();
            let shown = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
            hidden.local_modes.remove(shown);
            tcsetattr(stdin(), OptionalActions::Flush, &hidden)?;
            Ok(Self { before })
        }

        /// The next byte that is typed.
        fn byte(&self) -> io::Result<u8> {
            let mut byte = [0];
            while !interrupt::interrupted() {
                let terminal = stdin();
                let mut ready = [PollFd::new(&terminal, PollFlags::IN)];
                match poll(&mut ready, Some(&PATIENCE)) {
                    Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                    outcome => outcome?,
                };
                return match rustix::io::read(terminal, &mut byte)? {
                    0 => Err(ErrorKind::UnexpectedEof.into()),
                    _ => Ok(byte[0]),
                };
            }
            Err(ErrorKind::Interrupted.into())
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.before);
        }
    }

    /// Asks, and reads to the end of the line.
    pub fn ask(question: &str) -> Result<String> {
        let hidden = Hidden::new()?;
        let mut stderr = io::stderr();
        write!(stderr, "{question}: ")?;
        let typed = line(|| hidden.byte())?;
        writeln!(stderr)?;
        Ok(String::from_utf8(typed)?)
    }

    /// A line as a person types it, with what they take back.
    fn line(mut byte: impl FnMut() -> io::Result<u8>) -> io::Result<Vec<u8>> {
        let mut typed = Vec::new();
        loop {
            match byte()? {
                b'\r' | b'\n' => return Ok(typed),
                // Ctrl-C, which is no signal here.
                0x03 => return Err(ErrorKind::Interrupted.into()),
                // Ctrl-D
                0x04 if typed.is_empty() => return Err(ErrorKind::UnexpectedEof.into()),
                // Ctrl-U
                0x15 => typed.clear(),
                // A letter may be of several bytes; those behind the first look like this.
                0x08 | 0x7f => while typed.pop().is_some_and(|last| last & 0xc0 == 0x80) {},
                byte => typed.push(byte),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn typed(keys: &str) -> io::Result<String> {
            let mut keys = keys.bytes();
            let line = line(|| keys.next().ok_or_else(|| ErrorKind::WouldBlock.into()))?;
            Ok(String::from_utf8(line).unwrap())
        }

        #[test]
        fn a_line_is_what_is_left_of_what_was_typed() {
            for (keys, left) in [
                ("abc\r", "abc"),
                ("ab\x7fc\n", "ac"),
                ("aé\x7fb\n", "ab"),
                ("\x7f\x08a\n", "a"),
                ("wrong\x15right\n", "right"),
            ] {
                assert_eq!(typed(keys).unwrap(), left, "{keys:?}");
            }
            for (keys, kind) in [
                ("ab\x03", ErrorKind::Interrupted),
                ("\x04", ErrorKind::UnexpectedEof),
                ("ab", ErrorKind::WouldBlock),
            ] {
                assert_eq!(typed(keys).unwrap_err().kind(), kind, "{keys:?}");
            }
        }
    }
}
