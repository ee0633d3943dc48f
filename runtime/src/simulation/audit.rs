//! What has to hold of subscriptions and the directory: always, and when nothing goes wrong any
//! more.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::json;

use super::client::{message, type_of};
use super::copies::Copies;
use super::copy_audit;
use super::deeds::IDS;
use super::ledger::Account;
use super::model::Model;
use super::node::{Kind, Node};
use super::run::pass;
use super::stored::Stored;
use super::subscriber::{below, document};
use super::workload::{PATHS, STREAMS, WAKES};
use super::world::{CLIENTS, SHARDS, World};
use crate::machine::Peer;
use crate::protocol::header;

/// So long does it take at the most until everything is told and tried again, in milliseconds:
/// messages may be late by ten minutes, and so may a repeated wake.
const SETTLES: u64 = 1_900_000;

/// Somebody has something to do, so there is an alarm.
pub fn check_alarm(world: &World, node: &Node) {
    let stored = Stored::of(node);
    let reasons = [
        (
            "a wake",
            stored
                .as_ref()
                .is_some_and(|it| it.has_wake && !it.is_parked),
        ),
        (
            "streams to find",
            stored
                .as_ref()
                .is_some_and(|it| !it.is_complete && !it.is_parked),
        ),
        (
            "something pending",
            stored
                .as_ref()
                .is_some_and(|it| !it.has_wake && !it.pending().is_empty()),
        ),
        (
            "subscriptions that are gone",
            node.number("SELECT count(*) FROM record WHERE id <> 0") > 0,
        ),
        ("tombstones", node.number("SELECT count(*) FROM gone") > 0),
    ];
    for (what, holds) in reasons {
        world.expect(!holds, || format!("{} has {what} and no alarm", node.path));
    }
}

impl World {
    /// An object has committed something.
    pub fn committed(&self, node: &Node) {
        if !self.is_observed() {
            return;
        }
        let now = self.executor().now();
        if node.kind == Kind::Stream {
            if let Some((from, until)) = self.model(|model| model.left(node, now)) {
                self.owe(node, from, until);
            }
            return;
        }
        let stored = Stored::of(node);
        let outcome = self.model(|model| {
            let tail = |incarnation: &str| {
                let life = model.lives.get(incarnation)?;
                Some(life.items.len() as u64)
            };
            self.ledger(|ledger| {
                if let Some(stored) = &stored {
                    let before = ledger.accounts.get(&node.path);
                    let before = before.map(|account| &account.stored);
                    let before = before.filter(|it| it.incarnation == stored.incarnation);
                    let is_listed = |path: &str| {
                        let mut shards =
                            (0..SHARDS).map(|number| self.node_of(Peer::Shard(number)));
                        shards.any(|shard| shard.listed().contains(path))
                    };
                    let committed =
                        |copies: &mut Copies| copies.committed(before, stored, model, is_listed);
                    self.copies(committed)?;
                }
                ledger.committed(node, now, tail)
            })
        });
        if let Err(what) = outcome {
            self.fail(format!("{} commits: {what}", node.path));
        }
    }

    /// A stream's object has taken in what a client has appended.
    pub fn appended(&self, node: &Rc<Node>, from: u64, until: u64) {
        // What is stored and was acknowledged, and what nobody was told of.
        if self.owe(node, from, until) && self.executor().chance(self.crashes_behind()) {
            self.count("crash behind an append");
            self.crash(node);
        }
    }

    /// A stream has got more, of which others have to hear. Says whether they do.
    fn owe(&self, node: &Node, from: u64, until: u64) -> bool {
        // Where no alarm could be set, a crash may keep the directory from hearing of the stream.
        if from >= until || node.is_doubtful.get() {
            return false;
        }
        let birth = node.birth();
        let Some(birth) = birth else {
            return false;
        };
        let incarnation = &birth.name.incarnation;
        let (waiting, linked) = (node.linked(), node.linked_to(incarnation));
        let is_linked = |subscription: &str, is_named: bool| {
            // A link that a pattern has made for another stream of that path may go with it.
            let waits = is_named && waiting.contains(subscription);
            birth.listed || waits || linked.contains(subscription)
        };
        let range = (from, until);
        self.ledger(|ledger| ledger.appended(below(&node.path), incarnation, range, is_linked));
        self.owe_copies(node, incarnation, range, is_linked);
        true
    }
}

/// Nothing goes wrong any more: all subscriptions catch up, whatever has happened before, and go on.
pub fn settle(world: &World) {
    if !world.ledger(|ledger| ledger.is_used()) || world.failure().is_some() {
        return;
    }
    world.ledger(|ledger| ledger.is_resting = true);
    world.note(|| "subscriptions come to rest".into());
    in_turn(world, prepare);
    pass(world, SETTLES);
    check_caught_up(world, "what was appended");
    let there: BTreeSet<String> = world.ledger(|ledger| ledger.accounts.keys().cloned().collect());
    in_turn(world, append_everywhere);
    pass(world, 300_000);
    check_caught_up(world, "what was appended at rest");
    copy_audit::check_sources(world, &there);
    copy_audit::check_targets(world);
    in_turn(world, look);
    if world.executor().chance(500) {
        in_turn(world, delete_all);
        // Whoever tells somebody who is gone hears of it.
        in_turn(world, append_everywhere);
        pass(world, 1_000_000);
        check_links(world);
        copy_audit::check_targets(world);
    }
}

