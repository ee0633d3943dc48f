//! Streams in files: a folder for each, with what it holds and a document that says how far that goes.
//!
//! The document counts: it is written anew, whole or not at all, after what it says is on disk. What a file
//! has beyond it was written by somebody who was broken off, and is cut away by whoever goes on.

use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{error::problem, hex::hex, lock, stream::Kind};

/// The version of what is written here.
const FORMAT: u32 = 1;
const MANIFEST: &str = "stream.json";
const LOCK: &str = ".lock";
/// The longest name of a folder, in bytes: file systems take 255.
const LONGEST: usize = 180;

/// What is known of a stream in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The version of this document.
    pub format: u32,
    /// The path of the stream below its root.
    pub stream: String,
    /// The URL of the stream.
    pub source: String,
    /// What it holds.
    pub content_type: String,
    /// After how many seconds without a reader or writer it expires.
    pub ttl_seconds: Option<u64>,
    /// When it expires.
    pub expires_at: Option<String>,
    /// How much of its end is kept.
    pub retention: Option<String>,
    /// Nothing comes after what is here.
    pub closed: bool,
    /// Behind which offset what is here ends.
    pub offset: String,
    /// The file with what it holds: of JSON, a message a line.
    pub file: String,
    /// How many bytes of it count.
    pub bytes: u64,
    /// How many messages they are, of JSON.
    pub messages: Option<u64>,
}

impl Manifest {
    /// Nothing yet of a stream.
    pub fn new(stream: &str, source: &str, content_type: &str) -> Self {
        let is_json = Kind::of(content_type) == Kind::Json;
        Self {
            format: FORMAT,
            stream: stream.to_owned(),
            source: source.to_owned(),
            content_type: content_type.to_owned(),
            ttl_seconds: None,
            expires_at: None,
            retention: None,
            closed: false,
            offset: "-1".to_owned(),
            file: match Kind::of(content_type) {
                Kind::Json => "data.jsonl",
                Kind::Text => "data.txt",
                Kind::Bytes => "data.bin",
            }
            .to_owned(),
            bytes: 0,
            messages: is_json.then_some(0),
        }
    }
}

/// A folder of streams, of which nobody else writes to it while this lives.
#[derive(Debug)]
pub struct Archive {
    dir: PathBuf,
    _lock: Option<File>,
}

impl Archive {
    /// A folder to write to, which is made if it is not there.
    pub fn to_write(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let lock = lock::hold(&dir.join(LOCK))?.ok_or_else(|| {
            problem(
                format!("another export writes to {} just now", dir.display()),
                "wait for it, or take another folder",
            )
        })?;
        Ok(Self {
            dir: dir.to_owned(),
            _lock: Some(lock),
        })
    }

    /// A folder to read from.
    pub fn to_read(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            _lock: None,
        }
    }

    /// The place of a stream.
    pub fn place(&self, stream: &str) -> Place {
        Place {
            dir: self.dir.join(folder(stream)),
        }
    }

    /// All streams that are here, in the order of their paths.
    pub fn all(&self) -> Result<Vec<(Place, Manifest)>> {
        let unreadable = || format!("cannot read the folder {}", self.dir.display());
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.dir).with_context(unreadable)? {
            let place = Place {
                dir: entry.with_context(unreadable)?.path(),
            };
            if let Some(manifest) = place.manifest()? {
                all.push((place, manifest));
            }
        }
        all.sort_by(|(_, one), (_, other)| one.stream.cmp(&other.stream));
        Ok(all)
    }
}

