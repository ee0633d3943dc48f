//! `init`: write a new project.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{deploy, dev, login};
use crate::{
    args::{
        Deploy, Init,
        values::{Auth, DEFAULT_PORT},
    },
    cloudflare::{Credentials, permissions},
    dev_vars,
    error::problem,
    git::{self, Repository},
    interrupt,
    local::listen::Listen,
    name,
    project::{self, Here},
    registry,
    runtime_source::RuntimeSource,
    scaffold::{self, NewProject, Staged},
    ui::{Ui, quoted},
    workflow, workspace,
};

/// The folder when none is named.
const DEFAULT_DIR: &str = "my-streams";
const CLOSED: &str = "Who uses the streams needs a token; `durable-streams token` makes some.";
const OWN: &str = "Who may use the streams is decided in `src/`.";
const OPEN: &str = "There is no authentication: anyone who knows the URL can read and write.";

/// Writes a project, and serves it when asked to.
pub fn run(ui: &Ui, args: Init) -> Result<()> {
    let ask = ui.can_ask() && !args.yes;
    interrupt::note_interrupts();
    let (dir, name) = place(ui, &args, ask)?;
    scaffold::check_destination(&dir, args.overwrite)?;
    if args.template.is_none() {
        workspace::check(&dir)?;
    }
    let auth = auth(ui, &args, ask)?;
    let found = git::repository(&dir);
    let git = wants_git(ui, &args, found.is_some(), ask)?;
    let above = found.filter(|_| !git);
    let runtime = runtime(&args)?;
    let project = NewProject {
        auth,
        name,
        template: args.template.clone(),
        example: args.example,
        define: definitions(&args),
        github_actions: wants_github_actions(ui, &args, &dir, git, above.as_ref(), &runtime, ask)?,
        runtime,
        branch: match above {
            Some(repository) => repository.branch,
            None => git::new_branch(&dir),
        },
        dir,
    };
    let listen = Listen {
        port: args.port,
        ..Listen::default()
    };
    if args.dev {
        listen.find()?;
    }

    let staged = scaffold::stage(ui, &project, ask)?;
    if args.dry_run {
        ui.result(
            plan(&project, &staged),
            &document(&project, &staged, git, true),
        );
        return Ok(());
    }
    scaffold::place(&staged, &project.dir)?;
    if git {
        git::init(ui, &project.dir, &project.branch)?;
    }

    let document = document(&project, &staged, git, false);
    if args.dev {
        ui.note(written(&project, &staged));
        return dev::run_with(ui, &Here::at(&project.dir), listen, true, &document);
    }
    ui.result(
        format!(
            "{}\n\n{}",
            written(&project, &staged),
            next_steps(&project.dir)
        ),
        &document,
    );
    if ask {
        go_on(ui, &project, listen)?;
    }
    Ok(())
}

/// Offers the rest of the way: a try on this machine, then Cloudflare with a first project.
fn go_on(ui: &Ui, project: &NewProject, listen: Listen) -> Result<()> {
    let dir = &project.dir;
    if ui.yes_or_no("Build and serve it now? Ctrl-C ends that", true)? {
        dev::run(ui, &Here::at(dir), listen, true)?;
        interrupt::forget_interrupt();
    }
    if ui.yes_or_no("Deploy it to Cloudflare?", false)? {
        let credentials = credentials(ui)?;
        let args = Deploy {
            create_project: first_project(ui, project)?,
            ..Deploy::default()
        };
        deploy::run(ui, &Here::at(dir), &args, Some(credentials))?;
    }
    Ok(())
}

/// The name of the first project, where projects are needed to use the streams.
fn first_project(ui: &Ui, project: &NewProject) -> Result<Option<String>> {
    if project.auth != Auth::ProjectJwt {
        return Ok(None);
    }
    let question = "Name of the first project";
    let name = ui.line(question, Some(&project.name), registry::check_name)?;
    Ok(Some(name))
}

/// The credentials that are there, or a token that is typed in and kept nowhere.
fn credentials(ui: &Ui) -> Result<Credentials> {
    if let Some(found) = Credentials::given()? {
        return Ok(found);
    }
    let token = login::ask(
        ui,
        &permissions::token_page(false),
        "\nIt is kept nowhere: later runs take it from CLOUDFLARE_API_TOKEN, or from what \
         `durable-streams login` keeps.",
    )?;
    Credentials::token(&token, "typed in")
}

/// The folder and the name, asked for where nobody has said them.
fn place(ui: &Ui, args: &Init, ask: bool) -> Result<(PathBuf, String)> {
    let dir = match (&args.dir, &args.name) {
        (Some(dir), _) => dir.clone(),
        (None, Some(name)) => PathBuf::from(name),
        (None, None) if ask => {
            let question = "Folder of the new project";
            PathBuf::from(ui.line(question, Some(DEFAULT_DIR), |_| Ok(()))?)
        }
        (None, None) => PathBuf::from(DEFAULT_DIR),
    };
    let dir = absolute(&dir)?;
    let derived = || dir.file_name().map(OsStr::to_string_lossy);
    let name = match &args.name {
        Some(name) => name.clone(),
        None => derived().unwrap_or_default().into_owned(),
    };
    let name = match name::check(&name) {
        Err(_) if ask && args.name.is_none() => ask_name(ui, &name)?,
        outcome => outcome.map(|()| name)?,
    };
    Ok((dir, name))
}

fn ask_name(ui: &Ui, derived: &str) -> Result<String> {
    let suggestion = name::suggest(derived);
    let suggestion = suggestion.as_deref().unwrap_or(DEFAULT_DIR);
    ui.line("Name of the project", Some(suggestion), name::check)
}

