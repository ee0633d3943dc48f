//! From a template to a folder, all of it or none of it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    args::values::Auth,
    error::problem,
    example::Example,
    git, placeholders,
    render::{self, Request},
    runtime_source::RuntimeSource,
    template,
    ui::Ui,
};

/// What to make.
#[derive(Debug)]
pub struct NewProject {
    /// The project's name.
    pub name: String,
    /// Its folder, absolute.
    pub dir: PathBuf,
    /// A template to use instead of the built-in one: a folder or a git URL.
    pub template: Option<String>,
    /// What is laid over the built-in one.
    pub example: Option<Example>,
    /// Values of the template.
    pub define: BTreeMap<String, String>,
    /// Who may use the streams.
    pub auth: Auth,
    /// Where the runtime crate comes from.
    pub runtime: RuntimeSource,
    /// Add a workflow that deploys from GitHub Actions.
    pub github_actions: bool,
    /// The branch that the workflow deploys.
    pub branch: String,
}

/// A project that is filled in but not yet in its place.
#[derive(Debug)]
pub struct Staged {
    /// Holds the files, and goes away with them.
    _workshop: TempDir,
    root: PathBuf,
    /// The files, relative to the project's folder, sorted.
    pub files: Vec<PathBuf>,
}

/// Refuses a destination that cannot take a project.
pub fn check_destination(dir: &Path, overwrite: bool) -> Result<()> {
    match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Err(problem(
            format!("{} cannot be made: a file is in its place", dir.display()),
            "name another folder",
        )),
        Err(error) => Err(error).with_context(|| format!("cannot look into {}", dir.display())),
        Ok(entries) => {
            // A repository that is still empty is a usual place to start.
            let found = entries
                .filter_map(Result::ok)
                .map(|entry| entry.file_name())
                .find(|name| name != ".git");
            match found {
                Some(name) if !overwrite => Err(problem(
                    format!(
                        "{} is not empty: it holds `{}`",
                        dir.display(),
                        name.display()
                    ),
                    "name another folder, or add --overwrite to write over files of the same names",
                )),
                _ => Ok(()),
            }
        }
    }
}

/// Fills in the template in a temporary folder; may ask for values that it needs.
pub fn stage(ui: &Ui, project: &NewProject, ask: bool) -> Result<Staged> {
    let workshop = tempfile::tempdir().context("cannot make a temporary folder")?;
    let template = match &project.template {
        None => template::unpack(template::STATE, &workshop.path().join("built-in"))?,
        Some(text) if git::is_bare(Path::new(text)) => git::clone(ui, text, workshop.path())?,
        Some(text) if Path::new(text).is_dir() => Path::new(text).canonicalize()?,
        Some(text) if looks_like_git(text) => git::clone(ui, text, workshop.path())?,
        Some(text) => {
            return Err(problem(
                format!("--template `{text}` is no folder and no git URL"),
                "give the folder of a cargo-generate template, or a URL that git can clone",
            ));
        }
    };
    placeholders::check_definitions(&template, &project.define)?;
    if project.github_actions && !placeholders::has_github_actions(&template)? {
        return Err(problem(
            "--github-actions: the template has no such workflow",
            "leave it out, or use the built-in template",
        ));
    }
    let mut define = project.define.clone();
    define.insert("auth".to_owned(), project.auth.in_template().to_owned());
    define.insert("runtime".to_owned(), project.runtime.value().to_owned());
    let github_actions = project.github_actions.to_string();
    define.insert(placeholders::GITHUB_ACTIONS.to_owned(), github_actions);
    define.insert("branch".to_owned(), project.branch.clone());
    placeholders::complete(&template, &mut define, ask.then_some(ui))?;
    let request = Request {
        template,
        into: workshop.path().join("out"),
        name: project.name.clone(),
        define,
    };
    let root = match project.template {
        None => render::own(&request)?,
        Some(_) => {
            name_links(ui, &request.template)?;
            render::others(ui, &request)?
        }
    };
    if let Some(example) = project.example {
        example.lay_over(&root, project.auth, &render::values(&request)?)?;
    }
    let files = list_files(&root)?;
    Ok(Staged {
        _workshop: workshop,
        root,
        files,
    })
}

