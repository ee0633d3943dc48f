//! Where things are in a project.

/// Where the bundle goes, relative to the project.
pub const BUILD_DIR: &str = "build";
/// Where the bundle of a local run goes, relative to [`MACHINE_DIR`].
pub const QUICK_DIR: &str = "bundle";
/// The bundle's script.
pub const SCRIPT: &str = "index.js";
/// The bundle's WebAssembly.
pub const WASM: &str = "index_bg.wasm";

/// The settings of a project.
pub const MANIFEST: &str = "wrangler.toml";

/// For what belongs to one machine only; git ignores it.
pub const MACHINE_DIR: &str = ".wrangler/durable-streams";
