//! What a client sees of the scaffolded project when it runs on workerd.

mod auth;
mod bodies;
mod chaos;
mod clients;
mod clients_of_events;
mod cold;
mod commands;
mod console;
mod console_page;
mod copies;
mod copies_chaos;
mod copy_costs;
mod costs;
mod counted;
mod dev;
mod ends;
mod events;
mod examples;
mod expiry;
mod fixture;
mod forks;
mod format;
mod guides;
mod large;
mod live;
mod local_data;
mod memory;
mod microtasks;
mod noise;
mod overtaken;
mod own_code;
mod pipes;
mod placement;
mod projects;
mod restart;
mod session;
mod sse;
mod stalled;
mod streams;
mod subscription_costs;
mod subscriptions;
mod trouble;
mod truncate;
mod validation;

use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use durable_streams_tests::http::Client;
use durable_streams_tests::places::Scratch;
use durable_streams_tests::server::Server;

const JSON: &str = "application/json";
const BYTES: &str = "application/octet-stream";

/// A client of the server that all tests share which need none of their own. It reports costs.
fn shared() -> Result<Client> {
    static SERVER: OnceLock<Result<(Server, Scratch), String>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let start = || {
            let state = Scratch::new("shared-state")?;
            anyhow::Ok((Server::start(&state, &[("DEBUG_TIMING", "1")])?, state))
        };
        start().map_err(|error| format!("{error:#}"))
    });
    match server {
        Ok((server, _)) => Ok(server.client().clone()),
        Err(error) => Err(anyhow!("{error}")),
    }
}
