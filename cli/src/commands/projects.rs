//! `projects`: what is in the registry, and changes to it.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    create_project,
    delete_project::{self, Deletion},
};
use crate::{
    args::{PlaceFlags, Projects, UpdateProject},
    project::{Here, Project},
    registry::{self, Place, Record, Registry, Secret},
    ui::Ui,
};

/// Works on the projects of the server in the current folder.
pub fn run(ui: &Ui, here: &Here, args: &Projects) -> Result<()> {
    match args {
        Projects::List { place } => list(ui, here, *place),
        Projects::Create(args) => create_project::run(ui, here, args),
        Projects::Show {
            name,
            show_secret,
            place,
        } => show(ui, here, name, *show_secret, *place),
        Projects::Update(args) => update(ui, here, args),
        Projects::Rotate {
            name,
            secret_stdin,
            place,
        } => rotate(ui, here, name, *secret_stdin, *place),
        Projects::RemoveSecret {
            name,
            secret,
            place,
        } => remove_secret(ui, here, name, secret.as_deref(), *place),
        Projects::Delete {
            name,
            yes,
            streams,
            url,
            place,
        } => delete_project::run(
            ui,
            here,
            &Deletion {
                name,
                yes: *yes,
                streams: *streams,
                url: url.as_deref(),
                place: *place,
            },
        ),
    }
}

/// Where to work: as told, else on the data of local runs.
pub fn place(flags: PlaceFlags) -> Place {
    match flags.remote {
        true => Place::Remote,
        false => Place::Local,
    }
}

/// A secret from stdin, or a new one.
pub fn secret(from_stdin: bool) -> Result<Secret> {
    match from_stdin {
        true => Secret::from_stdin(),
        false => Secret::generate(),
    }
}

fn open(ui: &Ui, here: &Here, flags: PlaceFlags) -> Result<Registry> {
    let project = Project::open(here)?;
    Registry::open(ui, &project, place(flags))
}

fn list(ui: &Ui, here: &Here, flags: PlaceFlags) -> Result<()> {
    let mut registry = open(ui, here, flags)?;
    let place = registry.place().name();
    let names = registry.names()?;
    let mut lines = Vec::new();
    let mut documents = Vec::new();
    for name in &names {
        match registry.get(name) {
            Ok(record) => {
                lines.push(line(name, &record));
                documents.push(document(name, place, &record));
            }
            Err(error) => {
                lines.push(format!("{name}: {error:#}"));
                documents.push(json!({ "project": name, "error": format!("{error:#}") }));
            }
        }
    }
    if names.is_empty() {
        lines.push(format!(
            "There is no project yet ({place}); `durable-streams projects create` makes one."
        ));
    }
    ui.result(
        lines.join("\n"),
        &json!({ "place": place, "projects": documents }),
    );
    Ok(())
}

fn show(ui: &Ui, here: &Here, name: &str, show_secret: bool, flags: PlaceFlags) -> Result<()> {
    let mut registry = open(ui, here, flags)?;
    let place = registry.place().name();
    let record = registry.get(name)?;
    let mut lines = vec![format!("{} ({place})", line(name, &record))];
    for (at, secret) in record.signing_secrets.iter().enumerate() {
        let role = match at {
            0 => ", which signs new tokens",
            _ => "",
        };
        lines.push(format!("  secret {}{role}", secret.id()));
    }
    let mut document = document(name, place, &record);
    if show_secret {
        let secret = record.primary()?;
        ui.warn(
            "whoever has this secret can make tokens for everything in the project: give it to \
             backends that sign tokens, and to nobody else",
        );
        lines.push(secret.reveal().to_owned());
        document["secret"] = json!(secret.reveal());
    }
    ui.result(lines.join("\n"), &document);
    Ok(())
}

fn update(ui: &Ui, here: &Here, args: &UpdateProject) -> Result<()> {
    for origin in &args.cors_origin {
        registry::check_origin(origin)?;
    }
    let name = &args.name;
    let mut registry = open(ui, here, args.place)?;
    let place = registry.place().name();
    let before = registry.get(name)?;
    let mut record = before.clone();
    if args.public || args.no_public {
        record.is_public = args.public;
    }
    if args.no_cors_origin || !args.cors_origin.is_empty() {
        record.cors_origins.clone_from(&args.cors_origin);
    }
    let is_changed = record != before;
    if is_changed {
        registry.set(name, &record)?;
    }
    let change = match is_changed {
        true => "A running server follows within a minute.",
        false => "It was so before.",
    };
    let mut document = document(name, place, &record);
    document["changed"] = json!(is_changed);
    ui.result(
        format!("{} ({place}). {change}", line(name, &record)),
        &document,
    );
    Ok(())
}

fn rotate(ui: &Ui, here: &Here, name: &str, from_stdin: bool, flags: PlaceFlags) -> Result<()> {
    let new = secret(from_stdin)?;
    let mut registry = open(ui, here, flags)?;
    let place = registry.place().name();
    let mut record = registry.get(name)?;
    record.rotate(new.clone())?;
    registry.set(name, &record)?;
    let shown = (!from_stdin).then(|| new.reveal());
    let mut text =
        format!("The project {name} ({place}) has a new secret, which signs from now on");
    match shown {
        Some(secret) => text.push_str(&format!(":\n{secret}")),
        None => text.push('.'),
    }
    text.push_str(&format!(
        "\nTokens of the old one are taken until `durable-streams projects remove-secret {name}`."
    ));
    let mut document = document(name, place, &record);
    document["secret"] = json!(shown);
    ui.result(text, &document);
    Ok(())
}

fn remove_secret(
    ui: &Ui,
    here: &Here,
    name: &str,
    id: Option<&str>,
    flags: PlaceFlags,
) -> Result<()> {
    let mut registry = open(ui, here, flags)?;
    let place = registry.place().name();
    let mut record = registry.get(name)?;
    let removed = record.remove_secret(id)?;
    registry.set(name, &record)?;
    let mut document = document(name, place, &record);
    document["removed"] = json!(removed);
    ui.result(
        format!(
            "The project {name} ({place}) has lost the secret {removed}. A running server takes \
             tokens signed with it for up to a minute, and then lets their live readers go."
        ),
        &document,
    );
    Ok(())
}

fn line(name: &str, record: &Record) -> String {
    let secrets = match record.signing_secrets.len() {
        1 => "1 secret".to_owned(),
        count => format!("{count} secrets"),
    };
    let readers = match record.is_public {
        true => "everyone reads",
        false => "readers need a token",
    };
    let pages = match record.cors_origins.as_slice() {
        [] => "no pages of other origins".to_owned(),
        origins => format!("pages of {}", origins.join(", ")),
    };
    format!("{name}: {secrets}, {readers}, {pages}")
}

fn document(name: &str, place: &str, record: &Record) -> Value {
    let ids: Vec<String> = record.signing_secrets.iter().map(Secret::id).collect();
    json!({
        "project": name,
        "place": place,
        "secretIds": ids,
        "corsOrigins": record.cors_origins,
        "isPublic": record.is_public,
    })
}
