//! The only place that knows the Workers platform.
//!
//! | file | what it knows |
//! |---|---|
//! | [`edge`] | the worker: who asks for which stream, and how |
//! | [`answer`] | what it answers, now or later |
//! | [`forward`] | from the edge to a stream's object |
//! | [`bridge`] | live reads at the edge |
//! | [`present`] | answers as their clients may have them |
//! | [`object`] | the Durable Object, as the runtime sees it |
//! | [`asked`] | a request as its object looks at it |
//! | [`verbs`] | from a request to a verb and back |
//! | [`live`] | the object's live readers |
//! | [`fork`] | what the objects of a fork and its source say to each other |
//! | [`cold`] | answers of which a part lies in the bucket |
//! | [`maintain`] | what the object does besides requests, and its alarm |
//! | [`r2`] | the bucket |
//! | [`sql`] | the object's SQLite as the sequencer's storage |
//! | [`registry`] | projects and public streams in KV |
//! | [`body`] | reading request bodies up to a limit |
//! | [`config`] | bindings and variables |
//! | [`respond`] | replies as platform responses |
//! | [`number`] | integers as JavaScript's numbers |
//! | [`timing`] | `Server-Timing` |
//! | [`metrics`] | Analytics Engine |

mod answer;
mod asked;
mod body;
mod bridge;
mod cold;
mod config;
mod edge;
mod fork;
mod forward;
mod live;
mod maintain;
mod metrics;
mod number;
mod object;
mod present;
mod r2;
mod registry;
mod respond;
mod sql;
mod timing;
mod verbs;

pub use answer::Answer;
pub use edge::{StreamWorker, Undecided};
pub use object::StreamDO;
