//! `dev`: build the worker and serve it on this machine.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    local,
    session::Session,
    snippets::{self, Snippet},
    ui::Ui,
};

/// Serves the project in a folder until told to end.
pub fn run(ui: &Ui, dir: &Path, port: u16) -> Result<()> {
    run_with(ui, dir, port, &json!({}))
}

/// The same, with more to say in the JSON document.
pub fn run_with(ui: &Ui, dir: &Path, port: u16, more: &Value) -> Result<()> {
    let session = Session::start(ui, dir, port)?;
    let snippets = snippets::render(&session.url())?;
    ui.result(
        text(&session, &snippets),
        &document(&session, &snippets, more),
    );
    session.run()
}

fn text(session: &Session, snippets: &[Snippet]) -> String {
    format!(
        "\nServing {} at {}\nCtrl-C stops it; the data stays in {}.\n\n{}\n",
        session.project().name,
        session.url(),
        local::STATE,
        snippets::text(snippets),
    )
}

fn document(session: &Session, snippets: &[Snippet], more: &Value) -> Value {
    let mut document = json!({
        "url": session.url(),
        "port": session.port(),
        "project": { "name": session.project().name, "dir": session.project().root },
        "snippets": snippets,
        "pids": { "node": session.node_pid() },
    });
    if let (Some(document), Some(more)) = (document.as_object_mut(), more.as_object()) {
        for (key, value) in more {
            document.entry(key).or_insert_with(|| value.clone());
        }
    }
    document
}
