//! `destroy`: remove from Cloudflare what a project has made there.

use anyhow::Result;
use serde_json::json;

use crate::{
    args::Destroy,
    deployment::{Consent, Deployment, Thing, Wanted, empty},
    error::problem,
    interrupt,
    project::Here,
    ui::Ui,
};

/// Removes workers, buckets and namespaces, as far as the project has made them.
pub fn run(ui: &Ui, here: &Here, args: &Destroy) -> Result<()> {
    interrupt::note_interrupts();
    let mut deployment = Deployment::open(ui, here)?;
    deployment.consent = Consent {
        adopt: args.adopt.clone(),
        rename: None,
    };
    deployment.hold("destroy")?;
    let wanted = Wanted {
        worker: args.worker.as_deref(),
        keep_data: args.keep_data,
        yes: args.yes,
    };
    let plan = ui.step("Looking at what is on Cloudflare", || {
        deployment.removal(&wanted)
    })?;
    deployment.forget_gone(&plan)?;
    for kept in &plan.kept {
        ui.note(format!("Stays: {kept}"));
    }
    for (environment, created) in deployment.record.of_others() {
        let workers: Vec<&str> = created
            .workers
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        if !workers.is_empty() {
            let workers = workers.join(", ");
            ui.note(format!(
                "Of {environment}, which this leaves alone: {workers}"
            ));
        }
    }
    if plan.things.is_empty() {
        ui.result(
            format!(
                "Nothing to remove: this project has nothing of its own in account {}",
                deployment.account.id
            ),
            &json!({ "removed": [], "kept": plan.kept }),
        );
        return Ok(());
    }
    for loss in &plan.losses {
        ui.note(format!("Will be lost: {loss}"));
    }
    if !args.yes {
        let name = args.worker.as_ref().unwrap_or(&deployment.project.name);
        confirm(ui, name)?;
    }
    let mut removed = Vec::new();
    for thing in &plan.things {
        remove(&mut deployment, thing)?;
        removed.push(thing.title());
    }
    ui.result(
        format!("Removed: {}", removed.join(", ")),
        &json!({ "removed": removed, "kept": plan.kept }),
    );
    Ok(())
}

fn confirm(ui: &Ui, name: &str) -> Result<()> {
    if !ui.can_ask() {
        return Err(problem(
            "nobody is there to confirm that this may be lost",
            "run it on a terminal, or add --yes",
        ));
    }
    match ui.is_typed(name, &format!("Type `{name}` to remove it"))? {
        true => Ok(()),
        false => Err(problem(
            format!("that is not the worker's name, `{name}`: nothing was removed"),
            "",
        )),
    }
}

fn remove(deployment: &mut Deployment, thing: &Thing) -> Result<()> {
    let account = &deployment.account;
    let ui = deployment.ui;
    let what = format!("Removing the {}", thing.title());
    match thing {
        Thing::Worker(name) => ui.step(&what, || Ok(account.delete_script(name)?))?,
        Thing::Bucket(bucket) => {
            empty(ui, account, bucket)?;
            ui.step(&what, || Ok(account.delete_bucket(bucket)?))?;
        }
        Thing::Namespace { id, .. } => ui.step(&what, || Ok(account.delete_namespace(id)?))?,
    }
    deployment.forget(thing)
}
