//! Which settings count in an environment, as wrangler reads them.
//!
//! `env.NAME` is a worker of its own. What is not said there it inherits from the top level, except
//! for what the worker is bound to: that has to be said once more.

use serde_json::{Map, Value};

/// Where the environments are.
pub const ENV: &str = "env";
/// Settings of the file as a whole, which no environment has for itself.
const TOP_LEVEL_ONLY: &[&str] = &[
    "$schema",
    "addresses",
    "alias",
    "data_blobs",
    "dependencies_instrumentation",
    "dev",
    ENV,
    "keep_vars",
    "pages_build_output_dir",
    "send_metrics",
    "site",
    "text_blobs",
    "wasm_modules",
];
/// Settings that each environment has for itself, or not at all.
const NOT_INHERITED: &[&str] = &[
    "agent_memory",
    "ai",
    "ai_search",
    "ai_search_namespaces",
    "analytics_engine_datasets",
    "artifacts",
    "browser",
    "cloudchamber",
    "connect",
    "containers",
    "d1_databases",
    "define",
    "dispatch_namespaces",
    "durable_objects",
    "flagship",
    "hyperdrive",
    "images",
    "kv_namespaces",
    "media",
    "mtls_certificates",
    "pipelines",
    "queues",
    "r2_buckets",
    "ratelimits",
    "secrets",
    "secrets_store_secrets",
    "send_email",
    "services",
    "stream",
    "streaming_tail_consumers",
    "tail_consumers",
    "unsafe",
    "unsafe_hello_world",
    "vars",
    "vectorize",
    "version_metadata",
    "vpc_networks",
    "vpc_services",
    "websearch",
    "worker_loaders",
    "workflows",
];
/// Settings that say nothing when they are empty.
const NOTHING_WHEN_EMPTY: &[&str] = &["account_id", "route"];
/// The first has no effect beside the second.
const ROUTES: [&str; 2] = ["route", "routes"];

/// The settings that count in one environment.
#[derive(Debug, PartialEq)]
pub struct Selected {
    /// Their keys and values. `env` stays: it says which environments there are.
    pub settings: Map<String, Value>,
    /// What the top level has, the environment lacks, and is not inherited.
    pub missing: Vec<String>,
    /// What is likely to be meant otherwise, for a person.
    pub warnings: Vec<String>,
}

/// Selects what counts at the top level, or in the environment of this name. An environment that is
/// not there is refused with the names of those that are.
pub fn select(
    file: Map<String, Value>,
    environment: Option<&str>,
) -> Result<Selected, Vec<String>> {
    let top = said(file);
    let Some(name) = environment else {
        let warnings = shared(&top, None);
        return Ok(Selected {
            settings: top,
            missing: Vec::new(),
            warnings,
        });
    };
    let environments = top.get(ENV).and_then(Value::as_object);
    let own = environments.and_then(|all| all.get(name)?.as_object());
    let Some(own) = own.cloned().map(said) else {
        return Err(names(&top));
    };
    let is_missing = |key: &&&str| top.contains_key(**key) && !own.contains_key(**key);
    let missing = NOT_INHERITED.iter().filter(is_missing);
    let missing: Vec<String> = missing.map(|key| (*key).to_owned()).collect();
    let mut warnings = misplaced(&own, name);
    warnings.extend(lacking(&top, &own, name));
    warnings.extend(routed(&top, &own, name));
    warnings.extend(shared(&top, environment));
    let has_both = |table: &Map<String, Value>| ROUTES.iter().all(|key| table.contains_key(*key));
    let is_mixed = !has_both(&top) && !has_both(&own);
    let mut settings = top;
    settings.retain(|key, _| !NOT_INHERITED.contains(&key.as_str()));
    if let Some(Value::String(worker)) = settings.get_mut("name") {
        worker.push('-');
        worker.push_str(name);
    }
    let is_own = |key: &str| !TOP_LEVEL_ONLY.contains(&key);
    settings.extend(own.into_iter().filter(|(key, _)| is_own(key)));
    // Whichever of them is inherited. Both in one place stay, to be refused.
    if is_mixed && has_both(&settings) {
        settings.remove("route");
    }
    Ok(Selected {
        settings,
        missing,
        warnings,
    })
}