/// Where a stream is in an archive.
#[derive(Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// What is known of the stream; nothing if it is not here.
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        let path = self.dir.join(MANIFEST);
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
            problem(
                format!(
                    "{} is not as `stream export` writes it: {error}",
                    path.display()
                ),
                "export the stream anew, into another folder",
            )
        })?;
        match manifest.format == FORMAT && !manifest.file.contains(['/', '\\']) {
            true => Ok(Some(manifest)),
            false => Err(problem(
                format!(
                    "{} is of a version that this program does not know",
                    path.display()
                ),
                "use the program that has written it, or a newer one",
            )),
        }
    }

    /// The file with what the stream holds, which has at least what counts.
    pub fn data(&self, manifest: &Manifest) -> Result<File> {
        let path = self.dir.join(&manifest.file);
        let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
        self.check(&file, &path, manifest)?;
        Ok(file)
    }

    fn check(&self, file: &File, path: &Path, manifest: &Manifest) -> Result<()> {
        let length = file.metadata()?.len();
        match length >= manifest.bytes {
            true => Ok(()),
            false => Err(problem(
                format!(
                    "{} has {length} bytes, and {} were written",
                    path.display(),
                    manifest.bytes
                ),
                "somebody has changed it; export the stream anew, into another folder",
            )),
        }
    }

    /// The file to go on with, behind what counts.
    pub fn writer(&self, manifest: &Manifest) -> Result<File> {
        let path = self.dir.join(&manifest.file);
        let unwritable = || format!("cannot write {}", path.display());
        fs::create_dir_all(&self.dir).with_context(unwritable)?;
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(unwritable)?;
        self.check(&file, &path, manifest)?;
        file.set_len(manifest.bytes).with_context(unwritable)?;
        file.seek(SeekFrom::End(0)).with_context(unwritable)?;
        Ok(file)
    }

    /// Lets what was written count.
    pub fn keep(&self, file: &File, manifest: &Manifest) -> Result<()> {
        file.sync_data().context("what was read cannot be kept")?;
        let (path, new) = (self.dir.join(MANIFEST), self.dir.join("stream.json.new"));
        let write = || {
            let mut file = File::create(&new)?;
            file.write_all(serde_json::to_string_pretty(manifest)?.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_data()?;
            fs::rename(&new, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The name of a stream's folder: readable, the same on all file systems, and another one for each stream.
fn folder(stream: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let is_name = !stream.starts_with('.') && stream.len() <= LONGEST;
    if is_name && stream.chars().all(is_plain) {
        return stream.to_owned();
    }
    let readable = stream.trim_start_matches('.').chars().take(LONGEST / 2);
    let readable: String = readable
        .map(|c| c.to_ascii_lowercase())
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    // No plain name has a `+`.
    let digits = hex(Sha256::digest(stream.as_bytes()).iter().take(8));
    format!("{readable}+{digits}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folder_says_which_stream_it_is() {
        assert_eq!(folder("orders-1"), "orders-1");
        assert!(folder("Chats/42").starts_with("chats_42+"));
        assert!(folder(".git").starts_with("git+"));
        assert!(folder(&"é".repeat(256)).len() <= 255);
    }

    proptest! {
        #[test]
        fn no_two_streams_share_a_folder(one in "[aA/._+é]{1,4}", other in "[aA/._+é]{1,4}") {
            let share = folder(&one).eq_ignore_ascii_case(&folder(&other));
            prop_assert_eq!(share, one == other);
        }
    }

    #[test]
    fn what_was_not_kept_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::to_write(dir.path()).unwrap();
        assert!(
            Archive::to_write(dir.path())
                .unwrap_err()
                .to_string()
                .contains("another export")
        );
        let place = archive.place("a/b");
        assert_eq!(place.manifest().unwrap(), None);
        let mut manifest = Manifest::new("a/b", "http://h/a/b", "application/json");
        let mut file = place.writer(&manifest).unwrap();
        file.write_all(b"1\n").unwrap();
        (manifest.bytes, manifest.messages) = (2, Some(1));
        place.keep(&file, &manifest).unwrap();
        file.write_all(b"2\n").unwrap();
        drop(file);

        let all = archive.all().unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].1, manifest);
        let mut file = place.writer(&manifest).unwrap();
        file.write_all(b"3\n").unwrap();
        assert_eq!(
            fs::read(dir.path().join(folder("a/b")).join("data.jsonl")).unwrap(),
            b"1\n3\n"
        );
        file.set_len(1).unwrap();
        assert!(
            place
                .data(&manifest)
                .unwrap_err()
                .to_string()
                .contains("has 1 bytes")
        );
    }
}
