//! What a deployed worker is set to, against what the project says: each setting that differs.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{cloudflare::Settings, variables};

/// Settings beside the bindings that a worker is deployed with.
const OTHERS: [&str; 4] = ["observability", "limits", "placement", "logpush"];

/// A setting that is not the same here and there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where it is in the project's settings, as in `vars.DEBUG_TIMING`.
    pub path: String,
    /// What it is in the project; nothing when it is not there.
    pub here: Option<String>,
    /// What it is on Cloudflare; nothing when it is not there.
    pub there: Option<String>,
}

impl Difference {
    /// A difference between two values.
    pub fn new(
        path: impl Into<String>,
        here: Option<impl ToString>,
        there: Option<impl ToString>,
    ) -> Self {
        Self {
            path: path.into(),
            here: here.map(|value| value.to_string()),
            there: there.map(|value| value.to_string()),
        }
    }

    /// It in a line.
    pub fn text(&self) -> String {
        let said = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        format!(
            "{}: {} here, {} there",
            self.path,
            said(&self.here),
            said(&self.there)
        )
    }
}

/// What of a description of an upload a deployed worker does not have. Secrets are no part of a
/// description, and stay as they are.
pub fn differences(metadata: &Value, deployed: &Settings) -> Vec<Difference> {
    let wanted = list(metadata, "bindings");
    let kept = list(metadata, "keep_bindings");
    let mut found = Vec::new();
    for here in wanted {
        let there = deployed
            .bindings
            .iter()
            .find(|one| one["name"] == here["name"]);
        match there {
            Some(there) if there["type"] == here["type"] => same_kind(here, there, &mut found),
            _ => found.push(Difference::new(
                place(here),
                Some(described(here)),
                there.map(described),
            )),
        }
    }
    for there in &deployed.bindings {
        let is_wanted = wanted.iter().any(|here| here["name"] == there["name"]);
        if !is_wanted && !kept.contains(&there["type"]) {
            found.push(Difference::new(
                place(there),
                None::<Value>,
                Some(described(there)),
            ));
        }
    }
    let here = &metadata["compatibility_date"];
    let there = &deployed.compatibility_date;
    if here.as_str() != there.as_deref() {
        found.push(Difference::new(
            "compatibility_date",
            here.as_str(),
            there.as_ref(),
        ));
    }
    let here = &metadata["compatibility_flags"];
    let there = Value::from(deployed.compatibility_flags.clone());
    if *here != there {
        found.push(Difference::new(
            "compatibility_flags",
            Some(here),
            Some(there),
        ));
    }
    for key in OTHERS {
        // Cloudflare leaves out what has not been set.
        if let (Some(here), Some(there)) = (metadata.get(key), deployed.rest.get(key)) {
            nested(key, here, Some(there), &mut found);
        }
    }
    found
}

fn list<'a>(metadata: &'a Value, key: &str) -> &'a [Value] {
    metadata[key].as_array().map_or(&[], Vec::as_slice)
}

/// Two bindings of one kind. The deployed one may say more.
fn same_kind(here: &Value, there: &Value, found: &mut Vec<Difference>) {
    if is_variable(here) {
        let value = |one: &Value| one.get("text").or(one.get("json")).cloned();
        if value(here) != value(there) {
            let (ours, theirs) = (described(here), described(there));
            let theirs = match ours == theirs {
                true => "another value".to_owned(),
                false => theirs,
            };
            found.push(Difference::new(place(here), Some(ours), Some(theirs)));
        }
        return;
    }
    let nothing = Map::new();
    for (key, value) in here.as_object().unwrap_or(&nothing) {
        let path = match key.as_str() {
            "namespace_id" => format!("{}.id", place(here)),
            key => format!("{}.{key}", place(here)),
        };
        nested(&path, value, there.get(key), found);
    }
}

/// Two values that may have parts; what there is may have more of them.
fn nested(path: &str, here: &Value, there: Option<&Value>, found: &mut Vec<Difference>) {
    if let (Value::Object(here), Some(Value::Object(there))) = (here, there) {
        for (key, value) in here {
            nested(&format!("{path}.{key}"), value, there.get(key), found);
        }
    } else if Some(here) != there {
        let said = |value: &&Value| !value.is_null();
        found.push(Difference::new(
            path,
            Some(here).filter(said),
            there.filter(said),
        ));
    }
}

/// Where a binding is in the project's settings.
fn place(binding: &Value) -> String {
    let name = binding["name"].as_str().unwrap_or_default();
    let table = match binding["type"].as_str().unwrap_or_default() {
        "plain_text" | "json" => "vars",
        "kv_namespace" => "kv_namespaces",
        "r2_bucket" => "r2_buckets",
        "durable_object_namespace" => "durable_objects",
        "analytics_engine" => "analytics_engine_datasets",
        "secret_text" | "secret_key" => "secrets",
        other => other,
    };
    format!("{table}.{name}")
}

fn is_variable(binding: &Value) -> bool {
    matches!(binding["type"].as_str(), Some("plain_text" | "json"))
}

