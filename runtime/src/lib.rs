//! A [Durable Streams](https://github.com/durable-streams/durable-streams) server for Cloudflare
//! Workers: one Durable Object per stream orders its appends and keeps them in its SQLite.
//!
//! A worker crate needs [`StreamWorker`] in its `fetch` handler and has to export [`StreamDO`],
//! [`DirectoryDO`] and [`SubscriptionDO`]; the first one's documentation shows all of it.
//!
//! | module | what it knows |
//! |---|---|
//! | [`auth`] | who may do what, and project tokens |
//! | [`protocol`] | the protocol as pure values and rules |
//! | [`stream`] | one stream over its database |
//! | [`object`] | its object between requests, over ports |
//! | [`directory`] | which streams and subscriptions there are |
//! | [`subscription`] | cursors that wake workers |
//! | [`machine`] | what every object needs of the world |
//! | [`edge`] | what the worker decides before and after an object |
//! | [`streams`] | streams for the worker's own code |
//! | [`backoff`] | how long to wait before something is tried again |
//! | [`patience`] | what is not waited for any longer |
//! | `cloudflare` | the platform: adapters of the ports |
//! | `settings` | variables of the worker, and what each may be |

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may panic")
)]

pub mod auth;
pub mod backoff;
mod cloudflare;
pub mod directory;
pub mod edge;
pub mod machine;
pub mod object;
pub mod patience;
pub mod protocol;
mod settings;
pub mod stream;
pub mod streams;
pub mod subscription;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod simulation;

pub use auth::{AuthorizeMutation, AuthorizeRead, NoAuth, ProjectJwt};
pub use cloudflare::{
    Answer, DirectoryDO, Platform, StreamDO, StreamWorker, SubscriptionDO, Undecided,
};

/// All streams of the worker, for its own code; see [`streams`].
pub type Streams = streams::Streams<Platform>;

/// What the README shows, compiled.
#[cfg(doctest)]
mod readme {
    #[doc = concat!("```no_run\n# fn main() {}\n", include_str!("../readme/worker.rs"), "```")]
    struct Worker;
    #[doc = concat!("```no_run\n# fn main() {}\n", include_str!("../readme/own_route.rs"), "```")]
    struct OwnRoute;
    #[doc = concat!("```no_run\n# fn main() {}\n", include_str!("../readme/custom_auth.rs"), "```")]
    struct CustomAuth;
    #[doc = concat!("```no_run\n# fn main() {}\n", include_str!("../readme/own_code.rs"), "```")]
    struct OwnCode;
    #[doc = concat!("```no_run\n# fn main() {}\n", include_str!("../readme/pipe.rs"), "```")]
    struct Pipe;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_readme_shows_what_is_compiled() {
        let readme = include_str!("../README.md");
        let compiled = [
            include_str!("../readme/worker.rs"),
            include_str!("../readme/own_route.rs"),
            include_str!("../readme/custom_auth.rs"),
            include_str!("../readme/own_code.rs"),
            include_str!("../readme/pipe.rs"),
        ];
        for text in compiled {
            assert!(
                readme.contains(&format!("\n```rust\n{text}```\n")),
                "{text}"
            );
        }
        assert_eq!(readme.matches("```rust").count(), compiled.len());
    }
}
