//! The recent end of a stream, which lies in rows.
//!
//! | file | what it knows |
//! |---|---|
//! | [`chunk`] | how data lies in rows, and how it is cut |
//! | `collect` | what is put together from rows, in batches |
//! | `latest` | the end of the log in memory |
//! | [`producers`] | where producers are remembered |

pub mod chunk;
pub(in crate::stream) mod collect;
pub(in crate::stream) mod latest;
pub mod producers;
