//! Who uses what: a worker, a bucket or a namespace that a worker is bound to cannot be removed from
//! under it.

use anyhow::Result;
use serde_json::Value;

use super::at_once::{AT_ONCE, at_once};
use crate::cloudflare::{Account, Bucket, Settings};

/// Something in an account that a worker can be bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Thing {
    /// A worker, by name.
    Worker(String),
    /// A bucket.
    Bucket(Bucket),
    /// A KV namespace.
    Namespace {
        /// Its id.
        id: String,
        /// Its title, by which a person knows it.
        title: String,
    },
}

impl Thing {
    /// What it is and what it is called.
    pub fn title(&self) -> String {
        match self {
            Self::Worker(name) => format!("worker {name}"),
            Self::Bucket(bucket) => format!("R2 bucket {bucket}"),
            Self::Namespace { title, .. } => format!("KV namespace {title}"),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Worker(name) => name,
            Self::Bucket(bucket) => &bucket.name,
            Self::Namespace { title, .. } => title,
        }
    }

    /// Whether a binding, as the API describes it, is to this.
    fn is_bound_by(&self, binding: &Value) -> bool {
        let says = |key: &str, text: &str| binding[key] == text;
        match self {
            // Its Durable Objects, its workflows, or itself.
            Self::Worker(name) => says("script_name", name) || says("service", name),
            Self::Bucket(bucket) => {
                let place = binding["jurisdiction"].as_str();
                says("type", "r2_bucket")
                    && says("bucket_name", &bucket.name)
                    && place.filter(|word| *word != "default") == bucket.jurisdiction.as_deref()
            }
            Self::Namespace { id, .. } => says("type", "kv_namespace") && says("namespace_id", id),
        }
    }

    /// Whether a worker of these settings is bound to this.
    pub fn is_used_by(&self, settings: &Settings) -> bool {
        let consumers = settings
            .rest
            .get("tail_consumers")
            .and_then(Value::as_array);
        let mut all = settings
            .bindings
            .iter()
            .chain(consumers.into_iter().flatten());
        all.any(|binding| self.is_bound_by(binding))
    }
}

/// A worker of the account, and what it is bound to.
#[derive(Debug)]
pub struct User {
    /// Its name.
    pub name: String,
    /// What it is bound to.
    pub settings: Settings,
}

/// What workers are bound to. One that has gone meanwhile is left out; should one not say it, nothing
/// is known, and that is an error.
pub fn users(account: &Account, names: &[String]) -> Result<Vec<User>> {
    let user = |name: &String| match account.settings(name) {
        Ok(settings) => Ok(Some(User {
            name: name.clone(),
            settings,
        })),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    };
    let mut users = Vec::new();
    for some in names.chunks(AT_ONCE) {
        users.extend(at_once(some, user)?.into_iter().flatten());
    }
    Ok(users)
}

