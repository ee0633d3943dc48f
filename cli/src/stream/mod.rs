//! A client of Durable Streams servers, of whatever make.
//!
//! A [`Client`] knows the [`Root`] that streams are below, and whom to ask for credentials. Streams are
//! named by their path below it.
//!
//! - What can be repeated without harm is repeated when a request fails by chance: everything but an
//!   append without a [`Stamp`], of which nobody knows whether it was taken unless the server says so.
//! - A stamped append counts once, however often it is sent (section 5.2.1 of the protocol).
//! - [`Client::page`] reads what is there, a page at a time; [`Live`] reads what comes, and goes on where
//!   it was when connections break: each message is given once.
//!
//! Errors are values of one type, [`Error`], that says what the protocol says by status and headers.

mod append;
mod assembly;
pub mod content;
mod create;
mod error;
mod exchange;
mod header;
mod list;
mod live;
mod offset;
mod read;
mod root;
mod sse;

pub use append::{Append, Stamp};
pub use assembly::Batch;
pub use content::Kind;
pub use create::{Expiry, Fork, New};
pub use error::{Error, Said};
pub use exchange::{Access, Answer, Ask, Authorize, Client, Need};
pub use header::FORKED_FROM;
pub use list::{Entry, Listed, Page};
pub use live::{Happening, Live, Transport};
pub use offset::Offset;
pub use read::State;
pub use root::{Root, names_stream};
