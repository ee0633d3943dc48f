//! What was copied into targets, and what has to be: too simple to be wrong. It sees what
//! subscriptions that copy commit, what is appended to their sources, and each copy as its target
//! answers it, in the same turn.

use std::collections::{BTreeMap, BTreeSet};

use super::copy_content::{decoded, lines, plain, unwrapped};
use super::ledger::Owed;
use super::model::{Life, Model};
use super::stored::{Link, Stored, short};
use super::subscriber::below;
use crate::protocol::ask::{self, Copied, Copy, CopyPart, Fed, OfSubscription};
use crate::protocol::glob::Glob;

/// A subscription that copies, also one that is gone: what it has sent may still be on its way.
struct Copier {
    pattern: Option<Glob>,
    /// The target's path below the root.
    target: String,
    from_start: bool,
    envelope: bool,
    /// How much there was of each stream when it began, as far as the directory knew of it. Others
    /// are found as if they came later.
    found: BTreeMap<String, u64>,
    tracks: BTreeMap<String, Track>,
}

/// What is known of a source of a subscription, by its path.
#[derive(Debug, Default)]
struct Track {
    was_named: bool,
    /// Set while the subscription is not about it, but has been: which stream was there, and its
    /// tail.
    dropped: Option<(String, u64)>,
    /// Where it was when somebody named it who had not been interested before.
    named_at: Option<(String, u64)>,
    /// Where interest in its streams has started.
    starts: BTreeSet<(String, u64)>,
    /// The stream of which something was copied last, when that was born, and up to where.
    cursor: Option<(ask::Life, u64)>,
    owed: Option<Owed>,
}

/// What a target has taken from a subscription.
struct Taken {
    from: u64,
    to: u64,
    by: ask::Life,
}

/// See the module's text.
#[derive(Default)]
pub struct Copies {
    /// By their incarnation.
    copiers: BTreeMap<String, Copier>,
    /// Which subscription of a name a target knows: by the target's incarnation and the name.
    feeds: BTreeMap<(String, String), ask::Life>,
    /// What is in targets of copies, by their incarnation.
    taken: BTreeMap<String, Vec<Taken>>,
    /// Streams that were targets once. Nobody has to copy those ever again.
    were_targets: BTreeSet<String>,
    /// Subscriptions that were gone when they asked a stream to be the target.
    late: BTreeSet<(String, String)>,
    /// How many messages and bytes were copied.
    pub count: u64,
}

pub type Outcome = Result<(), String>;

/// An error unless something holds.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what()) }
}

/// How much there is of a stream, with what was dropped.
pub fn length(life: &Life) -> u64 {
    life.items.len() as u64
}

/// The stream that is at a path below the root.
fn current<'a>(model: &'a Model, path: &str) -> Option<&'a Life> {
    model.alive(&format!("p/{path}"))
}

impl Copier {
    fn matches(&self, path: &str) -> bool {
        let pattern = self.pattern.as_ref();
        path != self.target && pattern.is_some_and(|glob| glob.matches(path))
    }

    /// Whether it is about a stream that has this link.
    fn wants(&self, path: &str, link: Option<&Link>) -> bool {
        self.matches(path) || link.is_some_and(|link| link.is_named)
    }

    /// Interest in a stream starts neither before anybody had any, nor behind what has to be copied.
    fn check_start(&self, path: &str, life: &Life, at: u64) -> Outcome {
        let incarnation = &life.name.incarnation;
        let found = self.found.get(incarnation);
        let track = self.tracks.get(path);
        let owed = track.and_then(|track| track.owed.as_ref());
        let owed = owed.filter(|owed| owed.incarnation == *incarnation);
        ensure(owed.is_none_or(|owed| at <= owed.from), || {
            format!("{path} is copied from {at}, and {owed:?}")
        })?;
        if self.from_start {
            return ensure(at == 0 || at == life.start && found.is_none(), || {
                format!("{path} is copied from {at}, and not from its start")
            });
        }
        let named_at = track.and_then(|track| track.named_at.as_ref());
        let named_at = named_at.filter(|(of, _)| of == incarnation);
        let named_at = named_at.map_or(0, |(_, at)| *at);
        let least = found.map_or(life.start, |tail| *tail).max(named_at);
        ensure(at >= least, || {
            format!("{path} is copied from {at}, and nobody wanted what lies before {least}")
        })
    }

