//! `deploy`: from a project to a URL that serves it.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::provision;
use crate::{
    args::{Deploy, values::Auth},
    auth,
    bundle::{self, Effort, Sizes},
    cloudflare::{Credentials, Upload},
    deployment::{self, Deployment, Findings, Health, addresses, wait_until_healthy},
    error::problem,
    interrupt,
    project::{Here, Lock, Project, Work},
    registry::{self, Place, Registry},
    snippets::Snippets,
    toolchain,
    ui::{self, Ui},
    variables,
};

/// How long the steps took, in order.
#[derive(Debug, Default)]
struct Times(Vec<(&'static str, Duration)>);

impl Times {
    /// Does a step and notes how long it took.
    fn measure<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let outcome = step();
        self.0.push((name, started.elapsed()));
        outcome
    }

    fn text(&self) -> String {
        let total = self.0.iter().map(|(_, time)| *time).sum();
        let steps: Vec<String> = self
            .0
            .iter()
            .map(|(name, time)| format!("{name} {}", ui::seconds(*time)))
            .collect();
        format!("{}: {}", ui::seconds(total), steps.join(", "))
    }

    fn document(&self) -> Value {
        let millis = |time: &Duration| json!(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        let steps = self
            .0
            .iter()
            .map(|(name, time)| ((*name).to_owned(), millis(time)));
        Value::Object(steps.collect::<Map<_, _>>())
    }
}

/// Deploys the project in a folder, with the credentials given or those of the environment.
pub fn run(ui: &Ui, here: &Here, args: &Deploy, credentials: Option<Credentials>) -> Result<()> {
    interrupt::note_interrupts();
    let mut times = Times::default();
    let project = Project::open(here)?;
    variables::check_to_deploy(&project)?;
    if let Some(name) = &args.create_project {
        registry::check_name(name)?;
    }
    let credentials = credentials.map_or_else(Credentials::find, Ok)?;
    let mut deployment = Deployment::with(ui, project, credentials)?;
    deployment.consent = args.ownership.consent();
    deployment.without_metrics = args.without_metrics;
    if !args.dry_run {
        deployment.hold("deploy")?;
    }
    // What is built is uploaded, and nothing that another run makes meanwhile.
    let _lock = Lock::wait(ui, &deployment.project, Work::Bundle, "deploy")?;
    deployment.read_again()?;
    variables::check_to_deploy(&deployment.project)?;
    if args.no_build {
        deployment.upload()?;
    }
    let mut findings = times.measure("look", || {
        ui.step("Looking at what is on Cloudflare", || {
            let findings = deployment.preflight()?;
            deployment.check_metrics(&findings)?;
            Ok(findings)
        })
    })?;
    if !args.no_build {
        times.measure("build", || build(ui, &deployment.project))?;
    }
    let added = upgrade(&mut deployment, &mut findings, args.dry_run)?;
    let sizes = bundle::sizes(&deployment.project)?;
    check_size(ui, &sizes)?;
    if args.dry_run {
        let upload = deployment.upload()?;
        ui.result(
            plan(&deployment, &findings, &upload, &sizes),
            &document(
                &deployment,
                &findings,
                &sizes,
                &times,
                json!({ "dryRun": true, "added": added }),
            ),
        );
        return Ok(());
    }
    deployment.claim(&findings)?;
    times.measure("provision", || {
        deployment.provision(&mut findings.resources)
    })?;
    let upload = deployment.upload()?;
    let is_deployed = deployment.is_deployed(&upload, &findings) && deployment.serves_newest()?;
    if !is_deployed {
        times.measure("upload", || {
            ui.step("Uploading the worker", || {
                deployment.put(&upload, &findings)
            })
        })?;
    }
    let is_exposed = times.measure("expose", || deployment.expose())?;
    let urls = addresses(&deployment.project, findings.subdomain.as_deref());
    if let Some(url) = urls.first() {
        times.measure("answer", || await_answer(&deployment, url))?;
    }

    let access = match &args.create_project {
        Some(name) => Some(times.measure("project", || {
            let account = Rc::clone(&deployment.account);
            let mut registry = Registry::remote(account, &deployment.project)?;
            auth::access(ui, &mut registry, name)
        })?),
        None => None,
    };
    let headline = headline(&deployment, &urls, is_deployed, is_exposed);
    // Without tokens, there is nothing to paste where tokens are needed.
    let auth = auth::of(&deployment.project.root)?;
    let can_try = access.is_some() || auth == Auth::None;
    let snippets = match urls.first() {
        Some(url) if can_try => Some(Snippets::new(url, access.as_ref())?),
        _ => None,
    };
    let lines = snippets.as_ref().map(Snippets::to_string);
    let lines = lines.unwrap_or_default();
    let next = match (&access, can_try) {
        (Some(access), _) => format!("{}\n\n{lines}", access.about(Place::Remote)),
        (None, true) => lines,
        (None, false) if auth == Auth::Own => String::new(),
        (None, false) => "`durable-streams projects create --remote` makes a project, \
                          `durable-streams token --remote --scope write` a token for it."
            .to_owned(),
    };
    ui.result(
        format!(
            "{headline}\n{}\n{}\nIt took {}.\n\n{}",
            provision::text(&findings.resources, false),
            sizes.against_limits(),
            times.text(),
            next
        ),
        &document(
            &deployment,
            &findings,
            &sizes,
            &times,
            json!({
                "dryRun": false,
                "added": added,
                "changed": !is_deployed || is_exposed,
                "url": urls.first(),
                "urls": urls,
                "access": access,
                "variables": snippets.as_ref().map(Snippets::variables),
                "snippets": snippets.as_ref().map_or(&[][..], Snippets::lines),
            }),
        ),
    );
    Ok(())
}

fn build(ui: &Ui, project: &Project) -> Result<()> {
    let toolchain = toolchain::ready(ui, project)?;
    ui.step("Building the worker", || {
        bundle::build(ui, project, &toolchain, Effort::Full)
    })
}

/// Gives older settings what the new bundle needs.
fn upgrade(
    deployment: &mut Deployment,
    findings: &mut Findings,
    dry_run: bool,
) -> Result<Vec<String>> {
    let added = deployment.project.upgrade(Effort::Full, dry_run)?;
    findings.migrations = deployment.missing_migrations(findings)?;
    if !added.is_empty() {
        let would = if dry_run { "would get" } else { "has got" };
        let added = added.join(", ");
        let manifest = deployment.project.manifest();
        let file = manifest.name();
        deployment.ui.note(format!(
            "{file} {would} what it lacked, to be kept with the project: {added}"
        ));
    }
    Ok(added)
}

fn check_size(ui: &Ui, sizes: &Sizes) -> Result<()> {
    if sizes.upload() > bundle::PAID_LIMIT {
        return Err(problem(
            format!("the worker is too large: {}", sizes.against_limits()),
            "fewer or lighter dependencies make it smaller",
        ));
    }
    if sizes.upload() > bundle::FREE_LIMIT {
        ui.warn(format!(
            "the worker is too large for the free plan: {}",
            sizes.against_limits()
        ));
    }
    Ok(())
}

fn await_answer(deployment: &Deployment, url: &str) -> Result<()> {
    let health = deployment.ui.step(&format!("Waiting for {url}"), || {
        wait_until_healthy(&deployment.account, url)
    })?;
    match health {
        Health::Healthy => Ok(()),
        Health::Unhealthy(why) => Err(problem(
            format!("the worker is deployed, but {url} does not answer yet: {why}"),
            "a new address can take some minutes; `durable-streams status` asks again, \
             `durable-streams logs` shows what the worker says",
        )),
    }
}

fn headline(
    deployment: &Deployment,
    urls: &[String],
    is_deployed: bool,
    is_exposed: bool,
) -> String {
    let name = &deployment.project.name;
    let place = match urls {
        [] => "at its routes".to_owned(),
        urls => format!("at {}", urls.join(", ")),
    };
    match (is_deployed, is_exposed) {
        (true, false) => format!("Nothing to do: {name} is deployed as it is here, {place}"),
        (true, true) => format!("The code of {name} is deployed already; it is served {place} now"),
        (false, _) => format!("Deployed {name}: it serves {place}"),
    }
}

fn plan(deployment: &Deployment, findings: &Findings, upload: &Upload, sizes: &Sizes) -> String {
    let name = &deployment.project.name;
    let mut lines = vec![provision::text(&findings.resources, true)];
    let ready = findings
        .resources
        .iter()
        .all(deployment::Resource::is_ready);
    lines.push(match &findings.script {
        Some(_) if ready && deployment.is_deployed(upload, findings) => {
            format!("Worker {name}: deployed as it is here, nothing would be uploaded")
        }
        Some(_) => format!("Worker {name}: another version would be uploaded"),
        None => format!("Worker {name}: would be uploaded for the first time"),
    });
    if let Some(carried) = findings.carried() {
        lines.push(format!(
            "Streams, bucket and namespace of {}: would be taken over",
            carried.from.id
        ));
    }
    if let Some(migrations) = &findings.migrations {
        lines.push(format!(
            "Migrations up to {}: would be carried out",
            migrations["new_tag"]
        ));
    }
    lines.push(sizes.against_limits());
    let urls = addresses(&deployment.project, findings.subdomain.as_deref());
    lines.extend(urls.iter().map(|url| format!("It would serve at {url}")));
    lines.join("\n")
}

fn document(
    deployment: &Deployment,
    findings: &Findings,
    sizes: &Sizes,
    times: &Times,
    more: Value,
) -> Value {
    let mut document = json!({
        "project": { "name": deployment.project.name, "dir": deployment.project.root },
        "account": deployment.account.id,
        "resources": findings.resources,
        "migrations": findings.migrations,
        "bytes": sizes,
        "milliseconds": times.document(),
    });
    if let (Some(document), Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    document
}
