//! What objects have stored of subscriptions and in the directory, as whoever looks into their
//! databases from outside sees it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::node::Node;

/// A link of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub acked: u64,
    /// Nothing before the stream was asked.
    pub tail: Option<u64>,
    /// Empty where there is no stream.
    pub incarnation: String,
}

/// A subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub incarnation: String,
    pub born: u64,
    pub is_pull: bool,
    pub pattern: Option<String>,
    pub url: Option<String>,
    pub wake_stream: Option<String>,
    pub generation: u64,
    pub has_wake: bool,
    pub is_parked: bool,
    pub is_failing: bool,
    pub holder: Option<String>,
    pub lease_until: Option<u64>,
    pub lease_ttl: u64,
    /// Whether all that was there before it is linked.
    pub is_complete: bool,
    pub links: BTreeMap<String, Link>,
}

impl Node {
    fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        self.database.try_texts(sql)
    }

    /// How many tables there are.
    pub fn tables(&self) -> i64 {
        self.number("SELECT count(*) FROM sqlite_master WHERE type = 'table'")
    }

    /// The subscriptions that a stream tells of what is appended.
    pub fn linked(&self) -> BTreeSet<String> {
        let rows = self.rows("SELECT subscription FROM link");
        rows.into_iter()
            .flatten()
            .map(|name| short(&name))
            .collect()
    }

    /// Those of them that have heard of the stream that is there.
    pub fn linked_to(&self, incarnation: &str) -> BTreeSet<String> {
        let rows = self.rows("SELECT subscription, incarnation FROM link");
        let rows = rows
            .into_iter()
            .filter(|row| row.get(1).map(String::as_str) == Some(incarnation));
        rows.filter_map(|row| row.into_iter().next())
            .map(|name| short(&name))
            .collect()
    }

    /// The streams that a shard knows.
    pub fn listed(&self) -> BTreeSet<String> {
        let rows = self.rows("SELECT name FROM stream");
        rows.into_iter()
            .flatten()
            .map(|name| short(&name))
            .collect()
    }

    /// The subscriptions that a shard knows.
    pub fn watching(&self) -> BTreeSet<String> {
        let rows = self.rows("SELECT name FROM watch");
        rows.into_iter()
            .flatten()
            .map(|name| short(&name))
            .collect()
    }
}

/// A name without its era.
fn short(name: &str) -> String {
    name.find("p/").map_or(name, |at| &name[at..]).to_owned()
}

impl Stored {
    /// The subscription in a database, if there is one.
    pub fn of(node: &Node) -> Option<Self> {
        let rows = node.rows("SELECT CAST(body AS TEXT) FROM record WHERE id = 0");
        let record: Value = serde_json::from_str(rows.first()?.first()?).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let config = &record["config"];
        let delivery = &config["delivery"];
        let stage = &record["wake"]["stage"];
        let held = &stage["held"];
        let links = node.rows(
            "SELECT path, acked, tail, coalesce(incarnation, '') FROM link \
             WHERE explicit <> 0 OR incarnation IS NOT NULL",
        );
        let links = links.into_iter().filter_map(|row| {
            let [path, acked, tail, incarnation] = <[String; 4]>::try_from(row).ok()?;
            let link = Link {
                acked: acked.parse().ok()?,
                tail: tail.parse().ok(),
                incarnation,
            };
            Some((path, link))
        });
        Some(Self {
            incarnation: text(&record["life"]["incarnation"])?,
            born: record["life"]["born"].as_u64()?,
            is_pull: delivery.get("webhook").is_none(),
            pattern: text(&config["pattern"]),
            url: text(&delivery["webhook"]),
            wake_stream: text(&delivery["pull_wake"]),
            generation: record["generation"].as_u64()?,
            has_wake: record["wake"].is_object(),
            is_parked: *stage == "parked",
            is_failing: record["failing"].is_object(),
            holder: text(&held["holder"]),
            lease_until: held["until"].as_u64(),
            lease_ttl: config["lease_ttl_ms"].as_u64()?,
            is_complete: record["backfill"] == "complete",
            links: links.collect(),
        })
    }

    /// The streams in which there is something that was not acknowledged, as far as it knows.
    pub fn pending(&self) -> Vec<&String> {
        let links = self.links.iter();
        let pending = links.filter(|(_, link)| link.tail.is_some_and(|tail| tail > link.acked));
        pending.map(|(path, _)| path).collect()
    }
}
