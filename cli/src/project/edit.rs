//! Writes into `wrangler.toml` without touching comments, order or anything else in it.

use std::{fs, io::Write, path::Path};

use anyhow::{Context, Result, bail};
use toml_edit::{DocumentMut, Item, TableLike, Value, value};

/// Sets `key` in the entry of `table` whose `binding` is this one; without a value, removes it.
pub fn set(path: &Path, table: &str, binding: &str, key: &str, text: Option<&str>) -> Result<()> {
    let before =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let after = changed(&before, table, binding, key, text)
        .with_context(|| format!("cannot write `{key}` into {}", path.display()))?;
    if after == before {
        return Ok(());
    }
    replace(path, &after).with_context(|| format!("cannot write {}", path.display()))
}

/// Puts a new text in the place of a file, whole or not at all. Its permissions stay.
pub(super) fn replace(path: &Path, text: &str) -> Result<()> {
    // A link stays a link: what it leads to is replaced.
    let path = path.canonicalize()?;
    let folder = path.parent().context("it is in no folder")?;
    let mut beside = tempfile::NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside
        .as_file()
        .set_permissions(fs::metadata(&path)?.permissions())?;
    beside.persist(&path)?;
    Ok(())
}

fn changed(text: &str, table: &str, binding: &str, key: &str, new: Option<&str>) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let item = document.get_mut(table).context("there is no such table")?;
    let named = |entry: &dyn TableLike| {
        let name = entry.get("binding").and_then(|name| name.as_str());
        name == Some(binding)
    };
    let missing = || format!("`{table}` has no entry with the binding `{binding}`");
    match item {
        Item::ArrayOfTables(tables) => {
            let entry = tables.iter_mut().find(|entry| named(*entry));
            put(entry.with_context(missing)?, key, new);
        }
        Item::Value(Value::Array(array)) => {
            let mut tables = array.iter_mut().filter_map(Value::as_inline_table_mut);
            let entry = tables.find(|entry| named(*entry)).with_context(missing)?;
            put(entry, key, new);
            // Only here: in a table of its own that would remove comments.
            entry.fmt();
        }
        _ => bail!(missing()),
    }
    Ok(document.to_string())
}

fn put(entry: &mut dyn TableLike, key: &str, new: Option<&str>) {
    match (new, entry.get_mut(key).and_then(Item::as_value_mut)) {
        (Some(new), Some(old)) => {
            let decor = old.decor().clone();
            *old = new.into();
            *old.decor_mut() = decor;
        }
        (Some(new), None) => {
            entry.insert(key, value(new));
        }
        (None, _) => {
            entry.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &str = r#"# Mine.
name = "x" # here

# Projects.
[[kv_namespaces]]
# The first.
binding = "REGISTRY" # why

[[kv_namespaces]]
id = "old" # kept
binding = "OTHER"

[vars]
A = "1"
"#;

    fn set_id(text: &str, binding: &str, id: Option<&str>) -> String {
        changed(text, "kv_namespaces", binding, "id", id).unwrap()
    }

    #[test]
    fn an_id_is_added_and_all_else_stays() {
        let after = set_id(TABLES, "REGISTRY", Some("abc"));
        let expected = TABLES.replace("# why\n", "# why\nid = \"abc\"\n");
        assert_eq!(after, expected);
        assert_eq!(set_id(&after, "REGISTRY", None), TABLES);
    }

    #[test]
    fn an_id_is_replaced_beside_its_comment() {
        let after = set_id(TABLES, "OTHER", Some("new"));
        assert_eq!(after, TABLES.replace("\"old\"", "\"new\""));
    }

    #[test]
    fn inline_tables_are_written_too() {
        let text = "kv_namespaces = [{ binding = \"REGISTRY\" }] # x\n";
        let after = set_id(text, "REGISTRY", Some("abc"));
        assert_eq!(
            after,
            "kv_namespaces = [{ binding = \"REGISTRY\", id = \"abc\" }] # x\n"
        );
    }

    #[test]
    fn a_binding_that_is_not_there_is_named() {
        let error = changed(TABLES, "kv_namespaces", "NONE", "id", Some("x")).unwrap_err();
        assert!(error.to_string().contains("`NONE`"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wrangler.toml");
        fs::write(&path, TABLES).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        set(&path, "kv_namespaces", "REGISTRY", "id", Some("abc")).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(fs::read_to_string(&path).unwrap().contains("\"abc\""));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