/// Has one client do something, and waits for it.
fn in_turn<F: Future<Output = ()> + 'static>(world: &World, work: impl FnOnce(World) -> F) {
    let work = work(world.clone());
    world.executor().spawn(CLIENTS, work);
    pass(world, 60_000);
}

/// The streams that wakes go to are there, and whoever was given up is tried again.
async fn prepare(world: World) {
    for path in &PATHS[STREAMS..STREAMS + WAKES] {
        let is_good = world.model(|m| m.alive(path).is_some_and(|l| l.is_json && !l.closed));
        if !is_good {
            world
                .ask_for("DELETE", path, "", Vec::new(), Vec::new())
                .await;
            let headers = vec![(header::CONTENT_TYPE, type_of(true))];
            world.ask_for("PUT", path, "", headers, Vec::new()).await;
        }
    }
    for id in IDS {
        let shown = world.of_subscription("GET", id, "", None).await;
        let shown = shown.map(|shown| document(&shown)).unwrap_or_default();
        if shown["parked"] == true {
            world.count("parked");
            world.of_subscription("POST", id, "/retry", None).await;
        }
    }
}

async fn append_everywhere(world: World) {
    // Workers look at what is appended to the others.
    let paths = PATHS.iter().filter(|path| !path.starts_with("p/w/"));
    for (n, path) in paths.enumerate() {
        let life = world.model(|m| m.alive(path).map(|life| (life.is_json, life.closed)));
        if let Some((is_json, false)) = life {
            let headers = vec![(header::CONTENT_TYPE, type_of(is_json))];
            let body = message(1_000 + n, 0, 3, is_json);
            world.ask_for("POST", path, "", headers, body).await;
        }
    }
}

/// Everything that was to reach a worker has, and nothing is left to do.
fn check_caught_up(world: &World, what: &str) {
    let accounts: Vec<Account> = world.ledger(|ledger| ledger.accounts.values().cloned().collect());
    for account in accounts {
        let id = &account.id;
        for (path, owed) in &account.owed {
            let current = world.model(|m| {
                let life = m.alive(&format!("p/{path}"));
                life.map(|life| life.name.incarnation.clone())
            });
            let is_lost = current.as_ref() == Some(&owed.incarnation);
            world.expect(!is_lost, || {
                let link = account.stored.links.get(path);
                format!("{what} to {path} never reached {id}: {owed:?}, {link:?}")
            });
        }
        copy_audit::check(world, &account, what);
        let stored = &account.stored;
        if stored.copying.is_some() && stored.is_parked {
            continue;
        }
        let is_idle = !stored.has_wake && stored.pending().is_empty() && stored.is_complete;
        // What has failed last may have been told long after, and is not told again.
        let may_fail = stored.copying.is_some();
        world.expect(is_idle && (!stored.is_failing || may_fail), || {
            format!("{id} is stuck: {stored:?}")
        });
    }
}

/// Streams tell nobody who is gone. A link that waits for a stream may wait for ever.
fn check_links(world: &World) {
    let accounts: BTreeSet<String> =
        world.ledger(|ledger| ledger.accounts.keys().cloned().collect());
    for node in world.nodes_of(Kind::Stream) {
        let is_open = world.model(|m| m.alive(&node.path).is_some_and(|life| !life.closed));
        let mut left: Vec<String> = node.told().difference(&accounts).cloned().collect();
        left.retain(|name| world.copies(|copies| !copies.was_late(&node.path, name)));
        world.expect(
            !is_open || left.is_empty() || node.path.starts_with("p/w/"),
            || format!("{} still tells {left:?}", node.path),
        );
    }
}

/// Whoever has nothing to do costs nothing.
fn check_alarms(world: &World) {
    for node in world.nodes_of(Kind::Subscription) {
        let alarm = node.alarm.get();
        let lingers = node.number("SELECT count(*) FROM link WHERE incarnation IS NULL") > 0;
        world.expect(alarm.is_none() || lingers, || {
            format!("{} is idle and has an alarm at {alarm:?}", node.path)
        });
    }
}

