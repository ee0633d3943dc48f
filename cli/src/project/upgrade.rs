//! What later releases brought, put into the settings of a project that was made before.

use anyhow::Result;

use super::{
    document::{Document, Entry},
    manifest::{Manifest, Read},
    wrangler::Wrangler,
};
use crate::settings;

/// The class that every project of this kind has.
const FIRST: &str = "StreamDO";

/// A class of Durable Objects that a release has brought.
struct Class {
    name: &'static str,
    binding: &'static str,
    purpose: &'static str,
}

const LATER: &[Class] = &[
    Class {
        name: "DirectoryDO",
        binding: "DIRECTORIES",
        purpose: "A few objects for all streams: they know which there are, and who is to be told of \
                  new ones.",
    },
    Class {
        name: "SubscriptionDO",
        binding: "SUBSCRIPTIONS",
        purpose: "One Durable Object per subscription: it wakes workers when their streams have grown.",
    },
];

/// Settings with what they lacked.
#[derive(Debug)]
pub struct Upgrade {
    /// Their file; all that was there is as it was.
    pub document: Document,
    /// What was added, for a person.
    pub added: Vec<String>,
}

/// Adds bindings and a migration for the classes that the worker has and its settings do not know,
/// where those of its environment are. Nothing is added where the directory is switched off, and
/// nothing that is there is changed.
pub fn upgrade(
    manifest: &Manifest,
    read: Read,
    has: impl Fn(&str) -> bool,
) -> Result<Option<Upgrade>> {
    let Read {
        mut document,
        wrangler,
        ..
    } = read;
    let is_off = wrangler.word(settings::DIRECTORY) == Some("off");
    if is_off || !wrangler.own_classes().any(|class| class == FIRST) {
        return Ok(None);
    }
    let objects = &wrangler.durable_objects.bindings;
    let is_bound = |class: &Class| {
        let mut objects = objects.iter();
        objects.any(|one| one.class_name == class.name || one.name == class.binding)
    };
    let new: Vec<&Class> = LATER
        .iter()
        .filter(|class| has(class.name) && !is_bound(class))
        .collect();
    if new.is_empty() {
        return Ok(None);
    }
    let settings = document.settings().map_err(anyhow::Error::msg)?;
    let bindings = [
        manifest.place(&settings, "durable_objects"),
        vec!["bindings"],
    ]
    .concat();
    let mut added = Vec::new();
    for class in &new {
        let entry = [
            ("name", Entry::Text(class.binding)),
            ("class_name", Entry::Text(class.name)),
        ];
        document.push(&bindings, &entry, Some(class.purpose))?;
        added.push(format!("the binding {} of {}", class.binding, class.name));
    }
    let made = wrangler.made_classes();
    let unmade: Vec<&str> = new
        .iter()
        .map(|class| class.name)
        .filter(|name| !made.contains(*name))
        .collect();
    if !unmade.is_empty() {
        let tag = next_tag(&wrangler);
        let entry = [
            ("tag", Entry::Text(&tag)),
            ("new_sqlite_classes", Entry::Texts(&unmade)),
        ];
        document.push(&manifest.place(&settings, "migrations"), &entry, None)?;
        added.push(format!("the migration {tag} for {}", unmade.join(" and ")));
    }
    Ok(Some(Upgrade { document, added }))
}

