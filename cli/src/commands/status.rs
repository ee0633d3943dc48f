//! `status`: what is on Cloudflare, and whether it is what is here.

use std::process::ExitCode;

use anyhow::Result;
use console::style;
use serde::Serialize;
use serde_json::json;

use crate::{
    deployment::{Deployment, Difference, Findings, Health, addresses, ask},
    interrupt,
    project::Here,
    ui::Ui,
};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    what: String,
    ok: bool,
    found: String,
    /// What exactly is not the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
}

impl Check {
    fn new(what: impl Into<String>, ok: bool, found: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            ok,
            found: found.into(),
            differences: Vec::new(),
        }
    }
}

/// Looks at everything. Fails when something is missing or differs.
pub fn run(ui: &Ui, here: &Here) -> Result<ExitCode> {
    interrupt::note_interrupts();
    let deployment = Deployment::open(ui, here)?;
    let mut checks = Vec::new();
    let name = &deployment.project.name;
    let findings = ui.step("Looking at what is on Cloudflare", || deployment.look())?;
    for resource in &findings.resources {
        let found = match (resource.exists, resource.is_ready()) {
            (true, true) => "is there",
            (true, false) => "is there, but wrangler.toml does not name it",
            (false, _) => "is missing",
        };
        checks.push(Check::new(resource.title(), resource.is_ready(), found));
    }
    let worker = format!("worker {name}");
    match &findings.script {
        None => checks.push(Check::new(worker, false, "is not deployed")),
        Some(script) => {
            let when = script
                .modified_on
                .as_deref()
                .unwrap_or("at an unknown time");
            let found = format!("was deployed {when}");
            checks.push(Check::new(worker, true, found));
            checks.extend(compare(&deployment, &findings)?);
        }
    }
    let urls = addresses(&deployment.project, findings.subdomain.as_deref());
    for url in &urls {
        let health = ask(&deployment.account, url)?;
        let ok = health == Health::Healthy;
        let found = match health {
            Health::Healthy => "answers".to_owned(),
            Health::Unhealthy(why) => format!("does not answer as it should: {why}"),
        };
        checks.push(Check::new(url, ok, found));
    }
    if urls.is_empty() && deployment.project.wrangler.on_workers_dev() {
        checks.push(Check::new(
            "workers.dev",
            false,
            "the account has no subdomain there",
        ));
    }
    let ok = checks.iter().all(|check| check.ok);
    ui.result(
        text(&deployment, &checks),
        &json!({
            "ok": ok,
            "project": { "name": name, "dir": deployment.project.root },
            "account": deployment.account.id,
            "credentials": deployment.account.credentials(),
            "url": urls.first(),
            "checks": checks,
        }),
    );
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is deployed against what is here.
fn compare(deployment: &Deployment, findings: &Findings) -> Result<Vec<Check>> {
    let mut checks = vec![match deployment.missing_migrations(findings) {
        Ok(None) => Check::new("migrations", true, "are all carried out"),
        Ok(Some(_)) => Check::new("migrations", false, "the next deploy carries some out"),
        Err(error) => Check::new("migrations", false, error.to_string()),
    }];
    if let Err(error) = deployment.check_placement(findings) {
        checks.push(Check::new("jurisdiction", false, error.to_string()));
    }
    checks.push(match deployment.serves_newest()? {
        true => Check::new("version", true, "is the newest"),
        false => Check::new(
            "version",
            false,
            "is not the newest: `durable-streams rollback --list` lists them, and a deploy serves \
             what is here",
        ),
    });
    let mut differences = deployment.differences(&findings.settings);
    differences.extend(deployment.differences_in_serving()?);
    let file = deployment.project.manifest();
    let file = file.name();
    checks.push(match differences.is_empty() {
        true => Check::new("settings", true, format!("are those of {file}")),
        false => {
            let found = format!("differ from {file}: deploy them");
            Check {
                differences,
                ..Check::new("settings", false, found)
            }
        }
    });
    checks.push(match deployment.upload() {
        // Nothing is wrong with a checkout in which nothing was built.
        Err(_) => Check::new("code", true, "is not built here, and was not compared"),
        Ok(upload) if deployment.has_same_code(&upload, findings) => {
            Check::new("code", true, "is that of build/")
        }
        Ok(_) => Check::new("code", false, "is not that of build/: deploy it"),
    });
    Ok(checks)
}

fn text(deployment: &Deployment, checks: &[Check]) -> String {
    let account = &deployment.account;
    let mut lines = vec![format!(
        "        account {} (credentials: {})",
        account.id,
        account.credentials()
    )];
    for check in checks {
        let mark = match check.ok {
            true => style("ok     ").green(),
            false => style("differs").red(),
        };
        lines.push(format!("{mark} {}: {}", check.what, check.found));
        let differences = check.differences.iter();
        lines.extend(differences.map(|one| format!("          {}", one.text())));
    }
    lines.join("\n")
}