/// The names of the environments.
pub fn names(file: &Map<String, Value>) -> Vec<String> {
    let environments = file.get(ENV).and_then(Value::as_object);
    let names = environments.into_iter().flat_map(Map::keys);
    names.cloned().collect()
}

/// The path to a setting that counts in an environment: there, or at the top level.
pub fn path<'a>(
    file: &Map<String, Value>,
    environment: Option<&'a str>,
    key: &'a str,
) -> Vec<&'a str> {
    let own = |name: &str| file.get(ENV)?.get(name)?.get(key);
    match environment {
        Some(name) if NOT_INHERITED.contains(&key) || own(name).is_some() => vec![ENV, name, key],
        _ => vec![key],
    }
}

/// What a table says. `null` is as good as nothing there.
fn said(mut table: Map<String, Value>) -> Map<String, Value> {
    table.retain(|key, value| {
        let is_empty = NOTHING_WHEN_EMPTY.contains(&key.as_str()) && *value == "";
        !value.is_null() && !is_empty
    });
    table
}

/// Names settings of an environment that count at the top level only.
fn misplaced(own: &Map<String, Value>, name: &str) -> Vec<String> {
    let misplaced = own
        .keys()
        .filter(|key| TOP_LEVEL_ONLY.contains(&key.as_str()));
    misplaced
        .map(|key| format!("`env.{name}.{key}` has no effect: it belongs at the top level"))
        .collect()
}

/// Names variables and bindings of Durable Objects that the top level has besides those of its own.
fn lacking(top: &Map<String, Value>, own: &Map<String, Value>, name: &str) -> Vec<String> {
    fn variables(part: &Map<String, Value>) -> Option<Vec<&str>> {
        let variables = part.get("vars")?.as_object()?;
        Some(variables.keys().map(String::as_str).collect())
    }
    fn objects(part: &Map<String, Value>) -> Option<Vec<&str>> {
        let bindings = part.get("durable_objects")?.get("bindings")?.as_array()?;
        let names = bindings.iter().map(|one| one["name"].as_str());
        Some(names.flatten().collect())
    }
    let mut warnings = Vec::new();
    for (key, names) in [
        ("vars", variables as fn(&Map<_, _>) -> Option<Vec<&str>>),
        ("durable_objects", objects),
    ] {
        let (Some(theirs), Some(own)) = (names(top), names(own)) else {
            continue;
        };
        let lacks: Vec<&str> = theirs
            .into_iter()
            .filter(|one| !own.contains(one))
            .collect();
        if !lacks.is_empty() {
            warnings.push(format!(
                "`env.{name}.{key}` does not have `{}` of the top level, and inherits none of it",
                lacks.join("`, `")
            ));
        }
    }
    warnings
}

/// Names routes that lead to another worker than one would think.
fn routed(top: &Map<String, Value>, own: &Map<String, Value>, name: &str) -> Vec<String> {
    if own.contains_key("routes") {
        return Vec::new();
    }
    let routes = top.get("routes").and_then(Value::as_array);
    let domains = routes.into_iter().flatten();
    let domains = domains.filter(|route| route["custom_domain"] == true);
    let domains: Vec<&str> = domains.filter_map(|one| one["pattern"].as_str()).collect();
    let mut warnings = Vec::new();
    if !domains.is_empty() {
        warnings.push(format!(
            "`env.{name}` inherits `routes` with the custom domains {}, which can lead to one worker \
             only: give it `routes` of its own, if only `routes = []`",
            domains.join(", ")
        ));
    }
    if routes.is_some() && own.contains_key("route") {
        warnings.push(format!(
            "`env.{name}.route` has no effect beside the `routes` that are inherited: make it `routes`"
        ));
    }
    warnings
}

