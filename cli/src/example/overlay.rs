//! An example, put into a project that the template has been filled in for.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use toml_edit::{DocumentMut, Item, Table, value};

use super::{ABOUT, Example};
use crate::{args::values::Auth, liquid, toml_file};

/// What this ending is on is filled in as the template is; all else is taken as it stands.
const FILLED_IN: &str = ".liquid";
/// The section of the project's README that says what the example is.
const README: &str = "README.md";
/// The first section of a project's README. Before it stands who may use the streams, which an example
/// says in its own words.
const FIRST_SECTION: &str = "\n## Run\n";

impl Example {
    /// Puts it into the project in a folder, which has these values.
    pub fn lay_over(&self, root: &Path, auth: Auth, values: &liquid::Values) -> Result<()> {
        let work = || {
            self.put_files(root, values)?;
            self.put_settings(root, auth, values)?;
            self.put_secrets(root)?;
            self.put_section(root, values)
        };
        work().with_context(|| format!("cannot lay the example {} over the project", self.name))
    }

    fn put_files(&self, root: &Path, values: &liquid::Values) -> Result<()> {
        let own = self.files.iter();
        for (name, text) in own.filter(|(name, _)| ![ABOUT, README].contains(name)) {
            let (name, text) = match name.strip_suffix(FILLED_IN) {
                Some(name) => (name, fill(name, text, values)?),
                None => (*name, (*text).to_owned()),
            };
            let path = root.join(name);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// What it adds to `Cargo.toml` and `wrangler.toml`, and that it is what the project was made of.
    fn put_settings(&self, root: &Path, auth: Auth, values: &liquid::Values) -> Result<()> {
        let about = fill(ABOUT, self.file(ABOUT).unwrap_or_default(), values)?;
        let about: DocumentMut = about.parse()?;
        for (part, file) in [("cargo", "Cargo.toml"), ("wrangler", "wrangler.toml")] {
            let path = root.join(file);
            let mut settings = toml_file::read(&path)?;
            if let Some(Item::Table(more)) = about.get(part) {
                merge(settings.as_table_mut(), more);
            }
            if part == "cargo" {
                let about = &mut settings["package"]["metadata"]["durable-streams"];
                about["template"]["example"] = value(self.name);
                if auth == Auth::Own {
                    about["auth"] = value(auth.name());
                }
            }
            fs::write(path, settings.to_string())?;
        }
        Ok(())
    }

    /// Where local runs look for secrets, their names with nothing behind them.
    fn put_secrets(&self, root: &Path) -> Result<()> {
        let secrets = self.about()?.secrets;
        if secrets.is_empty() {
            return Ok(());
        }
        let lines = secrets
            .iter()
            .map(|(name, what)| format!("# {what}\n{name}=\"\"\n"));
        let text = lines.collect::<Vec<_>>().join("\n");
        Ok(fs::write(root.join(crate::dev_vars::FILE), text)?)
    }

    fn put_section(&self, root: &Path, values: &liquid::Values) -> Result<()> {
        let path = root.join(README);
        let readme = fs::read_to_string(&path)?;
        let section = fill(README, self.file(README).unwrap_or_default(), values)?;
        let (head, rest) = readme
            .split_once(FIRST_SECTION)
            .context("the README has no section for it")?;
        let (head, _) = head.trim_end().rsplit_once("\n\n").unwrap_or((head, ""));
        let readme = format!("{head}\n\n{}\n{FIRST_SECTION}{rest}", section.trim());
        Ok(fs::write(path, readme)?)
    }
}

fn fill(name: &str, text: &str, values: &liquid::Values) -> Result<String> {
    liquid::fill(text, values).with_context(|| format!("cannot fill in its {name}"))
}

/// Puts a table's content into another one, with the comments before it. What both have is as the
/// former says.
fn merge(into: &mut Table, from: &Table) {
    for (name, item) in from {
        match (into.get_mut(name), item) {
            (Some(Item::Table(there)), Item::Table(more)) => merge(there, more),
            (Some(Item::ArrayOfTables(there)), Item::ArrayOfTables(more)) => {
                there.extend(more.iter().cloned().map(displaced));
            }
            (_, Item::Table(new)) => {
                into.insert(name, Item::Table(displaced(new.clone())));
            }
            (_, Item::ArrayOfTables(new)) => {
                let new = new.iter().cloned().map(displaced).collect();
                into.insert(name, Item::ArrayOfTables(new));
            }
            (_, item) => {
                if let Some(key) = from.key(name) {
                    into.insert_formatted(key, item.clone());
                }
            }
        }
    }
}

/// A table that stands behind what is there, and no more where it stood in its own file.
fn displaced(mut table: Table) -> Table {
    table.set_position(None);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(below) => *below = displaced(std::mem::take(below)),
            Item::ArrayOfTables(below) => {
                for below in below.iter_mut() {
                    *below = displaced(std::mem::take(below));
                }
            }
            _ => {}
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(text: &str, more: &str) -> String {
        let mut text: DocumentMut = text.parse().unwrap();
        let more: DocumentMut = more.parse().unwrap();
        let more = more["wrangler"].as_table().unwrap();
        merge(text.as_table_mut(), more);
        text.to_string()
    }

    #[test]
    fn settings_come_behind_those_that_are_there_with_their_comments() {
        let there = "name = \"x\"\n\n[vars]\nA = \"1\"\n\n[[kv_namespaces]]\nbinding = \"K\"\n\n\
                     [observability]\nenabled = true\n";
        let more = "[wrangler.vars]\n# What B is.\nB = \"2\" # as said\nA = \"3\"\n\n\
                    # Mine.\n[[wrangler.kv_namespaces]]\nbinding = \"L\"\n\n\
                    # Each minute.\n[wrangler.triggers]\ncrons = [\"* * * * *\"]\n\n\
                    [[wrangler.queues.producers]]\nqueue = \"q\"\n\n\
                    [[wrangler.queues.consumers]]\nqueue = \"q\"\n";
        let expected = "name = \"x\"\n\n[vars]\nA = \"3\"\n# What B is.\nB = \"2\" # as said\n\n\
                        [[kv_namespaces]]\nbinding = \"K\"\n\n# Mine.\n[[kv_namespaces]]\nbinding = \"L\"\n\n\
                        [observability]\nenabled = true\n\n\
                        # Each minute.\n[triggers]\ncrons = [\"* * * * *\"]\n\n\
                        [[queues.producers]]\nqueue = \"q\"\n\n[[queues.consumers]]\nqueue = \"q\"\n";
        assert_eq!(merged(there, more), expected);
    }
}
