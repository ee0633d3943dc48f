//! What the script of a bundle exports: a class that it does not would be missed at the first request
//! only.

use anyhow::Result;

use crate::{error::problem, project::Project};

/// Refuses bindings of classes that the script of this text does not export.
pub fn check(project: &Project, script: &str) -> Result<()> {
    let Some(exported) = names(script) else {
        return Ok(());
    };
    let missing: Vec<&str> = project
        .wrangler
        .own_classes()
        .filter(|class| !exported.contains(class))
        .collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let has: Vec<&str> = exported
        .into_iter()
        .filter(|name| name.ends_with("DO"))
        .collect();
    Err(problem(
        format!(
            "{} binds Durable Objects of the class `{}`, which the worker does not export",
            project.manifest().name(),
            missing.join("`, `")
        ),
        format!(
            "write `class_name` as in src/, or export it there with `#[durable_object] pub struct \
             {first}`; exported are {}",
            has.join(", ")
        ),
    ))
}

/// The names that a module exports in lists, as bundlers write them; nothing if it has no list.
fn names(script: &str) -> Option<Vec<&str>> {
    let lists = script.split("export").skip(1).filter_map(|rest| {
        let (list, _) = rest.trim_start().strip_prefix('{')?.split_once('}')?;
        Some(list)
    });
    let mut names = None;
    for list in lists {
        let entries = list.split(',').map(str::trim);
        let exported = entries.filter_map(|entry| entry.split_whitespace().next_back());
        names.get_or_insert_with(Vec::new).extend(exported);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::Here;

    #[test]
    fn names_are_read_from_lists_of_every_style() {
        assert_eq!(
            names("const a=1;export{De as ADO,b as default};"),
            Some(vec!["ADO", "default"])
        );
        assert_eq!(
            names("var x;\nexport {\n  ADO,\n  y as default\n};\n"),
            Some(vec!["ADO", "default"])
        );
        assert_eq!(names("export default {}"), None);
        assert_eq!(names("export class ADO {}"), None);
        assert_eq!(names("const exported = {a};"), None);
    }

    #[test]
    fn a_class_that_nobody_exports_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.toml"), "").unwrap();
        let text = r#"
name = "x"
main = "build/index.js"
compatibility_date = "2026-04-01"
[[durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[[durable_objects.bindings]]
name = "OTHERS"
class_name = "Elsewhere"
script_name = "other"
"#;
        std::fs::write(dir.path().join("wrangler.toml"), text).unwrap();
        let project = Project::open(&Here::at(dir.path())).unwrap();
        check(&project, "export{a as StreamDO,b as default}").unwrap();
        check(&project, "nothing that can be read").unwrap();
        let error = check(&project, "StreamDO;export{a as StreamsDO,b as default}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "wrangler.toml binds Durable Objects of the class `StreamDO`, which the worker does not \
             export"
        );
        let hint = crate::error::hint(&error).unwrap();
        assert!(hint.ends_with("exported are StreamsDO"), "{hint}");
    }
}