/// The absolute path of a folder that need not exist, without `.` and `..` as far as it does.
fn absolute(dir: &Path) -> Result<PathBuf> {
    let path = match dir.canonicalize() {
        Ok(path) => path,
        Err(_) => std::path::absolute(dir)
            .with_context(|| format!("`{}` cannot be the project's folder", dir.display()))?,
    };
    project::check_path(&path)?;
    Ok(path)
}

/// Values of the template, those that have an option of their own among them.
fn definitions(args: &Init) -> BTreeMap<String, String> {
    let placement = [
        ("jurisdiction", &args.jurisdiction),
        ("location_hint", &args.location_hint),
    ];
    let given = placement.into_iter().filter_map(|(key, value)| {
        let value = value.clone()?;
        Some((key.to_owned(), value))
    });
    args.define.iter().cloned().chain(given).collect()
}

fn runtime(args: &Init) -> Result<RuntimeSource> {
    match &args.runtime {
        Some(text) => RuntimeSource::parse(text),
        None => Ok(RuntimeSource::default_source()),
    }
}

/// Whether to make a repository: as told, else unless there is one already.
fn wants_git(ui: &Ui, args: &Init, is_in_one: bool, ask: bool) -> Result<bool> {
    if args.no_git {
        return Ok(false);
    }
    let available = git::available();
    if args.git && !available {
        return Err(problem(
            "--git: there is no `git` on this machine",
            "install git, or leave --git out",
        ));
    }
    if args.git || !available || is_in_one {
        return Ok(args.git);
    }
    if ask {
        return ui.yes_or_no("Make a git repository?", true);
    }
    Ok(true)
}

/// Whether to add the workflow: as told, or asked where it would work. `above` is the repository that the
/// project will be in, unless it gets one of its own.
fn wants_github_actions(
    ui: &Ui,
    args: &Init,
    dir: &Path,
    git: bool,
    above: Option<&Repository>,
    runtime: &RuntimeSource,
    ask: bool,
) -> Result<bool> {
    if args.github_actions {
        if args.template.is_none() {
            workflow::check(ui, dir, above, runtime)?;
        }
        return Ok(true);
    }
    let has_repository = git || above.is_some();
    let is_here = matches!(runtime, RuntimeSource::Path(_));
    if !ask || args.template.is_some() || !has_repository || is_here {
        return Ok(false);
    }
    let wants = ui.yes_or_no("Add a GitHub Actions workflow that deploys?", false)?;
    if wants {
        workflow::check(ui, dir, above, runtime)?;
    }
    Ok(wants)
}

/// Who may use the streams: as told, or as the example says, else asked for.
fn auth(ui: &Ui, args: &Init, ask: bool) -> Result<Auth> {
    if let Some(example) = args.example {
        return example.auth(args.auth);
    }
    if let Some(auth) = args.auth {
        return Ok(auth);
    }
    if !ask || args.template.is_some() {
        return Ok(Auth::ProjectJwt);
    }
    let ways = [
        "Whoever has a token of a project",
        "Everyone who knows the URL",
    ];
    Ok(match ui.choose("Who may use the streams?", &ways, 0)? {
        0 => Auth::ProjectJwt,
        _ => Auth::None,
    })
}

fn plan(project: &NewProject, staged: &Staged) -> String {
    let files: Vec<String> = staged
        .files
        .iter()
        .map(|file| project.dir.join(file).display().to_string())
        .collect();
    format!("Would write:\n{}", files.join("\n"))
}

fn written(project: &NewProject, staged: &Staged) -> String {
    let here_alone = match project.runtime {
        RuntimeSource::Path(_) => {
            "\nIt builds on this machine alone: Cargo.toml takes the runtime from a folder of it."
        }
        _ => "",
    };
    format!(
        "Wrote {} to {}: {} files, with {}.\n{}{}{here_alone}",
        project.name,
        project.dir.display(),
        staged.files.len(),
        project.runtime,
        match project.auth {
            Auth::ProjectJwt => CLOSED,
            Auth::None => OPEN,
            Auth::Own => OWN,
        },
        secrets(project),
    )
}

/// The secrets that the example needs, and where they go.
fn secrets(project: &NewProject) -> String {
    let secrets = project.example.map(|example| example.secrets());
    let lines = secrets.into_iter().flatten().map(|name| {
        format!(
            "\nPut {name} into {} for local runs; `durable-streams secret put {name}` sets the deployed \
             worker's.",
            dev_vars::FILE
        )
    });
    lines.collect()
}

fn next_steps(dir: &Path) -> String {
    let here = std::env::current_dir().ok();
    let shown = here
        .and_then(|here| dir.strip_prefix(here).ok().map(Path::to_owned))
        .unwrap_or_else(|| dir.to_owned());
    let enter = match shown.as_os_str().is_empty() {
        true => String::new(),
        false => format!("  cd {}\n", quoted(&shown.display().to_string())),
    };
    format!(
        "Next:\n{enter}  durable-streams dev     # http://127.0.0.1:{DEFAULT_PORT}\n  \
         durable-streams deploy  # to Cloudflare"
    )
}

fn document(project: &NewProject, staged: &Staged, git: bool, dry_run: bool) -> Value {
    json!({
        "project": { "name": project.name, "dir": project.dir },
        "files": staged.files,
        "runtime": project.runtime.document(),
        "auth": project.auth.name(),
        "example": project.example.map(|example| example.name),
        "git": git,
        "githubActions": project.github_actions,
        "dryRun": dry_run,
    })
}
