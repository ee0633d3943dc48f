//! What has to hold of copies: always, and when nothing goes wrong any more.

use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::Value;

use super::copies::Copies;
use super::ledger::Account;
use super::model::{Model, header};
use super::node::{Instance, Kind, Node, Thing};
use super::stored::{Link, Stored};
use super::subscriber::below;
use super::worker::streams_of;
use super::world::{Request, World};
use crate::protocol::ask::{self, COPY, Copied, Copy, FEED, Fed, UNFEED};
use crate::protocol::header::STREAM_NEXT_OFFSET;
use crate::protocol::offset::Offset;
use crate::protocol::reply::Reply;

impl World {
    /// A target was asked something about copies, and has answered.
    pub fn observe_target(
        &self,
        node: &Rc<Node>,
        request: &Request,
        reply: &Reply,
        rows: u64,
    ) -> Result<(), String> {
        let path = &node.path;
        let body = &request.body;
        let now = self.executor().now();
        match (request.question(), reply.status) {
            (FEED, 200) => {
                let fed: Fed = answered(reply)?;
                self.count(&format!("fed {}", word(&fed)));
                self.ledger(|ledger| {
                    let is_there = |life: &ask::Life| {
                        let mut accounts = ledger.accounts.values();
                        accounts.any(|it| it.stored.incarnation == life.incarnation)
                    };
                    self.copies(|copies| copies.may_be_late(path, body, is_there))
                });
                self.look_at(|copies, model| copies.fed(path, body, &fed, model, now))
            }
            (UNFEED, 200..300) => self.look_at(|copies, model| copies.unfed(path, body, model)),
            (COPY, status) => {
                let length = |model: &Model| model.alive(path).map(|it| it.items.len() as u64);
                let before = self.model(|model| length(model));
                if status == 200 {
                    let copied: Copied = answered(reply)?;
                    self.count(&format!("copied {}", word(&copied)));
                    let items = self
                        .look_at(|copies, model| copies.copied(path, body, &copied, model, now));
                    let items = items?;
                    if let Copied::Yes { .. } = copied {
                        check_rows(body, &items, rows)?;
                    }
                    self.model(|model| model.copied(path, items, now));
                }
                let after = self.model(|model| length(model));
                if let Some(tail) = self.tail_of(node) {
                    let is_right = after == Some(tail);
                    ensure(is_right, || format!("the tail is {tail}, not {after:?}"))?;
                }
                if let (Some(before), Some(after)) = (before, after) {
                    self.appended(node, before, after);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn look_at<T>(&self, look: impl FnOnce(&mut Copies, &Model) -> T) -> T {
        self.model(|model| self.copies(|copies| look(copies, model)))
    }

    /// Where a stream's object says that its tail is, if it says so.
    fn tail_of(&self, node: &Rc<Node>) -> Option<u64> {
        let instance = node.instance.borrow().clone();
        let Some(Instance {
            object: Thing::Stream(object),
            ..
        }) = instance
        else {
            return None;
        };
        let request = Request {
            method: "HEAD",
            url: format!("http://server/v1/stream/{}", node.path),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let answer = node
            .database
            .observe(|_| object.answer(&request, Ok(Vec::new())));
        let offset: Offset = header(&answer.reply, STREAM_NEXT_OFFSET)?.parse().ok()?;
        (answer.reply.status == 200).then(|| offset.position())
    }

    /// A stream has got more: who copies it has to copy that.
    pub fn owe_copies(
        &self,
        node: &Node,
        incarnation: &str,
        range: (u64, u64),
        is_linked: impl Fn(&str, bool) -> bool,
    ) {
        let may_owe = self.copies(|copies| copies.is_used() && !copies.was_target(incarnation));
        if !may_owe {
            return;
        }
        let path = below(&node.path);
        self.ledger(|ledger| {
            for (name, account) in &ledger.accounts {
                let stored = &account.stored;
                let target = stored.target.as_deref();
                let is_on = stored.copying.is_some() && !stored.is_parked;
                if !is_on || !account.is_about(path) || !is_linked(name, account.is_named(path)) {
                    continue;
                }
                let is_named = account.is_named(path);
                self.look_at(|copies, model| {
                    let target = target.and_then(|target| model.lives.get(target));
                    if let (Some(source), Some(_)) = (model.lives.get(incarnation), target) {
                        let of = (path, source);
                        copies.appended(&stored.incarnation, of, is_named, target, range);
                    }
                });
            }
        });
    }
}

/// Why nothing is copied into a target that takes no appends any more.
const CLOSED: &str = "the target stream is closed";

/// The variant of an answer.
fn word(answer: &impl std::fmt::Debug) -> String {
    let text = format!("{answer:?}");
    text.split([' ', '{']).next().unwrap_or_default().to_owned()
}

fn answered<T: serde::de::DeserializeOwned>(reply: &Reply) -> Result<T, String> {
    let answer = (reply.status, reply.body.clone());
    ask::answered(&answer).map_err(|error| format!("{error:?}"))
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what()) }
}

/// A copy of which nothing was taken writes nothing.
fn check_rows(body: &[u8], items: &[Vec<u8>], rows: u64) -> Result<(), String> {
    let copy: Copy = ask::hear(ask::apart(body).0).map_err(|error| format!("{error:?}"))?;
    // A part may be all of what was truncated.
    let is_empty = copy
        .parts
        .iter()
        .all(|part| part.length > 0 || part.to == part.behind);
    ensure(rows == 0 || !items.is_empty() || !is_empty, || {
        format!("it writes {rows} rows for nothing")
    })
}

/// Everything that had to be copied was, and who copies into what is gone is gone.
pub fn check(world: &World, account: &Account, what: &str) {
    let (id, stored) = (&account.id, &account.stored);
    let Some(copying) = &stored.copying else {
        return;
    };
    let target = format!("p/{}", copying.target);
    let fed = stored.target.as_deref();
    let (is_there, is_closed) = world.model(|model| {
        let there = model.alive(&target);
        let there = there.filter(|it| Some(it.name.incarnation.as_str()) == fed);
        (there.is_some(), there.is_some_and(|it| it.closed))
    });
    if stored.is_parked {
        world.count("a copy is parked at rest");
        // What is refused when nobody waits any more is kept.
        let is_refused = stored.reason.as_deref() != Some(CLOSED);
        return world.expect(is_closed || is_refused, || {
            format!("{id} is parked: {:?}", stored.reason)
        });
    }
    world.expect(is_there, || {
        format!("{id} copies into {fed:?} at {target}, which is gone")
    });
    if is_closed {
        return;
    }
    world.count("a copy is at rest");
    for (path, owed) in world.copies(|copies| copies.owed(&stored.incarnation)) {
        let is_lost = world.model(|model| {
            let life = model.alive(&format!("p/{path}"));
            let life = life.filter(|life| life.name.incarnation == owed.incarnation);
            life.is_some_and(|life| life.earliest() < owed.until)
        });
        world.expect(!is_lost, || {
            let link = stored.links.get(&path);
            format!("{what} to {path} was never copied by {id}: {owed:?}, {link:?}")
        });
    }
    for (path, link) in &stored.links {
        check_source(world, account, (path, link), fed);
    }
}

/// A source that lives is copied to its tail.
fn check_source(
    world: &World,
    account: &Account,
    (path, link): (&String, &Link),
    target: Option<&str>,
) {
    let source = format!("p/{path}");
    let was_target = world.copies(|copies| copies.was_target(&link.incarnation));
    let is_wakes = source.starts_with("p/w/");
    if was_target || world.node(&source).is_doubtful.get() || is_wakes {
        return;
    }
    let stored = &account.stored;
    let missing = world.look_at(|copies, model| {
        let life = model.alive(&source)?;
        let target = target.and_then(|target| model.lives.get(target));
        let is_source = life.name.incarnation == link.incarnation
            && !life.closed
            && copies.takes(&stored.incarnation, life, target);
        let at = copies.at(&stored.incarnation, path, &link.incarnation);
        let at = at.unwrap_or(0).max(link.acked).max(life.earliest());
        let tail = life.items.len() as u64;
        (is_source && at < tail).then_some((at, tail))
    });
    let is_right = world.look_at(|copies, model| {
        let target = target.and_then(|target| model.lives.get(target));
        let life = model.lives.get(&link.incarnation);
        life.is_none_or(|life| link.is_refused != copies.takes(&stored.incarnation, life, target))
    });
    world.expect(is_right, || {
        format!("{} refuses {path}: {link:?}", account.id)
    });
    world.expect(missing.is_none(), || {
        format!("{} has copied {path} to {missing:?}: {link:?}", account.id)
    });
}

/// It is shown how far the copies are.
pub fn check_shown(world: &World, stored: &Stored, said: &Value) {
    // A target that takes no appends any more does not say how far copies are.
    let target = stored.target.as_ref();
    let is_open = world.model(|model| {
        let life = target.and_then(|target| model.lives.get(target));
        life.is_some_and(|life| !life.closed)
    });
    if stored.copying.is_none() || stored.is_parked || !is_open {
        return;
    }
    for (path, shown, _) in streams_of(said) {
        let link = stored.links.get(&path).filter(|link| !link.is_refused);
        let at = link.map(|link| {
            let at = |copies: &mut Copies| copies.at(&stored.incarnation, &path, &link.incarnation);
            world.copies(at).unwrap_or(0).max(link.acked)
        });
        world.expect(at.is_none_or(|at| at == shown), || {
            format!("{path} is shown as copied up to {shown}, not {at:?}: {said}")
        });
    }
}

/// Sources, to which something was appended a moment ago, tell those alone who copy them. Subscriptions
/// that were `there` then and are gone have ended with their targets, and nobody has told since.
pub fn check_sources(world: &World, there: &BTreeSet<String>) {
    for node in world.nodes_of(Kind::Stream) {
        let is_open = world.model(|m| m.alive(&node.path).is_some_and(|life| !life.closed));
        let path = below(&node.path);
        let is_told = is_open && !node.path.starts_with("p/w/");
        for name in node.copiers().into_iter().filter(|_| is_told) {
            let stored = world.ledger(|ledger| {
                let account = ledger.accounts.get(&name);
                account.map(|account| account.stored.clone())
            });
            if stored.is_none() && there.contains(&name) {
                continue;
            }
            let is_wanted = stored.is_some_and(|stored| {
                !stored.is_parked && world.copies(|copies| copies.wants(&stored, path))
            });
            world.expect(is_wanted && !node.is_target(), || {
                format!("{} still gives {name} what is appended", node.path)
            });
        }
    }
}

/// Streams know of those who copy into them, and of nobody who is gone.
pub fn check_targets(world: &World) {
    for node in world.nodes_of(Kind::Stream) {
        let is_old = |name: &String| world.copies(|copies| copies.was_late(&node.path, name));
        for name in node.feeders().into_iter().filter(|name| !is_old(name)) {
            let is_there = world.ledger(|ledger| {
                let account = ledger.accounts.get(&name);
                let copying = account.and_then(|account| account.stored.copying.as_ref());
                copying.is_some_and(|copying| copying.target == below(&node.path))
            });
            world.expect(is_there, || {
                format!("{} is the target of {name}, which is gone", node.path)
            });
        }
        let (mut cursors, feeders) = (node.cursors(), node.feeders());
        cursors.retain(|name| !is_old(name));
        world.expect(cursors.is_subset(&feeders), || {
            format!("{} has cursors of {cursors:?}, and {feeders:?}", node.path)
        });
    }
}
