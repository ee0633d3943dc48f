//! What the worker's own code does to subscriptions and the directory. What subscriptions make of it is
//! held against the ledger, as everything is.

use std::future::Future;
use std::time::Duration;

use super::deeds::{Deed, IDS, Manner, PATTERNS};
use super::desk::Desk;
use super::subscriber::below;
use super::workload::{PATHS, STREAMS};
use super::world::World;
use crate::streams::{List, Subscribe, Subscriptions};

/// What a subscription is about.
fn about(subscribe: Subscribe, pattern: Option<usize>, streams: &[usize]) -> Subscribe {
    let subscribe = subscribe.streams(streams.iter().map(|path| below(PATHS[*path])));
    match pattern {
        Some(pattern) => subscribe.pattern(PATTERNS[pattern]),
        None => subscribe,
    }
}

impl World {
    /// Does something as the worker's own code does it, which does not do all things: it gives back what
    /// it leaves to others.
    pub async fn act_own(&self, n: usize, deed: Deed) -> Option<Deed> {
        if n % 3 != 1 {
            return Some(deed);
        }
        let stream = |path: usize| below(PATHS[path]);
        match deed {
            Deed::Create {
                id,
                is_pull,
                pattern,
                streams,
                lease,
                wake,
            } => {
                let subscribe = match is_pull {
                    true => Subscribe::pull_wake(stream(STREAMS + wake)),
                    false => Subscribe::webhook(format!("https://receiver.example/{n}")),
                };
                let subscribe = subscribe.lease(Duration::from_millis(lease));
                self.own_create(id, about(subscribe, pattern, &streams))
                    .await;
            }
            Deed::Copy {
                id,
                target,
                pattern,
                streams,
                from_start,
                envelope,
            } => {
                let mut subscribe = Subscribe::copy(stream(target));
                if from_start {
                    subscribe = subscribe.from_start();
                }
                if envelope {
                    subscribe = subscribe.envelope();
                }
                self.own_create(id, about(subscribe, pattern, &streams))
                    .await;
            }
            Deed::Delete { id } => self.own_say(id, Say::Delete).await,
            Deed::Add { id, stream: path } => self.own_say(id, Say::Add(stream(path))).await,
            Deed::Remove { id, stream: path } => self.own_say(id, Say::Remove(stream(path))).await,
            Deed::Claim { id, manner } => self.own_work(id, manner).await,
            Deed::Show { id } => self.own_say(id, Say::Show).await,
            Deed::List { after, limit } => {
                self.own_list(after.map(|after| PATHS[after]), limit).await;
            }
            Deed::Subscriptions => self.own_say(0, Say::Ids).await,
            Deed::Retry { id } => self.own_say(id, Say::Retry).await,
            other => return Some(other),
        }
        None
    }

    /// Runs code with the subscriptions of the project.
    async fn as_own_subscriber<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        code: impl FnOnce(Subscriptions<Desk>) -> F,
    ) -> Option<T> {
        self.as_own(|streams| code(streams.subscriptions("p").at("http://server")))
            .await
    }

    /// Makes a subscription.
    async fn own_create(&self, id: usize, subscribe: Subscribe) {
        let world = self.clone();
        self.as_own_subscriber(async move |subscriptions| {
            let made = subscriptions.create(IDS[id], &subscribe).await;
            world.told("subscribe", &made);
        })
        .await;
    }

    /// Claims, reads, acknowledges.
    async fn own_work(&self, id: usize, manner: Manner) {
        let world = self.clone();
        self.as_own_subscriber(async move |subscriptions| {
            let claimed = subscriptions.claim(IDS[id], "own").await;
            world.told("claim", &claimed);
            let Ok(Some(wake)) = claimed else {
                return;
            };
            if manner == Manner::Release {
                return world.told("release", &wake.release().await);
            }
            let pending = wake.streams().iter().filter(|one| one.has_pending);
            for one in pending {
                let Ok(stream) = subscriptions.stream(&one.path) else {
                    return world.fail(format!("{one:?} is no stream"));
                };
                let page = stream.read(one.acked).await;
                world.told("read", &page);
                let Ok(page) = page else {
                    continue;
                };
                world.is_page(stream.path(), one.acked.position(), &page);
                let said = wake.ack(&[(&one.path, page.next)]).await;
                world.told("ack", &said);
                if said.is_err() {
                    return;
                }
            }
            if manner != Manner::Die {
                world.told("done", &wake.done(&[]).await);
            }
        })
        .await;
    }

    /// Goes through the list of streams.
    async fn own_list(&self, after: Option<&'static str>, limit: usize) {
        let world = self.clone();
        self.as_own(async move |streams| {
            let mut after = after.map(str::to_owned);
            loop {
                let mut list = List::of("p/").limit(limit);
                if let Some(after) = &after {
                    list = list.after(after);
                }
                let listed = streams.list(list).await;
                world.told("list", &listed);
                let Ok(listed) = listed else {
                    return;
                };
                let count = listed.streams.len();
                world.expect(count <= limit, || format!("{count} streams for {limit}"));
                for entry in listed.streams {
                    let is_next = after.as_ref().is_none_or(|after| *after < entry.path);
                    world.expect(is_next && PATHS.contains(&&*entry.path), || {
                        format!("{} is listed after {after:?}", entry.path)
                    });
                    after = Some(entry.path);
                }
                if listed.next.is_none() {
                    return;
                }
                world.expect(listed.next == after, || {
                    format!("{:?} is next", listed.next)
                });
            }
        })
        .await;
    }

    /// Asks for something of a subscription.
    async fn own_say(&self, id: usize, what: Say) {
        let world = self.clone();
        self.as_own_subscriber(async move |subscriptions| {
            let id = IDS[id];
            let outcome = match what {
                Say::Delete => subscriptions.delete(id).await,
                Say::Add(path) => subscriptions.add(id, &[path]).await,
                Say::Remove(path) => subscriptions.remove(id, path).await,
                Say::Retry => subscriptions.retry(id).await,
                Say::Show => subscriptions.get(id).await.map(|shown| {
                    world.expect(shown.id == id, || format!("{id} is {shown:?}"));
                }),
                Say::Ids => subscriptions.ids(None).await.map(|page| {
                    let is_known = page.ids.iter().all(|id| IDS.contains(&&**id));
                    world.expect(is_known, || format!("{page:?}"));
                }),
            };
            world.told("say", &outcome);
        })
        .await;
    }
}

/// What is asked of a subscription and has no answer worth a look.
#[derive(Clone, Copy, Debug)]
enum Say {
    Delete,
    Add(&'static str),
    Remove(&'static str),
    Retry,
    Show,
    Ids,
}
