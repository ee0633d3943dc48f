//! Receivers of webhooks, which fail a third of the time in one way or another.

use std::net::{TcpListener, TcpStream};
use std::thread::{self, Scope};
use std::time::Duration;

use anyhow::Result;
use durable_streams_tests::hooks;

use super::chance::Chance;
use super::wake::{self, Outcome, Wake};
use super::{Run, Subscription};

/// How long a receiver keeps silent that does not answer: longer than an attempt may last.
const SILENCE: Duration = Duration::from_secs(4);

const DONE: &str = r#"{"done":true}"#;

/// A receiver that listens.
#[derive(Debug)]
pub struct Receiver {
    listener: TcpListener,
}

impl Receiver {
    /// Listens at a free port.
    pub fn bind() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener })
    }

    /// Where it is.
    pub fn url(&self) -> Result<String> {
        Ok(format!("http://{}/hook", self.listener.local_addr()?))
    }

    /// Answers until the run has ended.
    pub fn serve<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        run: &'scope Run,
        of: &'scope Subscription,
    ) {
        let mut chance = Chance::new(run.seed, 1000 + of.number as u64);
        while !run.has_ended() {
            match self.listener.accept() {
                Ok((socket, _)) => {
                    let luck = chance.below(12);
                    scope.spawn(move || {
                        // A server that was killed does not hear the answer.
                        if let Err(error) = answer(scope, run, of, &socket, luck) {
                            run.note(&error);
                        }
                    });
                }
                Err(_) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

/// Answers one delivery, by luck of 0 to 11.
fn answer<'scope>(
    scope: &'scope Scope<'scope, '_>,
    run: &'scope Run,
    of: &'scope Subscription,
    socket: &TcpStream,
    luck: u64,
) -> Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(SILENCE))?;
    let body = hooks::read(socket)?;
    let wake = wake::parse(&body)?;
    run.ledger.woke(of.number, wake.generation, false);
    let failure = if run.is_failing() { luck } else { luck.max(4) };
    let (status, text) = match failure {
        0 => ("500 Internal Server Error", "{}"),
        1 => {
            thread::sleep(SILENCE);
            return Ok(());
        }
        2 => return Ok(()),
        // It was received, and nothing will come of it.
        3 => ("200 OK", "{ what?"),
        luck if luck % 2 == 0 => match wake.process(run, of.number) {
            Ok(_) => ("200 OK", DONE),
            Err(error) => {
                run.note(&error);
                ("503 Service Unavailable", "{}")
            }
        },
        _ => {
            scope.spawn(move || {
                if let Err(error) = call_back(run, of, &wake) {
                    run.note(&error);
                }
            });
            ("202 Accepted", "{}")
        }
    };
    hooks::answer(socket, status, text)
}

/// Works, says so on the way, and says that it is done.
fn call_back(run: &Run, of: &Subscription, wake: &Wake) -> Result<()> {
    let acks = wake.process(run, of.number)?;
    let whose = (of.number, of.id.as_str());
    let half = acks.get(..acks.len() / 2).unwrap_or_default();
    if wake.tell(run, whose, "callback", half, false)? == Outcome::Taken {
        wake.tell(run, whose, "callback", &acks, true)?;
    }
    Ok(())
}
