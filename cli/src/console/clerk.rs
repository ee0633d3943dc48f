//! Does what takes a while beside all that is served: the registry, and what Cloudflare is asked for.

use std::{
    sync::mpsc::{Sender, channel},
    thread::{Scope, ScopedJoinHandle},
};

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::{answer::Refusal, books::Books};
use crate::{args::ServerFlags, project::Here, stream::Root, ui::Ui};

type Job = Box<dyn FnOnce(&mut Books<'_>) + Send>;

/// Reaches the clerk, who ends when nobody does any more.
#[derive(Clone)]
pub struct Clerk(Sender<Job>);

/// A clerk at work.
pub struct AtWork<'scope> {
    /// Who it is.
    pub clerk: Clerk,
    /// Where the server is that the books are about.
    pub root: Root,
    /// What it works on.
    pub thread: ScopedJoinHandle<'scope, ()>,
}

impl Clerk {
    /// Begins to work, and returns when the server was found.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        ui: &'scope Ui,
        here: Here,
        flags: ServerFlags,
    ) -> Result<AtWork<'scope>> {
        let (jobs, waiting) = channel::<Job>();
        let (found, look) = channel();
        // The books do not leave the thread that opened them.
        let thread = scope.spawn(move || {
            let mut books = match Books::open(ui, &here, &flags) {
                Ok((books, root)) => {
                    let _ = found.send(Ok(root));
                    books
                }
                Err(error) => return drop(found.send(Err(error))),
            };
            for job in waiting {
                job(&mut books);
            }
        });
        let root = look.recv().context("the books of the console are lost")??;
        Ok(AtWork {
            clerk: Self(jobs),
            root,
            thread,
        })
    }

    /// Has something done, and waits for it without keeping others from being served.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Books<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, outcome) = oneshot::channel();
        let job: Job = Box::new(move |books| drop(done.send(work(books))));
        let gone = || anyhow::anyhow!("the console is ending");
        self.0.send(job).map_err(|_| gone())?;
        outcome.await.map_err(|_| gone())?
    }
}