    /// Whether the target takes what is in a stream.
    fn takes(&self, source: &Life, target: Option<&Life>) -> bool {
        self.envelope || target.is_some_and(|target| target.is_json == source.is_json)
    }
}

impl Copies {
    /// Whether a subscription copied ever.
    pub fn is_used(&self) -> bool {
        !self.copiers.is_empty()
    }

    /// Takes in what a subscription that copies has committed.
    /// `is_listed` says whether the directory knows a stream.
    pub fn committed(
        &mut self,
        before: Option<&Stored>,
        stored: &Stored,
        model: &Model,
        is_listed: impl Fn(&str) -> bool,
    ) -> Outcome {
        let Some(copying) = &stored.copying else {
            return Ok(());
        };
        let incarnation = &stored.incarnation;
        let copier = self.copiers.entry(incarnation.clone());
        let copier = copier.or_insert_with(|| Copier {
            pattern: stored.pattern.as_ref().and_then(|p| Glob::parse(p).ok()),
            target: copying.target.clone(),
            from_start: copying.from_start,
            envelope: copying.envelope,
            found: model
                .lives
                .iter()
                .filter(|(_, life)| is_listed(&life.name.path))
                .map(|(incarnation, life)| (incarnation.clone(), length(life)))
                .collect(),
            tracks: BTreeMap::new(),
        });
        ensure(!stored.has_wake && stored.generation == 0, || {
            "it wakes somebody".into()
        })?;
        let nothing = BTreeMap::new();
        let was = before.map_or(&nothing, |before| &before.links);
        let paths: BTreeSet<&String> = was.keys().chain(stored.links.keys()).collect();
        for path in paths {
            copier.linked(path, (was.get(path), stored.links.get(path)), model)?;
        }
        Ok(())
    }

    /// A source has got more, and `is_linked` says whether it knows of a subscription, which has named
    /// it or not.
    pub fn appended(
        &mut self,
        incarnation: &str,
        (path, source): (&str, &Life),
        is_named: bool,
        target: Option<&Life>,
        (from, until): (u64, u64),
    ) {
        let Some(copier) = self.copiers.get_mut(incarnation) else {
            return;
        };
        if path == copier.target || !copier.takes(source, target) {
            return;
        }
        let is_wanted = is_named || copier.matches(path);
        let track = copier.tracks.entry(path.to_owned()).or_default();
        if is_wanted {
            track.owes(&source.name.incarnation, from, until);
        }
    }

    /// Takes in what a stream was asked that is to be a target, and its answer.
    pub fn fed(&mut self, path: &str, body: &[u8], fed: &Fed, model: &Model, now: u64) -> Outcome {
        let feed: OfSubscription = ask::hear(body).map_err(|error| format!("{error:?}"))?;
        let there = model.alive(path);
        let key = |life: &Life| (life.name.incarnation.clone(), feed.subscription.clone());
        let is_old = there
            .and_then(|there| self.feeds.get(&key(there)))
            .is_some_and(|known| known.is_after(&feed.life));
        match fed {
            Fed::Yes { life, .. } => {
                let is_it = there.is_some_and(|it| it.name.incarnation == life.incarnation);
                let is_open = there.is_some_and(|it| !it.closed);
                ensure(is_it && is_open, || "it can be no target".into())?;
                if !is_old {
                    let key = (life.incarnation.clone(), feed.subscription);
                    self.feeds.insert(key, feed.life);
                }
                self.were_targets.insert(life.incarnation.clone());
                for copier in self.copiers.values_mut() {
                    if let Some(track) = copier.tracks.get_mut(below(path)) {
                        track.owed = None;
                    }
                }
                Ok(())
            }
            Fed::Absent => {
                let is_there = there.is_some_and(|it| now < it.deadline.0);
                ensure(!is_there || is_old, || "it is there".into())
            }
            Fed::Closed => ensure(there.is_none_or(|it| it.closed), || "it is open".into()),
            Fed::IsSource => Ok(()),
        }
    }

