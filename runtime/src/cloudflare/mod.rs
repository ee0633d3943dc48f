//! The only place that knows the Workers platform.
//!
//! | file | what it knows |
//! |---|---|
//! | [`worker`] | the worker: who asks for which stream, and how |
//! | [`answer`] | what it answers, now or later |
//! | [`forward`] | from the edge to a stream's object |
//! | [`object`] | the Durable Object, as the runtime sees it |
//! | [`asked`] | a request as its object looks at it |
//! | [`world`] | the object's ports |
//! | [`sockets`] | the sockets of its live readers |
//! | [`sql`] | its SQLite as the sequencer's storage |
//! | [`r2`] | the bucket |
//! | [`registry`] | projects and public streams in KV |
//! | [`body`] | reading request bodies up to a limit |
//! | [`config`] | bindings and variables |
//! | [`respond`] | replies as platform responses |
//! | [`number`] | integers as JavaScript's numbers |
//! | [`timing`] | the time |
//! | [`metrics`] | Analytics Engine |

pub(crate) mod answer;
mod asked;
mod body;
pub(crate) mod config;
pub(crate) mod forward;
mod metrics;
pub(crate) mod number;
mod object;
pub(crate) mod r2;
mod registry;
pub(crate) mod respond;
mod sockets;
mod sql;
pub(crate) mod timing;
mod worker;
pub(crate) mod world;

pub use answer::Answer;
pub use object::StreamDO;
pub use worker::{StreamWorker, Undecided};
