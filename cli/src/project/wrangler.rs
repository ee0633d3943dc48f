//! The settings in `wrangler.toml`, as far as this program follows them, and the names of the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::layout::{BUILD_DIR, SCRIPT};
use crate::settings::Word;

/// Settings that only say how to work with the project, and nothing about what is served.
const NEITHER: &[&str] = &["$schema", "build", "dev", "send_metrics"];
/// Settings that are understood, and have no meaning for a local run.
const NOT_LOCAL: &[&str] = &["env", "upload_source_maps"];

/// The keys and values of a table that have no field.
type Rest = BTreeMap<String, Value>;

/// The settings of a worker.
#[derive(Debug, Deserialize)]
pub struct Wrangler {
    /// The worker's name.
    pub name: String,
    /// The date whose runtime behaviour it expects.
    pub compatibility_date: String,
    /// Runtime behaviour that differs from the date's.
    #[serde(default)]
    pub compatibility_flags: Vec<String>,
    /// The account, when the file names it.
    pub account_id: Option<String>,
    /// Whether it is served on workers.dev; unset means unless it has routes.
    pub workers_dev: Option<bool>,
    /// Whether each version gets a URL of its own.
    pub preview_urls: Option<bool>,
    /// One route.
    pub route: Option<Route>,
    /// Several routes.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// Variables the worker reads.
    #[serde(default)]
    pub vars: Map<String, Value>,
    /// Keep variables that were set elsewhere.
    #[serde(default)]
    pub keep_vars: bool,
    /// Durable Objects.
    #[serde(default)]
    pub durable_objects: DurableObjects,
    /// What became of the classes of Durable Objects, in order.
    #[serde(default)]
    pub migrations: Vec<Migration>,
    /// R2 buckets.
    #[serde(default)]
    pub r2_buckets: Vec<Bucket>,
    /// KV namespaces.
    #[serde(default)]
    pub kv_namespaces: Vec<Namespace>,
    /// Analytics Engine datasets.
    #[serde(default)]
    pub analytics_engine_datasets: Vec<Dataset>,
    /// Logs and traces that Cloudflare keeps; handed on as it is.
    pub observability: Option<Value>,
    /// CPU limits; handed on as they are.
    pub limits: Option<Value>,
    /// Where the worker runs; handed on as it is.
    pub placement: Option<Value>,
    /// Whether logs are pushed elsewhere.
    pub logpush: Option<bool>,
    main: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

/// Durable Objects.
#[derive(Debug, Default, Deserialize)]
pub struct DurableObjects {
    /// Their bindings.
    #[serde(default)]
    pub bindings: Vec<DurableObject>,
    #[serde(flatten)]
    rest: Rest,
}

/// A binding of Durable Objects.
#[derive(Debug, Deserialize)]
pub struct DurableObject {
    /// The name the worker knows them by.
    pub name: String,
    /// Their class.
    pub class_name: String,
    /// The worker that has the class, when it is another one.
    pub script_name: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

/// What became of classes of Durable Objects in one step.
#[derive(Debug, Clone, Deserialize)]
pub struct Migration {
    /// The name of the step.
    #[serde(default)]
    pub tag: String,
    /// What became of the classes.
    #[serde(flatten)]
    pub step: Step,
    #[serde(flatten)]
    rest: Rest,
}

/// What became of classes, in the words of Cloudflare's API.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Step {
    /// New classes without SQLite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_classes: Option<Vec<String>>,
    /// New classes with SQLite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_sqlite_classes: Option<Vec<String>>,
    /// Classes that have a new name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renamed_classes: Option<Vec<Value>>,
    /// Classes that are no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_classes: Option<Vec<String>>,
    /// Classes that came from another worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transferred_classes: Option<Vec<Value>>,
}

/// A binding of an R2 bucket.
#[derive(Debug, Deserialize)]
pub struct Bucket {
    /// The name the worker knows it by.
    pub binding: String,
    /// Its name.
    pub bucket_name: Option<String>,
    /// Within which borders it is.
    pub jurisdiction: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

/// A binding of a KV namespace.
#[derive(Debug, Deserialize)]
pub struct Namespace {
    /// The name the worker knows it by.
    pub binding: String,
    /// Its id.
    pub id: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

/// A binding of an Analytics Engine dataset.
#[derive(Debug, Deserialize)]
pub struct Dataset {
    /// The name the worker knows it by.
    pub binding: String,
    /// Its name.
    pub dataset: Option<String>,
    #[serde(flatten)]
    rest: Rest,
}

/// Where requests come from.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Route {
    /// A pattern alone.
    Pattern(String),
    /// A pattern, and what is said of it.
    Full(FullRoute),
}

/// A pattern, and what is said of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullRoute {
    /// The pattern, or the host name of a custom domain.
    pub pattern: String,
    /// The zone's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_id: Option<String>,
    /// The zone's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone_name: Option<String>,
    /// The worker is all there is behind the host name.
    #[serde(default, skip_serializing)]
    pub custom_domain: bool,
}

impl Route {
    /// The route with all that is said of it.
    pub fn full(&self) -> FullRoute {
        match self {
            Self::Full(route) => route.clone(),
            Self::Pattern(pattern) => FullRoute {
                pattern: pattern.clone(),
                zone_id: None,
                zone_name: None,
                custom_domain: false,
            },
        }
    }
}

impl Wrangler {
    /// Reads the settings that count in an environment.
    pub fn of(settings: Map<String, Value>) -> Result<Self, String> {
        let wrangler: Self = serde_path_to_error::deserialize(Value::Object(settings)).map_err(
            |error| match error.path().iter().next() {
                Some(_) => error.to_string(),
                None => error.into_inner().to_string(),
            },
        )?;
        wrangler.check()?;
        Ok(wrangler)
    }

