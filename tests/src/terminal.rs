//! A program on a terminal: what it shows is read, and what a person would type is written.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

/// A first build takes minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program on a terminal of its own; dropping it ends the program.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<String>>,
    seen: usize,
}

impl Terminal {
    /// Runs a program with a terminal as stdin, stdout and stderr.
    pub fn run(command: &mut Command) -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let theirs = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str()?)?;
        // Machines that run tests say so by `CI`, and there nobody is asked anything.
        if !command.get_envs().any(|(name, _)| name == "CI") {
            command.env_remove("CI");
        }
        let child = command
            .stdin(Stdio::from(theirs.try_clone()?))
            .stdout(Stdio::from(theirs.try_clone()?))
            .stderr(Stdio::from(theirs))
            .env("TERM", "xterm")
            .env("NO_COLOR", "1")
            .spawn()?;
        let keyboard = File::from(ours);
        let mut reader = keyboard.try_clone()?;
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last one to close the terminal ends this with an error.
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.push_str(&text);
            }
        });
        Ok(Self {
            child,
            keyboard,
            screen,
            seen: 0,
        })
    }

    /// Everything it has shown so far.
    pub fn screen(&self) -> String {
        let screen = self.screen.lock();
        screen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it shows this, after what was waited for before.
    pub fn wait_for(&mut self, text: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let screen = self.screen();
            if let Some(at) = screen[self.seen..].find(text) {
                self.seen += at + text.len();
                return Ok(());
            }
            ensure!(
                started.elapsed() < PATIENCE,
                "{text:?} is not on the screen:\n{screen}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a question, and answers.
    pub fn answer(&mut self, question: &str, answer: &str) -> Result<()> {
        self.wait_for(question)?;
        Ok(self.keyboard.write_all(answer.as_bytes())?)
    }

    /// Types.
    pub fn press(&mut self, keys: &str) -> Result<()> {
        Ok(self.keyboard.write_all(keys.as_bytes())?)
    }

    /// Whether it echoes what is typed, as shells want it.
    pub fn shows_what_is_typed(&self) -> Result<bool> {
        let modes = tcgetattr(&self.keyboard)?.local_modes;
        Ok(modes.intersects(LocalModes::ECHO | LocalModes::ISIG))
    }

    /// Whether what is typed is handed over in lines, as shells want it.
    pub fn takes_lines(&self) -> Result<bool> {
        let lines = LocalModes::ICANON | LocalModes::ECHO;
        Ok(tcgetattr(&self.keyboard)?.local_modes.contains(lines))
    }

    /// Waits for a question, and presses Ctrl-C as soon as that is a key like others.
    pub fn refuse(&mut self, question: &str) -> Result<()> {
        self.wait_for(question)?;
        let started = Instant::now();
        while self.shows_what_is_typed()? {
            ensure!(started.elapsed() < PATIENCE, "it does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(self.keyboard.write_all(b"\x03")?)
    }

    /// Asks it to end, as Ctrl-C does while it asks nothing.
    pub fn interrupt(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::INT)?)
    }

    /// Waits until it ends.
    pub fn end(mut self) -> Result<ExitStatus> {
        self.ended()
    }

    /// The same, and its terminal stays.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
