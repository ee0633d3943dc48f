//! Where things are in a project.

/// Where the bundle goes, relative to the project.
pub const BUILD_DIR: &str = "build";
/// The bundle's script.
pub const SCRIPT: &str = "index.js";
/// The bundle's WebAssembly.
pub const WASM: &str = "index_bg.wasm";

/// The settings of a project: the first of these that is there, as wrangler chooses.
pub const MANIFESTS: [&str; 3] = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"];

/// For what belongs to one machine only; git ignores it.
pub const MACHINE_DIR: &str = ".wrangler/durable-streams";
