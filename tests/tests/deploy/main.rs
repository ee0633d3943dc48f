//! The way of a project to Cloudflare and back, against a Cloudflare of our own.

mod delete_project;
mod environments;
mod faults;
mod interrupted;
mod journey;
mod operate;
mod placement;
mod recorded;
mod registry;
mod repeated;
mod secrets;
mod terminal;
mod upgrade;

#[path = "../../../cli/tests/common/stand_in.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "it is a test's")]
mod stand_in;
