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

/// What the guides show, compiled as it stands there.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../docs/ai-answers.md")]
    struct AiAnswers;
    #[doc = include_str!("../../docs/append-once.md")]
    struct AppendOnce;
    #[doc = include_str!("../../docs/forks.md")]
    struct Forks;
    #[doc = include_str!("../../docs/own-code.md")]
    struct OwnCode;
    #[doc = include_str!("../../docs/pages.md")]
    struct Pages;
    #[doc = include_str!("../../docs/subscriptions.md")]
    struct Subscriptions;
}

#[cfg(test)]
mod tests {
    /// With `test_harness`, rustdoc adds no function around what needs to be items of a module.
    const COMPILED: [&str; 2] = ["rust,no_run", "rust,no_run,test_harness"];

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

    #[test]
    fn a_new_project_shows_a_part_of_what_the_readme_does() {
        let readme = include_str!("../../template/README.md");
        let mut blocks = readme.split("\n```rust\n").skip(1);
        let route = blocks.next().and_then(|rest| rest.split("```").next());
        let whole = include_str!("../readme/own_route.rs");
        assert!(
            route.is_some_and(|route| whole.contains(route)),
            "{route:?}"
        );
        assert_eq!(blocks.next(), None);
    }

    #[test]
    fn every_guide_that_shows_rust_is_compiled() {
        let here = include_str!("lib.rs");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let mut tags = Vec::new();
        for guide in std::fs::read_dir(folder).unwrap() {
            let path = guide.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let rust = text.split("\n```rust").skip(1);
            let rust: Vec<_> = rust
                .map(|rest| format!("rust{}", rest.lines().next().unwrap_or_default()))
                .collect();
            let name = path.file_name().unwrap().to_str().unwrap();
            let compiled = format!("include_str!(\"../../docs/{name}\")");
            assert!(rust.is_empty() || here.contains(&compiled), "{name}");
            tags.extend(rust);
        }
        assert!(!tags.is_empty());
        for tag in tags {
            assert!(COMPILED.contains(&tag.as_str()), "{tag}");
        }
    }
}