    /// Reads the text of a `wrangler.toml` without environments.
    #[cfg(test)]
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::of(toml_edit::de::from_str(text).map_err(|error| error.to_string())?)
    }

    fn check(&self) -> Result<(), String> {
        let is_first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let is_name =
            self.name.starts_with(is_first) && self.name.chars().all(|c| is_first(c) || c == '-');
        if !is_name {
            return Err(format!(
                "the worker's `name` would be `{}`, but has to be of lower case letters, digits, `-` and \
                 `_`",
                self.name
            ));
        }
        if self.route.is_some() && !self.routes.is_empty() {
            return Err("`route` and `routes` exclude each other".to_owned());
        }
        match &self.main {
            Some(main) if main == &format!("{BUILD_DIR}/{SCRIPT}") => Ok(()),
            main => Err(format!(
                "`main` is {}, but the bundle's script is `{BUILD_DIR}/{SCRIPT}`",
                main.as_ref()
                    .map_or("missing".to_owned(), |main| format!("`{main}`"))
            )),
        }
    }

    /// Whether objects of this class have SQLite.
    pub fn uses_sqlite(&self, class: &str) -> bool {
        self.migrations.iter().any(|migration| {
            let classes = migration.step.new_sqlite_classes.iter().flatten();
            classes.into_iter().any(|name| name == class)
        })
    }

    /// The classes of Durable Objects this worker has itself.
    pub fn own_classes(&self) -> impl Iterator<Item = &str> {
        let bindings = self.durable_objects.bindings.iter();
        bindings
            .filter(|object| object.script_name.is_none())
            .map(|object| object.class_name.as_str())
    }

    /// The classes of Durable Objects that there are after all migrations.
    pub fn made_classes(&self) -> BTreeSet<&str> {
        let mut classes = BTreeSet::new();
        for Migration { step, .. } in &self.migrations {
            let made = [&step.new_classes, &step.new_sqlite_classes];
            classes.extend(made.into_iter().flatten().flatten().map(String::as_str));
            for moved in [&step.renamed_classes, &step.transferred_classes] {
                for one in moved.iter().flatten() {
                    let name = |key| one.get(key).and_then(Value::as_str);
                    classes.remove(name("from").unwrap_or_default());
                    classes.extend(name("to"));
                }
            }
            for deleted in step.deleted_classes.iter().flatten() {
                classes.remove(deleted.as_str());
            }
        }
        classes
    }

    /// Whether the worker gets something by this name.
    pub fn binds(&self, name: &str) -> bool {
        let objects = self.durable_objects.bindings.iter().map(|one| &one.name);
        let buckets = self.r2_buckets.iter().map(|one| &one.binding);
        let namespaces = self.kv_namespaces.iter().map(|one| &one.binding);
        let datasets = self
            .analytics_engine_datasets
            .iter()
            .map(|one| &one.binding);
        let mut names = objects.chain(buckets).chain(namespaces).chain(datasets);
        self.vars.contains_key(name) || names.any(|one| one == name)
    }

