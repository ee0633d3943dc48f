//! Programs that are run to their end, and what `/proc` tells of those a server consists of.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Runs a program that must succeed and gives its stdout; what it printed is in the error.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}

/// Presses Ctrl-C: the whole process group that `child` leads is told.
pub fn interrupt(child: &Child) -> Result<()> {
    Ok(kill_process_group(Pid::from_child(child), Signal::INT)?)
}

/// Ends the process group that `child` leads, also when it has ended itself.
pub fn kill_group(child: &Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

/// A process below another one.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its program's name, of which the kernel keeps 15 bytes.
    pub name: String,
}

impl Process {
    /// All living processes below `root`, parents before children.
    pub fn descendants(root: u32) -> Result<Vec<Self>> {
        let all = Self::all()?;
        let mut parents = vec![root];
        let mut found: Vec<Self> = Vec::new();
        while let Some(parent) = parents.pop() {
            for (process, _) in all.iter().filter(|(_, of)| *of == parent) {
                parents.push(process.pid);
                found.push(process.clone());
            }
        }
        Ok(found)
    }

    /// Ends the process at once; that it is gone already is no error.
    pub fn kill(&self) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }

    /// Whether it has not ended yet.
    pub fn is_running(&self) -> bool {
        let now = Self::with_parent(self.pid);
        now.is_some_and(|(process, _)| process.name == self.name)
    }

    /// User and system time used so far by each of its threads that are there now. The kernel counts
    /// it in nanoseconds here, and elsewhere in ticks of ten milliseconds.
    pub fn cpu_time(&self) -> Result<CpuTime> {
        let path = format!("/proc/{}/task", self.pid);
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(&path).with_context(|| format!("listing {path}"))? {
            let thread = entry?.path();
            // A thread may end just now.
            let Ok(text) = fs::read_to_string(thread.join("schedstat")) else {
                continue;
            };
            let nanos = text.split(' ').next().unwrap_or_default().parse()?;
            threads.insert(thread, Duration::from_nanos(nanos));
        }
        Ok(CpuTime(threads))
    }

    /// The memory it holds, and the most it ever held, in bytes.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let field = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            let kilobytes = kilobytes.with_context(|| format!("no {name} in {path}"))?;
            Ok(kilobytes.parse::<u64>()? * 1024)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// User and system time of the process and of those below it that have ended, in ticks of ten
    /// milliseconds.
    pub fn family_time(&self) -> Result<Duration> {
        Ok(self.clock(14)? + self.clock(15)? + self.clock(16)? + self.clock(17)?)
    }

    /// Time since the process was started.
    pub fn age(&self) -> Result<Duration> {
        let uptime = fs::read_to_string("/proc/uptime").context("reading /proc/uptime")?;
        let seconds: f64 = uptime.split(' ').next().unwrap_or_default().parse()?;
        Ok(Duration::from_secs_f64(seconds).saturating_sub(self.clock(22)?))
    }

    /// A field of `/proc/<pid>/stat` that counts clock ticks, numbered as in proc(5).
    fn clock(&self, field: usize) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.pid);
        let stat = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let (_, rest) = split_stat(&stat).with_context(|| format!("parsing {path}"))?;
        let ticks = rest
            .split(' ')
            .nth(field - 3)
            .context("a field is missing")?;
        let ticks: f64 = ticks.parse()?;
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Duration::from_secs_f64(ticks / per_second))
    }

    /// Every process with its parent's id.
    fn all() -> Result<Vec<(Self, u32)>> {
        let entries = fs::read_dir("/proc").context("listing /proc")?;
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(pids.filter_map(Self::with_parent).collect())
    }

    fn with_parent(pid: u32) -> Option<(Self, u32)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = split_stat(&stat)?;
        let mut fields = rest.split(' ');
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        let name = name.to_owned();
        (state != "Z").then_some((Self { pid, name }, parent))
    }
}

/// What each thread of a process has used of the processors.
#[derive(Clone, Debug)]
pub struct CpuTime(BTreeMap<PathBuf, Duration>);

impl CpuTime {
    /// What was used since an earlier time, but for threads that have ended in between.
    pub fn since(&self, earlier: &Self) -> Duration {
        let before = |thread| earlier.0.get(thread).copied().unwrap_or_default();
        let threads = self.0.iter();
        threads
            .map(|(thread, now)| now.saturating_sub(before(thread)))
            .sum()
    }
}

/// The name and what follows it; a name may hold spaces and parentheses itself.
fn split_stat(stat: &str) -> Option<(&str, &str)> {
    let (head, rest) = stat.rsplit_once(") ")?;
    Some((head.split_once('(')?.1, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_found_and_killed() -> Result<()> {
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        let all = Process::descendants(std::process::id())?;
        let found = all.iter().find(|process| process.pid == child.id());
        let process = found.context("the child is not found")?;
        assert!(process.age()? < Duration::from_secs(30));
        assert!(process.memory()?.0 > 0);
        assert!(process.is_running());
        process.kill();
        assert!(!child.wait()?.success());
        assert!(!process.is_running());
        Ok(())
    }

    #[test]
    fn a_program_that_computes_uses_time() -> Result<()> {
        let of_itself = Process {
            pid: std::process::id(),
            name: String::new(),
        };
        let before = of_itself.cpu_time()?;
        let start = std::time::Instant::now();
        while of_itself.cpu_time()?.since(&before) < Duration::from_millis(20) {
            anyhow::ensure!(
                start.elapsed() < Duration::from_secs(20),
                "no time was used"
            );
        }
        assert_eq!(before.since(&before), Duration::ZERO);
        Ok(())
    }

    #[test]
    fn names_with_parentheses_are_kept_whole() {
        assert_eq!(split_stat("7 (a) b) S 1 2"), Some(("a) b", "S 1 2")));
    }
}
