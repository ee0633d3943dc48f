//! Writes names and ids into a project's settings, without touching anything else there.

use anyhow::{Context, Result};

use super::manifest::Manifest;

/// Sets `key` in the entry of `table` whose `binding` is this one; without a value, removes it.
pub fn set(
    manifest: &Manifest,
    table: &str,
    binding: &str,
    key: &str,
    text: Option<&str>,
) -> Result<()> {
    let mut document = manifest.read()?.document;
    let before = document.to_string();
    let settings = document.settings().map_err(anyhow::Error::msg)?;
    let path = manifest.place(&settings, table);
    document
        .set(&path, binding, key, text)
        .with_context(|| format!("cannot write `{key}` into {}", manifest.name()))?;
    let after = document.to_string();
    match after == before {
        true => Ok(()),
        false => manifest.write(&after),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TABLES: &str = r#"# Mine.
name = "x" # here
main = "build/index.js"
compatibility_date = "2026-04-01"

# Projects.
[[kv_namespaces]]
# The first.
binding = "REGISTRY" # why

[[kv_namespaces]]
id = "old" # kept
binding = "OTHER"

[vars]
A = "1"

# The same, to try things.
[[env.staging.kv_namespaces]]
binding = "REGISTRY" # too
"#;
    const OBJECTS: &str = r#"{
  // Mine.
  "name": "x", // here
  "main": "build/index.js",
  "compatibility_date": "2026-04-01",
  "kv_namespaces": [
    /* The first. */
    { "binding": "REGISTRY" }, // why
    {
      "id": "old", // kept
      "binding": "OTHER",
    },
  ],
  "env": { "staging": { "kv_namespaces": [{ "binding": "REGISTRY" }] } }, // too
}
"#;

    /// What the file says after a change.
    fn changed(
        file: &str,
        text: &str,
        environment: Option<&str>,
        binding: &str,
        id: Option<&str>,
    ) -> Result<String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(file);
        fs::write(&path, text).unwrap();
        let manifest = Manifest::find(dir.path(), environment.map(str::to_owned)).unwrap();
        set(&manifest, "kv_namespaces", binding, "id", id)?;
        Ok(fs::read_to_string(&path).unwrap())
    }

    fn set_id(text: &str, binding: &str, id: Option<&str>) -> String {
        changed("wrangler.toml", text, None, binding, id).unwrap()
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
        let head = "name = \"x\"\nmain = \"build/index.js\"\ncompatibility_date = \"2026-04-01\"\n";
        let text = format!("{head}kv_namespaces = [{{ binding = \"REGISTRY\" }}] # x\n");
        let after = set_id(&text, "REGISTRY", Some("abc"));
        assert_eq!(
            after,
            text.replace("\"REGISTRY\"", "\"REGISTRY\", id = \"abc\"")
        );
    }

    #[test]
    fn an_environment_has_its_own() {
        let set = |text, id| changed("wrangler.toml", text, Some("staging"), "REGISTRY", id);
        let after = set(TABLES, Some("abc")).unwrap();
        assert_eq!(after, TABLES.replace("# too\n", "# too\nid = \"abc\"\n"));
        assert_eq!(set(&after, None).unwrap(), TABLES);
    }

    #[test]
    fn json_keeps_its_comments() {
        let set = |text, environment, binding, id| {
            changed("wrangler.jsonc", text, environment, binding, id).unwrap()
        };
        // An object that gets longer gets lines.
        let lines = "{\n      \"binding\": \"REGISTRY\",\n      \"id\": \"abc\"\n    }, // why";
        let after = set(OBJECTS, None, "REGISTRY", Some("abc"));
        let expected = OBJECTS.replace("{ \"binding\": \"REGISTRY\" }, // why", lines);
        assert_eq!(after, expected);
        let gone = set(&after, None, "REGISTRY", None);
        assert_eq!(gone, expected.replace(",\n      \"id\": \"abc\"", ""));
        let after = set(OBJECTS, None, "OTHER", Some("new"));
        assert_eq!(after, OBJECTS.replace("\"old\"", "\"new\""));
        let after = set(OBJECTS, Some("staging"), "REGISTRY", Some("abc"));
        let (before, own) = after.split_once("\"env\"").unwrap();
        assert!(OBJECTS.starts_with(before), "{after}");
        assert!(own.contains("\"id\": \"abc\""), "{after}");
        assert!(own.ends_with(", // too\n}\n"), "{after}");
    }

    #[test]
    fn a_binding_that_is_not_there_is_named() {
        for (file, text) in [("wrangler.toml", TABLES), ("wrangler.json", OBJECTS)] {
            let error = changed(file, text, None, "NONE", Some("x")).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(file) && error.contains("`NONE`"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_file_keeps_its_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("wrangler.toml");
        fs::write(&path, TABLES).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let manifest = Manifest::find(dir.path(), None).unwrap();
        set(&manifest, "kv_namespaces", "REGISTRY", "id", Some("abc")).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert!(fs::read_to_string(&path).unwrap().contains("\"abc\""));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
