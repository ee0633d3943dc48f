//! The text of settings, in either format that wrangler reads: what it says, and small changes to
//! it. Comments, order and everything else in it stay as they are.

use std::fmt;

use anyhow::{Context, Result};
use jsonc_parser::cst::CstRootNode;
use serde_json::{Map, Value};
use toml_edit::DocumentMut;

use super::{jsonc, toml};

/// Settings as they are written.
#[derive(Debug)]
pub enum Document {
    /// TOML.
    Toml(DocumentMut),
    /// JSON, which may have comments.
    Json(CstRootNode),
}

/// What can be put into a table.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// A text.
    Text(&'a str),
    /// A list of texts.
    Texts(&'a [&'a str]),
}

impl Document {
    /// Reads a text; `name` is that of its file, and says what it is written in.
    pub fn parse(text: &str, name: &str) -> Result<Self, String> {
        // Editors on Windows put it there.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if name.ends_with(".toml") {
            return match text.parse() {
                Ok(document) => Ok(Self::Toml(document)),
                Err(error) => Err(error.to_string().trim_end().to_owned()),
            };
        }
        jsonc::parse(text).map(Self::Json)
    }

    /// What it says.
    pub fn settings(&self) -> Result<Map<String, Value>, String> {
        match self {
            Self::Toml(document) => {
                toml_edit::de::from_document(document.clone()).map_err(|error| error.to_string())
            }
            Self::Json(root) => match root.to_serde_value() {
                Some(Value::Object(settings)) => Ok(settings),
                _ => Err("it is not an object".to_owned()),
            },
        }
    }

    /// Sets `key` in the entry of the list at `path` whose `binding` is this one; without a value,
    /// removes it.
    pub fn set(
        &mut self,
        path: &[&str],
        binding: &str,
        key: &str,
        new: Option<&str>,
    ) -> Result<()> {
        let done = match self {
            Self::Toml(document) => toml::set(document, path, binding, key, new),
            Self::Json(root) => jsonc::set(root, path, binding, key, new),
        };
        done.with_context(|| {
            format!(
                "`{}` has no entry with the binding `{binding}`",
                path.join(".")
            )
        })
    }

    /// Puts a table at the end of the list at `path`, in the way the list is written. The comment is
    /// for whoever reads the text, and left out where there is no place for one.
    pub fn push(
        &mut self,
        path: &[&str],
        entry: &[(&str, Entry<'_>)],
        comment: Option<&str>,
    ) -> Result<()> {
        let done = match self {
            Self::Toml(document) => toml::push(document, path, entry, comment),
            Self::Json(root) => jsonc::push(root, path, entry),
        };
        done.with_context(|| format!("`{}` is no list of tables", path.join(".")))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml(document) => document.fmt(f),
            Self::Json(root) => root.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection, option, prelude::*};
    use serde_json::json;

    use super::*;

    /// The text of settings in a format.
    fn written(settings: &Value, file: &str) -> String {
        match file {
            "wrangler.toml" => toml_edit::ser::to_string_pretty(settings).unwrap(),
            "wrangler.json" => settings.to_string(),
            _ => format!("// Mine.\n{settings:#} // The end.\n"),
        }
    }

    fn document(settings: &Value, file: &str) -> Document {
        Document::parse(&written(settings, file), file).unwrap()
    }

    /// What a document says once it is written and read again.
    fn read_again(document: &Document, file: &str) -> Value {
        let again = Document::parse(&document.to_string(), file).unwrap();
        Value::Object(again.settings().unwrap())
    }

    fn settings() -> impl Strategy<Value = Value> {
        let text = || any::<String>();
        let entries = collection::btree_map(text(), option::of(text()), 1..4);
        let vars = collection::btree_map(text(), text(), 0..3);
        (entries.clone(), entries, vars).prop_map(|(top, own, vars)| {
            let list = |entries: std::collections::BTreeMap<String, Option<String>>| {
                let entries = entries.into_iter().map(|(binding, id)| match id {
                    Some(id) => json!({ "binding": binding, "id": id }),
                    None => json!({ "binding": binding }),
                });
                Value::Array(entries.collect())
            };
            json!({
                "name": "x",
                "kv_namespaces": list(top),
                "vars": vars,
                "env": { "staging": { "kv_namespaces": list(own) } },
            })
        })
    }

    const FILES: [&str; 3] = ["wrangler.toml", "wrangler.json", "wrangler.jsonc"];
    const PATHS: [&[&str]; 2] = [&["kv_namespaces"], &["env", "staging", "kv_namespaces"]];

    proptest! {
        #[test]
        fn a_change_changes_what_it_names_and_nothing_else(
            before in settings(),
            file in 0..FILES.len(),
            path in 0..PATHS.len(),
            which in any::<proptest::sample::Index>(),
            new in option::of(any::<String>()),
        ) {
            let (file, path) = (FILES[file], PATHS[path]);
            let mut document = document(&before, file);
            let mut after = before.clone();
            let mut list = &mut after;
            for key in path {
                list = &mut list[*key];
            }
            let list = list.as_array_mut().unwrap();
            let at = which.index(list.len());
            let entry = list[at].as_object_mut().unwrap();
            let binding = entry["binding"].as_str().unwrap().to_owned();
            match &new {
                Some(new) => drop(entry.insert("id".to_owned(), json!(new))),
                None => drop(entry.remove("id")),
            }
            document.set(path, &binding, "id", new.as_deref()).unwrap();
            prop_assert_eq!(read_again(&document, file), after);
            document.set(path, "no such binding \0", "id", None).unwrap_err();
        }

        #[test]
        fn what_is_pushed_comes_last_and_all_else_stays(
            before in settings(),
            file in 0..FILES.len(),
            path in 0..PATHS.len(),
            tag in any::<String>(),
            classes in collection::vec(any::<String>(), 0..3),
        ) {
            let (file, path) = (FILES[file], PATHS[path]);
            let mut document = document(&before, file);
            let names: Vec<&str> = classes.iter().map(String::as_str).collect();
            let entry = [("tag", Entry::Text(&tag)), ("classes", Entry::Texts(&names))];
            document.push(path, &entry, Some("Why.")).unwrap();
            document.push(&["new", "list"], &entry, None).unwrap();
            let entry = json!({ "tag": tag, "classes": classes });
            let mut after = before.clone();
            let mut list = &mut after;
            for key in path {
                list = &mut list[*key];
            }
            list.as_array_mut().unwrap().push(entry.clone());
            after["new"] = json!({ "list": [entry] });
            prop_assert_eq!(read_again(&document, file), after);
        }
    }
}
