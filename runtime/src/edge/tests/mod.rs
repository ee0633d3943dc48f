//! The edge in a small world of its own, in which time goes on when nothing else does.

mod auth_tests;
mod control_tests;
mod copies_tests;
mod inspect_tests;
mod live_tests;
mod serve_tests;
pub(crate) mod world;