/// Which of these things can go, and which stay because a worker that stays is bound to them, with its
/// name. A worker that stays keeps what it is bound to itself.
pub fn free(things: Vec<Thing>, users: &[User]) -> (Vec<Thing>, Vec<(Thing, String)>) {
    let mut free = things;
    let mut bound = Vec::new();
    loop {
        let goes = |name: &str| {
            let is_it = |thing: &Thing| *thing == Thing::Worker(name.to_owned());
            free.iter().any(is_it)
        };
        let staying: Vec<&User> = users.iter().filter(|user| !goes(&user.name)).collect();
        let user_of = |thing: &Thing| {
            let mut staying = staying.iter();
            staying.find(|user| thing.is_used_by(&user.settings))
        };
        let found = free
            .iter()
            .enumerate()
            .find_map(|(at, thing)| Some((at, user_of(thing)?.name.clone())));
        match found {
            None => return (free, bound),
            Some((at, user)) => bound.push((free.remove(at), user)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(name: &str, bindings: Value) -> User {
        let settings = json!({ "bindings": bindings });
        User {
            name: name.to_owned(),
            settings: serde_json::from_value(settings).unwrap(),
        }
    }

    fn worker(name: &str) -> Thing {
        Thing::Worker(name.to_owned())
    }

    fn bucket(name: &str, jurisdiction: Option<&str>) -> Thing {
        Thing::Bucket(Bucket {
            name: name.to_owned(),
            jurisdiction: jurisdiction.map(str::to_owned),
        })
    }

    fn namespace(id: &str) -> Thing {
        Thing::Namespace {
            id: id.to_owned(),
            title: "t".to_owned(),
        }
    }

    #[test]
    fn a_binding_is_to_one_thing_alone() {
        let uses =
            |binding: Value, thing: &Thing| thing.is_used_by(&user("x", json!([binding])).settings);
        let r2 = json!({ "type": "r2_bucket", "bucket_name": "b" });
        assert!(uses(r2.clone(), &bucket("b", None)));
        assert!(!uses(r2.clone(), &bucket("c", None)));
        assert!(!uses(r2.clone(), &bucket("b", Some("eu"))));
        assert!(!uses(r2, &worker("b")));
        let default = json!({ "type": "r2_bucket", "bucket_name": "b", "jurisdiction": "default" });
        assert!(uses(default, &bucket("b", None)));
        let eu = json!({ "type": "r2_bucket", "bucket_name": "b", "jurisdiction": "eu" });
        assert!(uses(eu.clone(), &bucket("b", Some("eu"))));
        assert!(!uses(eu, &bucket("b", None)));
        let kv = json!({ "type": "kv_namespace", "namespace_id": "1" });
        assert!(uses(kv.clone(), &namespace("1")));
        assert!(!uses(kv, &namespace("2")));
        for to_worker in [
            json!({ "type": "durable_object_namespace", "class_name": "A", "script_name": "w" }),
            json!({ "type": "service", "service": "w" }),
        ] {
            assert!(uses(to_worker.clone(), &worker("w")));
            assert!(!uses(to_worker, &worker("v")));
        }
        let own = json!({ "type": "durable_object_namespace", "class_name": "A" });
        assert!(!uses(own, &worker("w")));
        let mut tailed = user("x", json!([]));
        let consumers = json!([{ "service": "w" }]);
        tailed
            .settings
            .rest
            .insert("tail_consumers".to_owned(), consumers);
        assert!(worker("w").is_used_by(&tailed.settings));
    }

    #[test]
    fn what_a_worker_that_stays_is_bound_to_stays_too() {
        let binds = |name: &str, bucket: &str, id: &str| {
            let bindings = json!([
                { "type": "r2_bucket", "bucket_name": bucket },
                { "type": "kv_namespace", "namespace_id": id },
            ]);
            user(name, bindings)
        };
        let all = || vec![worker("a"), bucket("b", None), namespace("1")];
        // Nobody else.
        let (free_now, bound) = free(all(), &[binds("a", "b", "1")]);
        assert_eq!((free_now, bound), (all(), Vec::new()));
        // Another worker has the bucket.
        let users = [binds("a", "b", "1"), binds("other", "b", "2")];
        let (free_now, bound) = free(all(), &users);
        assert_eq!(free_now, [worker("a"), namespace("1")]);
        assert_eq!(bound, [(bucket("b", None), "other".to_owned())]);
        // The worker itself is used, and keeps all it has.
        let service = json!([{ "type": "service", "service": "a" }]);
        let users = [binds("a", "b", "1"), user("other", service)];
        let (free_now, bound) = free(all(), &users);
        assert_eq!(free_now, []);
        let who: Vec<&str> = bound.iter().map(|(_, user)| user.as_str()).collect();
        assert_eq!(who, ["other", "a", "a"]);
        // Two that go together do not hold each other.
        let each = |other: &str| json!([{ "type": "service", "service": other }]);
        let users = [user("a", each("c")), user("c", each("a"))];
        let (free_now, _) = free(vec![worker("a"), worker("c")], &users);
        assert_eq!(free_now.len(), 2);
    }
}
