//! `durable-streams`: from nothing to your own Durable Streams server on Cloudflare.
fn main() {}
