//! Bundles that were built before, by what they were built of.
//!
//! A worker as `init` writes it, or one that differs in `src/` alone, is made of nothing but its files,
//! the versions in its `Cargo.lock`, the runtime and the tools. Of others there are no such bundles.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Result;
use sha2::{Digest, Sha256};
use toml_edit::Item;

use super::Effort;
use crate::{
    hex::hex,
    process,
    project::{self, Project},
    runtime_source::PACKAGE,
    toml_file,
    toolchain::{Toolchain, cache},
};

/// How many bundles are kept. One is 1.5 to 4 MB.
const KEPT: usize = 20;
/// What a worker as `init` writes it depends on. Macros of other crates may read whatever they like.
const DEPENDENCIES: &[&str] = &[PACKAGE, "worker"];
/// Tables of a manifest that name what else goes into a build.
const OTHER_INPUTS: &[&str] = &[
    "build-dependencies",
    "target",
    "patch",
    "replace",
    "features",
];
/// What in a source may make the result depend on more than the sources, or on the package's name.
const READS_MORE: &[&str] = &["include", "env!", "module", "file!", "type_name", "#[path"];
/// Variables that say how cargo builds begin with one of these.
const VARIABLES: &[&str] = &[
    "CARGO_BUILD_",
    "CARGO_ENCODED_",
    "CARGO_PROFILE_",
    "CARGO_TARGET_",
    "CARGO_UNSTABLE_",
    "RUSTC",
    "RUSTFLAGS",
];

/// What the bundle of a project is known by; nothing if that cannot be told.
pub fn key(project: &Project, toolchain: &Toolchain, effort: Effort) -> Option<String> {
    let mut inputs = Inputs(Sha256::new());
    inputs.add("effort", format!("{effort:?}"));
    inputs.program()?;
    inputs.compiler(project, toolchain)?;
    inputs.variables();
    inputs.configuration(&project.root);
    inputs.package(&project.root, effort)?;
    Some(inputs.key())
}

/// The folder of a bundle that is there.
pub fn find(key: &str) -> Option<PathBuf> {
    let folder = folder().ok()?.join(key);
    let whole = [project::SCRIPT, project::WASM]
        .iter()
        .all(|name| folder.join(name).is_file());
    if !whole {
        return None;
    }
    // It is younger again than those that nobody asks for.
    let _ = fs::write(folder.join("used"), "");
    Some(folder)
}

/// Keeps a bundle.
pub fn keep(key: &str, made: &Path) -> Result<()> {
    let folder = folder()?;
    cache::fill_in(&folder, key, |kept| {
        for name in [project::SCRIPT, project::WASM] {
            fs::copy(made.join(name), kept.join(name))?;
        }
        fs::write(kept.join("used"), "")?;
        Ok(())
    })?;
    drop_oldest(&folder)
}

fn folder() -> Result<PathBuf> {
    Ok(cache::dir()?.join("bundles"))
}

fn drop_oldest(folder: &Path) -> Result<()> {
    let mut bundles: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let used = fs::metadata(path.join("used")).ok()?.modified().ok()?;
            Some((used, path))
        })
        .collect();
    bundles.sort();
    let too_many = bundles.len().saturating_sub(KEPT);
    for (_, path) in bundles.drain(..too_many) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// A sum of all that goes into a bundle.
struct Inputs(Sha256);

impl Inputs {
    /// Adds something under a name, so that no two things can pass for one another.
    fn add(&mut self, name: &str, content: impl AsRef<[u8]>) {
        let content = content.as_ref();
        for part in [name.as_bytes(), content] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    fn key(self) -> String {
        hex(&self.0.finalize())
    }

    /// This program, which knows the versions of all tools. It is known by its file.
    fn program(&mut self) -> Option<()> {
        let file = fs::metadata(env::current_exe().ok()?).ok()?;
        let modified = file.modified().ok()?;
        self.add("version", env!("CARGO_PKG_VERSION"));
        self.add("program", format!("{} {modified:?}", file.len()));
        Some(())
    }

    fn compiler(&mut self, project: &Project, toolchain: &Toolchain) -> Option<()> {
        let mut rustc = toolchain.rustc().ok()?;
        let said = process::output(rustc.arg("-vV").current_dir(&project.root))?;
        self.add("rustc", said);
        Some(())
    }

    fn variables(&mut self) {
        let mut all: Vec<_> = env::vars_os()
            .filter(|(name, _)| {
                let name = name.to_string_lossy();
                name != "CARGO_TARGET_DIR" && VARIABLES.iter().any(|one| name.starts_with(one))
            })
            .collect();
        all.sort();
        for (name, value) in all {
            self.add(&name.to_string_lossy(), value.as_encoded_bytes());
        }
    }

    /// The files that cargo takes settings from.
    fn configuration(&mut self, root: &Path) {
        let home = env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(env::home_dir()?.join(".cargo")));
        let folders = root.ancestors().map(|folder| folder.join(".cargo"));
        for folder in folders.chain(home) {
            for name in ["config", "config.toml"] {
                if let Ok(content) = fs::read(folder.join(name)) {
                    self.add("configuration", content);
                }
            }
        }
    }

