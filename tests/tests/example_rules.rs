//! What examples decide by themselves, without a platform, with the tests beside it.

#![allow(dead_code, reason = "a worker uses the rest")]

#[path = "../../template/examples/proxy/src/allowlist.rs"]
mod allowlist;
#[path = "../../template/examples/proxy/src/headers.rs"]
mod headers;
#[path = "../../template/examples/proxy/src/media_type.rs"]
mod media_type;
#[path = "../../template/examples/chat/src/messages.rs"]
mod messages;
#[path = "../../template/examples/chat/src/provider.rs"]
mod provider;
#[path = "../../template/examples/proxy/src/signed.rs"]
mod signed;
