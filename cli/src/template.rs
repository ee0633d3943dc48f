//! The built-in template: as it is, and as it was in the states that projects were written from.
//!
//! A state of the template is counted on when it changes. What a state had otherwise than the next one
//! is in `assets/templates/<state>`, so that a project can be merged with what has changed since.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

type File = (&'static str, &'static str);

/// The template as it is, file by file.
const CURRENT: &[File] = &[
    (
        ".github/workflows/deploy.yml",
        include_str!("../template/.github/workflows/deploy.yml"),
    ),
    (".gitignore", include_str!("../template/.gitignore")),
    (
        "Cargo.toml.liquid",
        include_str!("../template/Cargo.toml.liquid"),
    ),
    ("README.md", include_str!("../template/README.md")),
    (
        "cargo-generate.toml",
        include_str!("../template/cargo-generate.toml"),
    ),
    (
        "check-name.rhai",
        include_str!("../template/check-name.rhai"),
    ),
    ("src/lib.rs", include_str!("../template/src/lib.rs")),
    ("wrangler.toml", include_str!("../template/wrangler.toml")),
];

/// What earlier states had otherwise than the next.
struct Earlier {
    /// The files that were others.
    had: &'static [File],
    /// The files that came with the next state.
    lacked: &'static [&'static str],
}

const EARLIER: &[Earlier] = &[
    // Streams, projects and tokens.
    Earlier {
        had: &[
            ("README.md", include_str!("../assets/templates/1/README.md")),
            (
                "cargo-generate.toml",
                include_str!("../assets/templates/1/cargo-generate.toml"),
            ),
            (
                "wrangler.toml",
                include_str!("../assets/templates/1/wrangler.toml"),
            ),
        ],
        lacked: &[],
    },
    // Jurisdictions and hints.
    Earlier {
        had: &[
            ("README.md", include_str!("../assets/templates/2/README.md")),
            (
                "src/lib.rs",
                include_str!("../assets/templates/2/src/lib.rs"),
            ),
            (
                "wrangler.toml",
                include_str!("../assets/templates/2/wrangler.toml"),
            ),
        ],
        lacked: &[],
    },
    // The directory and subscriptions.
    Earlier {
        had: &[("README.md", include_str!("../assets/templates/3/README.md"))],
        lacked: &[],
    },
    // Copies.
    Earlier {
        had: &[
            (
                ".github/workflows/deploy.yml",
                include_str!("../assets/templates/4/.github/workflows/deploy.yml"),
            ),
            (
                "Cargo.toml.liquid",
                include_str!("../assets/templates/4/Cargo.toml.liquid"),
            ),
            ("README.md", include_str!("../assets/templates/4/README.md")),
            (
                "cargo-generate.toml",
                include_str!("../assets/templates/4/cargo-generate.toml"),
            ),
            (
                "wrangler.toml",
                include_str!("../assets/templates/4/wrangler.toml"),
            ),
        ],
        lacked: &["check-name.rhai"],
    },
];

/// The state of the template that this program writes, counted from 1. It is in what is written.
pub const STATE: usize = EARLIER.len() + 1;

/// The date whose runtime behaviour the workers expect that the template writes.
pub const COMPATIBILITY_DATE: &str = "2026-04-01";

/// The files of a state; of the last one for a number that is too large.
fn files(state: usize) -> BTreeMap<&'static str, &'static str> {
    let mut files: BTreeMap<_, _> = CURRENT.iter().copied().collect();
    for earlier in EARLIER.iter().skip(state.saturating_sub(1)).rev() {
        files.retain(|name, _| !earlier.lacked.contains(name));
        files.extend(earlier.had.iter().copied());
    }
    files
}

/// Writes a state of the template into a folder, and returns the folder.
pub fn unpack(state: usize, into: &Path) -> Result<PathBuf> {
    for (name, text) in files(state) {
        let path = into.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text)?;
    }
    Ok(into.to_owned())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::{hex::hex, scaffold::list_files, toolchain::WORKER_BUILD_VERSION};

    #[test]
    fn the_built_in_template_is_the_whole_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("template");
        let built_in: Vec<PathBuf> = CURRENT.iter().map(|(name, _)| name.into()).collect();
        let mut files = list_files(&folder).unwrap();
        // Those are in the program, too, by `build.rs`.
        files.retain(|file| !file.starts_with("examples"));
        assert_eq!(files, built_in);
    }

    fn template(file: &str) -> &'static str {
        files(STATE)[file]
    }

    #[test]
    fn what_is_written_says_the_state_it_was_written_from() {
        assert!(template("Cargo.toml.liquid").contains(&format!("\nstate = {STATE}\n")));
    }

    /// A project of the first state is merged with what has changed since then, so no state may change
    /// any more once a release has written projects from it.
    #[test]
    fn states_that_projects_were_written_from_stay_as_they_were() {
        let digests: String = (1..=STATE)
            .map(|state| {
                let mut digest = Sha256::new();
                for (name, text) in files(state) {
                    digest.update(format!("{name} {}\n{text}", text.len()));
                }
                format!("{state} {}\n", hex(digest.finalize().iter().take(8)))
            })
            .collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/templates/digests.txt");
        if fs::read_to_string(path).unwrap_or_default() != digests {
            if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
                fs::write(path, &digests).unwrap();
            }
            panic!(
                "a state of the template is not what {path} says. Has a release written projects from \
                 it? Then put what has changed, as it was, into assets/templates/{STATE}, and count \
                 on the state in Cargo.toml.liquid. UPDATE_SNAPSHOTS=1 rewrites the digests:\n{digests}"
            );
        }
    }

    #[test]
    fn the_template_and_this_program_build_with_the_same_tools() {
        let manifest = template("Cargo.toml.liquid");
        assert!(manifest.contains(&format!("worker = \"{WORKER_BUILD_VERSION}\"")));
        let wrangler = template("wrangler.toml");
        assert!(wrangler.contains(&format!("worker-build@{WORKER_BUILD_VERSION} ")));
    }

    #[test]
    fn the_route_that_is_shown_is_one_that_the_runtime_compiles() {
        let readme = template("README.md");
        let (_, route) = readme.split_once("```rust\n").unwrap();
        let (route, _) = route.split_once("```").unwrap();
        let compiled = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../runtime/readme/own_route.rs"
        );
        assert!(fs::read_to_string(compiled).unwrap().contains(route));
    }

    #[test]
    fn the_date_is_the_templates_own() {
        let config: toml_edit::DocumentMut = template("cargo-generate.toml").parse().unwrap();
        let date = config["placeholders"]["compatibility_date"]["default"].as_str();
        assert_eq!(date, Some(COMPATIBILITY_DATE));
    }

    #[test]
    fn nobody_is_given_a_runtime_that_may_not_be_published() {
        let config: toml_edit::DocumentMut = template("cargo-generate.toml").parse().unwrap();
        assert!(config["placeholders"]["runtime"].get("default").is_none());
    }
}
