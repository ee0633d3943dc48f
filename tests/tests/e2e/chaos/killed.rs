//! A server that is killed and comes back, and how it is asked meanwhile.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, ensure};
use durable_streams_tests::http::Response;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::project::Worker;
use durable_streams_tests::server::{Server, Setup, Vars};

/// How long an answer may take to come while the server is killed and started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed and comes back where it was, with what it had.
#[derive(Debug)]
pub struct Killed {
    state: Scratch,
    port: u16,
    vars: Vars<'static>,
    worker: Worker,
    server: Option<Server>,
}

impl Killed {
    /// Serves at a free port.
    pub fn start(state: &str, vars: Vars<'static>) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut killed = Self {
            state: Scratch::new(state)?,
            port,
            vars,
            worker: Worker::ours()?,
            server: None,
        };
        killed.come_back()?;
        Ok(killed)
    }

    /// Where it is.
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn come_back(&mut self) -> Result<()> {
        let setup = Setup {
            vars: self.vars,
            port: self.port,
            ..Setup::default()
        };
        self.server = Some(Server::set_up(&self.worker, &self.state, &setup)?);
        Ok(())
    }

    /// Kills it, and serves again.
    pub fn kill(&mut self) -> Result<()> {
        self.server.take().context("it is not running")?.crash()?;
        self.come_back()
    }

    /// Ends it in good order.
    pub fn stop(self) -> Result<()> {
        self.server.context("it is not running")?.stop()
    }
}

/// Asks until there is an answer: a server that was killed comes back.
pub fn until_answered(ask: impl Fn() -> Result<Response>) -> Result<Response> {
    let start = Instant::now();
    loop {
        match ask() {
            Ok(answer) if answer.status < 500 => return Ok(answer),
            Err(error) if !is_unreachable(&error) => return Err(error),
            Ok(answer) if start.elapsed() > PATIENCE => ensure!(false, "{answer:?}"),
            Err(error) if start.elapsed() > PATIENCE => return Err(error),
            Ok(_) | Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Whether there was no answer, or not all of one.
pub fn is_unreachable(error: &Error) -> bool {
    error.downcast_ref::<ureq::Error>().is_some()
}