/// Everything that can be looked at says what there is.
async fn look(world: World) {
    world.ledger(|ledger| ledger.is_resting = true);
    for id in IDS {
        let Some(shown) = world.of_subscription("GET", id, "", None).await else {
            continue;
        };
        let account = world.ledger(|ledger| ledger.account(id).cloned());
        let Some(account) = account else {
            world.expect(shown.status == 404, || {
                format!("{id} is gone and answers {}", shown.status)
            });
            continue;
        };
        let said = document(&shown);
        let fails = account.stored.copying.is_some() && account.stored.is_failing;
        let status = if fails || account.stored.is_parked {
            "failed"
        } else {
            "active"
        };
        let fields = [
            ("generation", json!(account.stored.generation)),
            ("phase", json!("idle")),
            ("pending", json!(0)),
            ("status", json!(status)),
        ];
        // What is parked never comes to an end, and what has become a target, or was told of long
        // after it has ended, is copied no more.
        let mut links = account.stored.links.values();
        let may_lag = account.stored.is_parked
            || links.any(|link| {
                let was_target = world.copies(|copies| copies.was_target(&link.incarnation));
                let life = |model: &mut Model| model.lives.get(&link.incarnation).cloned();
                was_target || world.model(life).is_some_and(|life| !life.is_alive)
            });
        let is_shown = |field: &str| !may_lag || field != "pending";
        for (field, value) in fields.into_iter().filter(|(field, _)| is_shown(field)) {
            world.expect(said[field] == value, || format!("{id}: {field} of {said}"));
        }
        copy_audit::check_shown(&world, &account.stored, &said);
    }
    let names = subscriptions(&world).await;
    let there = world.ledger(|ledger| {
        let accounts = ledger.accounts.values().filter(|it| !it.stored.is_unlisted);
        accounts
            .map(|account| account.id.clone())
            .collect::<Vec<_>>()
    });
    world.expect(world.shards().is_none() || names == there, || {
        format!("{names:?} are listed, and there are {there:?}")
    });
}

/// The ids of all subscriptions, a few at a time.
async fn subscriptions(world: &World) -> Vec<String> {
    let mut ids = Vec::new();
    let mut route = "subscriptions?limit=2".to_owned();
    for _ in 0..10 {
        let Some(page) = world.control("GET", &route, None, None).await else {
            break;
        };
        let page = document(&page);
        let found = page["subscriptions"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        ids.extend(
            found
                .iter()
                .filter_map(|it| it["id"].as_str())
                .map(str::to_owned),
        );
        match page["next"].as_str() {
            Some(next) => {
                route = format!("subscriptions?limit=2&after={}", next.replace(':', "%3A"))
            }
            None => break,
        }
    }
    ids
}

async fn delete_all(world: World) {
    for id in IDS {
        world.of_subscription("DELETE", id, "", None).await;
    }
    world.count("all subscriptions deleted");
}

/// The directory has exactly the streams that there are, and nothing is left of what is gone.
pub fn check_directory(world: &World) {
    let alive = alive(world);
    let accounts: BTreeSet<String> =
        world.ledger(|ledger| ledger.accounts.keys().cloned().collect());
    if world.shards().is_some() {
        let (mut listed, mut watching) = (BTreeSet::new(), BTreeSet::new());
        for number in 0..SHARDS {
            let node = world.node_of(Peer::Shard(number));
            listed.extend(node.listed());
            watching.extend(node.watching());
            let gone = node.number("SELECT count(*) FROM gone");
            // Without its alarm, a shard looks again when something else is gone; it costs a row.
            let is_swept = gone == 0 && node.alarm.get().is_none();
            world.expect(is_swept || node.has_lost_alarm.get(), || {
                format!("{} keeps {gone} tombstones", node.path)
            });
        }
        // Where an alarm could not be set before a crash, nobody has told the directory yet.
        let unsure = |name: &&String| world.node(name).is_doubtful.get();
        let odd = listed.symmetric_difference(&alive);
        let odd: Vec<&String> = odd.filter(|name| !unsure(name)).collect();
        world.expect(odd.is_empty(), || {
            format!("{listed:?} are in the directory, and {alive:?} are there")
        });
        let unlisted = world.ledger(|ledger| {
            let accounts = ledger.accounts.iter();
            let unlisted = accounts.filter(|(_, account)| account.stored.is_unlisted);
            unlisted.map(|(name, _)| name.clone()).collect()
        });
        world.expect(watching == &accounts - &unlisted, || {
            format!("{watching:?} are in the directory, and {accounts:?} are there")
        });
    }
    for node in world.nodes_of(Kind::Subscription) {
        let is_there = accounts.contains(&node.path);
        let tables = node.tables();
        world.expect(is_there || tables == 0, || {
            format!("{} is gone and has {tables} tables", node.path)
        });
        world.expect(is_there || node.alarm.get().is_none(), || {
            format!("{} is gone and has an alarm", node.path)
        });
    }
    check_alarms(world);
}

/// The directory as clients see it.
pub async fn check_list(world: World) {
    if world.shards().is_none() {
        return;
    }
    let listed = world.list(None, 2, false).await;
    // As many as its shards know of.
    let shards = (0..SHARDS).map(|number| world.node_of(Peer::Shard(number)));
    let known: BTreeSet<String> = shards.flat_map(|node| node.listed()).collect();
    let known: Vec<String> = known.iter().map(|path| below(path).to_owned()).collect();
    world.expect(listed.as_ref() == Some(&known), || {
        format!("{listed:?} are listed, and {known:?} are there")
    });
}

/// The streams that there are.
fn alive(world: &World) -> BTreeSet<String> {
    world.model(|model| {
        let there = model
            .current
            .keys()
            .filter(|path| model.alive(path).is_some());
        there.cloned().collect()
    })
}
