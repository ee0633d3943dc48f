//! Code of the worker's own: it asks for streams without the edge, on a machine that may fail in the
//! middle of it. What comes of that at the objects is held against the model as everything is; here it
//! is looked at what the code is told.

use std::cell::RefCell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use chrono::DateTime;

use super::client::{Reader, body, message, type_of};
use super::desk::Desk;
use super::executor::once;
use super::model::Life;
use super::workload::{Expires, Op, PATHS};
use super::world::World;
use crate::protocol::offset::Offset;
use crate::protocol::retention::Retention;
use crate::streams::{Append, Create, Error, Fork, Page, Stream, Streams, Will};

/// How many pages a follower asks for at most when it is told each time to come again.
const MOST_REFUSALS: usize = 20;

/// Whether a stream is, or was, at a path. Of a project that is not the first of its name, streams have
/// other names.
pub fn is_at(life: &Life, path: &str) -> bool {
    let before = life.name.path.strip_suffix(path);
    before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
}

/// What a stream is to be.
fn create(expires: Expires, now: u64, body: Vec<u8>) -> Create {
    let create = Create::new().bytes(body);
    match expires {
        Expires::Never => create,
        Expires::Ttl(seconds) => create.ttl(Duration::from_secs(seconds)),
        Expires::At(seconds) => {
            let at = DateTime::from_timestamp_millis((now + seconds * 1000) as i64);
            create.expires_at(&at.map(|at| at.to_rfc3339()).unwrap_or_default())
        }
    }
}

fn with_will(create: Create, n: usize, will: Option<(u64, usize)>, is_json: bool) -> Create {
    let Some((after, length)) = will else {
        return create;
    };
    let will = Will::after(Duration::from_secs(after));
    create.will(match length {
        0 => will,
        _ => will.bytes(message(n, 99, length, is_json)),
    })
}

impl World {
    /// Whether it is the worker's own code that does the thing of this number. It does not do all
    /// things.
    pub fn is_own(n: usize, op: &Op) -> bool {
        match op {
            Op::Pipe { .. } => true,
            _ if n % 3 != 1 => false,
            Op::Follow { anonymous, .. } => !anonymous,
            Op::Create { .. }
            | Op::Fork { .. }
            | Op::Append { .. }
            | Op::Truncate { .. }
            | Op::Race { .. }
            | Op::Produce { .. }
            | Op::Read { .. }
            | Op::Head { .. }
            | Op::Delete { .. } => true,
            _ => false,
        }
    }

