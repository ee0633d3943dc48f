//! Other programs: run to their end, with their output kept, and ended when we are told to end.

use std::{
    ffi::OsStr,
    io::{Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use crate::{
    environment,
    error::problem,
    interrupt::{self, Interrupted},
    ui::Ui,
};

/// Starts a program in a process group of its own: a Ctrl-C at the terminal reaches us alone, and
/// the program is ended with everything it started. It gets no credentials: no build script or
/// package has any business with them.
pub fn spawn(command: &mut Command) -> Result<Child> {
    for name in environment::CREDENTIALS {
        command.env_remove(name);
    }
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    let name = command.get_program().to_owned();
    command
        .spawn()
        .with_context(|| format!("cannot run `{}`", name.display()))
}

/// What a program printed and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// stdout and stderr, in the order they came.
    pub output: String,
}

/// Runs a program to its end and keeps its output, which `--verbose` shows as it comes. When we are
/// interrupted, or after `limit`, the program and its children are ended.
pub fn run(ui: &Ui, command: &mut Command, limit: Option<Duration>) -> Result<Finished> {
    run_watched(ui, command, limit, |_| {})
}

/// The same, and shows `watch` all output so far each time there is more.
pub fn run_watched(
    ui: &Ui,
    command: &mut Command,
    limit: Option<Duration>,
    mut watch: impl FnMut(&[u8]),
) -> Result<Finished> {
    interrupt::note_interrupts();
    without_cargo_run(command);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let name = command.get_program().to_owned();
    let mut child = spawn(command)?;
    let output = Arc::new(Mutex::new(Vec::new()));
    let readers = [
        child
            .stdout
            .take()
            .map(|pipe| collect(pipe, &output, ui.verbose())),
        child
            .stderr
            .take()
            .map(|pipe| collect(pipe, &output, ui.verbose())),
    ];
    let started = Instant::now();
    let mut watched = 0;
    let status = loop {
        {
            let output = output.lock().unwrap_or_else(PoisonError::into_inner);
            if output.len() > watched {
                watched = output.len();
                watch(&output);
            }
        }
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupt::interrupted() {
            end_group(&mut child, Duration::from_secs(2));
            return Err(Interrupted.into());
        }
        if limit.is_some_and(|limit| started.elapsed() > limit) {
            end_group(&mut child, Duration::from_secs(2));
            anyhow::bail!(
                "`{}` did not end within {} s",
                name.display(),
                started.elapsed().as_secs()
            );
        }
        thread::sleep(Duration::from_millis(25));
    };
    for reader in readers.into_iter().flatten() {
        let _ = reader.join();
    }
    let bytes = output.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Finished {
        status,
        output: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// Runs a program that must succeed. When it does not, its whole output is in the error, unless it
/// was shown already.
pub fn run_ok(ui: &Ui, command: &mut Command, limit: Option<Duration>) -> Result<String> {
    let line = describe(command);
    let finished = run(ui, command, limit)?;
    if finished.status.success() {
        return Ok(finished.output);
    }
    Err(failed(ui, &line, finished.status, &finished.output))
}

/// The error of a program that has failed, with its output unless that was shown already.
pub fn failed(ui: &Ui, line: &str, status: ExitStatus, output: &str) -> anyhow::Error {
    let output = if ui.verbose() {
        String::new()
    } else {
        format!("\n{}", output.trim_end())
    };
    problem(format!("`{line}` failed ({status}){output}"), "")
}

/// The first line a program prints, if it can be run and succeeds.
pub fn first_line(command: &mut Command) -> Option<String> {
    let text = output(command)?;
    Some(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// What a program prints, if it can be run and succeeds.
pub fn output(command: &mut Command) -> Option<String> {
    without_cargo_run(command);
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then_some(text)
}

/// Lets a program end that was told to, and after `patience` ends it with all it has started.
pub fn let_end(child: &mut Child, patience: Duration) {
    let told = Instant::now();
    while told.elapsed() < patience && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(Duration::from_millis(10));
    }
    end_group(child, Duration::ZERO);
}

/// Asks the program's whole process group to end, and after `patience` makes it.
pub fn end_group(child: &mut Child, patience: Duration) {
    signal_group(child, false);
    let asked = Instant::now();
    while asked.elapsed() < patience {
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        thread::sleep(Duration::from_millis(25));
    }
    signal_group(child, true);
    let _ = child.wait();
}

#[cfg(unix)]
fn signal_group(child: &mut Child, kill: bool) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let signal = if kill { Signal::KILL } else { Signal::TERM };
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn signal_group(child: &mut Child, _kill: bool) {
    let _ = child.kill();
}

/// `cargo run` leaves its own settings in the environment. A cargo of another project must not see
/// them: they would choose its program and its toolchain.
fn without_cargo_run(command: &mut Command) {
    let under_cargo = std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    if !under_cargo {
        return;
    }
    let set = |command: &Command, name: &OsStr| command.get_envs().any(|(key, _)| key == name);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let ours = text == "CARGO"
            || text == "RUSTUP_TOOLCHAIN"
            || text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text.starts_with("CARGO_BIN_");
        if ours && !set(command, &name) {
            command.env_remove(&name);
        }
    }
}

/// A command as a line of text.
pub fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn collect(
    mut pipe: impl Read + Send + 'static,
    output: &Arc<Mutex<Vec<u8>>>,
    show: bool,
) -> thread::JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = pipe.read(&mut buffer) {
            let Some(bytes) = buffer.get(..count) else {
                return;
            };
            if show {
                let _ = std::io::stderr().write_all(bytes);
            }
            output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(bytes);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_gets_the_credentials() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .arg("--list")
            .env("CLOUDFLARE_API_TOKEN", "x")
            .stdout(Stdio::null());
        spawn(&mut command).unwrap().wait().unwrap();
        for name in environment::CREDENTIALS {
            let removed = (OsStr::new(name), None);
            assert!(command.get_envs().any(|one| one == removed), "{name}");
        }
    }
}
