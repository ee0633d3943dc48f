//! `secret`: variables of the deployed worker whose values nobody can read again.

use std::io::{IsTerminal, Read, stdin};

use anyhow::{Context, Result};
use serde_json::json;

use crate::{
    args::Secrets,
    cloudflare,
    deployment::Deployment,
    error::problem,
    interrupt,
    project::{Here, Project},
    ui::Ui,
    variables,
};

/// Cloudflare takes no larger ones.
const LARGEST: u64 = 5 * 1024;
/// What Cloudflare says when the newest version is not the one that serves.
const NOT_NEWEST: i64 = 10215;

/// Sets, lists or deletes secrets.
pub fn run(ui: &Ui, here: &Here, secrets: &Secrets) -> Result<()> {
    interrupt::note_interrupts();
    let mut deployment = Deployment::open(ui, here)?;
    match secrets {
        Secrets::Put { name } => put(&mut deployment, name),
        Secrets::List => list(&deployment),
        Secrets::Delete { name, yes } => delete(&mut deployment, name, *yes),
    }
}

fn put(deployment: &mut Deployment, name: &str) -> Result<()> {
    check(&deployment.project, name)?;
    let value = value(deployment.ui, name)?;
    deployment.hold("secret put")?;
    let worker = &deployment.project.name;
    let account = &deployment.account;
    let step = format!("Setting the secret {name} of {worker}");
    deployment.ui.step(&step, || {
        let outcome = account.put_secret(worker, name, &value);
        outcome.map_err(refused)
    })?;
    deployment.ui.result(
        format!(
            "The worker {worker} reads the secret {name} from now on. `durable-streams dev` has its \
             own in .dev.vars"
        ),
        &json!({ "worker": worker, "secret": name }),
    );
    Ok(())
}

fn list(deployment: &Deployment) -> Result<()> {
    let worker = &deployment.project.name;
    let names = deployment.account.secrets(worker)?;
    let text = match names.is_empty() {
        true => format!("The worker {worker} has no secrets"),
        false => names.join("\n"),
    };
    let document = json!({ "worker": worker, "secrets": names });
    deployment.ui.result(text, &document);
    Ok(())
}

fn delete(deployment: &mut Deployment, name: &str, yes: bool) -> Result<()> {
    deployment.hold("secret delete")?;
    let worker = &deployment.project.name;
    let account = &deployment.account;
    let names = account.secrets(worker)?;
    if !names.iter().any(|there| there == name) {
        let there = match names.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", names.join(", ")),
        };
        return Err(problem(
            format!("the worker {worker} has no secret {name}: {there}"),
            "`durable-streams secret list` lists them",
        ));
    }
    deployment.ui.confirm(
        yes,
        &format!(
            "Delete the secret {name} of the worker {worker}? Nobody can bring its value back"
        ),
        "nothing was deleted",
    )?;
    let step = format!("Deleting the secret {name} of {worker}");
    deployment.ui.step(&step, || {
        let outcome = account.delete_secret(worker, name);
        outcome.map_err(refused)
    })?;
    deployment.ui.result(
        format!("Deleted the secret {name} of the worker {worker}"),
        &json!({ "worker": worker, "secret": name }),
    );
    Ok(())
}

/// Refuses names that mean something else.
fn check(project: &Project, name: &str) -> Result<()> {
    let file = project.manifest();
    let file = file.name();
    if variables::is_setting(name) {
        return Err(problem(
            format!("{name} is a setting of the server, and no secret"),
            format!("set it in `vars` of {file}, where it can be read"),
        ));
    }
    if project.wrangler.binds(name) {
        return Err(problem(
            format!(
                "{file} gives {name} to the worker already: each deploy would put that in the place of the secret"
            ),
            format!("take it out of {file} and deploy, or give the secret another name"),
        ));
    }
    Ok(())
}

/// The value, typed where it is not seen, or all of stdin without the end of its last line. Never an
/// argument: those can be read by all.
fn value(ui: &Ui, name: &str) -> Result<String> {
    let value = if ui.can_ask() {
        ui.password(&format!("Value of {name}"))?
    } else if stdin().is_terminal() {
        return Err(problem(
            format!("nobody is there to be asked for the value of {name}"),
            "write it to stdin, as in `durable-streams secret put NAME < file`",
        ));
    } else {
        let mut text = String::new();
        let mut limited = stdin().take(LARGEST + 3);
        // The cause would quote nothing, but says nothing either.
        let read = limited.read_to_string(&mut text);
        read.ok().context("the value on stdin is no text")?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        line.strip_suffix('\r').unwrap_or(line).to_owned()
    };
    match value.len() as u64 {
        0 => Err(problem(
            format!("the value of {name} is empty"),
            "`durable-streams secret delete` takes a secret away",
        )),
        length if length > LARGEST => Err(problem(
            format!("the value of {name} is larger than {LARGEST} bytes"),
            "Cloudflare takes no larger secrets",
        )),
        _ => Ok(value),
    }
}

fn refused(error: cloudflare::Error) -> anyhow::Error {
    if !error.has(NOT_NEWEST) {
        return error.into();
    }
    problem(
        "the newest version of the worker is not the one that serves, and Cloudflare changes secrets \
         of that one only",
        "`durable-streams deploy` serves what is here; `durable-streams rollback --list` lists the \
         versions",
    )
}
