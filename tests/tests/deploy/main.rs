//! The way of a project to Cloudflare and back, against a Cloudflare of our own.

mod faults;
mod interrupted;
mod journey;
mod placement;
mod recorded;
mod registry;
mod repeated;
mod secrets;