    fn package(&mut self, root: &Path, effort: Effort) -> Option<()> {
        let mut manifest = toml_file::read(&root.join("Cargo.toml")).ok()?;
        let dependencies = manifest.get("dependencies")?.as_table_like()?;
        let known = |(name, _): (&str, &Item)| DEPENDENCIES.contains(&name);
        if !dependencies.iter().all(known)
            || OTHER_INPUTS
                .iter()
                .any(|table| manifest.contains_key(table))
            || root.join("build.rs").exists()
            || manifest.get("package")?.get("build").is_some()
            || manifest
                .get("workspace")?
                .as_table_like()?
                .iter()
                .next()
                .is_some()
        {
            return None;
        }
        if let Some(runtime) = dependencies.get(PACKAGE)?.get("path") {
            self.runtime(&root.join(runtime.as_str()?))?;
        }
        let package = manifest.get_mut("package")?.as_table_like_mut()?;
        // What other programs note there is no part of a build.
        package.remove("metadata");
        let name = package.get("name")?.as_str()?.to_owned();
        let lock = fs::read_to_string(root.join("Cargo.lock")).ok()?;
        if effort == Effort::Quick {
            // Two projects that differ in their names are the same worker. What is deployed says in
            // logs what its functions are called, and that begins with the package.
            package.remove("name");
        }
        self.add("manifest", manifest.to_string());
        self.add("lock", without_package(&lock, &name));
        self.sources(&root.join("src"), true)
    }

    /// The runtime in a folder: its sources, and the manifests that say how they are compiled.
    fn runtime(&mut self, folder: &Path) -> Option<()> {
        if folder.join("build.rs").exists() {
            return None;
        }
        for above in folder.ancestors() {
            if let Ok(content) = fs::read(above.join("Cargo.toml")) {
                self.add("runtime's manifest", content);
            }
        }
        self.add("runtime's folder", folder.as_os_str().as_encoded_bytes());
        self.sources(&folder.join("src"), false)
    }

    /// All files of a folder, in order.
    fn sources(&mut self, folder: &Path, must_be_all: bool) -> Option<()> {
        let mut paths: Vec<_> = fs::read_dir(folder)
            .ok()?
            .map(|entry| Some(entry.ok()?.path()))
            .collect::<Option<_>>()?;
        paths.sort();
        for path in paths {
            self.add("file", path.file_name()?.as_encoded_bytes());
            if path.is_dir() {
                self.sources(&path, must_be_all)?;
                continue;
            }
            let content = fs::read(&path).ok()?;
            let is_rust = path.extension() == Some(OsStr::new("rs"));
            if must_be_all && is_rust && reads_more(&String::from_utf8_lossy(&content)) {
                return None;
            }
            self.add("content", content);
        }
        self.add("end", "");
        Some(())
    }
}

fn reads_more(source: &str) -> bool {
    READS_MORE.iter().any(|word| source.contains(word))
}

