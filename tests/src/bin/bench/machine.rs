//! What a run was measured on.

use std::fs;
use std::process::Command;

use anyhow::Result;
use durable_streams_tests::npm;
use durable_streams_tests::process::run;
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
            commit: said("git", &["describe", "--always", "--dirty"]).unwrap_or_default(),
        })
    }
}

/// How many programs wanted a processor in the last minute, on average.
pub fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split(' ').next().unwrap_or_default().parse()?)
}
