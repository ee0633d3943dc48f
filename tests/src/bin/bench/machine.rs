//! What a run was measured on.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use durable_streams_tests::npm;
use durable_streams_tests::process::{Process, run};
use serde::Serialize;

/// See the module's text.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// The day.
    pub date: String,
    /// The kernel.
    pub kernel: String,
    /// The processor.
    pub processor: String,
    /// How many of them.
    pub processors: usize,
    /// Memory in megabytes.
    pub memory: u64,
    /// How many programs wanted a processor in the minute before the run.
    pub load_before: f64,
    /// The same in the minute before its end, with the benchmark's own.
    pub load_after: f64,
    /// The version of workerd.
    pub workerd: String,
    /// The version of Node.js.
    pub node: String,
    /// The commit.
    pub commit: String,
}

impl Machine {
    /// Looks at this machine, before a run.
    pub fn look() -> Result<Self> {
        let said = |program: &str, args: &[&str]| -> Result<String> {
            let text = String::from_utf8(run(Command::new(program).args(args))?)?;
            Ok(text.trim().to_owned())
        };
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name));
            let value = line.and_then(|line| line.split_once(':'));
            value.map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let memory = memory.trim_end_matches(" kB").parse::<u64>()?;
        let workerd = npm::installed("miniflare")?.join("node_modules/workerd/package.json");
        let workerd: serde_json::Value = serde_json::from_slice(&fs::read(workerd)?)?;
        Ok(Self {
            date: said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])?,
            kernel: said("uname", &["-sr"])?,
            processor: field("/proc/cpuinfo", "model name"),
            processors: std::thread::available_parallelism()?.get(),
            memory: memory / 1024,
            load_before: load()?,
            load_after: f64::NAN,
            workerd: workerd["version"].as_str().unwrap_or_default().to_owned(),
            node: said("node", &["--version"])?,
            commit: commit_of(Path::new(".")),
        })
    }
}

/// The commit of a checkout; nothing where there is none.
pub fn commit_of(checkout: &Path) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(checkout);
    let said = run(git.args(["describe", "--always", "--dirty"])).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// How many programs wanted a processor in the last minute, on average.
pub fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}

/// What all programs and what this one with its servers have used of the processors by some instant.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    all: Duration,
    own: Duration,
    at: Instant,
}

impl Usage {
    /// By now.
    pub fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
        let all = busy_ticks(&stat).context("parsing /proc/stat")?;
        let root = Process {
            pid: std::process::id(),
            name: String::new(),
        };
        let mut own = root.family_time()?;
        for process in Process::descendants(root.pid)? {
            // One may end just now; its time is then its parent's.
            own += process.family_time().unwrap_or_default();
        }
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            all: Duration::from_secs_f64(all as f64 / per_second),
            own,
            at: Instant::now(),
        })
    }

    /// How many processors others have kept busy since an earlier instant, on average.
    pub fn of_others_since(&self, earlier: &Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all);
        let own = self.own.saturating_sub(earlier.own);
        let wall = self.at.saturating_duration_since(earlier.at);
        all.saturating_sub(own).as_secs_f64() / wall.as_secs_f64().max(0.01)
    }
}

/// Ticks of all processors in which they did something, or another machine did on them.
fn busy_ticks(stat: &str) -> Option<u64> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .filter_map(|f| f.parse().ok())
        .collect();
    // User, nice, system, idle, waiting, interrupts, soft interrupts, stolen.
    let [user, nice, system, _, _, irq, softirq, steal] = *fields.first_chunk()?;
    Some(user + nice + system + irq + softirq + steal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_and_waiting_processors_are_not_busy() {
        let stat = "cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 9 9 9 9 9 9 9 9 0 0\n";
        assert_eq!(busy_ticks(stat), Some(63));
        assert_eq!(busy_ticks("cpu  1 2"), None);
    }

    #[test]
    fn ones_own_work_is_not_that_of_others() {
        let at = Instant::now();
        let usage = |all, own, seconds| Usage {
            all: Duration::from_secs(all),
            own: Duration::from_secs(own),
            at: at + Duration::from_secs(seconds),
        };
        let others = usage(115, 12, 10).of_others_since(&usage(100, 2, 0));
        assert!((others - 0.5).abs() < 1e-9, "{others}");
        assert_eq!(usage(110, 15, 10).of_others_since(&usage(100, 2, 0)), 0.0);
    }
}
