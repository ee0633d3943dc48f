//! `console`: the page that shows a server, alone.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Result;
use serde_json::json;

use super::stream::{Meant, check_folder};
use crate::{
    args::{self, values::CONSOLE_PORT},
    console::{Console, Subject},
    error::problem,
    interrupt,
    local::listen,
    process,
    project::Here,
    stream::Authorize,
    ui::Ui,
};

/// Serves it until told to end.
pub fn run(ui: &Ui, here: &Here, args: &args::Console) -> Result<()> {
    interrupt::note_interrupts();
    let subject = match Meant::read(ui, &args.server)? {
        Meant::Named(root, who) => Subject::Named(root, who),
        Meant::Ours(who) => {
            check_folder(here)?;
            let who = who.map(|who| Box::new(who) as Box<dyn Authorize + Send>);
            Subject::Ours(here.clone(), args.server.server.clone(), who)
        }
    };
    let listener = listen::take(args.port, CONSOLE_PORT)?;
    thread::scope(|scope| {
        let console = Console::start(scope, ui, subject, listener)?;
        let (url, server) = (console.url(), console.server());
        ui.result(
            format!("Console: {url}\nIt shows the streams of {server}. Ctrl-C stops it."),
            &json!({ "console": url, "server": server }),
        );
        if args.open {
            open(ui, url);
        }
        while !interrupt::interrupted() {
            if !console.is_alive() {
                return Err(problem("the console has ended by itself", "start it again"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    })
}

/// Shows a URL in a browser. Where there is none, a person does it.
fn open(ui: &Ui, url: &str) {
    let (program, before): (_, &[&str]) = match () {
        () if cfg!(windows) => ("cmd", &["/c", "start"]),
        () if cfg!(target_os = "macos") => ("open", &[]),
        () => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command
        .args(before)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Err(error) = process::spawn(&mut command) {
        ui.warn(format!("no browser can be opened: {error:#}"));
    }
}
