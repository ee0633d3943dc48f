//! A worker whose `name` in `wrangler.toml` was changed after it was deployed. To Cloudflare a worker of
//! another name is another worker, so what becomes of the old one is asked before anything changes.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Deployment, bindings::Thing, consent::Rename, metadata, placement, record::Worker};
use crate::{
    cloudflare::{Bucket, Script, Settings},
    error::problem,
    project::wrangler::Wrangler,
    ui::Ui,
};

/// The deployed worker of an earlier name, and what becomes of it.
#[derive(Debug)]
pub struct Renaming {
    /// What becomes of it.
    pub choice: Rename,
    /// The worker.
    pub from: Script,
    /// What it is bound to.
    pub settings: Settings,
}

impl Deployment<'_> {
    /// What becomes of the deployed worker of an earlier name, if there is one: as it was said, as it was
    /// begun, or as it is answered now.
    pub(super) fn renaming(&self, scripts: &[Script]) -> Result<Option<Renaming>> {
        let created = self.record.created();
        let name = &self.project.name;
        let entry = created.worker(name);
        let begun = entry.and_then(|entry| entry.takes_over.as_deref());
        let is_there = scripts.iter().any(|script| script.id == *name);
        if entry.is_some() && (begun.is_none() || is_there) {
            return Ok(None);
        }
        let earlier = created.workers.iter().rev().filter(|one| one.name != *name);
        let mut earlier = earlier.filter(|one| begun.is_none_or(|begun| begun == one.name));
        let Some(from) = earlier.find_map(|one| deployed(one, scripts)) else {
            return Ok(None);
        };
        let settings = self.account.settings(&from.id)?;
        let choice = match (self.consent.rename, begun) {
            (Some(choice), _) => choice,
            (None, Some(_)) => Rename::CarryOver,
            (None, None) => choose(self.ui, name, &from.id, &settings)?,
        };
        if choice == Rename::CarryOver {
            let wrangler = &self.project.wrangler;
            placement::check_same_bucket(wrangler, &from.id, &settings, &self.consent)?;
            placement::check_streams(wrangler, &settings)?;
            check_namespaces(wrangler, &from.id, &settings)?;
        }
        Ok(Some(Renaming {
            choice,
            from,
            settings,
        }))
    }
}

/// A worker of the record, if it is deployed and no other has its name.
pub fn deployed(made: &Worker, scripts: &[Script]) -> Option<Script> {
    let mut scripts = scripts.iter().filter(|script| script.id == made.name);
    let is_it = |script: &&Script| made.mark.fits(&super::Mark::of(script));
    scripts.find(is_it).cloned()
}

fn choose(ui: &Ui, name: &str, from: &str, settings: &Settings) -> Result<Rename> {
    let what = format!(
        "wrangler.toml names the worker {name}, and this project has deployed it as {from}: to \
         Cloudflare these are two workers"
    );
    let secrets = secrets(settings);
    let secrets = match secrets.is_empty() {
        true => String::new(),
        false => format!(
            "; its secrets have to be set again ({})",
            secrets.join(", ")
        ),
    };
    let carry_over = format!(
        "{name} takes over all streams of {from}, its bucket and its namespace; {from} stays without \
         any, and its URL serves them no longer{secrets}"
    );
    let keep_both = format!(
        "{name} starts empty, with a bucket and a namespace of its own; {from} stays as it is"
    );
    if !ui.can_ask() {
        return Err(problem(
            what,
            format!(
                "`--rename carry-over`: {carry_over}. `--rename keep-both`: {keep_both}. Or set \
                 `name = \"{from}\"` again: nothing was changed"
            ),
        ));
    }
    ui.warn(what);
    let ways = [
        "Nothing: I set the name back",
        &format!("Carry over: {carry_over}"),
        &format!("Keep both: {keep_both}"),
    ];
    match ui.choose("What is to be done?", &ways, 0)? {
        1 => Ok(Rename::CarryOver),
        2 => Ok(Rename::KeepBoth),
        _ => Err(problem(
            "nothing was changed",
            format!("set `name = \"{from}\"` in wrangler.toml"),
        )),
    }
}

/// The names of a worker's secrets, which are not handed on.
pub fn secrets(settings: &Settings) -> Vec<&str> {
    let is_secret = |one: &&Value| metadata::SECRETS.iter().any(|kind| one["type"] == *kind);
    let secrets = settings.bindings.iter().filter(is_secret);
    secrets.filter_map(|one| one["name"].as_str()).collect()
}

/// Refuses to carry over streams without their projects.
fn check_namespaces(wrangler: &Wrangler, from: &str, settings: &Settings) -> Result<()> {
    for namespace in &wrangler.kv_namespaces {
        let bound = settings.binding(&namespace.binding, "kv_namespace");
        let bound = bound.and_then(|one| one["namespace_id"].as_str());
        if let Some(bound) = bound
            && namespace.id.as_deref() != Some(bound)
        {
            return Err(problem(
                format!(
                    "{from} is bound to the KV namespace {bound} as {}, and wrangler.toml names {}",
                    namespace.binding,
                    namespace.id.as_deref().unwrap_or("none")
                ),
                format!(
                    "set `id = \"{bound}\"` in the `[[kv_namespaces]]` of {}: it holds the projects \
                     and their secrets",
                    namespace.binding
                ),
            ));
        }
    }
    Ok(())
}

