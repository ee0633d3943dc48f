//! A stream by itself, held against models that are too simple to be wrong.
//!
//! | file | what it knows |
//! |---|---|
//! | [`sqlite`] | the database, which can be made to fail at any statement |
//! | [`bucket`] | a bucket on which everything can go wrong |
//! | [`model_tests`] | verbs |
//! | [`events`], [`simulation`], [`simulation_tests`] | the cold tier |
//! | [`producer_tests`] | what is remembered of producers |
//! | [`version_tests`] | what newer releases have stored |
//! | [`cost_tests`] | how much is read for what |
//! | [`describe_tests`] | what is shown of it, and what it costs to look |
//! | [`format_tests`] | what earlier releases have stored |
//! | [`copy_tests`], [`copy_model_tests`] | copies into a stream |
//! | [`fork_tests`] | forks and their sources |
//! | [`link_tests`] | links, also those of earlier releases |
//! | [`claim_tests`] | claims of other releases, and what asking forks costs |

mod bucket;
mod claim_tests;
mod copy_model_tests;
mod copy_tests;
mod cost_tests;
mod describe_tests;
mod events;
mod fork_tests;
mod format_tests;
mod link_tests;
mod model_tests;
mod producer_tests;
mod simulation;
mod simulation_tests;
pub(crate) mod sqlite;
mod version_tests;

use super::birth::{Key, Name};
use crate::protocol::content_type::ContentType;
use crate::protocol::request::Create;

/// What nobody can guess, but the same in each run.
const KEY: Key = Key::new(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

/// A request for a stream of a type, and nothing more.
fn creation(content_type: &str) -> Create {
    Create {
        content_type: ContentType::parse(content_type),
        expiry: None,
        closed: false,
        public: false,
        fork: None,
        retention: None,
        will: None,
    }
}

fn named(path: &str, incarnation: &str) -> Name {
    Name {
        path: path.into(),
        incarnation: incarnation.into(),
    }
}