/// Whether a bundled script has a word: it keeps the names of what it exports.
pub fn exports(script: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    script.match_indices(name).any(|(at, _)| {
        let before = script.get(..at).and_then(|text| text.chars().next_back());
        let after = script.get(at + name.len()..);
        let after = after.and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// A tag that no migration has, in the way of `v1`.
fn next_tag(wrangler: &Wrangler) -> String {
    let is_taken = |tag: &str| wrangler.migrations.iter().any(|one| one.tag == tag);
    let mut number = wrangler.migrations.len() + 1;
    while is_taken(&format!("v{number}")) {
        number += 1;
    }
    format!("v{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first release wrote it, and its user went on with it.
    const OLD: &str = r#"name = "x"
main = "build/index.js"
compatibility_date = "2026-04-01"

# One Durable Object per stream.
[[durable_objects.bindings]]
name = "STREAMS" # why
class_name = "StreamDO"

# Never change these.
[[migrations]]
tag = "v1"
new_sqlite_classes = ["StreamDO"]

# Mine.
[vars]
A = "1"
# The end.
"#;
    const SCRIPT: &str = "export{Te as StreamDO,a as DirectoryDO,b as SubscriptionDO,N as default}";

    /// The new text and what was added.
    fn upgrade_in(
        file: &str,
        environment: Option<&str>,
        text: &str,
        script: &str,
    ) -> Result<Option<(String, Vec<String>)>> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join(file), text)?;
        let manifest = Manifest::find(dir.path(), environment.map(str::to_owned)).unwrap();
        let upgrade = upgrade(&manifest, manifest.read()?, |class| exports(script, class))?;
        Ok(upgrade.map(|upgrade| (upgrade.document.to_string(), upgrade.added)))
    }

    fn upgrade_for(text: &str, script: &str) -> Result<Option<(String, Vec<String>)>> {
        upgrade_in("wrangler.toml", None, text, script)
    }

    fn upgraded(text: &str) -> (String, Vec<String>) {
        upgrade_for(text, SCRIPT).unwrap().unwrap()
    }

    #[test]
    fn bindings_and_a_migration_are_added_and_all_else_stays() {
        let expected = OLD
            .replace(
                "\n# Never change",
                r#"
# A few objects for all streams: they know which there are, and who is to be told of new ones.
[[durable_objects.bindings]]
name = "DIRECTORIES"
class_name = "DirectoryDO"

# One Durable Object per subscription: it wakes workers when their streams have grown.
[[durable_objects.bindings]]
name = "SUBSCRIPTIONS"
class_name = "SubscriptionDO"

# Never change"#,
            )
            .replace(
                "\n# Mine.",
                r#"
[[migrations]]
tag = "v2"
new_sqlite_classes = ["DirectoryDO", "SubscriptionDO"]

# Mine."#,
            );
        let (text, added) = upgraded(OLD);
        assert_eq!(text, expected);
        assert_eq!(
            added,
            [
                "the binding DIRECTORIES of DirectoryDO",
                "the binding SUBSCRIPTIONS of SubscriptionDO",
                "the migration v2 for DirectoryDO and SubscriptionDO",
            ]
        );
        assert_eq!(upgrade_for(&text, SCRIPT).unwrap(), None);
    }

    #[test]
    fn what_is_there_is_not_added() {
        let mine = OLD.replace(
            "# Never change",
            "[[durable_objects.bindings]]\nname = \"DIRECTORIES\"\nclass_name = \"Mine\"\n\n# \
             Never change",
        );
        assert_eq!(
            upgraded(&mine).1,
            [
                "the binding SUBSCRIPTIONS of SubscriptionDO",
                "the migration v2 for SubscriptionDO",
            ]
        );
        let made = OLD.replace("[\"StreamDO\"]", "[\"StreamDO\", \"DirectoryDO\"]");
        assert!(upgraded(&made).1.ends_with(&[
            "the binding SUBSCRIPTIONS of SubscriptionDO".to_owned(),
            "the migration v2 for SubscriptionDO".to_owned(),
        ]));
    }

    #[test]
    fn a_tag_is_one_that_no_migration_has() {
        let more = "[[migrations]]\ntag = \"v3\"\nnew_sqlite_classes = [\"Own\"]\n\n# Mine.";
        let text = upgraded(&OLD.replace("# Mine.", more)).0;
        let wrangler = Wrangler::parse(&text).unwrap();
        let tags: Vec<&str> = wrangler
            .migrations
            .iter()
            .map(|one| one.tag.as_str())
            .collect();
        assert_eq!(tags, ["v1", "v3", "v4"]);
    }

    #[test]
    fn tables_in_lines_get_lines() {
        let text = r#"name = "x"
main = "build/index.js"
compatibility_date = "2026-04-01"
durable_objects = { bindings = [{ name = "STREAMS", class_name = "StreamDO" }] } # one
migrations = [
  { tag = "v1", new_sqlite_classes = ["StreamDO"] },
]
"#;
        let expected = text
            .replace(
                " }] }",
                " }, { name = \"DIRECTORIES\", class_name = \"DirectoryDO\" }, \
                 { name = \"SUBSCRIPTIONS\", class_name = \"SubscriptionDO\" }] }",
            )
            .replace(
                "] },\n",
                "] },\n  { tag = \"v2\", new_sqlite_classes = [\"DirectoryDO\", \
                 \"SubscriptionDO\"] },\n",
            );
        assert_eq!(upgraded(text).0, expected);
    }

    #[test]
    fn an_environment_gets_what_it_lacks_and_no_other_does() {
        let staging = r#"
[env.staging]
[[env.staging.durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[env.staging.vars] # why
A = "2"
"#;
        let old = format!("{OLD}{staging}");
        let upgrade = |text: &str| upgrade_in("wrangler.toml", Some("staging"), text, SCRIPT);
        let (text, added) = upgrade(&old).unwrap().unwrap();
        assert_eq!(
            added,
            [
                "the binding DIRECTORIES of DirectoryDO",
                "the binding SUBSCRIPTIONS of SubscriptionDO",
                "the migration v2 for DirectoryDO and SubscriptionDO",
            ]
        );
        // The migrations are the top level's, and the bindings are not.
        let (top, own) = text.split_once("[env.staging]").unwrap();
        assert!(
            top.contains("tag = \"v2\"") && !top.contains("DIRECTORIES"),
            "{text}"
        );
        assert!(own.contains("[[env.staging.durable_objects.bindings]]\nname = \"DIRECTORIES\""));
        assert!(
            own.ends_with("[env.staging.vars] # why\nA = \"2\"\n"),
            "{text}"
        );
        assert_eq!(upgrade(&text).unwrap(), None);
        // The top level has the migration by now.
        let (_, added) = upgrade_for(&text, SCRIPT).unwrap().unwrap();
        assert_eq!(
            added,
            [
                "the binding DIRECTORIES of DirectoryDO",
                "the binding SUBSCRIPTIONS of SubscriptionDO",
            ]
        );

        let own = "[[env.staging.migrations]]\ntag = \"s1\"\nnew_sqlite_classes = [\"StreamDO\"]\n";
        let (text, _) = upgrade(&format!("{old}{own}")).unwrap().unwrap();
        let (top, _) = text.split_once("[env.staging]").unwrap();
        assert!(OLD.starts_with(top.trim_end()), "{text}");
        assert!(
            text.contains("[[env.staging.migrations]]\ntag = \"v2\""),
            "{text}"
        );
    }

    #[test]
    fn json_is_upgraded_too() {
        let text = r#"{
  "name": "x", // mine
  "main": "build/index.js",
  "compatibility_date": "2026-04-01",
  "durable_objects": {
    "bindings": [
      { "name": "STREAMS", "class_name": "StreamDO" } // why
    ]
  },
  "migrations": [{ "tag": "v1", "new_sqlite_classes": ["StreamDO"] }]
}
"#;
        let upgraded = |text| upgrade_in("wrangler.jsonc", None, text, SCRIPT).unwrap();
        let (after, added) = upgraded(text).unwrap();
        assert_eq!(added.len(), 3);
        for kept in ["// mine", "// why", "\"DIRECTORIES\"", "\"v2\""] {
            assert!(after.contains(kept), "{after}");
        }
        assert_eq!(upgraded(&after), None);
    }

    #[test]
    fn nothing_is_added_that_the_worker_does_not_have_or_its_user_does_not_want() {
        for script in [
            "",
            "export{a as StreamDO}",
            "class MyDirectoryDO{}; xSubscriptionDO",
        ] {
            assert_eq!(upgrade_for(OLD, script).unwrap(), None, "{script}");
        }
        let off = OLD.replace("A = \"1\"", "DIRECTORY = \"off\"");
        let another = OLD.replace("StreamDO", "RoomDO");
        let elsewhere = OLD.replace("# why\n", "\nscript_name = \"other\"\n");
        for text in [off, another, elsewhere] {
            assert_eq!(upgrade_for(&text, SCRIPT).unwrap(), None, "{text}");
        }
        upgrade_for("name = ", SCRIPT).unwrap_err();
    }
}