    /// Takes in that a target was told to forget a subscription, and has.
    pub fn unfed(&mut self, path: &str, body: &[u8], model: &Model) -> Outcome {
        let unfeed: OfSubscription = ask::hear(body).map_err(|error| format!("{error:?}"))?;
        if let Some(there) = model.alive(path) {
            let key = (there.name.incarnation.clone(), unfeed.subscription);
            if self
                .feeds
                .get(&key)
                .is_some_and(|life| *life == unfeed.life)
            {
                self.feeds.remove(&key);
            }
        }
        Ok(())
    }

    /// Takes note of whether a subscription is gone that asks a stream to be the target. The stream
    /// knows it then as long as it is there.
    pub fn may_be_late(&mut self, path: &str, body: &[u8], is_there: impl Fn(&ask::Life) -> bool) {
        if let Ok(feed) = ask::hear::<OfSubscription>(body)
            && !is_there(&feed.life)
        {
            let name = feed.subscription;
            self.late.insert((path.to_owned(), short(&name)));
        }
    }

    /// Whether a subscription was gone when it asked a stream to be the target.
    pub fn was_late(&self, path: &str, name: &str) -> bool {
        self.late.contains(&(path.to_owned(), name.to_owned()))
    }

    /// Whether a stream was a target once.
    pub fn was_target(&self, incarnation: &str) -> bool {
        self.were_targets.contains(incarnation)
    }

    /// Up to where a source was copied, if anything of it was.
    pub fn at(&self, incarnation: &str, path: &str, source: &str) -> Option<u64> {
        let (life, at) = self.track(incarnation, path)?.cursor.as_ref()?;
        (life.incarnation == source).then_some(*at)
    }

    /// What has to be copied of a source and was not yet.
    pub fn owed(&self, incarnation: &str) -> BTreeMap<String, Owed> {
        let tracks = self.copiers.get(incarnation).into_iter();
        let tracks = tracks.flat_map(|copier| &copier.tracks);
        let owed = tracks.filter_map(|(path, track)| Some((path.clone(), track.owed.clone()?)));
        owed.collect()
    }

    fn track(&self, incarnation: &str, path: &str) -> Option<&Track> {
        self.copiers.get(incarnation)?.tracks.get(path)
    }

    /// Whether a subscription is about a stream, as far as it knows.
    pub fn wants(&self, stored: &Stored, path: &str) -> bool {
        let copier = self.copiers.get(&stored.incarnation);
        copier.is_some_and(|copier| copier.wants(path, stored.links.get(path)))
    }

    /// Whether a subscription's target takes what is in a stream, as far as its type goes.
    pub fn takes(&self, incarnation: &str, source: &Life, target: Option<&Life>) -> bool {
        let copier = self.copiers.get(incarnation);
        copier.is_some_and(|copier| copier.takes(source, target))
    }

    /// Takes in what a target was asked to append, and its answer. Gives the messages that it has
    /// appended.
    pub fn copied(
        &mut self,
        path: &str,
        body: &[u8],
        answer: &Copied,
        model: &Model,
        now: u64,
    ) -> Result<Vec<Vec<u8>>, String> {
        let (document, mut content) = ask::apart(body);
        let copy: Copy = ask::hear(document).map_err(|error| format!("{error:?}"))?;
        let there = model.alive(path);
        let there = there.filter(|it| it.name.incarnation == copy.target.incarnation);
        let feed = (copy.target.incarnation.clone(), copy.subscription.clone());
        let is_fed = self.feeds.get(&feed) == Some(&copy.life);
        let at = match answer {
            Copied::Yes { at, .. } => at,
            Copied::Gone => {
                let is_there = there.is_some_and(|it| now < it.deadline.0);
                return ensure(!is_there, || "it is there".into()).map(|()| Vec::new());
            }
            Copied::Closed => {
                let is_open = there.is_some_and(|it| !it.closed);
                return ensure(!is_open, || "it is open".into()).map(|()| Vec::new());
            }
            Copied::NotFed => {
                return ensure(!is_fed, || "it is the target".into()).map(|()| Vec::new());
            }
        };
        let target = there.ok_or("it is another stream's copy, or of one that is over")?;
        ensure(!target.closed, || "it is closed".into())?;
        ensure(now < target.deadline.1, || {
            format!("its time was over at {:?}", target.deadline)
        })?;
        ensure(is_fed, || {
            format!("it is the target of {:?}", self.feeds.get(&feed))
        })?;
        ensure(at.len() == copy.parts.len(), || {
            "it answers for others".into()
        })?;
        let mut items = Vec::new();
        for (part, at) in copy.parts.iter().zip(at) {
            let (own, rest) = content
                .split_at_checked(part.length)
                .ok_or("there is less content than it says")?;
            content = rest;
            let what = |what| format!("{part:?} -> {at}: {what}");
            if self.judge(&copy.life, part, *at).map_err(what)? {
                let taken = self.take(&copy.life, part, own, target, model);
                items.extend(taken.map_err(what)?);
            }
        }
        ensure(content.is_empty(), || "there is more content".into())?;
        if !items.is_empty() {
            let from = length(target);
            let taken = self.taken.entry(target.name.incarnation.clone());
            taken.or_default().push(Taken {
                from,
                to: from + items.len() as u64,
                by: copy.life,
            });
            self.count += items.len() as u64;
        }
        Ok(items)
    }

