//! How the runtime keeps what is in namespaces and buckets, and how that gets another name.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Where the runtime keeps what is in all stores of a kind.
pub struct Kind {
    folder: &'static str,
    /// The class of the objects that know what a store has.
    class: &'static str,
}

/// Namespaces.
pub const NAMESPACES: Kind = Kind {
    folder: "kv",
    class: "miniflare-KVNamespaceObject",
};
/// Buckets.
pub const BUCKETS: Kind = Kind {
    folder: "r2",
    class: "miniflare-R2BucketObject",
};

impl Kind {
    /// Moves what lies under one name to another, unless there is something: a run that only looked
    /// has left a file, and no values. The file that makes it count comes last: broken off and done
    /// again, it ends right.
    pub fn carry(&self, state: &Path, from: &str, to: &str, keep: bool) -> io::Result<()> {
        let file = |name, end| self.file(state, name, end);
        let values = (self.values(state, from), self.values(state, to));
        let is_there = file(to, "").exists();
        if !file(from, "").exists() || is_there && has_values(&values.1) {
            return Ok(());
        }
        if is_there {
            for end in ["", "-wal", "-shm"] {
                remove(&file(to, end))?;
            }
        }
        let transfer = |from: &Path, to: &Path| match keep {
            true => copy(from, to),
            false => fs::rename(from, to),
        };
        let logs = ["-shm", "-wal", ""].map(|end| (file(from, end), file(to, end)));
        for (from, to) in std::iter::once(values).chain(logs) {
            if from.exists() && (keep || !to.exists()) {
                transfer(&from, &to)?;
            }
        }
        File::open(self.objects(state))?.sync_all()
    }

    /// The folder of the values of a store.
    pub fn values(&self, state: &Path, name: &str) -> PathBuf {
        state.join(self.folder).join(name)
    }

    /// The file that makes values count, or one of those beside it, which end in more.
    pub fn file(&self, state: &Path, name: &str, end: &str) -> PathBuf {
        let id = object_id(self.class, name);
        self.objects(state).join(format!("{id}.sqlite{end}"))
    }

    fn objects(&self, state: &Path) -> PathBuf {
        state.join(self.folder).join(self.class)
    }
}

/// The id that the runtime gives an object of a name.
fn object_id(class: &str, name: &str) -> String {
    let key = Sha256::digest(class.as_bytes());
    let half = |text: &[u8]| -> Vec<u8> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
            return Vec::new();
        };
        mac.update(text);
        mac.finalize()
            .into_bytes()
            .iter()
            .take(16)
            .copied()
            .collect()
    };
    let first = half(name.as_bytes());
    hex(first.iter().chain(&half(&first)))
}

fn has_values(namespace: &Path) -> bool {
    fs::read_dir(namespace.join("blobs")).is_ok_and(|mut values| values.next().is_some())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        let part = to.with_extension("part");
        fs::copy(from, &part)?;
        return fs::rename(part, to);
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_runtime() {
        assert_eq!(
            object_id(NAMESPACES.class, "REGISTRY"),
            "4509347ee039e28cbdce4495f0446efca54ebc2135d13ee356247350c97d99a2"
        );
    }
}