/// Forgets what a worker and the one of an earlier name would share, so that the new one gets its own.
pub fn separate(wrangler: &mut Wrangler, settings: &Settings) {
    for bucket in &mut wrangler.r2_buckets {
        let thing = bucket.bucket_name.clone().map(|name| {
            Thing::Bucket(Bucket {
                name,
                jurisdiction: bucket.jurisdiction.clone(),
            })
        });
        if thing.is_some_and(|thing| thing.is_used_by(settings)) {
            bucket.bucket_name = None;
        }
    }
    for namespace in &mut wrangler.kv_namespaces {
        let thing = namespace.id.clone().map(|id| Thing::Namespace {
            id,
            title: String::new(),
        });
        if thing.is_some_and(|thing| thing.is_used_by(settings)) {
            namespace.id = None;
        }
    }
}

/// The classes of Durable Objects whose data is a worker's own.
pub fn own_classes(worker: &str, settings: &Settings) -> Vec<String> {
    let is_own = |one: &&Value| {
        let of = one["script_name"].as_str();
        one["type"] == "durable_object_namespace" && of.is_none_or(|name| name == worker)
    };
    let own = settings.bindings.iter().filter(is_own);
    let classes = own.filter_map(|one| one["class_name"].as_str());
    let mut classes: Vec<String> = classes.map(str::to_owned).collect();
    classes.sort();
    classes.dedup();
    classes
}

/// The migrations of the first upload of a worker that takes over the classes of another, with all
/// they hold: they come as they are there, and what is newer in `wrangler.toml` follows.
pub fn migrations(
    wrangler: &Wrangler,
    from: &Script,
    settings: &Settings,
) -> Result<Option<Value>> {
    let classes = own_classes(&from.id, settings);
    let newer = metadata::migrations(wrangler, Some(from.migration_tag.as_deref()))?;
    let tag = from.migration_tag.as_deref().filter(|tag| !tag.is_empty());
    let (Some(tag), false) = (tag, classes.is_empty()) else {
        return metadata::migrations(wrangler, None);
    };
    let transfers: Vec<Value> = classes
        .iter()
        .map(|class| json!({ "from": class, "from_script": from.id, "to": class }))
        .collect();
    let mut steps = vec![json!({ "transferred_classes": transfers })];
    let mut last = json!(tag);
    if let Some(newer) = newer {
        steps.extend(newer["steps"].as_array().cloned().unwrap_or_default());
        last = newer["new_tag"].clone();
    }
    Ok(Some(json!({ "new_tag": last, "steps": steps })))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRANGLER: &str = r#"
name = "new"
main = "build/index.js"
compatibility_date = "2026-04-01"
[[durable_objects.bindings]]
name = "STREAMS"
class_name = "A"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["A"]
[[migrations]]
tag = "v2"
new_sqlite_classes = ["B"]
[[r2_buckets]]
binding = "R2"
bucket_name = "shared"
[[r2_buckets]]
binding = "MORE"
bucket_name = "mine"
[[kv_namespaces]]
binding = "REGISTRY"
id = "1"
"#;

    fn from(tag: &str) -> Script {
        Script {
            id: "old".to_owned(),
            migration_tag: Some(tag.to_owned()).filter(|tag| !tag.is_empty()),
            ..Script::default()
        }
    }

    fn settings() -> Settings {
        let bindings = json!([
            { "type": "durable_object_namespace", "name": "STREAMS", "class_name": "A" },
            { "type": "durable_object_namespace", "name": "X", "class_name": "C", "script_name": "x" },
            { "type": "r2_bucket", "name": "R2", "bucket_name": "shared" },
            { "type": "kv_namespace", "name": "REGISTRY", "namespace_id": "1" },
            { "type": "secret_text", "name": "S" },
        ]);
        serde_json::from_value(json!({ "bindings": bindings })).unwrap()
    }

    #[test]
    fn own_classes_are_transferred_and_what_is_newer_follows() {
        let wrangler = Wrangler::parse(WRANGLER).unwrap();
        let steps = |tag: &str| {
            migrations(&wrangler, &from(tag), &settings())
                .unwrap()
                .unwrap()
        };
        let transfer = json!({ "transferred_classes": [
            { "from": "A", "from_script": "old", "to": "A" },
        ] });
        let second = json!({ "new_sqlite_classes": ["B"] });
        let expected = json!({ "new_tag": "v2", "steps": [transfer] });
        assert_eq!(steps("v2"), expected);
        let expected = json!({ "new_tag": "v2", "steps": [transfer, second] });
        assert_eq!(steps("v1"), expected);
        // A tag that nobody knows is no place to start from.
        migrations(&wrangler, &from("v9"), &settings()).unwrap_err();
        // Without classes there is nothing to transfer.
        let none = migrations(&wrangler, &from(""), &Settings::default()).unwrap();
        assert_eq!(none, metadata::migrations(&wrangler, None).unwrap());
    }

    #[test]
    fn a_worker_of_its_own_shares_nothing() {
        let mut wrangler = Wrangler::parse(WRANGLER).unwrap();
        separate(&mut wrangler, &settings());
        let names: Vec<_> = wrangler
            .r2_buckets
            .iter()
            .map(|one| one.bucket_name.as_deref())
            .collect();
        assert_eq!(names, [None, Some("mine")]);
        assert_eq!(wrangler.kv_namespaces[0].id, None);
    }

    #[test]
    fn streams_are_not_carried_over_without_their_projects() {
        let wrangler = |id: &str| Wrangler::parse(&WRANGLER.replace("id = \"1\"", id)).unwrap();
        check_namespaces(&wrangler("id = \"1\""), "old", &settings()).unwrap();
        check_namespaces(&wrangler("id = \"2\""), "old", &settings()).unwrap_err();
        check_namespaces(&wrangler(""), "old", &settings()).unwrap_err();
    }

    #[test]
    fn secrets_are_named() {
        assert_eq!(secrets(&settings()), ["S"]);
    }
}