    /// Whether a part has to be taken, by what was before.
    fn judge(&self, by: &ask::Life, part: &CopyPart, at: u64) -> Result<bool, String> {
        let track = self.track(&by.incarnation, &part.path);
        let known = track.and_then(|track| track.cursor.as_ref());
        let is_older = known.is_some_and(|(life, _)| life.is_after(&part.life));
        if is_older {
            ensure(at == part.to, || "the source is over".into())?;
            return Ok(false);
        }
        let known = known.filter(|(life, _)| life.incarnation == part.life.incarnation);
        let cursor = known.map_or(part.since, |(_, at)| part.since.max(*at));
        let is_next = part.behind == cursor && part.to > cursor;
        let right = if is_next { part.to } else { cursor };
        ensure(at == right, || format!("the cursor is at {cursor}"))?;
        Ok(is_next)
    }

    /// Takes in a part that the target has taken.
    fn take(
        &mut self,
        by: &ask::Life,
        part: &CopyPart,
        content: &[u8],
        target: &Life,
        model: &Model,
    ) -> Result<Vec<Vec<u8>>, String> {
        let source = &part.life.incarnation;
        let Some(life) = model.lives.get(source) else {
            return self.take_blindly(by, part, content, target);
        };
        ensure(life.name.path == format!("p/{}", part.path), || {
            "it has another path".into()
        })?;
        self.check_round(part, source)?;
        let copier = self.copiers.get_mut(&by.incarnation);
        let copier = copier.ok_or("nobody knows the subscription")?;
        ensure(target.name.path == format!("p/{}", copier.target), || {
            format!("{} is its target", copier.target)
        })?;
        ensure(part.path != copier.target, || "a target is copied".into())?;
        ensure(copier.takes(life, Some(target)), || {
            "it is of another type".into()
        })?;
        let is_matched = copier.matches(&part.path);
        let envelope = copier.envelope;
        let track = copier.tracks.entry(part.path.clone()).or_default();
        track.check(part, is_matched)?;
        track.advance(part);
        let (from, items) = match envelope {
            true => unwrapped(part, content, life)?,
            false => plain(part, content, life)?,
        };
        ensure(from >= part.behind, || format!("it starts at {from}"))?;
        ensure(from == part.behind || from <= life.earliest(), || {
            format!("it leaves out what is there, up to {from}")
        })?;
        Ok(items)
    }

    /// The same for a fork whose time was over when it came: nobody has seen it.
    fn take_blindly(
        &mut self,
        by: &ask::Life,
        part: &CopyPart,
        content: &[u8],
        target: &Life,
    ) -> Result<Vec<Vec<u8>>, String> {
        if let Some(copier) = self.copiers.get_mut(&by.incarnation) {
            let track = copier.tracks.entry(part.path.clone()).or_default();
            track.advance(part);
        }
        let bytes = match part.base64 {
            true => decoded(&String::from_utf8_lossy(content))?,
            false => content.to_vec(),
        };
        match target.is_json {
            true => Ok(lines(&bytes)?.into_iter().map(<[u8]>::to_vec).collect()),
            false => Ok(bytes.iter().map(|byte| vec![*byte]).collect()),
        }
    }

