//! A subscription by itself.
//!
//! | file | what it knows |
//! |---|---|
//! | [`world`] | a machine that may fail, with streams, a directory and a receiver around it |
//! | [`config_tests`] | what clients ask for, and how that is stored |
//! | [`model_tests`] | verbs in any order, held against a model that is too simple to be wrong |
//! | [`webhook_tests`], [`pull_tests`] | from an append to its acknowledgement |
//! | [`link_tests`] | which streams a subscription is about |
//! | [`copying`] | sources and targets of the world |
//! | [`copy_tests`] | from a source to its target |
//! | [`copy_model_tests`] | the same in any order, whatever fails |
//! | [`crash_tests`] | the same when the machine fails wherever it waits |
//! | [`cost_tests`] | how many rows are written and read for what |

mod config_tests;
mod copy_model_tests;
mod copy_tests;
mod copying;
mod cost_tests;
mod crash_tests;
mod link_tests;
mod model_tests;
mod pull_tests;
mod webhook_tests;
mod world;
