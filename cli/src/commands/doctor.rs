//! `doctor`: what is missing on this machine, and mend it.

use std::process::ExitCode;

use anyhow::Result;
use console::style;
use serde_json::{Value, json};

use crate::{
    args::Doctor,
    error, interrupt,
    project::{Here, Project},
    toolchain::{self, Missing, Requirement},
    ui::Ui,
};

/// What was found out about a requirement.
struct Finding {
    name: String,
    outcome: Result<String, Missing>,
}

/// Looks for everything that is needed, in a project also for what this project needs. Fails when
/// something is missing in the end.
pub fn run(ui: &Ui, here: &Here, args: &Doctor) -> Result<ExitCode> {
    let project = match here.find()? {
        Some(_) => Some(Project::open(here)?),
        None => None,
    };
    let mut findings = Vec::new();
    for requirement in toolchain::requirements(project.as_ref()) {
        findings.push(look(ui, requirement.as_ref(), args.fix)?);
    }
    let ok = findings.iter().all(|finding| finding.outcome.is_ok());
    ui.result(
        text(&findings, project.is_some()),
        &json!({ "ok": ok, "requirements": findings.iter().map(document).collect::<Vec<_>>() }),
    );
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn look(ui: &Ui, requirement: &dyn Requirement, fix: bool) -> Result<Finding> {
    let mut outcome = requirement.look();
    if fix && outcome.as_ref().is_err_and(|missing| missing.mendable) {
        outcome = match toolchain::meet(ui, requirement) {
            Ok(found) => Ok(found),
            Err(error) if error.is::<interrupt::Interrupted>() => return Err(error),
            Err(error) => Err(Missing {
                why: format!("{error:#}"),
                way_out: error::hint(&error).unwrap_or_default().to_owned(),
                mendable: false,
            }),
        };
    }
    Ok(Finding {
        name: requirement.name(),
        outcome,
    })
}

fn text(findings: &[Finding], in_project: bool) -> String {
    let mut lines = Vec::new();
    let mut mendable = false;
    for Finding { name, outcome } in findings {
        match outcome {
            Ok(found) => lines.push(format!("{} {name}: {found}", style("ok     ").green())),
            Err(missing) => {
                mendable |= missing.mendable;
                lines.push(format!(
                    "{} {name}: {}",
                    style("missing").red(),
                    missing.why
                ));
                lines.push(format!("        {}", missing.way_out));
            }
        }
    }
    if !in_project {
        lines.push(
            "wasm-bindgen has the version a project's Cargo.lock asks for: not looked at"
                .to_owned(),
        );
    }
    if mendable {
        lines.push("`durable-streams doctor --fix` installs what is missing".to_owned());
    }
    lines.join("\n")
}

fn document(finding: &Finding) -> Value {
    match &finding.outcome {
        Ok(found) => json!({ "name": finding.name, "ok": true, "found": found }),
        Err(missing) => json!({
            "name": finding.name,
            "ok": false,
            "problem": missing.why,
            "hint": missing.way_out,
            "mendable": missing.mendable,
        }),
    }
}
