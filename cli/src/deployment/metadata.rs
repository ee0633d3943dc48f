//! The description that goes with an upload: bindings, settings and migrations.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::{Value, json};

use crate::{
    error::problem,
    project::{
        SCRIPT,
        wrangler::{Migration, Wrangler},
    },
};

/// Kinds of bindings that are set elsewhere and stay through a deploy.
pub const SECRETS: &[&str] = &["secret_text", "secret_key"];
/// Kinds that `keep_vars` adds.
const VARS: &[&str] = &["plain_text", "json"];

/// The kind of a binding of a dataset of Analytics Engine.
pub const DATASET: &str = "analytics_engine";

/// The description of a project, without migrations: those depend on what is deployed.
pub fn metadata(wrangler: &Wrangler) -> Value {
    let kept = match wrangler.keep_vars {
        true => [VARS, SECRETS].concat(),
        false => SECRETS.to_vec(),
    };
    let mut metadata = json!({
        "main_module": SCRIPT,
        "bindings": bindings(wrangler),
        "compatibility_date": wrangler.compatibility_date,
        "compatibility_flags": wrangler.compatibility_flags,
        "keep_bindings": kept,
    });
    let settings = [
        ("observability", wrangler.observability.clone()),
        ("limits", wrangler.limits.clone()),
        ("placement", wrangler.placement.clone()),
        ("logpush", wrangler.logpush.map(Value::from)),
    ];
    for (key, value) in settings {
        if let Some(value) = value {
            metadata[key] = value;
        }
    }
    metadata
}

fn bindings(wrangler: &Wrangler) -> Vec<Value> {
    let vars = wrangler.vars.iter().map(|(name, value)| match value {
        Value::String(text) => json!({ "name": name, "type": "plain_text", "text": text }),
        value => json!({ "name": name, "type": "json", "json": value }),
    });
    let namespaces = wrangler.kv_namespaces.iter().map(|namespace| {
        json!({
            "name": namespace.binding,
            "type": "kv_namespace",
            "namespace_id": namespace.id,
        })
    });
    let objects = wrangler.durable_objects.bindings.iter().map(|object| {
        let mut binding = json!({
            "name": object.name,
            "type": "durable_object_namespace",
            "class_name": object.class_name,
        });
        if let Some(script) = &object.script_name {
            binding["script_name"] = json!(script);
        }
        binding
    });
    let buckets = wrangler.r2_buckets.iter().map(|bucket| {
        let mut binding = json!({
            "name": bucket.binding,
            "type": "r2_bucket",
            "bucket_name": bucket.bucket_name,
        });
        if let Some(jurisdiction) = &bucket.jurisdiction {
            binding["jurisdiction"] = json!(jurisdiction);
        }
        binding
    });
    let datasets = wrangler.analytics_engine_datasets.iter().map(|dataset| {
        let mut binding = json!({ "name": dataset.binding, "type": DATASET });
        if let Some(name) = &dataset.dataset {
            binding["dataset"] = json!(name);
        }
        binding
    });
    vars.chain(namespaces)
        .chain(objects)
        .chain(buckets)
        .chain(datasets)
        .collect()
}

/// Adds the migrations to a description, or takes those of an earlier try out.
pub fn set_migrations(metadata: &mut Value, migrations: Option<&Value>) {
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    metadata.remove("migrations");
    if let Some(migrations) = migrations {
        metadata.insert("migrations".to_owned(), migrations.clone());
    }
}

/// The migrations a deployed worker lacks. `deployed` is its last migration, when there is a worker;
/// one that was deployed without migrations has had none.
pub fn migrations(wrangler: &Wrangler, deployed: Option<Option<&str>>) -> Result<Option<Value>> {
    let all = &wrangler.migrations;
    let tag = deployed.flatten().filter(|tag| !tag.is_empty());
    let missing: &[Migration] = match tag {
        None => all,
        Some(tag) => match all.iter().position(|migration| migration.tag == tag) {
            Some(at) => all.get(at.saturating_add(1)..).unwrap_or_default(),
            None => return Err(unknown_tag(tag, all)),
        },
    };
    let Some(last) = missing.last() else {
        return Ok(None);
    };
    let steps: Vec<Value> = missing.iter().map(|one| json!(one.step)).collect();
    let mut migrations = json!({ "new_tag": last.tag, "steps": steps });
    if let Some(tag) = tag {
        migrations["old_tag"] = json!(tag);
    }
    Ok(Some(migrations))
}

fn unknown_tag(tag: &str, all: &[Migration]) -> anyhow::Error {
    let listed: Vec<&str> = all.iter().map(|one| one.tag.as_str()).collect();
    problem(
        format!(
            "the deployed worker is at migration `{tag}`, which wrangler.toml does not list ({})",
            match listed.is_empty() {
                true => "it lists none".to_owned(),
                false => format!("it lists `{}`", listed.join("`, `")),
            }
        ),
        "deploy from the newest state of the project, or add that migration to wrangler.toml: \
         to carry the listed ones out again would fail, or lose data",
    )
}

