//! How large a bundle is, and what Cloudflare takes.

use std::{
    fmt, fs,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, Result};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use crate::project::{self, Project};

/// What Cloudflare takes, after gzip, on the free plan.
pub const FREE_LIMIT: u64 = 3 * 1024 * 1024;
/// What Cloudflare takes, after gzip, on the paid plan.
pub const PAID_LIMIT: u64 = 10 * 1024 * 1024;

/// How large a bundle is, in bytes.
#[derive(Debug, Serialize)]
pub struct Sizes {
    /// The WebAssembly.
    pub wasm: u64,
    /// The WebAssembly as it travels.
    pub wasm_gzip: u64,
    /// The script.
    pub js: u64,
    /// The script as it travels.
    pub js_gzip: u64,
}

impl Sizes {
    /// What counts against the limits.
    pub fn upload(&self) -> u64 {
        self.wasm_gzip.saturating_add(self.js_gzip)
    }

    /// What counts against the limits, beside them.
    pub fn against_limits(&self) -> String {
        let mebibytes = |limit: u64| limit / (1024 * 1024);
        format!(
            "{} after gzip, of {} MiB on the free plan, {} MiB on the paid one",
            kilobytes(self.upload()),
            mebibytes(FREE_LIMIT),
            mebibytes(PAID_LIMIT)
        )
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "wasm {} (gzip {}), js {} (gzip {})",
            kilobytes(self.wasm),
            kilobytes(self.wasm_gzip),
            kilobytes(self.js),
            kilobytes(self.js_gzip)
        )
    }
}

/// Measures the bundle of a project.
pub fn sizes(project: &Project) -> Result<Sizes> {
    let (wasm, wasm_gzip) = size(&project.build_dir().join(project::WASM))?;
    let (js, js_gzip) = size(&project.build_dir().join(project::SCRIPT))?;
    Ok(Sizes {
        wasm,
        wasm_gzip,
        js,
        js_gzip,
    })
}

/// The size of a file, and of its gzip.
fn size(path: &Path) -> Result<(u64, u64)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut gzip = GzEncoder::new(Count(0), Compression::best());
    gzip.write_all(&bytes)?;
    let Count(packed) = gzip.finish()?;
    Ok((bytes.len() as u64, packed))
}

struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Kilobytes as Cloudflare counts them in its limits: of 1024 bytes.
fn kilobytes(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_measured_plain_and_packed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, vec![b'a'; 100_000]).unwrap();
        let (plain, packed) = size(&path).unwrap();
        assert_eq!(plain, 100_000);
        assert!((20..1000).contains(&packed), "{packed}");
        assert!(size(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn sizes_are_said_in_kibibytes() {
        assert_eq!(kilobytes(235_750), "230.2 KiB");
    }
}