/// Names buckets and namespaces that another environment has, too.
fn shared(top: &Map<String, Value>, environment: Option<&str>) -> Vec<String> {
    let part = |name: Option<&str>| match name {
        None => Some(top),
        Some(name) => top.get(ENV)?.get(name)?.as_object(),
    };
    let stores = |name: Option<&str>| -> Vec<(&str, &str)> {
        let kinds = [
            ("r2_buckets", "bucket_name", "the bucket"),
            ("kv_namespaces", "id", "the namespace"),
        ];
        let all = kinds.into_iter().flat_map(|(table, key, kind)| {
            let entries = part(name).and_then(|part| part.get(table)?.as_array());
            let names = entries.into_iter().flatten();
            names.filter_map(move |entry| Some((kind, entry[key].as_str()?)))
        });
        all.collect()
    };
    let others = names(top);
    let others = others.iter().map(|name| Some(name.as_str()));
    let mut warnings = Vec::new();
    for other in others.chain([None]).filter(|other| *other != environment) {
        let theirs = stores(other);
        for (kind, store) in stores(environment) {
            if theirs.contains(&(kind, store)) {
                warnings.push(format!(
                    "{} and {} share {kind} {store}: each is meant to have its own",
                    spoken(environment),
                    spoken(other)
                ));
            }
        }
    }
    warnings
}

