//! Where things are in a project.

/// Where the bundle goes, relative to the project.
pub const BUILD_DIR: &str = "build";
/// The bundle's script.
pub const SCRIPT: &str = "index.js";
/// The bundle's WebAssembly.
pub const WASM: &str = "index_bg.wasm";

/// The settings of a project.
pub const MANIFEST: &str = "wrangler.toml";
