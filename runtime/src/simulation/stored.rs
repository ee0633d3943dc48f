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
    /// Whether somebody has named the stream.
    pub is_named: bool,
    /// Whether it is not copied, though its subscription copies.
    pub is_refused: bool,
}

/// What a subscription copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copying {
    /// The target's path below the root.
    pub target: String,
    pub from_start: bool,
    pub envelope: bool,
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
    pub copying: Option<Copying>,
    /// Which stream it copies into, once that has agreed.
    pub target: Option<String>,
    pub generation: u64,
    pub has_wake: bool,
    pub is_parked: bool,
    pub is_failing: bool,
    /// Why it is parked, or fails.
    pub reason: Option<String>,
    pub holder: Option<String>,
    pub lease_until: Option<u64>,
    pub lease_ttl: u64,
    /// Whether all that was there before it is linked.
    pub is_complete: bool,
    /// Whether its target was the first to be asked, and it has gone no further.
    pub is_unlisted: bool,
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

    /// Those of them that hear of more than the stream's end.
    pub fn told(&self) -> BTreeSet<String> {
        let rows = self.rows("SELECT subscription FROM link WHERE interest = 4");
        let ends = rows.into_iter().flatten().map(|name| short(&name));
        &self.linked() - &ends.collect()
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

    /// Whether somebody copies into the stream that is there.
    pub fn is_target(&self) -> bool {
        !self.feeders().is_empty()
    }

    /// The subscriptions that copy into the stream that is there.
    pub fn feeders(&self) -> BTreeSet<String> {
        let birth = self.birth();
        let incarnation = birth.map(|birth| birth.name.incarnation);
        let rows = self.rows("SELECT subscription, incarnation FROM link WHERE interest = 3");
        let rows = rows
            .into_iter()
            .filter(|row| row.get(1) == incarnation.as_ref());
        rows.filter_map(|row| row.into_iter().next())
            .map(|name| short(&name))
            .collect()
    }

    /// The subscriptions that copy the stream.
    pub fn copiers(&self) -> BTreeSet<String> {
        let rows = self.rows("SELECT subscription FROM link WHERE interest IN (1, 2)");
        let names = rows.into_iter().flatten();
        names.map(|name| short(&name)).collect()
    }

    /// The subscriptions whose cursors the stream has.
    pub fn cursors(&self) -> BTreeSet<String> {
        let rows = self.rows(
            "SELECT json_extract(CAST(body AS TEXT), '$.subscription') FROM stream \
             WHERE id BETWEEN -1125899906842624 AND -1125899638407169",
        );
        rows.into_iter()
            .flatten()
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
pub fn short(name: &str) -> String {
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
            "SELECT path, acked, tail, coalesce(incarnation, ''), explicit FROM link \
             WHERE explicit & 1 <> 0 OR incarnation IS NOT NULL",
        );
        let links = links.into_iter().filter_map(|row| {
            let [path, acked, tail, incarnation, explicit] = <[String; 5]>::try_from(row).ok()?;
            let bits: u8 = explicit.parse().ok()?;
            let link = Link {
                acked: acked.parse().ok()?,
                tail: tail.parse().ok(),
                // Behind it stands of which type a stream is that is not copied.
                incarnation: incarnation.lines().next().unwrap_or_default().to_owned(),
                is_named: bits & 1 != 0,
                is_refused: bits & 6 != 0,
            };
            Some((path, link))
        });
        Some(Self {
            incarnation: text(&record["life"]["incarnation"])?,
            born: record["life"]["born"].as_u64()?,
            is_pull: delivery.get("pull_wake").is_some(),
            pattern: text(&config["pattern"]),
            url: text(&delivery["webhook"]),
            wake_stream: text(&delivery["pull_wake"]),
            copying: delivery.get("copy").map(|copy| Copying {
                target: text(&copy["target"]).unwrap_or_default(),
                from_start: copy["from"] == "start",
                envelope: copy["envelope"] == true,
            }),
            target: text(&record["target"]["life"]["incarnation"]),
            generation: record["generation"].as_u64()?,
            has_wake: record["wake"].is_object(),
            is_parked: *stage == "parked" || record["parked"].is_string(),
            is_failing: record["failing"].is_object(),
            reason: text(&record["parked"]).or(text(&record["failing"]["error"])),
            holder: text(&held["holder"]),
            lease_until: held["until"].as_u64(),
            lease_ttl: config["lease_ttl_ms"].as_u64()?,
            is_complete: record["backfill"] == "complete",
            is_unlisted: record["backfill"] == "feed",
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