/// A lock file without what it says of the project itself, whose dependencies its manifest names.
fn without_package(lock: &str, name: &str) -> String {
    let own = format!("\nname = \"{name}\"\n");
    let others = lock
        .split("[[package]]")
        .filter(|package| !package.starts_with(&own));
    others.map(str::trim).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "[package]\nname = \"my-streams\"\n[package.metadata.x]\nof = \"my-streams\"\n\
                            [lib]\ncrate-type = [\"cdylib\"]\n\
                            [dependencies]\ndurable-streams-cloudflare = \"0.1.0\"\nworker = \"0.8.7\"\n\
                            [workspace]\n";
    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"my-streams\"\nversion = \"0.1.0\"\n\n\
                        [[package]]\nname = \"worker\"\nversion = \"0.8.7\"\n";

    struct Package(tempfile::TempDir);

    impl Package {
        fn new() -> Self {
            let package = Self(tempfile::tempdir().unwrap());
            fs::create_dir(package.0.path().join("src")).unwrap();
            package.write("Cargo.toml", MANIFEST);
            package.write("Cargo.lock", LOCK);
            package.write("src/lib.rs", "use worker::event;\n");
            package
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.path().join(name), text).unwrap();
        }

        fn key(&self, effort: Effort) -> Option<String> {
            let mut inputs = Inputs(Sha256::new());
            inputs.package(self.0.path(), effort)?;
            Some(inputs.key())
        }
    }

    #[test]
    fn the_same_worker_is_known_under_another_name_when_it_is_not_deployed() {
        let (mine, other) = (Package::new(), Package::new());
        other.write("Cargo.toml", &MANIFEST.replace("my-streams", "zoo"));
        let (head, package) = LOCK.split_at(LOCK.find("[[").unwrap());
        let (_, worker) = package.split_at(package.rfind("[[").unwrap());
        let own = "\n[[package]]\nname = \"zoo\"\nversion = \"0.1.0\"\n";
        other.write("Cargo.lock", &format!("{head}{worker}{own}"));
        assert!(mine.key(Effort::Quick).is_some());
        assert_eq!(mine.key(Effort::Quick), other.key(Effort::Quick));
        assert_ne!(mine.key(Effort::Full), other.key(Effort::Full));
        assert_eq!(mine.key(Effort::Full), Package::new().key(Effort::Full));
    }

    #[test]
    fn every_input_counts() {
        let plain = Package::new().key(Effort::Quick);
        for (name, text) in [
            ("src/lib.rs", "use worker::event; \n"),
            ("src/more.rs", ""),
            ("src/body.js", ""),
            ("Cargo.lock", &LOCK.replace("0.8.7", "0.8.8")),
            ("Cargo.toml", &MANIFEST.replace("0.8.7", "0.8.6")),
            (
                "Cargo.toml",
                &format!("{MANIFEST}[profile.release]\nlto = false\n"),
            ),
        ] {
            let package = Package::new();
            package.write(name, text);
            let key = package.key(Effort::Quick);
            assert!(key.is_some() && key != plain, "{name}: {text}");
        }
    }

    #[test]
    fn what_may_depend_on_more_is_not_known() {
        for (name, text) in [
            ("src/lib.rs", "const A: &str = include_str!(\"../a\");"),
            ("src/lib.rs", "const A: &str = env!(\"CARGO_PKG_NAME\");"),
            ("src/lib.rs", "#[wasm_bindgen(module = \"/a.js\")]"),
            ("build.rs", "fn main() {}"),
            (
                "Cargo.toml",
                &MANIFEST.replace("[workspace]", "askama = \"1\"\n[workspace]"),
            ),
            ("Cargo.toml", &MANIFEST.replace("[workspace]", "")),
            ("Cargo.toml", &format!("{MANIFEST}[patch.crates-io]\n")),
            (
                "Cargo.toml",
                &MANIFEST.replace("\"0.1.0\"", "{ path = \"absent\" }"),
            ),
        ] {
            let package = Package::new();
            package.write(name, text);
            assert_eq!(package.key(Effort::Quick), None, "{name}: {text}");
        }
    }

    #[test]
    fn a_runtime_in_a_folder_counts_with_all_it_holds() {
        let (runtime, package) = (Package::new(), Package::new());
        let path = format!("{{ path = {:?} }}", runtime.0.path());
        package.write("Cargo.toml", &MANIFEST.replace("\"0.1.0\"", &path));
        let first = package.key(Effort::Quick);
        runtime.write("src/lib.rs", "const A: &str = include_str!(\"a.txt\");");
        let second = package.key(Effort::Quick);
        runtime.write("Cargo.toml", "[package]\n");
        let third = package.key(Effort::Quick);
        assert!(first.is_some() && second.is_some() && third.is_some());
        assert!(first != second && second != third);
    }

    #[test]
    fn old_bundles_go() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..KEPT + 3 {
            let bundle = dir.path().join(n.to_string());
            fs::create_dir(&bundle).unwrap();
            let used = fs::File::create(bundle.join("used")).unwrap();
            let age = std::time::Duration::from_secs(n as u64);
            used.set_modified(SystemTime::UNIX_EPOCH + age).unwrap();
        }
        drop_oldest(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), KEPT);
        assert!(!dir.path().join("2").exists() && dir.path().join("3").exists());
    }
}
