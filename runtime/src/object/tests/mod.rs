//! A stream's object with a directory and subscriptions that are too simple to be wrong.
//!
//! | file | what it knows |
//! |---|---|
//! | [`lab`] | the world around one object |
//! | [`copier`] | a subscription that copies |
//! | [`enroll_tests`] | what the directory is told |
//! | [`inspect_tests`] | what it says to whoever looks at the stream |
//! | [`target_tests`] | what subscriptions copy into it |
//! | [`tell_tests`] | what subscriptions are told |
//! | [`copy_tests`] | what those are given that copy the stream |
//! | [`will_tests`] | its will |
//! | [`chance_tests`] | all of it at once, in an order that a seed says |

mod chance_tests;
mod copier;
mod copy_tests;
mod enroll_tests;
mod inspect_tests;
pub(crate) mod lab;
mod target_tests;
mod tell_tests;
mod will_tests;
