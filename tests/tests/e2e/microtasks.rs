//! What our glue does to the worker's own `queueMicrotask`: nothing, but for what comes from
//! WebAssembly.

use std::fs;
use std::process::Command;

use anyhow::Result;
use durable_streams_tests::places::{Scratch, repository};
use durable_streams_tests::process::run;
use durable_streams_tests::project::Worker;

/// Prints what becomes of tasks, in the order of their turns.
const SCRIPT: &str = r#"
import "./exchange.mjs"
const seen = []
try {
  queueMicrotask(1)
} catch (error) {
  seen.push(error.name)
}
process.on("uncaughtException", ({ message }) => seen.push(message))
const marked = () => seen.push("marked")
marked._wbg_cb_unref = () => {}
queueMicrotask(marked)
queueMicrotask(() => seen.push("foreign"))
queueMicrotask(() => {
  throw new Error("as asked")
})
setTimeout(() => console.log(seen.join(", ")), 10)
"#;

#[test]
fn tasks_of_others_are_the_runtimes_own() -> Result<()> {
    let scratch = Scratch::new("microtasks")?;
    let glue = repository().join("runtime/src/cloudflare/exchange.js");
    fs::copy(glue, scratch.path().join("exchange.mjs"))?;
    let script = scratch.path().join("script.mjs");
    fs::write(&script, SCRIPT)?;
    let printed = String::from_utf8(run(Command::new("node").arg(script))?)?;
    assert_eq!(printed.trim(), "TypeError, marked, foreign, as asked");
    // The mark is one that the bundle's closures have: there is one place that looks for it, and
    // one or more that set it.
    let bundle = fs::read_to_string(&Worker::ours()?.script)?;
    assert!(bundle.contains("?._wbg_cb_unref"));
    assert!(bundle.contains("._wbg_cb_unref=") || bundle.contains("._wbg_cb_unref ="));
    Ok(())
}
