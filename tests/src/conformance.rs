//! The official suite: run once against a server.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::npm;

/// What the suite said of one test.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its group, the groups inside it and its title, joined by ` > `.
    pub name: String,
    /// Whether it ran to its end without a failure.
    pub passed: bool,
    /// Why it did not pass.
    pub message: String,
}

impl Outcome {
    fn group(&self) -> &str {
        self.name.split(" > ").next().unwrap_or_default()
    }

    /// Whether `entry` is this test or a group it is in.
    fn is_in(&self, entry: &str) -> bool {
        let rest = self.name.strip_prefix(entry);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" > "))
    }
}

/// How long a server that the suite runs against lets a long-poll wait, in milliseconds: some
/// tests wait that long.
pub const LONG_POLL_TIMEOUT_MS: &str = "2000";

/// A project for the suite's streams, and a token for them.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The project.
    pub project: &'a str,
    /// A token to write.
    pub token: &'a str,
}

/// Runs the suite against the server at `url`.
pub fn run(url: &str, access: Option<Access>) -> Result<Vec<Outcome>> {
    let dir = npm::installed("conformance")?;
    let name = access.map_or("open", |access| access.project);
    let report = dir.join(format!("report-{name}.json"));
    let _ = fs::remove_file(&report);
    // Its exit code only says that something failed, which the report says better.
    let mut command = Command::new("node");
    if let Some(Access { project, token }) = access {
        command.env("DURABLE_STREAMS_PROJECT", project);
        command.env("DURABLE_STREAMS_TOKEN", token);
    }
    let output = command
        .args(["node_modules/vitest/vitest.mjs", "run", "--reporter=json"])
        .arg(format!("--outputFile={}", report.display()))
        .current_dir(&dir)
        .env("DURABLE_STREAMS_URL", url)
        .env("LONG_POLL_TIMEOUT_MS", LONG_POLL_TIMEOUT_MS)
        .output()
        .context("running the suite")?;
    let report = fs::read_to_string(&report)
        .with_context(|| format!("no report\n{}", String::from_utf8_lossy(&output.stderr)))?;
    parse(&report)
}

/// Reads vitest's JSON report. Tests that were skipped are left out.
fn parse(report: &str) -> Result<Vec<Outcome>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Report {
        test_results: Vec<File>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct File {
        assertion_results: Vec<Test>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Test {
        ancestor_titles: Vec<String>,
        title: String,
        status: String,
        failure_messages: Vec<String>,
    }
    let report: Report = serde_json::from_str(report).context("parsing the suite's report")?;
    let tests = report
        .test_results
        .into_iter()
        .flat_map(|file| file.assertion_results);
    Ok(tests
        .filter(|test| test.status == "passed" || test.status == "failed")
        .map(|test| Outcome {
            name: [test.ancestor_titles, vec![test.title]]
                .concat()
                .join(" > "),
            passed: test.status == "passed",
            message: test.failure_messages.join("\n"),
        })
        .collect())
}

/// A table with a line for each group, in the suite's order.
pub fn table(outcomes: &[Outcome]) -> String {
    let mut groups: Vec<&str> = Vec::new();
    let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
    for outcome in outcomes {
        let group = outcome.group();
        let (passed, total) = counts.entry(group).or_insert_with(|| {
            groups.push(group);
            (0, 0)
        });
        *passed += usize::from(outcome.passed);
        *total += 1;
    }
    let all = outcomes.iter().filter(|outcome| outcome.passed).count();
    let lines = groups.iter().map(|group| (*group, counts[group]));
    let sum = ("all", (all, outcomes.len()));
    let mut text = format!("{:<40} passed failed total\n", "group");
    for (group, (passed, total)) in lines.chain([sum]) {
        let failed = total - passed;
        let _ = writeln!(text, "{group:<40} {passed:>6} {failed:>6} {total:>5}");
    }
    text
}

/// Everything in which the outcomes differ from all passing but what is `listed`: groups or tests.
pub fn differences(outcomes: &[Outcome], listed: &[&str]) -> Vec<String> {
    let mut differences = Vec::new();
    for outcome in outcomes {
        let is_listed = listed.iter().any(|entry| outcome.is_in(entry));
        if !outcome.passed && !is_listed {
            let reason = outcome.message.lines().next().unwrap_or_default();
            differences.push(format!("failed: {}\n        {reason}", outcome.name));
        }
    }
    for entry in listed {
        let mut matching = outcomes.iter().filter(|outcome| outcome.is_in(entry));
        let wrong = match matching.next() {
            None => "no such group or test",
            Some(first) if first.passed && matching.all(|outcome| outcome.passed) => "passes now",
            Some(_) => continue,
        };
        differences.push(format!("listed, but {wrong}: {entry}"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let outcome = |name: &str, passed| Outcome {
            name: name.to_owned(),
            passed,
            message: "expected 1\nat line 7".to_owned(),
        };
        vec![
            outcome("Read > empty", true),
            outcome("Read > live > waits", false),
            outcome("Reading > all", true),
            outcome("Fork > one", false),
            outcome("Fork > two", true),
        ]
    }

    #[test]
    fn a_list_that_says_how_it_is_has_no_differences() {
        for list in [
            ["Read > live", "Fork > one"],
            ["Fork", "Read > live > waits"],
        ] {
            assert_eq!(differences(&outcomes(), &list), [""; 0]);
        }
    }

    #[test]
    fn a_failure_outside_the_list_is_named_with_its_reason() {
        assert_eq!(
            differences(&outcomes(), &["Fork"]),
            ["failed: Read > live > waits\n        expected 1"]
        );
    }

    #[test]
    fn an_entry_that_passes_or_names_nothing_has_to_go() {
        assert_eq!(
            differences(
                &outcomes(),
                &["Read", "Fork", "Reading", "Fork > two", "Rea"]
            ),
            [
                "listed, but passes now: Reading",
                "listed, but passes now: Fork > two",
                "listed, but no such group or test: Rea"
            ]
        );
    }

    #[test]
    fn the_table_counts_by_outermost_group() {
        let table = table(&outcomes());
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines[1..],
            [
                ["Read", "1", "1", "2"],
                ["Reading", "1", "0", "1"],
                ["Fork", "1", "1", "2"],
                ["all", "3", "2", "5"]
            ]
        );
    }

    #[test]
    fn the_report_is_read_and_skipped_tests_are_not_counted() -> Result<()> {
        let test = |title: &str, status: &str| {
            serde_json::json!({
                "ancestorTitles": ["A", "B"], "title": title, "status": status,
                "failureMessages": [],
            })
        };
        let tests = [
            test("x", "passed"),
            test("y", "failed"),
            test("z", "skipped"),
        ];
        let report = serde_json::json!({ "testResults": [{ "assertionResults": tests }] });
        let outcomes = parse(&report.to_string())?;
        let short: Vec<_> = outcomes
            .iter()
            .map(|o| (o.name.as_str(), o.passed))
            .collect();
        assert_eq!(short, [("A > B > x", true), ("A > B > y", false)]);
        Ok(())
    }
}
