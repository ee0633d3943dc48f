//! A page on this machine, for people who would rather look: the streams of a server, with what is known
//! of them and what comes, and its projects.
//!
//! The program serves the page, passes its requests on to the server, and makes the tokens that they need:
//! a short-lived one each, which the page never sees. Nobody but the page gets to it ([`guard`]),
//! and no other user of this machine ([`peer`]).
//!
//! What is asked is served on a thread of its own. What takes a while and waits meanwhile, such as to open
//! the registry, is done on another, by the [`clerk`].

mod answer;
mod api;
mod assets;
mod books;
mod clerk;
mod guard;
mod pass;
mod peer;
mod serve;

use std::{
    net::{Ipv4Addr, TcpListener},
    rc::Rc,
    thread::{Scope, ScopedJoinHandle},
};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use self::{
    clerk::{AtWork, Clerk},
    guard::Guard,
    pass::{Asker, Pass},
    serve::Desk,
};
use crate::{
    args::ServerFlags,
    http,
    project::Here,
    stream::{Authorize, Root},
    ui::Ui,
};

/// Whose streams it shows.
pub enum Subject {
    /// Those below a root, in the name of somebody.
    Named(Root, Box<dyn Authorize + Send>),
    /// Those of the server that options name, of the project in a folder; in the name of somebody, or with
    /// tokens of its projects.
    Ours(Here, ServerFlags, Option<Box<dyn Authorize + Send>>),
}

/// What it is about.
#[derive(Debug, Clone)]
struct About {
    /// The server is the deployed one.
    is_remote: bool,
    /// The environment of the project, if that is not the top level.
    environment: Option<String>,
}

/// A console that is served. It ends with this.
pub struct Console<'scope> {
    url: String,
    server: String,
    /// Ends what serves when it is dropped.
    stop: Option<oneshot::Sender<()>>,
    /// The last of them serves.
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Console<'scope> {
    /// Serves it where a listener is.
    pub fn start(
        scope: &'scope Scope<'scope, '_>,
        ui: &'scope Ui,
        subject: Subject,
        listener: TcpListener,
    ) -> Result<Self> {
        let port = listener.local_addr()?.port();
        let mut threads = Vec::new();
        let (root, asker, about) = match subject {
            Subject::Named(root, who) => {
                let about = About {
                    is_remote: false,
                    environment: None,
                };
                (root, Asker::One(who), about)
            }
            Subject::Ours(here, flags, who) => {
                let about = About {
                    is_remote: flags.place.remote,
                    environment: here.environment.clone(),
                };
                let AtWork {
                    clerk,
                    root,
                    thread,
                } = Clerk::start(scope, ui, here, flags)?;
                threads.push(thread);
                // Its tokens go there.
                http::check_safe(root.as_str())?;
                let asker = match who {
                    Some(who) => Asker::One(who),
                    None => Asker::Project(clerk),
                };
                (root, asker, about)
            }
        };
        let server = root.server().to_owned();
        let pass = Pass::new(root, asker, ui.verbose())?;
        let guard = Guard::new(port);
        let runtime = http::runtime()?;
        listener.set_nonblocking(true)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener).context("the console cannot listen")?
        };
        let (stop, stopped) = oneshot::channel();
        threads.push(scope.spawn(move || {
            let desk = Rc::new(Desk { guard, about, pass });
            runtime.block_on(serve::serve(listener, desk, stopped));
        }));
        Ok(Self {
            url: format!("http://{}:{port}/", Ipv4Addr::LOCALHOST),
            server,
            stop: Some(stop),
            threads,
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The server that it is about.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Whether it is still served.
    pub fn is_alive(&self) -> bool {
        self.threads
            .last()
            .is_some_and(|serves| !serves.is_finished())
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Who serves ends first, and with it whoever asks the clerk.
        for thread in self.threads.drain(..).rev() {
            let _ = thread.join();
        }
    }
}
