//! Files that are replaced whole: whoever reads one finds what it held before or what it is to hold, and
//! never a part of it, even when this program is killed meanwhile.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

/// What a file is to hold: written beside it, and not in its place yet.
#[derive(Debug)]
pub struct Replacement {
    beside: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Writes what its owner alone may read, from its first byte on.
    pub fn private(path: &Path, text: impl AsRef<[u8]>) -> io::Result<Self> {
        Self::write(path.to_owned(), text.as_ref(), &Builder::new())
    }

    /// Writes what may be read as files of any other program may. A file that is there keeps its
    /// permissions, and a link stays a link: what it leads to is replaced.
    pub fn open(path: &Path, text: impl AsRef<[u8]>) -> io::Result<Self> {
        let mut builder = Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let new = Self::write(path, text.as_ref(), &builder)?;
        if let Ok(there) = fs::metadata(&new.path) {
            new.beside.as_file().set_permissions(there.permissions())?;
        }
        Ok(new)
    }

    fn write(path: PathBuf, text: &[u8], builder: &Builder) -> io::Result<Self> {
        let folder = folder(&path);
        fs::create_dir_all(folder)?;
        let mut beside = builder.tempfile_in(folder)?;
        beside.write_all(text)?;
        Ok(Self { beside, path })
    }

    /// Puts it in its place.
    pub fn place(self) -> io::Result<()> {
        let placed = self.beside.persist(&self.path);
        placed.map(drop).map_err(|error| error.error)
    }

    /// The same, and it is there even if the machine stops right afterwards.
    pub fn place_for_good(self) -> io::Result<()> {
        self.beside.as_file().sync_all()?;
        let path = self.path.clone();
        self.place()?;
        // The new name lasts when its folder is written too; not all systems can do that.
        let _ = File::open(folder(&path)).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_private_is_so_whatever_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/a");
        for text in ["1", "2"] {
            let new = Replacement::private(&path, text).unwrap();
            new.place_for_good().unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(mode(&path), 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
    }

    #[test]
    fn what_is_open_keeps_permissions_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("a"), dir.path().join("link"));
        Replacement::open(&path, "1").unwrap().place().unwrap();
        fs::write(dir.path().join("others"), "").unwrap();
        assert_eq!(mode(&path), mode(&dir.path().join("others")));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        Replacement::open(&link, "2").unwrap().place().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
        assert_eq!(mode(&path), 0o640);
        assert!(link.is_symlink());
    }

    #[test]
    fn nothing_is_left_of_what_does_not_take_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "1").unwrap();
        drop(Replacement::open(&path, "2").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
