//! `provision`: the bucket and the namespace of a project.

use anyhow::Result;
use serde_json::json;

use crate::{
    args::Provision,
    deployment::{Deployment, Resource},
    interrupt,
    project::Here,
    ui::Ui,
};

/// Makes what is missing.
pub fn run(ui: &Ui, here: &Here, args: &Provision) -> Result<()> {
    interrupt::note_interrupts();
    let mut deployment = Deployment::open(ui, here)?;
    if !args.dry_run {
        deployment.hold("provision")?;
    }
    deployment.consent = args.ownership.consent();
    let mut findings = deployment.preflight()?;
    if !args.dry_run {
        deployment.claim(&findings)?;
        deployment.provision(&mut findings.resources)?;
    }
    let resources = findings.resources;
    ui.result(
        text(&resources, args.dry_run),
        &json!({
            "project": { "name": deployment.project.name, "dir": deployment.project.root },
            "account": deployment.account.id,
            "resources": resources,
            "dryRun": args.dry_run,
        }),
    );
    Ok(())
}

/// A line for each.
pub fn text(resources: &[Resource], dry_run: bool) -> String {
    if resources.is_empty() {
        return "wrangler.toml binds no bucket and no namespace".to_owned();
    }
    let lines: Vec<String> = resources
        .iter()
        .map(|resource| {
            let state = match (resource.created, resource.exists, dry_run) {
                (true, ..) => "created",
                (false, true, _) => "there already",
                (false, false, true) => "would be created",
                (false, false, false) => "missing",
            };
            let id = resource.id.as_ref();
            let id = id.map_or(String::new(), |id| format!(" ({id})"));
            format!("{} as {}: {state}{id}", resource.title(), resource.binding)
        })
        .collect();
    lines.join("\n")
}