/// An environment, for a person.
fn spoken(environment: Option<&str>) -> String {
    match environment {
        Some(name) => format!("`env.{name}`"),
        None => "the top level".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(text: &str) -> Map<String, Value> {
        toml_edit::de::from_str(text).unwrap()
    }

    fn staging(text: &str) -> Selected {
        select(file(text), Some("staging")).unwrap()
    }

    #[test]
    fn what_counts_is_what_counts_for_wrangler() {
        let recorded = include_str!("recorded/environments.json");
        let recorded: Map<String, Value> = serde_json::from_str(recorded).unwrap();
        assert_eq!(recorded.len(), 4);
        for (name, expected) in recorded {
            let environment = Some(name.as_str()).filter(|name| !name.is_empty());
            let settings = file(include_str!("recorded/wrangler.toml"));
            let mut found = select(settings, environment).unwrap().settings;
            if let Some(route) = found.remove("route") {
                found.insert("routes".to_owned(), json!([route]));
            }
            for (key, value) in expected.as_object().unwrap() {
                // What is not said has no value here, and an empty one there.
                let nothing = match key.as_str() {
                    "vars" => json!({}),
                    "durable_objects" => json!({ "bindings": [] }),
                    _ => json!([]),
                };
                let found = found.get(key).unwrap_or(&nothing);
                assert_eq!(found, value, "{key} of `{name}`");
            }
        }
    }

    #[test]
    fn bindings_are_not_inherited_and_everything_else_is() {
        let selected = staging(
            r#"
name = "x"
main = "build/index.js"
compatibility_date = "2026-04-01"
keep_vars = true
route = "a.example/*"
migrations = [{ tag = "v1" }]
observability = { enabled = true }
vars = { A = "1" }
kv_namespaces = [{ binding = "K" }]
durable_objects = { bindings = [] }
[env.staging]
compatibility_date = "2026-05-01"
durable_objects = { bindings = [{ name = "S", class_name = "C" }] }
[env.other]
"#,
        );
        let mut settings = selected.settings;
        settings.remove("env").unwrap();
        assert_eq!(
            Value::Object(settings),
            json!({
                "name": "x-staging",
                "main": "build/index.js",
                "compatibility_date": "2026-05-01",
                "keep_vars": true,
                "route": "a.example/*",
                "migrations": [{ "tag": "v1" }],
                "observability": { "enabled": true },
                "durable_objects": { "bindings": [{ "name": "S", "class_name": "C" }] },
            })
        );
        assert_eq!(selected.missing, ["kv_namespaces", "vars"]);
        assert_eq!(selected.warnings, [""; 0]);
    }

    #[test]
    fn a_name_of_its_own_and_empty_settings_count() {
        let selected = staging("name = \"x\"\n[env.staging]\nname = \"y\"\nroutes = []");
        assert_eq!(selected.settings["name"], "y");
        let empty = json!({
            "name": "x", "account_id": "a", "routes": ["r"], "vars": { "A": "1" },
            "env": { "staging": { "account_id": "", "routes": null, "vars": {}, "name": null } },
        });
        let Value::Object(empty) = empty else {
            unreachable!()
        };
        let selected = select(empty, Some("staging")).unwrap();
        assert_eq!(selected.settings["name"], "x-staging");
        assert_eq!(selected.settings["account_id"], "a");
        assert_eq!(selected.settings["routes"], json!(["r"]));
        assert_eq!(selected.settings["vars"], json!({}));
        assert_eq!(selected.missing, [""; 0]);
    }

    #[test]
    fn the_top_level_is_as_it_is_written() {
        let text = "name = \"x\"\n[vars]\nA = \"1\"\n[env.staging.vars]\nA = \"2\"";
        let selected = select(file(text), None).unwrap();
        assert_eq!(selected.settings, file(text));
    }

    #[test]
    fn an_environment_that_is_not_there_is_refused_with_those_that_are() {
        let known = select(file("[env.a]\n[env.b]"), Some("c")).unwrap_err();
        assert_eq!(known, ["a", "b"]);
        assert_eq!(
            select(file("name = \"x\""), Some("c")).unwrap_err(),
            [""; 0]
        );
        select(file("env = { c = 1 }"), Some("c")).unwrap_err();
    }

    #[test]
    fn what_is_likely_to_be_meant_otherwise_is_named() {
        let selected = staging(
            r#"
name = "x"
routes = [{ pattern = "a.example", custom_domain = true }, "b.example/*"]
r2_buckets = [{ binding = "R2", bucket_name = "b" }]
kv_namespaces = [{ binding = "K", id = "k" }]
[env.staging]
keep_vars = true
route = "c.example/*"
r2_buckets = [{ binding = "R2", bucket_name = "b" }]
kv_namespaces = [{ binding = "K", id = "l" }]
[env.other]
kv_namespaces = [{ binding = "K", id = "l" }]
"#,
        );
        assert!(!selected.settings.contains_key("keep_vars"));
        assert!(!selected.settings.contains_key("route"));
        let expected = [
            "`env.staging.keep_vars` has no effect",
            "the custom domains a.example, which",
            "`env.staging.route` has no effect",
            "`env.staging` and `env.other` share the namespace l",
            "`env.staging` and the top level share the bucket b",
        ];
        assert_eq!(
            selected.warnings.len(),
            expected.len(),
            "{:#?}",
            selected.warnings
        );
        for (warning, part) in selected.warnings.iter().zip(expected) {
            assert!(warning.contains(part), "{warning}");
        }
    }

    #[test]
    fn variables_and_objects_that_are_not_repeated_are_named() {
        let selected = staging(
            r#"
vars = { A = "1", B = "1" }
durable_objects = { bindings = [{ name = "S" }, { name = "D" }] }
[env.staging]
vars = { B = "2" }
durable_objects = { bindings = [{ name = "D" }] }
"#,
        );
        assert_eq!(
            selected.warnings,
            [
                "`env.staging.vars` does not have `A` of the top level, and inherits none of it",
                "`env.staging.durable_objects` does not have `S` of the top level, and inherits none \
                 of it",
            ]
        );
    }

    #[test]
    fn a_setting_is_written_where_it_is_read() {
        let file = file("migrations = []\n[env.a.vars]\n[env.b]\nmigrations = []");
        let of = |environment, key| path(&file, environment, key);
        assert_eq!(of(None, "kv_namespaces"), ["kv_namespaces"]);
        assert_eq!(
            of(Some("a"), "kv_namespaces"),
            ["env", "a", "kv_namespaces"]
        );
        assert_eq!(of(Some("a"), "migrations"), ["migrations"]);
        assert_eq!(of(Some("b"), "migrations"), ["env", "b", "migrations"]);
    }
}
