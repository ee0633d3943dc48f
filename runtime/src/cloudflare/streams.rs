//! Streams for the worker's own code, on the platform.

use worker::Env;
use worker::web_sys::Response;

use super::answer::Answer;
use super::config;
use super::edge::Edge;
use super::respond;
use crate::streams::{Error, Streams};

impl Streams<Edge> {
    /// The streams of the worker with these bindings. Where `REGISTRY` is bound, it says which of the
    /// projects of its name a stream belongs to, as it does for requests with
    /// [`ProjectJwt`](crate::ProjectJwt). A worker that decides otherwise who may do what has no
    /// projects, and says so by [`without_projects`](Streams::without_projects).
    pub fn new(env: &Env) -> Self {
        let has_projects = config::has(env, config::REGISTRY);
        Self::over(Edge::new(env.clone()), has_projects)
    }
}

/// What a request from outside would have been answered.
impl From<Error> for Answer {
    fn from(error: Error) -> Self {
        if let Error::Unavailable(detail) = &error {
            worker::console_error!("unavailable: {detail}");
        }
        let response = respond::respond(error.reply());
        // No header of it can be one that HTTP does not carry.
        response.unwrap_or_else(|_| Response::error()).into()
    }
}

/// What came of a route of the worker's own.
impl<T: Into<Self>> From<std::result::Result<T, Error>> for Answer {
    fn from(outcome: std::result::Result<T, Error>) -> Self {
        outcome.map_or_else(Into::into, Into::into)
    }
}

impl From<Error> for worker::Error {
    fn from(error: Error) -> Self {
        Self::RustError(error.to_string())
    }
}
