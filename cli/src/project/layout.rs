//! Where things are in a project.

/// Where the bundle goes, relative to the project.
pub const BUILD_DIR: &str = "build";
/// Where the bundle of a local run goes, relative to [`MACHINE_DIR`].
pub const QUICK_DIR: &str = "bundle";
/// The bundle's script.
pub const SCRIPT: &str = "index.js";
/// The bundle's WebAssembly.
pub const WASM: &str = "index_bg.wasm";

/// The settings of a project, as `init` writes them.
pub const MANIFEST: &str = "wrangler.toml";
/// Where they may be: the first of these that is there counts, as for wrangler.
pub const MANIFESTS: [&str; 3] = ["wrangler.json", "wrangler.jsonc", MANIFEST];

/// For what belongs to one machine only; git ignores it.
pub const MACHINE_DIR: &str = ".wrangler/durable-streams";
