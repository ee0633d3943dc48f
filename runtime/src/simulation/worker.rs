//! Workers: they take a wake up, read what is pending, and say how far they have come, or do not.

use serde_json::{Value, json};

use super::client::token;
use super::deeds::{MANNERS, Manner};
use super::ledger::Grant;
use super::messages::Request;
use super::subscriber::{document, encoded};
use super::world::{CLIENTS, World};
use crate::protocol::offset::Offset;

/// The streams in a wake, as its worker is told of them.
pub fn streams_of(document: &Value) -> Vec<(String, u64, u64)> {
    let streams = document["streams"].as_array().cloned().unwrap_or_default();
    let position = |value: &Value| {
        let offset: Option<Offset> = value.as_str().and_then(|text| text.parse().ok());
        offset.map_or(0, Offset::position)
    };
    let entries = streams.iter().filter_map(|entry| {
        let path = entry["path"].as_str()?.to_owned();
        let (acked, tail) = (
            position(&entry["acked_offset"]),
            position(&entry["tail_offset"]),
        );
        Some((path, acked, tail))
    });
    entries.collect()
}

impl World {
    /// An event has come on a wake stream: mostly some worker takes it up, and sometimes two do.
    pub fn woken(&self, id: &str) {
        let clock = self.executor();
        let is_resting = self.ledger(|ledger| ledger.is_resting);
        let workers = match (is_resting, clock.below(10)) {
            (true, _) => 1,
            (false, 0..2) => 0,
            (false, 2) => 2,
            _ => 1,
        };
        for _ in 0..workers {
            let manner = match is_resting {
                true => Manner::Proper,
                false => *clock.pick(&MANNERS),
            };
            let (world, id) = (self.clone(), id.to_owned());
            clock.spawn(CLIENTS, async move {
                world.executor().pause(500).await;
                world.work(&id, manner).await;
            });
        }
    }

    /// Claims a subscription's wake and does something with it.
    pub async fn work(&self, id: &str, manner: Manner) {
        let body = json!({ "worker": format!("w{}", self.executor().below(100)) });
        let route = format!("subscriptions/{}/claim", encoded(id));
        let claim = self.control("POST", &route, None, Some(&body)).await;
        let Some(claim) = claim.filter(|claim| claim.status == 200) else {
            return;
        };
        self.count("claim");
        let claim = document(&claim);
        let grant = Grant::of(id, &claim, &claim["token"], streams_of(&claim));
        self.treat(id, "ack", &grant, manner).await;
    }

    /// Does something with a wake.
    pub async fn treat(&self, id: &str, route: &str, grant: &Grant, manner: Manner) {
        let clock = self.executor().clone();
        let pending = grant.streams.iter().filter(|(_, acked, tail)| tail > acked);
        let pending: Vec<_> = pending.cloned().collect();
        match manner {
            Manner::Proper => {
                for (path, acked, tail) in &pending {
                    self.process(path, *acked, *tail).await;
                }
                let acks = pending.iter().map(|(path, _, tail)| (path.clone(), *tail));
                self.ack(id, route, grant, acks.collect(), true).await;
            }
            Manner::ByAndBy => {
                for (path, acked, tail) in &pending {
                    let half = acked + (tail - acked) / 2;
                    for at in [half, *tail] {
                        clock.pause(900).await;
                        let acks = vec![(path.clone(), at)];
                        if self.ack(id, route, grant, acks, false).await != Some(200) {
                            return;
                        }
                    }
                    // No more than a sign of life.
                    self.ack(id, route, grant, Vec::new(), false).await;
                }
                self.ack(id, route, grant, Vec::new(), true).await;
            }
            Manner::Wrong => {
                let mut acks: Vec<(String, u64)> = Vec::new();
                for (path, _, tail) in &pending {
                    acks.push((path.clone(), *tail));
                }
                let wrong = match (clock.below(3), grant.streams.first()) {
                    (0, Some((path, _, tail))) => (path.clone(), tail + 1_000),
                    (1, Some((path, acked, _))) if *acked > 0 => (path.clone(), acked - 1),
                    _ => ("nowhere".to_owned(), 1),
                };
                acks.push(wrong);
                self.ack(id, route, grant, acks.clone(), true).await;
                acks.pop();
                self.ack(id, route, grant, acks, true).await;
            }
            Manner::Empty => {
                self.ack(id, route, grant, Vec::new(), true).await;
            }
            Manner::Late => {
                clock.pause(60_000).await;
                let acks = pending.iter().map(|(path, _, tail)| (path.clone(), *tail));
                self.ack(id, route, grant, acks.collect(), true).await;
            }
            Manner::Release => {
                let body = grant.body();
                let route = format!("subscriptions/{}/release", encoded(id));
                self.control("POST", &route, Some(&grant.token), Some(&body))
                    .await;
            }
            Manner::Die => {}
        }
    }

    /// Acknowledges how far some streams were processed. Gives the status.
    async fn ack(
        &self,
        id: &str,
        route: &str,
        grant: &Grant,
        acks: Vec<(String, u64)>,
        is_done: bool,
    ) -> Option<u16> {
        let mut body = grant.body();
        if !acks.is_empty() {
            let acks = acks.iter().map(|(path, at)| {
                let offset = Offset::new(*at).map(|offset| offset.to_string());
                json!({ "stream": path, "offset": offset })
            });
            body["acks"] = acks.collect();
        }
        if is_done {
            body["done"] = true.into();
        }
        let route = format!("subscriptions/{}/{route}", encoded(id));
        let tries = if self.executor().chance(200) { 2 } else { 1 };
        let mut status = None;
        for _ in 0..tries {
            let answer = self.control("POST", &route, Some(&grant.token), Some(&body));
            status = answer.await.map(|answer| answer.status).or(status);
        }
        status
    }

    /// Reads what is pending of a stream, now and then: reading has been looked at elsewhere.
    async fn process(&self, path: &str, acked: u64, tail: u64) {
        if !self.executor().chance(200) {
            return;
        }
        let Some(offset) = Offset::new(acked) else {
            return;
        };
        let url = format!("http://server/v1/stream/p/{path}?offset={offset}");
        let request = Request {
            method: "GET",
            url,
            headers: vec![("Authorization", token(self.executor().now(), "read"))],
            body: Vec::new(),
        };
        if let Some(served) = self.request(request, 0).await {
            let status = served.response.status;
            self.count(&format!("worker reads {status}, {}", tail > acked));
        }
    }
}
