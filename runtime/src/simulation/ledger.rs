//! What subscriptions are, as their clients may believe, held against what their objects store: it
//! looks at each commit, and at each call as its object answers it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::node::Node;
use super::stored::{Link, Stored};
use super::subscriber::node_name;
use super::worker::streams_of;
use crate::protocol::ask::Call;
use crate::protocol::glob::Glob;

/// What a worker or a receiver was given to take care of a wake.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: String,
    pub wake_id: Value,
    pub generation: u64,
    pub token: String,
    /// Path, cursor and tail of each stream.
    pub streams: Vec<(String, u64, u64)>,
    /// Which subscription of its id it is of.
    incarnation: String,
}

impl Grant {
    pub fn of(id: &str, document: &Value, token: &Value, streams: Vec<(String, u64, u64)>) -> Self {
        Self {
            id: id.to_owned(),
            wake_id: document["wake_id"].clone(),
            generation: document["generation"].as_u64().unwrap_or(0),
            token: token.as_str().unwrap_or_default().to_owned(),
            streams,
            incarnation: String::new(),
        }
    }

    /// What every request about the wake says.
    pub fn body(&self) -> Value {
        json!({ "wake_id": self.wake_id, "generation": self.generation })
    }
}

/// What has to reach a worker of a stream: what clients have appended between two positions.
#[derive(Clone, Debug)]
pub struct Owed {
    pub incarnation: String,
    pub from: u64,
    pub until: u64,
}

impl Owed {
    pub fn new(incarnation: &str, from: u64, until: u64) -> Self {
        Self {
            incarnation: incarnation.to_owned(),
            from,
            until,
        }
    }

    /// More was appended, to another stream of the path perhaps.
    pub fn goes_on(&mut self, incarnation: &str, from: u64, until: u64) {
        if self.incarnation != incarnation {
            incarnation.clone_into(&mut self.incarnation);
            self.from = from;
        }
        self.until = until;
    }
}

/// A subscription, from its creation to its deletion.
#[derive(Clone, Debug)]
pub struct Account {
    pub id: String,
    pub stored: Stored,
    /// What its creator wanted; known when it is told that it has it.
    pub wanted: Option<Value>,
    /// Streams that somebody has named, and that were found since: their value says so.
    pub added: BTreeMap<String, bool>,
    /// When somebody last asked for one to be removed.
    removed_at: BTreeMap<String, u64>,
    /// What its worker has not acknowledged yet, by path.
    pub owed: BTreeMap<String, Owed>,
}

/// See the module's text.
#[derive(Default)]
pub struct Ledger {
    /// By the name of the node.
    pub accounts: BTreeMap<String, Account>,
    /// All that were ever given.
    grants: Vec<Grant>,
    /// How often somebody has said that a stream was processed up to a position.
    said: BTreeMap<(String, String, u64), u32>,
    /// Wakes that somebody was done with, or gave back: the incarnation and the generation.
    over: BTreeSet<(String, u64)>,
    /// Where webhooks may go: the node, and when it was known not to want it any more.
    urls: BTreeMap<String, (String, Option<u64>)>,
    /// When one of a name was last found to be gone.
    ended_at: BTreeMap<String, u64>,
    /// When a key was last taken back at once.
    pub revoked_at: u64,
    /// Whether nothing goes wrong any more.
    pub is_resting: bool,
}

/// What is known when a call comes to its object.
#[derive(Default)]
pub struct Arrival {
    at: u64,
    before: Option<Stored>,
    /// Why it must be refused.
    wrong: Option<String>,
}

type Outcome = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

/// What a request says was processed.
fn acks_of(body: &Value) -> Vec<(String, u64)> {
    let acks = body["acks"].as_array().cloned().unwrap_or_default();
    let acks = acks.iter().map(|ack| {
        let one = json!({ "streams": [{ "path": ack["stream"], "acked_offset": ack["offset"] }] });
        streams_of(&one)
    });
    acks.flatten().map(|(path, at, _)| (path, at)).collect()
}

impl Account {
    /// Whether a stream's path, below the root, is what it is about.
    pub fn matches(&self, path: &str) -> bool {
        let stored = &self.stored;
        let pattern = stored.pattern.as_ref().map(|p| Glob::parse(p));
        pattern.is_some_and(|glob| glob.is_ok_and(|glob| glob.matches(path)))
    }

