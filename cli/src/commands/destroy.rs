//! `destroy`: remove from Cloudflare what a project has made there.

use std::time::Duration;

use anyhow::Result;
use dialoguer::Input;
use serde_json::json;

use crate::{
    args::Destroy,
    cloudflare::{Account, Bucket},
    deployment::{Deployment, Kind, Resource, recorded},
    error::problem,
    interrupt,
    project::{Here, edit},
    ui::Ui,
};

/// Cloudflare takes 1200 requests in 5 minutes. So many go at full speed …
const AT_FULL_SPEED: u64 = 900;
/// … and all others this far apart.
const APART: Duration = Duration::from_millis(250);

/// What goes and what stays.
#[derive(Debug)]
struct Plan {
    worker: bool,
    resources: Vec<Resource>,
    kept: Vec<String>,
}

/// Removes worker, buckets and namespaces, as far as the project has made them.
pub fn run(ui: &Ui, here: &Here, args: &Destroy) -> Result<()> {
    interrupt::note_interrupts();
    let mut deployment = Deployment::open(ui, here)?;
    deployment.hold("destroy")?;
    let plan = plan(&deployment, args.keep_data)?;
    let name = deployment.project.name.clone();
    for kept in &plan.kept {
        ui.note(format!("Stays: {kept}"));
    }
    if !plan.worker && plan.resources.is_empty() {
        ui.result(
            format!(
                "Nothing to remove: this project has nothing of its own in account {}",
                deployment.account.id
            ),
            &json!({ "removed": [], "kept": plan.kept }),
        );
        return Ok(());
    }
    for loss in losses(&name, &plan) {
        ui.note(format!("Will be lost: {loss}"));
    }
    if !args.yes {
        confirm(ui, &name)?;
    }
    let mut removed = Vec::new();
    if plan.worker {
        ui.step(&format!("Removing the worker {name}"), || {
            Ok(deployment.account.delete_script(&name)?)
        })?;
        deployment.record.note(|created| created.worker = None)?;
        removed.push(format!("worker {name}"));
    }
    for resource in &plan.resources {
        remove(&mut deployment, resource)?;
        removed.push(resource.title());
    }
    ui.result(
        format!("Removed: {}", removed.join(", ")),
        &json!({ "removed": removed, "kept": plan.kept }),
    );
    Ok(())
}

fn plan(deployment: &Deployment, keep_data: bool) -> Result<Plan> {
    let findings = deployment.ui.step("Looking at what is on Cloudflare", || {
        deployment.look_whatever_is_there()
    })?;
    let created = deployment.record.created();
    let mut kept = Vec::new();
    // Also what is gone already: an earlier run may not have come to tidying up.
    let worker = match &findings.script {
        None => created.worker.as_ref() == Some(&deployment.project.name),
        Some(_) if deployment.is_own(&findings.settings) => true,
        Some(script) => {
            kept.push(format!("worker {}: it is not this project's", script.id));
            false
        }
    };
    let (ours, others): (Vec<_>, Vec<_>) =
        findings
            .resources
            .into_iter()
            .partition(|resource| match resource.kind {
                Kind::Bucket => created.buckets.contains(&recorded(&resource.bucket())),
                Kind::Namespace => created.namespaces.contains(&resource.name),
            });
    let others = others.iter().filter(|resource| resource.exists);
    kept.extend(others.map(|resource| {
        format!(
            "{}: this project has no record of making it",
            resource.title()
        )
    }));
    let resources = match keep_data {
        true => {
            kept.extend(
                ours.iter()
                    .map(|resource| format!("{}: --keep-data", resource.title())),
            );
            Vec::new()
        }
        false => ours,
    };
    Ok(Plan {
        worker,
        resources,
        kept,
    })
}

fn losses(name: &str, plan: &Plan) -> Vec<String> {
    let worker = plan.worker.then(|| {
        format!(
            "worker {name}, its URL, and what its Durable Objects hold: all streams' newest data"
        )
    });
    let resources = plan.resources.iter().map(|resource| match resource.kind {
        Kind::Bucket => format!(
            "{} with all its objects: the older data of streams",
            resource.title()
        ),
        Kind::Namespace => format!(
            "{} with all its values: projects and their secrets",
            resource.title()
        ),
    });
    worker.into_iter().chain(resources).collect()
}

fn confirm(ui: &Ui, name: &str) -> Result<()> {
    if !ui.can_ask() {
        return Err(problem(
            "nobody is there to confirm that this may be lost",
            "run it on a terminal, or add --yes",
        ));
    }
    let answer: String = Input::new()
        .with_prompt(format!("Type `{name}` to remove it"))
        .allow_empty(true)
        .interact_text()?;
    match answer.trim() == name {
        true => Ok(()),
        false => Err(problem(
            format!(
                "`{}` is not the worker's name: nothing was removed",
                answer.trim()
            ),
            "",
        )),
    }
}

fn remove(deployment: &mut Deployment, resource: &Resource) -> Result<()> {
    let name = &resource.name;
    let account = &deployment.account;
    let ui = deployment.ui;
    match resource.kind {
        Kind::Bucket => {
            let bucket = resource.bucket();
            ui.counting(&format!("Emptying the bucket {name}"), |count| {
                empty(account, &bucket, count)
            })?;
            ui.step(&format!("Removing the bucket {name}"), || {
                Ok(account.delete_bucket(&bucket)?)
            })?;
            let name = recorded(&bucket);
            deployment
                .record
                .note(|created| created.buckets.retain(|one| *one != name))
        }
        Kind::Namespace => {
            if let Some(id) = &resource.id {
                ui.step(&format!("Removing the KV namespace {name}"), || {
                    Ok(account.delete_namespace(id)?)
                })?;
            }
            // The next deploy makes a new one, which has another id.
            let manifest = deployment.project.manifest();
            edit::set(&manifest, "kv_namespaces", &resource.binding, "id", None)?;
            deployment
                .record
                .note(|created| created.namespaces.retain(|one| one != name))
        }
    }
}

/// Removes all objects of a bucket, as only an empty bucket can be removed.
fn empty(account: &Account, bucket: &Bucket, count: &dyn Fn(u64)) -> Result<()> {
    let mut removed = 0;
    let mut last = None;
    loop {
        let keys = account.some_objects(bucket)?;
        let Some(first) = keys.first() else {
            return Ok(());
        };
        if last.as_ref() == Some(first) {
            return Err(problem(
                format!("the object {first} of the bucket {bucket} does not go away"),
                "look at it in the dashboard; then run this again",
            ));
        }
        last = Some(first.clone());
        for key in &keys {
            account.delete_object(bucket, key)?;
            removed += 1;
            count(removed);
            if removed > AT_FULL_SPEED {
                account.pause(APART)?;
            }
        }
    }
}
