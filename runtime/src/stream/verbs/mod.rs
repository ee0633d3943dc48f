//! What clients, and subscriptions that copy, ask of a stream: one file a verb.
//!
//! | file | what it knows |
//! |---|---|
//! | [`create`] | PUT: a new stream, a fork, or the one that is there |
//! | [`append`] | POST: data, the close, or both |
//! | [`copy`] | what subscriptions copy into the stream |
//! | [`truncate`] | POST: the beginning is dropped |
//! | [`read`] | GET: pages, and what is new for live readers |
//! | [`head`] | HEAD |
//! | [`delete`] | DELETE, and how a stream ends |

pub mod append;
pub mod copy;
pub mod create;
pub mod delete;
pub mod head;
pub mod read;
pub mod truncate;
