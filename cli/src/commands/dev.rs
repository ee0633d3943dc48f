//! `dev`: build the worker and serve it on this machine.

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    args::values::Auth,
    auth::{self, Access},
    local::{
        self,
        listen::{self, Listen},
    },
    project::Here,
    registry::Place,
    session::Session,
    snippets::Snippets,
    ui::Ui,
};

/// Serves the project in a folder until told to end.
pub fn run(ui: &Ui, here: &Here, listen: Listen) -> Result<()> {
    run_with(ui, here, listen, &json!({}))
}

/// The same, with more to say in the JSON document.
pub fn run_with(ui: &Ui, here: &Here, listen: Listen, more: &Value) -> Result<()> {
    let session = Session::start(ui, here, listen)?;
    let address = session.address();
    let is_open = auth::of(&session.project().root)? == Auth::None;
    if is_open && !address.ip().is_loopback() {
        ui.warn("anyone in the network can read and write: there is no authentication");
    }
    show(ui, &session, more)?;
    session.run(|session| show(ui, session, more))
}

/// Says where it is and how it is used, with new tokens.
fn show(ui: &Ui, session: &Session, more: &Value) -> Result<()> {
    let auth = auth::of(&session.project().root)?;
    let access = match auth {
        Auth::ProjectJwt => Some(auth::local_access(ui, session.project())?),
        Auth::None | Auth::Own => None,
    };
    let snippets = match auth {
        Auth::Own => Snippets::address(&session.url()),
        _ => Snippets::new(&session.url(), access.as_ref())?,
    };
    ui.result(
        text(session, &snippets, access.as_ref()),
        &document(session, &snippets, access.as_ref(), more),
    );
    Ok(())
}

fn text(session: &Session, snippets: &Snippets, access: Option<&Access>) -> String {
    let tokens = access.map(|access| format!("{}\n\n", access.about(Place::Local)));
    let network = listen::url_in_network(session.address());
    let network = network.map(|url| format!(", in the network at {url}"));
    let keys = match session.has_keys() {
        true => "Ctrl-C stops it, h shows more keys",
        false => "Ctrl-C stops it",
    };
    format!(
        "\nServing {} at {}{}\n{keys}; the data stays in {}.\n\n{}{snippets}",
        session.project().name,
        session.url(),
        network.unwrap_or_default(),
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
        "host": session.address().ip(),
        "port": session.address().port(),
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