/// Says which files of a template will be missing: cargo-generate takes no links.
fn name_links(ui: &Ui, template: &Path) -> Result<()> {
    let mut links = list_files(template)?;
    links.retain(|file| !file.starts_with(".git") && template.join(file).is_symlink());
    if !links.is_empty() {
        let names: Vec<String> = links
            .iter()
            .map(|link| link.display().to_string())
            .collect();
        ui.warn(format!(
            "symbolic links of the template are not taken over: {}",
            names.join(", ")
        ));
    }
    Ok(())
}

/// Puts a filled-in project in its place. When that fails, what was put there is taken away again.
pub fn place(staged: &Staged, dir: &Path) -> Result<()> {
    check_collisions(staged, dir)?;
    let made = dir.ancestors().take_while(|folder| !folder.exists()).last();
    let outcome = move_files(staged, dir);
    if let (Err(_), Some(made)) = (&outcome, made) {
        let _ = fs::remove_dir_all(made);
    }
    outcome.with_context(|| format!("cannot write the project to {}", dir.display()))
}

/// Writes each file beside its place first and moves it there only when all are written, so that
/// what can fail (a full disk, a folder that may not be written) fails before anything is in place.
fn move_files(staged: &Staged, dir: &Path) -> Result<()> {
    fs::create_dir_all(dir)?;
    let beside = tempfile::Builder::new()
        .prefix(".durable-streams-")
        .tempdir_in(dir)?;
    for file in &staged.files {
        let copy = beside.path().join(file);
        make_parent(&copy)?;
        fs::copy(staged.root.join(file), copy)?;
    }
    for file in &staged.files {
        let target = dir.join(file);
        make_parent(&target)?;
        fs::rename(beside.path().join(file), target)?;
    }
    Ok(())
}

/// A folder where a file is to be, or a file where a folder is to be, cannot be written over.
fn check_collisions(staged: &Staged, dir: &Path) -> Result<()> {
    for file in &staged.files {
        let target = dir.join(file);
        let blocked = if target.is_dir() {
            Some(target.as_path())
        } else {
            target
                .ancestors()
                .skip(1)
                .take_while(|folder| *folder != dir)
                .find(|folder| folder.is_file())
        };
        if let Some(blocked) = blocked {
            return Err(problem(
                format!(
                    "{} is in the way of the project's {}",
                    blocked.display(),
                    file.display()
                ),
                "move it away, or name another folder",
            ));
        }
    }
    Ok(())
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn looks_like_git(text: &str) -> bool {
    text.contains("://") || text.ends_with(".git") || (text.contains('@') && text.contains(':'))
}

/// All files below a folder, relative to it, sorted.
pub fn list_files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    list(root, Path::new(""), &mut files)?;
    files.sort();
    Ok(files)
}

fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let workshop = tempfile::tempdir().unwrap();
        let root = workshop.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("a"), "a").unwrap();
        // A file that is announced but cannot be read stands for any failure halfway.
        let staged = Staged {
            _workshop: workshop,
            root,
            files: vec!["a".into(), "missing".into()],
        };
        let place_in = tempfile::tempdir().unwrap();
        place(&staged, &place_in.path().join("deep/er/project")).unwrap_err();
        assert_eq!(fs::read_dir(place_in.path()).unwrap().count(), 0);
        let existing = place_in.path().join("existing");
        fs::create_dir(&existing).unwrap();
        place(&staged, &existing).unwrap_err();
        assert_eq!(fs::read_dir(&existing).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_in_the_way_is_named() {
        let workshop = tempfile::tempdir().unwrap();
        let root = workshop.path().to_owned();
        let staged = Staged {
            _workshop: workshop,
            root,
            files: vec!["README.md".into()],
        };
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("README.md")).unwrap();
        let error = place(&staged, dir.path()).unwrap_err();
        assert!(error.to_string().contains("in the way"), "{error}");
    }
}
