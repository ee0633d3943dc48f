//! The way of a project to Cloudflare and back, against a Cloudflare of our own.

mod access;
mod console;
mod delete_project;
mod emptying;
mod environments;
mod faults;
mod init;
mod interrupted;
mod journey;
mod logs;
mod operate;
mod orders;
mod ownership;
mod placement;
mod recorded;
mod registry;
mod repeated;
mod secrets;
mod stage;
mod terminal;
mod upgrade;
mod usage;

#[path = "../../../cli/tests/common/stand_in.rs"]
#[allow(clippy::unwrap_used, dead_code, reason = "it is a test's")]
mod stand_in;
