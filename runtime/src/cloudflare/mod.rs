//! The only place that knows the Workers platform.
//!
//! | file | what it knows |
//! |---|---|
//! | [`edge`] | the worker: from a URL to a stream's object |
//! | [`object`] | the Durable Object: from a request to a verb and back |
//! | [`cold`] | answers of which a part lies in the bucket |
//! | [`maintain`] | what the object does besides requests, and its alarm |
//! | [`r2`] | the bucket |
//! | [`sql`] | the object's SQLite as the sequencer's storage |
//! | [`body`] | reading request bodies up to a limit |
//! | [`config`] | bindings and variables |
//! | [`respond`] | replies as platform responses |
//! | [`timing`] | `Server-Timing` |
//! | [`metrics`] | Analytics Engine |

mod body;
mod cold;
mod config;
mod edge;
mod maintain;
mod metrics;
mod object;
mod r2;
mod respond;
mod sql;
mod timing;

pub use edge::{NoAuth, StreamWorker, Undecided};
pub use object::StreamDO;