    /// What a setting of the worker says.
    pub fn word(&self, word: Word) -> Option<&'static str> {
        let value = self.vars.get(word.name).and_then(Value::as_str);
        word.parse(value).ok().flatten()
    }

    /// All routes.
    pub fn all_routes(&self) -> Vec<FullRoute> {
        let routes = self.route.iter().chain(&self.routes);
        routes.map(Route::full).collect()
    }

    /// Whether the worker is served on workers.dev.
    pub fn on_workers_dev(&self) -> bool {
        self.workers_dev
            .unwrap_or_else(|| self.all_routes().is_empty())
    }

    /// How it wants to be served locally.
    pub fn dev(&self) -> Option<&Value> {
        self.rest.get("dev")
    }

    /// Settings that a local run does not follow.
    pub fn not_served(&self) -> Vec<&str> {
        let known = |key: &str| NEITHER.contains(&key) || NOT_LOCAL.contains(&key);
        let keys = self.rest.keys().map(String::as_str);
        keys.filter(|key| !known(key)).collect()
    }

    /// Settings that would have to be part of an upload, and that this program does not know, each
    /// with its path.
    pub fn not_deployable(&self) -> Vec<String> {
        let known = |key: &&String| NEITHER.contains(&key.as_str()) || *key == "env";
        let top = self.rest.keys().filter(|key| !known(key)).cloned();
        let mut unknown: Vec<String> = top.collect();
        let mut take = |table: String, rest: &Rest, harmless: &str| {
            let keys = rest.keys().filter(|key| *key != harmless);
            unknown.extend(keys.map(|key| format!("{table}.{key}")));
        };
        take("durable_objects".to_owned(), &self.durable_objects.rest, "");
        for object in &self.durable_objects.bindings {
            let table = format!("durable_objects.bindings.{}", object.name);
            take(table, &object.rest, "");
        }
        for migration in &self.migrations {
            let table = format!("migrations.{}", migration.tag);
            take(table, &migration.rest, "");
        }
        for bucket in &self.r2_buckets {
            let table = format!("r2_buckets.{}", bucket.binding);
            take(table, &bucket.rest, "preview_bucket_name");
        }
        for namespace in &self.kv_namespaces {
            let table = format!("kv_namespaces.{}", namespace.binding);
            take(table, &namespace.rest, "preview_id");
        }
        for dataset in &self.analytics_engine_datasets {
            let table = format!("analytics_engine_datasets.{}", dataset.binding);
            take(table, &dataset.rest, "");
        }
        unknown
    }

    /// The names of other environments, which are not deployed.
    pub fn environments(&self) -> Vec<&str> {
        let table = self.rest.get("env").and_then(Value::as_object);
        table
            .into_iter()
            .flat_map(|table| table.keys().map(String::as_str))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::samples::{settings, wrangler as parse};

    #[test]
    fn what_would_be_lost_in_a_deploy_is_named_with_its_path() {
        let wrangler = parse(
            r#"
$schema = "x"
assets = { directory = "public" }
[build]
command = "x"
[env.staging]
name = "y"
[[d1_databases]]
binding = "DB"
[[kv_namespaces]]
binding = "REGISTRY"
preview_id = "p"
remote = true
[[r2_buckets]]
binding = "R2"
jurisdiction = "eu"
remote = true
[[migrations]]
tag = "v1"
new_sqlite_classes = ["A"]
odd = 1
"#
            .replace("$schema", "\"$schema\"")
            .as_str(),
        );
        assert_eq!(
            wrangler.not_deployable(),
            [
                "assets",
                "d1_databases",
                "migrations.v1.odd",
                "r2_buckets.R2.remote",
                "kv_namespaces.REGISTRY.remote",
            ]
        );
        assert_eq!(wrangler.environments(), ["staging"]);
    }

    #[test]
    fn routes_are_patterns_or_tables() {
        let wrangler = parse(
            r#"
routes = [
  "a.example/*",
  { pattern = "b.example", custom_domain = true },
  { pattern = "c.example/*", zone_name = "c.example" },
]
"#,
        );
        let routes = serde_json::to_value(wrangler.all_routes()).unwrap();
        assert_eq!(
            routes,
            serde_json::json!([
                { "pattern": "a.example/*" },
                { "pattern": "b.example" },
                { "pattern": "c.example/*", "zone_name": "c.example" },
            ])
        );
        assert_eq!(parse("route = \"a.example/*\"").all_routes().len(), 1);
        assert!(!wrangler.on_workers_dev());
        assert!(parse("").on_workers_dev());
        assert!(!parse("workers_dev = false").on_workers_dev());
        let odd = settings("routes = [{ pattern = \"a\", odd = 1 }]");
        Wrangler::parse(&odd).unwrap_err();
        let both = settings("route = \"a/*\"\nroutes = [\"b/*\"]");
        assert!(
            Wrangler::parse(&both)
                .unwrap_err()
                .contains("exclude each other")
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_path() {
        for (more, wrong) in [
            ("workers_dev = 1", "workers_dev: invalid type: integer `1`"),
            (
                "[[kv_namespaces]]\nid = \"x\"",
                "kv_namespaces[0]: missing field `binding`",
            ),
        ] {
            let error = Wrangler::parse(&settings(more)).unwrap_err();
            assert!(error.starts_with(wrong), "{error}");
        }
        let error = Wrangler::parse(&settings("").replace("\"x\"", "\"My Streams\"")).unwrap_err();
        assert!(error.contains("`My Streams`"), "{error}");
    }

    #[test]
    fn a_migration_keeps_the_words_of_the_api() {
        let wrangler = parse(
            r#"
[[migrations]]
tag = "v2"
renamed_classes = [{ from = "A", to = "B" }]
deleted_classes = ["C"]
"#,
        );
        let migration = &wrangler.migrations[0];
        assert_eq!(migration.tag, "v2");
        assert_eq!(
            serde_json::to_value(&migration.step).unwrap(),
            serde_json::json!({
                "renamed_classes": [{ "from": "A", "to": "B" }],
                "deleted_classes": ["C"],
            })
        );
    }
}