/// What a binding is. Values are shown of the server's own settings only: any other variable may be
/// somebody's secret.
fn described(binding: &Value) -> String {
    let part = |key: &str| binding[key].as_str().unwrap_or("none yet").to_owned();
    let name = binding["name"].as_str().unwrap_or_default();
    match binding["type"].as_str().unwrap_or_default() {
        "plain_text" if variables::is_setting(name) => binding["text"].to_string(),
        "json" if variables::is_setting(name) => binding["json"].to_string(),
        "plain_text" | "json" => "a value".to_owned(),
        "secret_text" | "secret_key" => "a secret".to_owned(),
        "kv_namespace" => format!("the namespace {}", part("namespace_id")),
        "r2_bucket" => format!("the bucket {}", part("bucket_name")),
        "durable_object_namespace" => format!("the class {}", part("class_name")),
        "analytics_engine" => format!("the dataset {}", part("dataset")),
        other => format!("a binding of the kind {other}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(here: Value, there: Value) -> Vec<String> {
        let settings: Settings = serde_json::from_value(there).unwrap();
        let all = differences(&here, &settings);
        all.iter().map(Difference::text).collect()
    }

    /// A description with bindings, and nothing else that could differ.
    fn bound(bindings: Value) -> Value {
        json!({
            "bindings": bindings,
            "compatibility_date": "2026-04-01",
            "compatibility_flags": [],
            "keep_bindings": ["secret_text", "secret_key"],
        })
    }

    #[test]
    fn each_binding_that_differs_is_named_with_both_sides() {
        let here = json!([
            { "name": "DEBUG_TIMING", "type": "plain_text", "text": "1" },
            { "name": "DIRECTORY", "type": "plain_text", "text": "on" },
            { "name": "REGISTRY", "type": "kv_namespace", "namespace_id": null },
            { "name": "R2", "type": "r2_bucket", "bucket_name": "a", "jurisdiction": "eu" },
            { "name": "STREAMS", "type": "durable_object_namespace", "class_name": "StreamDO" },
            { "name": "METRICS", "type": "analytics_engine", "dataset": "m" },
        ]);
        let there = json!([
            { "name": "DEBUG_TIMING", "type": "plain_text", "text": "0" },
            { "name": "REGISTRY", "type": "kv_namespace", "namespace_id": "n" },
            { "name": "R2", "type": "r2_bucket", "bucket_name": "b" },
            { "name": "STREAMS", "type": "durable_object_namespace", "class_name": "StreamDO",
              "namespace_id": "more" },
            { "name": "METRICS", "type": "kv_namespace", "namespace_id": "n" },
            { "name": "OLD", "type": "durable_object_namespace", "class_name": "OldDO" },
            { "name": "KEPT", "type": "secret_text" },
        ]);
        assert_eq!(
            of(bound(here.clone()), bound(there)),
            [
                "vars.DEBUG_TIMING: \"1\" here, \"0\" there",
                "vars.DIRECTORY: \"on\" here, nothing there",
                "kv_namespaces.REGISTRY.id: nothing here, \"n\" there",
                "r2_buckets.R2.bucket_name: \"a\" here, \"b\" there",
                "r2_buckets.R2.jurisdiction: \"eu\" here, nothing there",
                "analytics_engine_datasets.METRICS: the dataset m here, the namespace n there",
                "durable_objects.OLD: nothing here, the class OldDO there",
            ]
        );
        assert_eq!(of(bound(here.clone()), bound(here)), [""; 0]);
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        let variable = |text| json!([{ "name": "KEY", "type": "plain_text", "text": text }]);
        let secret = json!([{ "name": "KEY", "type": "secret_text" }]);
        assert_eq!(
            of(bound(variable("here's")), bound(variable("there's"))),
            ["vars.KEY: a value here, another value there"]
        );
        assert_eq!(
            of(bound(variable("here's")), bound(secret)),
            ["vars.KEY: a value here, a secret there"]
        );
        assert_eq!(
            of(bound(json!([])), bound(variable("there's"))),
            ["vars.KEY: nothing here, a value there"]
        );
    }

    #[test]
    fn settings_are_named_down_to_the_part_that_differs() {
        let mut here = bound(json!([]));
        let mut there = here.clone();
        here["observability"] = json!({ "enabled": true, "logs": { "invocation_logs": false } });
        there["observability"] = json!({ "enabled": true, "logs": { "invocation_logs": true } });
        here["logpush"] = json!(true);
        here["placement"] = json!({ "mode": "smart" });
        there["placement"] = json!({});
        there["compatibility_date"] = json!("2026-05-01");
        there["compatibility_flags"] = json!(["x"]);
        assert_eq!(
            of(here, there),
            [
                "compatibility_date: 2026-04-01 here, 2026-05-01 there",
                "compatibility_flags: [] here, [\"x\"] there",
                "observability.logs.invocation_logs: false here, true there",
                "placement.mode: \"smart\" here, nothing there",
            ]
        );
    }
}
