//! The only place that knows the Workers platform.
//!
//! | file | what it knows |
//! |---|---|
//! | [`worker`] | the worker, as crates that are one build it |
//! | [`edge`] | the edge's ports |
//! | [`answer`] | what it answers, now or later |
//! | [`forward`] | from the edge to a stream's object |
//! | [`live`] | live reads: sockets and responses at the edge |
//! | [`object`] | the Durable Object of a stream, as the runtime sees it |
//! | [`asked`] | a request as its object looks at it |
//! | [`asked_object`] | the other Durable Objects: of the directory, and of subscriptions |
//! | [`world`] | the object's ports |
//! | [`sockets`] | the sockets of its live readers |
//! | [`sql`] | its SQLite as the sequencer's storage |
//! | [`r2`] | the bucket |
//! | [`registry`] | projects and public streams in KV |
//! | [`webhooks`] | keys, signatures, and requests to receivers of webhooks |
//! | [`body`] | request bodies: reading them up to a limit, decoding them, throwing them away |
//! | [`config`] | bindings and variables |
//! | [`respond`] | replies as platform responses |
//! | [`timing`] | the time |
//! | [`streams`] | streams for the worker's own code |
//! | [`pieces`] | bodies of responses, piece by piece |
//! | [`metrics`] | Analytics Engine |

mod answer;
mod asked;
mod asked_object;
mod body;
mod config;
mod edge;
mod forward;
mod live;
mod metrics;
mod object;
mod pieces;
mod r2;
mod registry;
mod respond;
mod sockets;
mod sql;
mod streams;
mod timing;
mod webhooks;
mod worker;
mod world;

pub use answer::Answer;
pub use asked_object::{DirectoryDO, SubscriptionDO};
pub use edge::Edge as Platform;
pub use object::StreamDO;
pub use pieces::{Body, events, pieces};
pub use worker::{StreamWorker, Undecided};
