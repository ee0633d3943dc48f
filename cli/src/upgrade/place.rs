//! Puts what an upgrade has made in its place: all of it or none of it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{error::problem, replacement::Replacement};

/// A file, as it was and as it is to be.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Its path in the project.
    pub file: PathBuf,
    /// What it held, if it was there.
    pub before: Option<Vec<u8>>,
    /// What it is to hold, if it stays.
    pub after: Option<Vec<u8>>,
}

/// Makes all edits, in their order. Each file is replaced whole; when one cannot be, those before it
/// are put back.
pub fn place(root: &Path, edits: &[Edit]) -> Result<()> {
    for edit in edits {
        if read(&root.join(&edit.file))? != edit.before {
            return Err(problem(
                format!(
                    "{} has just been changed by somebody else",
                    edit.file.display()
                ),
                "run the upgrade again; nothing was changed",
            ));
        }
    }
    // What can fail, a full disk or a folder that may not be written, fails before anything has moved.
    let mut ready = Vec::new();
    for edit in edits {
        let path = path(root, edit);
        let new = edit.after.as_deref();
        let new = new.map(|text| Replacement::open(&path, text));
        let new = new.transpose().with_context(|| cannot(edit))?;
        ready.push((edit, path, new));
    }
    let mut done: Vec<(&Edit, PathBuf)> = Vec::new();
    for (edit, path, new) in ready {
        let outcome = match new {
            Some(new) => new.place(),
            None => fs::remove_file(&path),
        };
        if let Err(error) = outcome {
            done.iter()
                .rev()
                .for_each(|(edit, path)| put_back(edit, path));
            return Err(error).with_context(|| cannot(edit));
        }
        done.push((edit, path));
    }
    Ok(())
}

/// What a file holds, if it is there.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A file where a folder would have to be.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Where a file is. A link stays a link: what it leads to is replaced.
fn path(root: &Path, edit: &Edit) -> PathBuf {
    let path = root.join(&edit.file);
    path.canonicalize().unwrap_or(path)
}

fn put_back(edit: &Edit, path: &Path) {
    let _ = match &edit.before {
        None => fs::remove_file(path),
        Some(text) => Replacement::open(path, text).and_then(Replacement::place),
    };
}

fn cannot(edit: &Edit) -> String {
    format!("cannot write {}; nothing was changed", edit.file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(file: &str, before: Option<&str>, after: Option<&str>) -> Edit {
        let bytes = |text: &str| text.as_bytes().to_owned();
        Edit {
            file: file.into(),
            before: before.map(bytes),
            after: after.map(bytes),
        }
    }

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a").unwrap();
        fs::write(dir.path().join("b"), "b").unwrap();
        dir
    }

    fn text(dir: &tempfile::TempDir, file: &str) -> Option<String> {
        fs::read_to_string(dir.path().join(file)).ok()
    }

    #[test]
    fn files_come_change_and_go() {
        let dir = folder();
        let edits = [
            edit("x/y/new", None, Some("new")),
            edit("a", Some("a"), Some("A")),
            edit("b", Some("b"), None),
        ];
        place(dir.path(), &edits).unwrap();
        assert_eq!(text(&dir, "x/y/new").as_deref(), Some("new"));
        assert_eq!(text(&dir, "a").as_deref(), Some("A"));
        assert_eq!(text(&dir, "b"), None);
    }

    #[test]
    fn what_somebody_changes_meanwhile_is_not_written_over() {
        let dir = folder();
        let edits = [
            edit("a", Some("a"), Some("A")),
            edit("b", Some("older"), Some("B")),
        ];
        let error = place(dir.path(), &edits).unwrap_err();
        assert!(
            error.to_string().contains("b has just been changed"),
            "{error}"
        );
        assert_eq!(text(&dir, "a").as_deref(), Some("a"));
    }

    #[test]
    fn when_one_cannot_be_changed_none_is() {
        let dir = folder();
        fs::write(dir.path().join("file"), "").unwrap();
        let begun = [
            edit("new", None, Some("new")),
            edit("a", Some("a"), Some("A")),
            edit("b", Some("b"), None),
        ];
        // A file where a folder would have to be is seen before anything moves; one that cannot be
        // taken away, when others have moved.
        for last in [edit("file/x", None, Some("x")), edit("missing", None, None)] {
            let mut edits = begun.to_vec();
            edits.push(last);
            let error = place(dir.path(), &edits).unwrap_err();
            assert!(error.to_string().contains("nothing was changed"), "{error}");
            assert_eq!(text(&dir, "new"), None);
            assert_eq!(text(&dir, "a").as_deref(), Some("a"));
            assert_eq!(text(&dir, "b").as_deref(), Some("b"));
        }
    }
}
