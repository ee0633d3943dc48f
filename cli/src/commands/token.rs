//! `token`: a token for the streams of a project.

use anyhow::{Context, Result};
use serde_json::json;

use super::projects::place;
use crate::{
    args::{Token, values::Scope},
    project::{Here, Project},
    registry::{self, Registry, Secret},
    token::{self, Claims},
    ui::Ui,
};

/// Prints a token, and nothing else on stdout.
pub fn run(ui: &Ui, here: &Here, args: &Token) -> Result<()> {
    if let Some(stream) = &args.stream {
        token::check_stream(stream)?;
    }
    let (project, secret) = match args.secret_stdin {
        true => {
            let project = args.project.clone().context("--project is missing")?;
            registry::check_name(&project)?;
            (project, Secret::from_stdin()?)
        }
        false => registered(ui, here, args)?,
    };
    let claims = Claims {
        project,
        scope: args.scope,
        expires_at: token::expiry(args.expires_in)?,
        stream: args.stream.clone(),
    };
    let token = token::mint(&secret, &claims)?;
    ui.result(
        &token,
        &json!({
            "token": token,
            "project": claims.project,
            "scope": claims.scope,
            "stream": claims.stream,
            "expiresAt": claims.expires_at,
        }),
    );
    Ok(())
}

/// The project, the usual one if none is named, and the secret that signs its tokens.
fn registered(ui: &Ui, here: &Here, args: &Token) -> Result<(String, Secret)> {
    let project = Project::open(here)?;
    let mut registry = Registry::open(ui, &project, place(args.place))?;
    let (name, secret) = registry.signer(args.project.as_deref(), &project.name)?;
    let allowed = match args.scope {
        Scope::Read => "to read",
        Scope::Write => "to read and write",
    };
    let place = registry.place().name();
    ui.note(format!("A token {allowed} in the project {name} ({place})"));
    Ok((name, secret))
}