    /// What somebody still copies into the source is not copied again.
    fn check_round(&self, part: &CopyPart, source: &str) -> Outcome {
        let taken = self.taken.get(source).map_or(&[][..], |taken| &taken[..]);
        let round = taken.iter().find(|taken| {
            let overlaps = part.behind < taken.to && taken.from < part.to;
            let mut feeds = self.feeds.iter();
            overlaps && feeds.any(|((of, _), life)| of == source && *life == taken.by)
        });
        ensure(round.is_none(), || "it is a copy itself".into())
    }
}

impl Copier {
    /// A link of it has become another one, or none.
    fn linked(
        &mut self,
        path: &str,
        (before, after): (Option<&Link>, Option<&Link>),
        model: &Model,
    ) -> Outcome {
        let there = current(model, path);
        let there = there.map(|life| (life.name.incarnation.clone(), length(life)));
        let was_wanted = before.is_some() && self.wants(path, before);
        let is_wanted = self.wants(path, after);
        let track = self.tracks.entry(path.to_owned()).or_default();
        track.was_named |= after.is_some_and(|link| link.is_named);
        if is_wanted {
            track.dropped = None;
        } else if was_wanted {
            let was = before.map(|link| link.incarnation.clone());
            let tail = |of: &String| model.lives.get(of).map_or(0, length);
            track.dropped = was.map(|of| (of.clone(), tail(&of)));
            track.owed = None;
            track.named_at = None;
        }
        let is_unplaced = |link: &Link| link.tail.is_none();
        let is_being_named = before.is_some_and(is_unplaced);
        // A stream that was removed a moment ago may not have heard of it.
        let is_first = self.tracks.get(path).is_none_or(|track| !track.had_start());
        if !was_wanted && is_first && after.is_some_and(is_unplaced) && !self.matches(path) {
            let track = self.tracks.entry(path.to_owned()).or_default();
            track.named_at = there;
        }
        let Some(link) = after.filter(|link| !link.incarnation.is_empty()) else {
            return Ok(());
        };
        let is_same = before.is_some_and(|before| before.incarnation == link.incarnation);
        if is_same {
            let was = before.map_or(0, |before| before.acked);
            return ensure(link.acked == was, || {
                format!("the start of {path} moves from {was} to {}", link.acked)
            });
        }
        let start = (link.incarnation.clone(), link.acked);
        // The time of a fork may have been over when it came.
        let Some(life) = model.lives.get(&link.incarnation) else {
            let track = self.tracks.entry(path.to_owned()).or_default();
            track.starts.insert(start);
            return Ok(());
        };
        if is_being_named {
            let track = self.tracks.entry(path.to_owned()).or_default();
            track.owed = None;
        }
        self.check_start(path, life, link.acked)?;
        let track = self.tracks.entry(path.to_owned()).or_default();
        track.starts.insert(start);
        Ok(())
    }
}

impl Track {
    fn had_start(&self) -> bool {
        !self.starts.is_empty()
    }

    fn owes(&mut self, incarnation: &str, from: u64, until: u64) {
        let new = || Owed::new(incarnation, from, until);
        let owed = self.owed.get_or_insert_with(new);
        owed.goes_on(incarnation, from, until);
    }

    /// A part that is taken leaves nothing out, and somebody wants it.
    fn check(&self, part: &CopyPart, is_matched: bool) -> Outcome {
        let source = &part.life.incarnation;
        ensure(is_matched || self.was_named, || {
            "nobody ever wanted it".into()
        })?;
        let start = (source.clone(), part.since);
        ensure(self.starts.contains(&start), || {
            format!("it starts at one of {:?}", self.starts)
        })?;
        if let Some((dropped, tail)) = &self.dropped {
            ensure(dropped == source && part.to <= *tail, || {
                format!("nobody wants it since {dropped} was at {tail}")
            })?;
        }
        let owed = self.owed.as_ref();
        let owed = owed.filter(|owed| owed.incarnation == *source);
        ensure(owed.is_none_or(|owed| part.behind <= owed.from), || {
            format!("it leaves out something, and {owed:?}")
        })
    }

    fn advance(&mut self, part: &CopyPart) {
        self.cursor = Some((part.life.clone(), part.to));
        if let Some(owed) = &mut self.owed
            && owed.incarnation == part.life.incarnation
        {
            owed.from = owed.from.max(part.to);
            if owed.from >= owed.until {
                self.owed = None;
            }
        }
    }
}
