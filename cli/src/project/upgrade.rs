//! What later releases brought, put into the `wrangler.toml` of a project that was made before.

use anyhow::Result;
use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value, value};

use super::wrangler::Wrangler;
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

/// A `wrangler.toml` with what it lacked.
#[derive(Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// Its text; all that was there is as it was.
    pub text: String,
    /// What was added, for a person.
    pub added: Vec<String>,
}

/// Adds bindings and a migration for the classes that the worker has and its `wrangler.toml` does not
/// know. Nothing is added where the directory is switched off, and nothing that is there is changed.
pub fn upgrade(text: &str, has: impl Fn(&str) -> bool) -> Result<Option<Upgrade>> {
    let wrangler = Wrangler::parse(text).map_err(anyhow::Error::msg)?;
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
    let mut document: DocumentMut = text.parse()?;
    let mut added = Vec::new();
    for class in &new {
        bind(&mut document, class);
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
        migrate(&mut document, &tag, &unmade);
        added.push(format!("the migration {tag} for {}", unmade.join(" and ")));
    }
    Ok(Some(Upgrade {
        text: document.to_string(),
        added,
    }))
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

fn bind(document: &mut DocumentMut, class: &Class) {
    let objects = document.entry("durable_objects");
    let objects = objects.or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    });
    let entry = [("name", class.binding), ("class_name", class.name)];
    let entry = entry.map(|(key, text)| (key, Value::from(text)));
    if let Some(objects) = objects.as_table_like_mut() {
        let bindings = objects.entry("bindings");
        push(
            bindings.or_insert_with(no_tables),
            &entry,
            Some(class.purpose),
        );
    }
}

fn migrate(document: &mut DocumentMut, tag: &str, classes: &[&str]) {
    let entry = [
        ("tag", Value::from(tag)),
        (
            "new_sqlite_classes",
            Value::from(Array::from_iter(classes.iter().copied())),
        ),
    ];
    let migrations = document.entry("migrations");
    push(migrations.or_insert_with(no_tables), &entry, None);
}

fn no_tables() -> Item {
    Item::ArrayOfTables(ArrayOfTables::new())
}

/// Puts one more table at the end of a list, in the way the list is written.
fn push(list: &mut Item, entry: &[(&str, Value)], comment: Option<&str>) {
    match list {
        Item::ArrayOfTables(tables) => {
            let mut table = Table::new();
            for (key, item) in entry {
                table.insert(key, value(item.clone()));
            }
            let comment = comment.map_or(String::new(), |text| format!("# {text}\n"));
            table.decor_mut().set_prefix(format!("\n{comment}"));
            tables.push(table);
        }
        Item::Value(Value::Array(array)) => {
            let mut table = InlineTable::from_iter(entry.iter().cloned());
            table.fmt();
            // On a line of its own, where the others are.
            let indent = array.iter().last().and_then(|last| {
                let prefix = last.decor().prefix()?.as_str()?;
                prefix.contains('\n').then(|| prefix.to_owned())
            });
            match indent {
                Some(indent) => {
                    let mut table = Value::InlineTable(table);
                    table.decor_mut().set_prefix(indent);
                    array.push_formatted(table);
                }
                None => array.push(table),
            }
        }
        _ => {}
    }
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

    fn upgrade_for(text: &str, script: &str) -> Result<Option<Upgrade>> {
        upgrade(text, |class| exports(script, class))
    }

    fn upgraded(text: &str) -> Upgrade {
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
        let Upgrade { text, added } = upgraded(OLD);
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
            upgraded(&mine).added,
            [
                "the binding SUBSCRIPTIONS of SubscriptionDO",
                "the migration v2 for SubscriptionDO",
            ]
        );
        let made = OLD.replace("[\"StreamDO\"]", "[\"StreamDO\", \"DirectoryDO\"]");
        assert!(upgraded(&made).added.ends_with(&[
            "the binding SUBSCRIPTIONS of SubscriptionDO".to_owned(),
            "the migration v2 for SubscriptionDO".to_owned(),
        ]));
    }

    #[test]
    fn a_tag_is_one_that_no_migration_has() {
        let more = "[[migrations]]\ntag = \"v3\"\nnew_sqlite_classes = [\"Own\"]\n\n# Mine.";
        let text = upgraded(&OLD.replace("# Mine.", more)).text;
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
        assert_eq!(upgraded(text).text, expected);
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