/// Refuses migrations without a tag, and classes that no migration makes.
pub fn check_classes(wrangler: &Wrangler) -> Result<()> {
    let mut tags = BTreeSet::new();
    for migration in &wrangler.migrations {
        if migration.tag.is_empty() || !tags.insert(&migration.tag) {
            return Err(problem(
                format!(
                    "a migration in wrangler.toml has the `tag` \"{}\": each needs one of its own",
                    migration.tag
                ),
                "give it a tag, as in `tag = \"v2\"`",
            ));
        }
    }
    let classes = wrangler.made_classes();
    for class in wrangler.own_classes() {
        if !classes.contains(class) {
            return Err(problem(
                format!("wrangler.toml binds the class `{class}`, but no migration makes it"),
                format!(
                    "add `[[migrations]]` with a new `tag` and `new_sqlite_classes = [\"{class}\"]`"
                ),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloudflare::Settings, deployment::difference, project::samples::wrangler};

    const TWO: &str = r#"
[[durable_objects.bindings]]
name = "STREAMS"
class_name = "StreamDO"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["StreamDO"]
[[migrations]]
tag = "v2"
new_sqlite_classes = ["Second"]
"#;

    #[test]
    fn only_the_missing_migrations_are_sent() {
        let wrangler = wrangler(TWO);
        let steps = |deployed| migrations(&wrangler, deployed).unwrap();
        let all = json!({ "new_tag": "v2", "steps": [
            { "new_sqlite_classes": ["StreamDO"] }, { "new_sqlite_classes": ["Second"] },
        ] });
        assert_eq!(steps(None), Some(all.clone()));
        assert_eq!(steps(Some(None)), Some(all.clone()));
        assert_eq!(steps(Some(Some(""))), Some(all));
        assert_eq!(
            steps(Some(Some("v1"))),
            Some(json!({
                "old_tag": "v1",
                "new_tag": "v2",
                "steps": [{ "new_sqlite_classes": ["Second"] }],
            }))
        );
        assert_eq!(steps(Some(Some("v2"))), None);
    }

    #[test]
    fn a_deployed_tag_that_is_not_listed_is_refused() {
        let error = migrations(&wrangler(TWO), Some(Some("v3"))).unwrap_err();
        assert!(error.to_string().contains("`v3`"), "{error}");
        assert!(error.to_string().contains("`v1`, `v2`"), "{error}");
        let error = migrations(&wrangler(""), Some(Some("v1"))).unwrap_err();
        assert!(error.to_string().contains("it lists none"), "{error}");
    }

    #[test]
    fn a_class_has_to_be_made_by_a_migration() {
        let check = |more: &str| check_classes(&wrangler(more));
        let bound = "[[durable_objects.bindings]]\nname = \"S\"\nclass_name = \"B\"\n";
        check(TWO).unwrap();
        let error = check(bound).unwrap_err();
        assert!(error.to_string().contains("`B`"), "{error}");
        let renamed = "[[migrations]]\ntag = \"1\"\nnew_classes = [\"A\"]\n[[migrations]]\ntag = \
                       \"2\"\nrenamed_classes = [{ from = \"A\", to = \"B\" }]\n";
        check(&format!("{bound}{renamed}")).unwrap();
        let gone = "[[migrations]]\ntag = \"3\"\ndeleted_classes = [\"B\"]\n";
        check(&format!("{bound}{renamed}{gone}")).unwrap_err();
        check(&format!("{bound}script_name = \"other\"")).unwrap();
        check("[[migrations]]\nnew_classes = [\"A\"]").unwrap_err();
        check(&format!("{TWO}[[migrations]]\ntag = \"v1\"\n")).unwrap_err();
    }

    #[test]
    fn variables_keep_their_kind() {
        let metadata = metadata(&wrangler("keep_vars = true\n[vars]\nA = \"1\"\nB = 2\n"));
        assert_eq!(
            metadata["bindings"],
            json!([
                { "name": "A", "type": "plain_text", "text": "1" },
                { "name": "B", "type": "json", "json": 2 },
            ])
        );
        assert_eq!(
            metadata["keep_bindings"],
            json!(["plain_text", "json", "secret_text", "secret_key"])
        );
    }

    #[test]
    fn deployed_settings_match_when_they_say_the_same() {
        let wrangler = wrangler(&format!(
            "{TWO}[vars]\nA = \"1\"\n[observability]\nenabled = true\n"
        ));
        let metadata = metadata(&wrangler);
        let settings = |bindings: Value, more: Value| -> Settings {
            let mut document = json!({
                "bindings": bindings,
                "compatibility_date": "2026-04-01",
                "compatibility_flags": [],
            });
            for (key, value) in more.as_object().unwrap() {
                document[key] = value.clone();
            }
            serde_json::from_value(document).unwrap()
        };
        let object = json!({
            "name": "STREAMS", "type": "durable_object_namespace",
            "class_name": "StreamDO", "namespace_id": "n",
        });
        let var = json!({ "name": "A", "type": "plain_text", "text": "1" });
        let secret = json!({ "name": "S", "type": "secret_text" });
        let all = json!([var, object, secret]);
        let same = |bindings: Value, more: Value| {
            difference::differences(&metadata, &settings(bindings, more)).is_empty()
        };
        assert!(same(all.clone(), json!({})));
        assert!(same(
            all.clone(),
            json!({ "observability": { "enabled": true, "more": 1 } })
        ));
        assert!(!same(
            all.clone(),
            json!({ "observability": { "enabled": false } })
        ));
        assert!(!same(
            all.clone(),
            json!({ "compatibility_date": "2026-05-01" })
        ));
        assert!(!same(all, json!({ "compatibility_flags": ["x"] })));
        assert!(!same(json!([object, secret]), json!({})));
        let other = json!({ "name": "A", "type": "plain_text", "text": "2" });
        assert!(!same(json!([other, object]), json!({})));
        let extra = json!({ "name": "B", "type": "plain_text", "text": "2" });
        assert!(!same(json!([var, object, extra]), json!({})));
    }
}
