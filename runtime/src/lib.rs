//! A [Durable Streams](https://github.com/durable-streams/durable-streams) server for Cloudflare
//! Workers: one Durable Object per stream orders its appends and keeps them in its SQLite.
//!
//! A worker crate needs [`StreamWorker`] in its `fetch` handler and has to export [`StreamDO`];
//! the first one's documentation shows all of it.
//!
//! | module | what it knows |
//! |---|---|
//! | [`auth`] | who may do what, and project tokens |
//! | [`protocol`] | the protocol as pure values and rules |
//! | [`stream`] | the sequencer, over a port to its storage |
//! | `cloudflare` | the platform: edge, object, SQLite, metrics |
//! | `settings` | variables of the worker, and what each may be |

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may panic")
)]

pub mod auth;
mod cloudflare;
pub mod protocol;
mod settings;
pub mod stream;

pub use auth::{AuthorizeMutation, AuthorizeRead, NoAuth, ProjectJwt};
pub use cloudflare::{Answer, StreamDO, StreamWorker, Undecided};