    /// Runs code on a machine of the worker. Nothing comes of it when that fails.
    pub async fn as_own<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        code: impl FnOnce(Streams<Desk>) -> F,
    ) -> Option<T> {
        let clock = self.executor();
        clock.pause(20).await;
        let desk = self.desk(0);
        let group = desk.group;
        let mut streams = Streams::over(desk, true);
        if clock.chance(200) {
            streams = streams.within(Duration::from_secs(2));
        }
        let (sender, receiver) = once();
        let work = code(streams);
        clock.spawn(group, async move { sender.send(work.await) });
        self.may_fail(group);
        receiver.await
    }

    /// What the worker's own code does.
    pub async fn do_own(&self, n: usize, op: Op, readers: &RefCell<Vec<Rc<Reader>>>) {
        self.count("own code");
        let world = self.clone();
        let now = self.executor().now();
        match op {
            Op::Create {
                path,
                is_json,
                expires,
                public,
                keeps,
                will,
                lengths,
            } => {
                let path = PATHS[path];
                let mut create = create(expires, now, body(n, &lengths, is_json));
                create = with_will(create, n, will, is_json);
                if public {
                    create = create.public();
                }
                if let Some(keeps) = keeps {
                    create = create.retention(match is_json {
                        true => Retention::Messages(keeps),
                        false => Retention::Bytes(keeps),
                    });
                }
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, path, is_json);
                    world.told("create", &stream.create(create).await);
                })
                .await;
            }
            Op::Fork {
                source,
                target,
                cut,
                expires,
                will,
                lengths,
            } => {
                let (is_json, length) = self.model(|model| {
                    let life = model.alive(PATHS[source]);
                    life.map_or((true, 0), |life| (life.is_json, life.items.len() as u64))
                });
                let create = create(expires, now, body(n, &lengths, is_json));
                let create = with_will(create, n, will, is_json);
                let at = cut.and_then(|cut| Offset::new(length * u64::from(cut) / 255));
                self.as_own(async move |streams| {
                    let source = world.own_stream(&streams, PATHS[source], is_json);
                    let target = world.own_stream(&streams, PATHS[target], is_json);
                    world.told("fork", &target.fork(&source, Fork { at }, create).await);
                })
                .await;
            }
            Op::Append {
                path,
                lengths,
                closes,
            } => {
                let is_json = self.is_json(PATHS[path]);
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, PATHS[path], is_json);
                    let mut append = Append::bytes(body(n, &lengths, is_json));
                    if closes {
                        append = append.close();
                    }
                    let appended = stream.send(append).await;
                    world.told("append", &appended);
                    for (k, length) in lengths.iter().enumerate() {
                        let text = message(n, k, *length, is_json);
                        world.is_there(PATHS[path], &text, &appended);
                    }
                })
                .await;
            }
            Op::Truncate { path, part } => {
                let length = self.model(|m| m.alive(PATHS[path]).map_or(0, |l| l.items.len()));
                let before = Offset::new(length as u64 * u64::from(part) / 255);
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, PATHS[path], true);
                    let before = before.unwrap_or(Offset::START);
                    world.told("truncate", &stream.truncate(before).await);
                })
                .await;
            }
            Op::Race { path, rounds } => {
                let race = |name| {
                    let world = self.clone();
                    self.as_own(async move |streams| {
                        world.own_race(&streams, n, name, PATHS[path], rounds).await;
                    })
                };
                futures_util::future::join(race(0), race(1)).await;
            }
            Op::Produce { path, count, .. } => {
                let is_json = self.is_json(PATHS[path]);
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, PATHS[path], is_json);
                    world.own_produce(&stream, n, count, is_json).await;
                })
                .await;
            }
            Op::Pipe {
                path,
                count,
                pace,
                source,
            } => {
                self.as_own(async move |streams| {
                    let pieces = (count, pace, source);
                    world.own_pipe(&streams, n, PATHS[path], pieces).await;
                })
                .await;
            }
            Op::Read { path, from, .. } => {
                let length = self.model(|m| m.alive(PATHS[path]).map_or(0, |l| l.items.len()));
                let from = Offset::new(length as u64 * u64::from(from) / 255);
                let from = from.unwrap_or(Offset::START);
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, PATHS[path], true);
                    let page = stream.read(from).await;
                    world.told("read", &page);
                    if let Ok(page) = page {
                        world.is_page(PATHS[path], from.position(), &page);
                    }
                })
                .await;
            }
            Op::Head { path } => {
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, PATHS[path], true);
                    let head = stream.head().await;
                    world.told("head", &head);
                    if let Ok(head) = head {
                        world.expect(head.earliest <= head.tail, || format!("{head:?}"));
                    }
                })
                .await;
            }
            Op::Delete { path } => {
                self.as_own(async move |streams| {
                    let stream = world.own_stream(&streams, PATHS[path], true);
                    world.told("delete", &stream.delete().await);
                })
                .await;
            }
            Op::Follow {
                path,
                from_now,
                pace,
                window,
                ..
            } => {
                let reader = Reader::new(n, PATHS[path], pace);
                readers.borrow_mut().push(Rc::clone(&reader));
                let follower = Rc::clone(&reader);
                let until = now + window * 1000;
                self.as_own(async move |streams| {
                    world
                        .own_follow(&streams, &follower, from_now, pace, until)
                        .await;
                })
                .await;
                reader.is_over.set(true);
            }
            _ => {}
        }
    }

    pub fn own_stream(&self, streams: &Streams<Desk>, path: &str, is_json: bool) -> Stream<Desk> {
        let stream = streams.stream(path).expect("a path of a stream");
        stream.of(&type_of(is_json))
    }

    /// Looks at an outcome: whatever is refused has a name, and nothing fails that was not made to.
    pub fn told<T>(&self, what: &str, outcome: &Result<T, Error>) {
        let said = match outcome {
            Ok(_) => "is done".to_owned(),
            Err(Error::Refused { status, code, .. }) => {
                self.expect(!code.is_empty(), || {
                    format!("own {what} is refused with {status} and no word")
                });
                code.clone()
            }
            Err(error) => error.status().to_string(),
        };
        self.count(&format!("own {what}: {said}"));
    }

    /// What was appended is there once; what was refused is not, and of what nobody answered nobody
    /// knows.
    fn is_there<T>(&self, path: &str, text: &[u8], outcome: &Result<T, Error>) {
        let found = self.model(|model| {
            let lives = model.lives.values().filter(|life| is_at(life, path));
            let found = lives.map(|life| {
                // What it has inherited may be of a stream that was at this path.
                let own = life.items.get(life.start as usize..);
                let all = own.unwrap_or_default().concat();
                all.windows(text.len()).filter(|at| *at == text).count()
            });
            // A producer that goes on in the next stream of the path is new to that.
            found.max().unwrap_or(0)
        });
        let is_right = match outcome {
            Ok(_) => found == 1,
            Err(Error::Unavailable(_)) => found <= 1,
            Err(_) => found == 0,
        };
        self.expect(is_right, || {
            let text = String::from_utf8_lossy(text);
            let error = outcome.as_ref().err();
            format!("{text} is {found} times in {path} after {error:?}")
        });
    }

    /// A page is one of a stream that is, or was, at the path.
    pub fn is_page(&self, path: &str, from: u64, page: &Page) {
        let next = page.next.position();
        let is_one = self.model(|model| {
            let mut lives = model.lives.values().filter(|life| is_at(life, path));
            lives.any(|life| {
                let is_of_type = page.content_type.contains("json") == life.is_json;
                // Nothing is left where nothing was.
                let is_end = page.bytes.is_empty() && next == from;
                is_of_type && (is_end || life.is_content(from, next, &page.bytes).is_ok())
            })
        });
        self.expect(is_one, || {
            format!("no stream at {path} has this from {from} on: {page:?}")
        });
    }

    async fn own_race(
        &self,
        streams: &Streams<Desk>,
        n: usize,
        name: usize,
        path: &'static str,
        rounds: usize,
    ) {
        let stream = self.own_stream(streams, path, self.is_json(path));
        let Ok(head) = stream.head().await else {
            return;
        };
        let is_json = head.content_type.contains("json");
        let stream = self.own_stream(streams, path, is_json);
        let mut known = head.tail;
        for round in 0..rounds {
            let text = message(n, 2 * round + name, 5, is_json);
            for _ in 0..4 {
                let append = Append::bytes(text.clone()).if_match(known);
                let outcome = stream.send(append).await;
                self.told("race", &outcome);
                self.is_there(path, &text, &outcome);
                match outcome {
                    Ok(appended) => {
                        known = appended.tail;
                        break;
                    }
                    Err(Error::Overtaken { tail, .. }) => {
                        self.expect(tail != known, || format!("{path}: nobody was faster"));
                        known = tail;
                    }
                    Err(_) => return,
                }
            }
        }
    }

    async fn own_produce(&self, stream: &Stream<Desk>, n: usize, count: usize, is_json: bool) {
        let mut producer = stream.successor(format!("own{n}"));
        for seq in 0..count {
            let text = message(n, seq, 5, is_json);
            let mut unsure: Option<Error> = None;
            for _ in 0..6 {
                let outcome = producer.send(Append::bytes(text.clone())).await;
                self.told("produce", &outcome);
                // What is refused now may be there since it was not answered.
                let known = match (&outcome, unsure.take()) {
                    (Err(_), Some(before)) => Err(before),
                    _ => outcome.clone(),
                };
                self.is_there(stream.path(), &text, &known);
                match outcome {
                    Ok(_) => break,
                    Err(Error::Unavailable(_)) => unsure = known.err(),
                    Err(_) => return,
                }
            }
            if unsure.is_some() {
                // Anything else would be taken for what may be there by now.
                let other = Append::bytes(message(n, seq + 100, 5, is_json));
                let outcome = producer.send(other).await;
                let code = match &outcome {
                    Err(Error::Refused { code, .. }) => code,
                    _ => "",
                };
                return self.expect(code == "producer_in_doubt", || format!("{outcome:?}"));
            }
        }
    }

    /// Follows until the window is over, and goes on after whatever goes wrong in between.
    async fn own_follow(
        &self,
        streams: &Streams<Desk>,
        reader: &Reader,
        from_now: bool,
        pace: u64,
        until: u64,
    ) {
        let stream = self.own_stream(streams, reader.path, true);
        let Ok(head) = stream.head().await else {
            return;
        };
        let start = if from_now { head.tail } else { head.earliest };
        let mut follow = stream.follow(start);
        let (mut at, mut refusals) = (start.position(), 0);
        while self.executor().now() < until {
            match follow.next().await {
                Ok(Some(page)) => {
                    self.count("own page");
                    self.is_page(reader.path, at, &page);
                    at = page.next.position();
                    self.executor().pause(pace).await;
                }
                Ok(None) => {
                    let is_end = self.model(|model| {
                        let mut lives = model.lives.values();
                        lives.any(|life| {
                            let is_here = is_at(life, reader.path) && life.closed;
                            is_here && life.items.len() as u64 == at
                        })
                    });
                    return self.expect(is_end, || {
                        format!("{} is followed to an end at {at}", reader.path)
                    });
                }
                Err(error) => {
                    self.told::<()>("follow", &Err(error.clone()));
                    refusals += 1;
                    if !matches!(error, Error::Unavailable(_)) || refusals > MOST_REFUSALS {
                        return;
                    }
                }
            }
        }
    }
}
