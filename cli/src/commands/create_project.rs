//! `projects create`: a project in the registry, with its first secret.

use anyhow::Result;
use serde_json::json;

use super::projects::{place, secret};
use crate::{
    args::CreateProject,
    project::{Here, Project},
    registry::{self, Record, Registry},
    ui::Ui,
};

/// Makes a project of the server in the current folder.
pub fn run(ui: &Ui, here: &Here, args: &CreateProject) -> Result<()> {
    let project = Project::open(here)?;
    let name = args.name.as_ref().unwrap_or(&project.name);
    registry::check_name(name)?;
    for origin in &args.cors_origin {
        registry::check_origin(origin)?;
    }
    let given = secret(args.secret_stdin)?;
    let is_shown = !args.secret_stdin;
    let mut record = Record::new(given);
    record.cors_origins.clone_from(&args.cors_origin);
    record.is_public = args.public;

    let mut registry = Registry::open(ui, &project, place(args.place))?;
    registry.create(name, &record)?;
    let place = registry.place().name();
    let shown = is_shown.then(|| record.primary().map(|secret| secret.reveal().to_owned()));
    let shown = shown.transpose()?;
    let mut text = format!("Made the project {name} ({place}).");
    if let Some(secret) = &shown {
        text.push_str(&format!(
            " Its secret signs tokens, here and in your backend:\n{secret}\n\
             `durable-streams projects show {name} --show-secret` shows it again."
        ));
    }
    text.push_str(&format!(
        "\n`durable-streams token --project {name} --scope write` makes a token for it."
    ));
    ui.result(
        text,
        &json!({
            "project": name,
            "place": place,
            "secret": shown,
            "secretId": record.primary()?.id(),
            "corsOrigins": record.cors_origins,
            "isPublic": record.is_public,
        }),
    );
    Ok(())
}
