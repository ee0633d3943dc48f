//! Takes the examples into the program: each folder in `template/examples`, with all files in it.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "template/examples";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={EXAMPLES}");
    let variable = |name| env::var_os(name).map(PathBuf::from).unwrap_or_default();
    let root = variable("CARGO_MANIFEST_DIR").join(EXAMPLES);
    let mut code = String::from("static EXAMPLES: &[Example] = &[\n");
    let folders = sorted(&root)?.into_iter().filter(|path| path.is_dir());
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        code += &format!("Example {{ name: {name:?}, files: &[\n");
        let mut files = Vec::new();
        list(&folder, &mut files)?;
        for file in files {
            // A name in the program is written with `/` on each system.
            let below = file.strip_prefix(&folder).unwrap_or(&file);
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            code += &format!("({:?}, include_str!({file:?})),\n", parts.join("/"));
        }
        code += "] },\n";
    }
    code += "];\n";
    fs::write(variable("OUT_DIR").join("examples.rs"), code)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for path in sorted(folder)? {
        match path.is_dir() {
            true => list(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
