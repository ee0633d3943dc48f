//! `dev`: build the worker and serve it on this machine.

use std::thread::{self, Scope};

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    args::{
        ServerFlags,
        values::{Auth, CONSOLE_PORT},
    },
    auth::{self, Access},
    console::{Console, Subject},
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

/// Serves the project in a folder until told to end, with a console beside it if that is wanted.
pub fn run(ui: &Ui, here: &Here, listen: Listen, has_console: bool) -> Result<()> {
    run_with(ui, here, listen, has_console, &json!({}))
}

/// The same, with more to say in the JSON document.
pub fn run_with(
    ui: &Ui,
    here: &Here,
    listen: Listen,
    has_console: bool,
    more: &Value,
) -> Result<()> {
    let session = Session::start(ui, here, listen)?;
    let address = session.address();
    let is_open = auth::of(&session.project().root)? == Auth::None;
    if is_open && !address.ip().is_loopback() {
        ui.warn("anyone in the network can read and write: there is no authentication");
    }
    thread::scope(|scope| {
        // It ends behind the session, and whatever becomes of workerd.
        let console = match has_console {
            true => start_console(scope, ui, here, &session),
            false => None,
        };
        let url = console.as_ref().map(Console::url);
        show(ui, &session, url, more)?;
        session.run(|session| show(ui, session, url, more))
    })
}

/// Serves a console. Without one, `dev` does all else it is for.
fn start_console<'scope>(
    scope: &'scope Scope<'scope, '_>,
    ui: &'scope Ui,
    here: &Here,
    session: &Session,
) -> Option<Console<'scope>> {
    let flags = ServerFlags::at(session.url());
    let subject = Subject::Ours(here.clone(), flags, None);
    let console = listen::take(None, CONSOLE_PORT)
        .and_then(|listener| Console::start(scope, ui, subject, listener));
    console
        .inspect_err(|error| ui.warn(format!("there is no console: {error:#}")))
        .ok()
}

/// Says where it is and how it is used, with new tokens.
fn show(ui: &Ui, session: &Session, console: Option<&str>, more: &Value) -> Result<()> {
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
        text(session, &snippets, access.as_ref(), console),
        &document(session, &snippets, access.as_ref(), console, more),
    );
    Ok(())
}

fn text(
    session: &Session,
    snippets: &Snippets,
    access: Option<&Access>,
    console: Option<&str>,
) -> String {
    let tokens = access.map(|access| format!("{}\n\n", access.about(Place::Local)));
    let network = listen::url_in_network(session.address());
    let network = network.map(|url| format!(", in the network at {url}"));
    let console = console.map(|url| format!("\nConsole: {url}"));
    let keys = match session.has_keys() {
        true => "Ctrl-C stops it, h shows more keys",
        false => "Ctrl-C stops it",
    };
    format!(
        "\nServing {} at {}{}{}\n{keys}; the data stays in {}.\n\n{}{snippets}",
        session.project().name,
        session.url(),
        network.unwrap_or_default(),
        console.unwrap_or_default(),
        local::STATE,
        tokens.unwrap_or_default(),
    )
}

fn document(
    session: &Session,
    snippets: &Snippets,
    access: Option<&Access>,
    console: Option<&str>,
    more: &Value,
) -> Value {
    let mut document = json!({
        "url": session.url(),
        "host": session.address().ip(),
        "port": session.address().port(),
        "project": { "name": session.project().name, "dir": session.project().root },
        "console": console,
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