    /// Whether it is about a stream, and has had the time to find it.
    pub fn is_about(&self, path: &str) -> bool {
        let is_target = (self.stored.copying.as_ref()).is_some_and(|it| it.target == path);
        let is_own = is_target || self.stored.wake_stream.as_deref() == Some(path);
        !is_own && (self.is_named(path) || self.stored.is_complete && self.matches(path))
    }

    /// Whether somebody has named the stream and it was found.
    pub fn is_named(&self, path: &str) -> bool {
        self.added.get(path) == Some(&true)
    }
}

/// Whether somebody has named a stream that has not been asked for its tail yet, from which on it is
/// wanted then: also where a pattern is about it, and nobody had found it.
fn is_being_named(link: Option<&Link>) -> bool {
    link.is_some_and(|link| link.tail.is_none())
}

impl Ledger {
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.accounts.get(&node_name(id))
    }

    /// What the creator of a subscription that is there wanted.
    pub fn wanted(&self, id: &str) -> Option<Value> {
        self.account(id)?.wanted.clone()
    }

    /// One of all that were ever given.
    pub fn grant(&self, which: u64) -> Option<Grant> {
        let count = self.grants.len() as u64;
        let at = which.checked_rem(count)?;
        self.grants.get(at as usize).cloned()
    }

    /// Whether there were any subscriptions.
    pub fn is_used(&self) -> bool {
        !self.urls.is_empty() || !self.accounts.is_empty() || !self.grants.is_empty()
    }

    /// Takes in what an object has committed. `tail` says how much there is of a stream.
    pub fn committed(
        &mut self,
        node: &Node,
        now: u64,
        tail: impl Fn(&str) -> Option<u64>,
    ) -> Outcome {
        let stored = Stored::of(node);
        let name = &node.path;
        let Some(stored) = stored else {
            self.ended(name, now);
            return Ok(());
        };
        let known = self.accounts.get(name);
        let before = known.map(|account| &account.stored);
        let Some(before) = before
            .filter(|it| it.incarnation == stored.incarnation)
            .cloned()
        else {
            ensure(
                before.is_none_or(|before| before.born <= stored.born),
                || "it is older than the one before".into(),
            )?;
            self.ended(name, now);
            return self.began(name, stored);
        };
        self.check_wakes(name, &before, &stored, now)?;
        // Cursors of copies are in their targets.
        let waking = stored.copying.is_none().then_some(&stored.links);
        for (path, link) in waking.into_iter().flatten() {
            self.check_cursor(name, path, before.links.get(path), link)?;
            let most = tail(&link.incarnation);
            ensure(most.is_none_or(|most| link.acked <= most), || {
                format!("the cursor of {path} is at {}, beyond {most:?}", link.acked)
            })?;
        }
        if let Some(account) = self.accounts.get_mut(name) {
            let links = &stored.links;
            account.owed.retain(|path, owed| {
                let link = links.get(path);
                if is_being_named(before.links.get(path)) && link.is_some_and(|l| l.tail.is_some())
                {
                    return false;
                }
                link.is_none_or(|l| l.incarnation != owed.incarnation || l.acked < owed.until)
            });
            for (path, is_found) in &mut account.added {
                *is_found |= links.get(path).is_some_and(|link| link.tail.is_some());
            }
            account.stored = stored;
        }
        Ok(())
    }

    fn began(&mut self, name: &str, stored: Stored) -> Outcome {
        if let Some(url) = &stored.url {
            self.urls.insert(url.clone(), (name.to_owned(), None));
        }
        let id = name.rsplit_once("subscriptions/").map_or("", |(_, id)| id);
        let account = Account {
            id: id.to_owned(),
            stored,
            wanted: None,
            added: BTreeMap::new(),
            removed_at: BTreeMap::new(),
            owed: BTreeMap::new(),
        };
        self.accounts.insert(name.to_owned(), account);
        Ok(())
    }

    fn ended(&mut self, name: &str, now: u64) {
        if self.accounts.remove(name).is_some() {
            self.ended_at.insert(name.to_owned(), now);
            for (of, until) in self.urls.values_mut() {
                if of == name {
                    until.get_or_insert(now);
                }
            }
        }
    }

    /// Generations rise, and nobody loses a lease before its time.
    fn check_wakes(&self, name: &str, before: &Stored, now_is: &Stored, now: u64) -> Outcome {
        ensure(now_is.generation >= before.generation, || {
            format!("{name} went back to generation {}", now_is.generation)
        })?;
        let is_same = now_is.generation == before.generation;
        ensure(!is_same || before.has_wake || !now_is.has_wake, || {
            format!("{name} has two wakes of generation {}", now_is.generation)
        })?;
        let is_given_up = self
            .over
            .contains(&(before.incarnation.clone(), before.generation));
        let is_held =
            before.holder.is_some() && before.lease_until.is_some_and(|until| now < until);
        let holds_on = is_same && now_is.holder == before.holder;
        ensure(!is_held || is_given_up || holds_on, || {
            format!(
                "{name}: {:?} held it until {:?}, and now {:?} does",
                before.holder, before.lease_until, now_is.holder
            )
        })
    }

    /// Cursors move only to where somebody has said that everything is processed, and new ones
    /// leave nothing out.
    fn check_cursor(&self, name: &str, path: &str, before: Option<&Link>, link: &Link) -> Outcome {
        if is_being_named(before) {
            return Ok(());
        }
        let account = self.accounts.get(name);
        let owed = account.and_then(|account| account.owed.get(path));
        let before = before.filter(|before| before.incarnation == link.incarnation);
        let Some(before) = before else {
            let owed = owed.filter(|owed| owed.incarnation == link.incarnation);
            return ensure(owed.is_none_or(|owed| link.acked <= owed.from), || {
                format!("{path} is linked at {}, and {owed:?}", link.acked)
            });
        };
        ensure(link.acked >= before.acked, || {
            format!("the cursor of {path} goes back to {}", link.acked)
        })?;
        let key = (name.to_owned(), path.to_owned(), link.acked);
        let is_said = link.acked == before.acked || self.said.contains_key(&key);
        ensure(is_said, || {
            format!(
                "the cursor of {path} moves from {} to {}, which nobody said",
                before.acked, link.acked
            )
        })
    }

    /// Somebody says that streams were processed.
    fn say(&mut self, name: &str, acks: &[(String, u64)]) {
        for (path, at) in acks {
            let key = (name.to_owned(), path.clone(), *at);
            *self.said.entry(key).or_default() += 1;
        }
    }

    /// Takes in a call that has come to its object.
    pub fn expect_call(&mut self, node: &Node, question: &str, body: &[u8], now: u64) -> Arrival {
        let before = Stored::of(node);
        let call: Option<Call> = serde_json::from_slice(body).ok();
        let mut arrival = Arrival {
            at: now,
            before,
            wrong: None,
        };
        let Some(call) = call else {
            return arrival;
        };
        let said: Value = serde_json::from_str(&call.body).unwrap_or_default();
        match question {
            "callback" | "ack" | "release" => {
                let before = arrival.before.as_ref();
                arrival.wrong = self.is_stale(before, &call, &said, now);
                self.say(&node.path, &acks_of(&said));
                let is_done = question == "release" || said["done"] == true;
                if let Some(before) = before.filter(|_| is_done && arrival.wrong.is_none()) {
                    let wake = (before.incarnation.clone(), before.generation);
                    self.over.insert(wake);
                }
            }
            "remove" => {
                if let Some(account) = self.accounts.get_mut(&node.path) {
                    account.removed_at.insert(call.rest.clone(), now);
                    account.added.remove(&call.rest);
                    if !account.matches(&call.rest) {
                        account.owed.remove(&call.rest);
                    }
                }
            }
            _ => {}
        }
        arrival
    }

    /// Why what a request about a wake says cannot be right any more.
    fn is_stale(
        &self,
        before: Option<&Stored>,
        call: &Call,
        said: &Value,
        now: u64,
    ) -> Option<String> {
        let Some(before) = before else {
            return Some("there is no subscription".into());
        };
        let token = call.token.as_deref().unwrap_or_default();
        let mut grants = self.grants.iter();
        let grant = grants.find(|grant| grant.token == token);
        let Some(grant) = grant.filter(|it| it.incarnation == before.incarnation) else {
            return Some("the token is none of this subscription".into());
        };
        let is_current = grant.generation == before.generation
            && before.has_wake
            && said["generation"] == before.generation
            && said["wake_id"] == grant.wake_id;
        if !is_current {
            return Some("the wake is another".into());
        }
        let is_over = match before.lease_until {
            Some(until) => until < now,
            None => before.is_pull,
        };
        is_over.then(|| format!("the lease was over at {:?}", before.lease_until))
    }

    /// Takes in what a call was answered.
    pub fn called(
        &mut self,
        node: &Node,
        question: &str,
        body: &[u8],
        arrival: &Arrival,
        status: u16,
        answer: &Value,
    ) -> Outcome {
        let Ok(call) = serde_json::from_slice::<Call>(body) else {
            return Ok(());
        };
        let said: Value = serde_json::from_str(&call.body).unwrap_or_default();
        let stored = Stored::of(node);
        let wakes = ["claim", "callback", "ack", "release", "retry"].contains(&question);
        let was_copy = |it: &Stored| it.copying.is_some();
        let is_copy =
            stored.as_ref().is_some_and(was_copy) && arrival.before.as_ref().is_some_and(was_copy);
        ensure(!is_copy || !wakes || status >= 400, || {
            "it copies, and wakes nobody".into()
        })?;
        match (question, status) {
            ("create", 200 | 201) => self.created(node, &said, arrival),
            ("add", 204) => {
                let paths = said["streams"].as_array().cloned().unwrap_or_default();
                self.added(node, &paths, arrival.at);
                Ok(())
            }
            ("claim", 200) => {
                // It may have been deleted, and made anew, before it was answered.
                let was = arrival.before.as_ref().map(|was| &was.incarnation);
                let Some(stored) = stored.filter(|it| Some(&it.incarnation) == was) else {
                    return Ok(());
                };
                let grant = Grant::of(&call.id, answer, &answer["token"], streams_of(answer));
                let before = arrival.before.as_ref();
                for (path, acked, tail) in &grant.streams {
                    let link = stored.links.get(path);
                    let was = before.and_then(|it| it.links.get(path));
                    // Another stream may have taken its place before it was answered.
                    let is_other = link.map(|l| &l.incarnation) != was.map(|l| &l.incarnation);
                    let cursor = link.map_or(0, |link| link.acked);
                    ensure((*acked == cursor || is_other) && tail >= acked, || {
                        format!("{path}: from {acked} to {tail}, and the cursor is at {cursor}")
                    })?;
                }
                let is_current = grant.generation == stored.generation && stored.has_wake;
                ensure(is_current, || "the wake is another".into())?;
                self.given(grant, &stored.incarnation)
            }
            ("ack" | "callback", 200) => {
                ensure(arrival.wrong.is_none(), || format!("{:?}", arrival.wrong))?;
                let keys = answer.as_object().map_or(0, serde_json::Map::len);
                let is_exact =
                    keys == 2 && answer["ok"] == true && answer["next_wake"].is_boolean();
                ensure(is_exact, || format!("{answer}"))?;
                let held = stored.as_ref().and_then(|it| Some((it, it.lease_until?)));
                let held = held.filter(|(it, _)| said["generation"] == it.generation);
                let is_extended = |(it, until): (&Stored, u64)| until >= arrival.at + it.lease_ttl;
                ensure(said["done"] == true || held.is_none_or(is_extended), || {
                    format!("the lease was not extended: {held:?}")
                })?;
                let before = arrival.before.as_ref();
                for (path, at) in acks_of(&said) {
                    let there = stored.as_ref().and_then(|it| it.links.get(&path));
                    let was = before.and_then(|it| it.links.get(&path));
                    let is_same = there.map(|l| &l.incarnation) == was.map(|l| &l.incarnation);
                    let cursor = there.map_or(0, |link| link.acked);
                    ensure(!is_same || there.is_none() || cursor >= at, || {
                        format!("{path} was acknowledged at {at}, and its cursor is at {cursor}")
                    })?;
                }
                Ok(())
            }
            ("release", 204) => ensure(arrival.wrong.is_none(), || format!("{:?}", arrival.wrong)),
            // All or nothing.
            ("ack" | "callback", 400..500) => {
                for (path, at) in acks_of(&said) {
                    let there = stored.as_ref().and_then(|it| it.links.get(&path));
                    let was = arrival.before.as_ref();
                    let was = was.and_then(|it| it.links.get(&path));
                    let (Some(there), Some(was)) = (there, was) else {
                        continue;
                    };
                    let key = (node.path.clone(), path.clone(), at);
                    let is_alone = self.said.get(&key) == Some(&1);
                    let has_moved = was.acked < at && there.acked == at;
                    ensure(!(is_alone && has_moved), || {
                        format!("{path} was acknowledged all the same")
                    })?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn created(&mut self, node: &Node, said: &Value, arrival: &Arrival) -> Outcome {
        let Some(account) = self.accounts.get_mut(&node.path) else {
            return Ok(());
        };
        let stored = &account.stored;
        let was_there = arrival.before.as_ref();
        let ended_at = self.ended_at.get(&node.path);
        let has_ended = ended_at.is_some_and(|at| *at >= arrival.at);
        if has_ended || was_there.is_some_and(|was| was.incarnation != stored.incarnation) {
            // It is told of one that came after its own.
            return Ok(());
        }
        let is_same = said["pattern"].as_str() == stored.pattern.as_deref()
            && said["webhook"]["url"].as_str() == stored.url.as_deref()
            && said["wake_stream"].as_str() == stored.wake_stream.as_deref()
            && said["target_stream"].as_str() == stored.copying.as_ref().map(|it| &*it.target)
            && stored.copying.as_ref().is_none_or(|copying| {
                (said["from"] == "start") == copying.from_start
                    && (said["envelope"] == true) == copying.envelope
            });
        let is_replaced = account.wanted.is_some() && account.wanted.as_ref() != Some(said);
        ensure(is_same || is_replaced, || {
            format!("{said} was created, and it is {stored:?}")
        })?;
        account.wanted.get_or_insert_with(|| said.clone());
        let paths = said["streams"].as_array().cloned().unwrap_or_default();
        if was_there.is_none() {
            self.added(node, &paths, arrival.at);
        }
        Ok(())
    }

    fn added(&mut self, node: &Node, paths: &[Value], since: u64) {
        let Some(account) = self.accounts.get_mut(&node.path) else {
            return;
        };
        for path in paths.iter().filter_map(Value::as_str) {
            let removed = account.removed_at.get(path);
            if removed.is_none_or(|at| *at < since) {
                let link = account.stored.links.get(path);
                let is_found = link.is_some_and(|link| link.tail.is_some());
                account.added.insert(path.to_owned(), is_found);
            }
        }
    }

    /// A wake has one name, and no other wake has it.
    fn given(&mut self, mut grant: Grant, incarnation: &str) -> Outcome {
        incarnation.clone_into(&mut grant.incarnation);
        for known in &self.grants {
            let is_same =
                (&*known.incarnation, known.generation) == (incarnation, grant.generation);
            ensure(is_same == (known.wake_id == grant.wake_id), || {
                format!(
                    "{} is the wake of two generations, or one of two",
                    grant.wake_id
                )
            })?;
        }
        self.grants.push(grant);
        Ok(())
    }

    /// Takes in a webhook that an object sends.
    pub fn sent(
        &mut self,
        node: &Node,
        url: &str,
        body: &Value,
        now: u64,
    ) -> Result<Grant, String> {
        let (of, until) = self.urls.get(url).ok_or("nobody wants it there")?;
        ensure(of == &node.path, || format!("that is where {of} sends"))?;
        ensure(until.is_none_or(|until| now < until + 60_000), || {
            format!("nobody has wanted it there since {until:?}")
        })?;
        let id = body["subscription_id"].as_str().unwrap_or_default();
        ensure(node_name(id) == node.path, || format!("it is of {id}"))?;
        let mut grant = Grant::of(id, body, &body["callback_token"], streams_of(body));
        let account = self.accounts.get(&node.path);
        let account = account.filter(|it| it.stored.url.as_deref() == Some(url));
        if let Some(account) = account {
            let stored = &account.stored;
            ensure(grant.generation <= stored.generation, || {
                "its generation is yet to come".into()
            })?;
            for (path, acked, tail) in &grant.streams {
                ensure(tail >= acked, || format!("{path}: {tail} before {acked}"))?;
            }
            let incarnation = stored.incarnation.clone();
            self.given(grant.clone(), &incarnation)?;
            grant.incarnation = incarnation;
        }
        Ok(grant)
    }

    /// A receiver says that it is done with a wake.
    pub fn was_done(&mut self, grant: &Grant) {
        let acks = grant
            .streams
            .iter()
            .map(|(path, _, tail)| (path.clone(), *tail));
        let acks: Vec<_> = acks.collect();
        self.say(&node_name(&grant.id), &acks);
        self.over
            .insert((grant.incarnation.clone(), grant.generation));
    }

    /// Clients have appended to a stream: whoever is about it has something to do.
    /// `is_linked` is whether the stream's object knows of a subscription, which has named it or not.
    pub fn appended(
        &mut self,
        path: &str,
        incarnation: &str,
        (from, until): (u64, u64),
        is_linked: impl Fn(&str, bool) -> bool,
    ) {
        for (name, account) in &mut self.accounts {
            let copies = account.stored.copying.is_some();
            if copies || !account.is_about(path) || !is_linked(name, account.is_named(path)) {
                continue;
            }
            let owed = account.owed.entry(path.to_owned());
            let owed = owed.or_insert_with(|| Owed::new(incarnation, from, until));
            owed.goes_on(incarnation, from, until);
        }
    }
}
