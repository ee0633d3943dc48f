//! Streams for the worker's own code, on the platform.

use worker::Env;

use super::config;
use super::edge::Edge;
use crate::streams::{Error, Streams};

impl Streams<Edge> {
    /// The streams of the worker with these bindings. Where `REGISTRY` is bound, it says which of the
    /// projects of its name a stream belongs to, as it does for requests with
    /// [`ProjectJwt`](crate::ProjectJwt).
    pub fn new(env: &Env) -> Self {
        let has_projects = config::has(env, config::REGISTRY);
        Self::over(Edge::new(env.clone()), has_projects)
    }
}

impl From<Error> for worker::Error {
    fn from(error: Error) -> Self {
        Self::RustError(error.to_string())
    }
}
