//! `dev`: build the worker and serve it on this machine.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    args::values::Auth,
    auth::{self, Access},
    local,
    project::Here,
    registry::Place,
    session::Session,
    snippets::Snippets,
    ui::Ui,
};

/// Serves the project in a folder until told to end.
pub fn run(ui: &Ui, here: &Here, port: u16) -> Result<()> {
    run_with(ui, here, port, &json!({}))
}

/// The same, with more to say in the JSON document.
pub fn run_with(ui: &Ui, here: &Here, port: u16, more: &Value) -> Result<()> {
    let session = Session::start(ui, here, port)?;
    let access = match auth::of(&session.project().root)? {
        Auth::ProjectJwt => Some(auth::local_access(ui, session.project())?),
        Auth::None => None,
    };
    let snippets = Snippets::new(&session.url(), access.as_ref())?;
    ui.result(
        text(&session, &snippets, access.as_ref()),
        &document(&session, &snippets, access.as_ref(), more),
    );
    session.run()
}

fn text(session: &Session, snippets: &Snippets, access: Option<&Access>) -> String {
    let tokens = access.map(|access| format!("{}\n\n", access.about(Place::Local)));
    format!(
        "\nServing {} at {}\nCtrl-C stops it; the data stays in {}.\n\n{}{snippets}",
        session.project().name,
        session.url(),
        local::STATE,
        tokens.unwrap_or_default(),
    )
}

fn document(
    session: &Session,
    snippets: &Snippets,
    access: Option<&Access>,
    more: &Value,
) -> Value {
    let mut document = json!({
        "url": session.url(),
        "port": session.port(),
        "project": { "name": session.project().name, "dir": session.project().root },
        "access": access,
        "variables": snippets.variables(),
        "snippets": snippets.lines(),
        "pids": { "node": session.node_pid() },
    });
    if let (Some(document), Some(more)) = (document.as_object_mut(), more.as_object()) {
        for (key, value) in more {
            document.entry(key).or_insert_with(|| value.clone());
        }
    }
    document
}
