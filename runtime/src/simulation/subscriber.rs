//! Clients that have subscriptions, and look at the directory.

use std::rc::Rc;

use serde_json::{Value, json};

use super::client::{message, token, type_of};
use super::deeds::{Deed, IDS, Manner, PATTERNS, Whom};
use super::desk::Response;
use super::messages::Request;
use super::node::Node;
use super::workload::{PATHS, STREAMS};
use super::world::{NO_DIRECTORY, World};
use crate::machine::Peer;
use crate::protocol::header;

/// What the paths of all streams start with, which is their root.
const ROOT: &str = "p/";

/// The path of a stream below its root.
pub fn below(path: &str) -> &str {
    path.strip_prefix(ROOT).unwrap_or(path)
}

/// A part of a URL.
pub fn encoded(part: &str) -> String {
    let reserved = [('%', "%25"), (':', "%3A"), ('/', "%2F")];
    reserved
        .iter()
        .fold(part.to_owned(), |text, (c, code)| text.replace(*c, code))
}

/// The name of a subscription's node.
pub fn node_name(id: &str) -> String {
    format!("{ROOT}__ds/subscriptions/{id}")
}

/// The document in a response.
pub fn document(response: &Response) -> Value {
    serde_json::from_slice(&response.body).unwrap_or_default()
}

impl World {
    /// Does something to subscriptions or the directory; `n` is its number.
    pub async fn act(&self, n: usize, deed: Deed) {
        let Some(deed) = self.act_own(n, deed).await else {
            return;
        };
        match deed {
            Deed::Create {
                id,
                is_pull,
                pattern,
                streams,
                lease,
                wake,
            } => {
                let mut body = json!({ "lease_ttl_ms": lease });
                about(&mut body, pattern, &streams);
                deliver_to(&mut body, is_pull, n, wake);
                self.put_subscription(IDS[id], &body).await;
            }
            Deed::Copy {
                id,
                target,
                pattern,
                streams,
                from_start,
                envelope,
            } => {
                let mut body = json!({
                    "type": "copy",
                    "target_stream": below(PATHS[target]),
                    "envelope": envelope,
                    "from": if from_start { "start" } else { "now" },
                });
                about(&mut body, pattern, &streams);
                self.put_subscription(IDS[id], &body).await;
            }
            Deed::Confirm { id } => {
                if let Some(body) = self.ledger(|ledger| ledger.wanted(IDS[id])) {
                    self.put_subscription(IDS[id], &body).await;
                }
            }
            Deed::Replace { id, is_pull } => {
                let Some(mut body) = self.ledger(|ledger| ledger.wanted(IDS[id])) else {
                    return;
                };
                self.of_subscription("DELETE", IDS[id], "", None).await;
                deliver_to(&mut body, is_pull, n, n % 2);
                self.put_subscription(IDS[id], &body).await;
            }
            Deed::Renew { id } => {
                if let Some(body) = self.ledger(|ledger| ledger.wanted(IDS[id])) {
                    self.of_subscription("DELETE", IDS[id], "", None).await;
                    self.put_subscription(IDS[id], &body).await;
                }
            }
            Deed::Skip { id } => self.skip(n, IDS[id]).await,
            Deed::Delete { id } => {
                self.of_subscription("DELETE", IDS[id], "", None).await;
            }
            Deed::Add { id, stream } => {
                let body = json!({ "streams": [below(PATHS[stream])] });
                self.of_subscription("POST", IDS[id], "/streams", Some(&body))
                    .await;
            }
            Deed::Remove { id, stream } => {
                let route = format!("/streams/{}", encoded(below(PATHS[stream])));
                self.of_subscription("DELETE", IDS[id], &route, None).await;
            }
            Deed::Claim { id, manner } => self.work(IDS[id], manner).await,
            Deed::Haunt { id, which, manner } => self.haunt(id, which, manner).await,
            Deed::Show { id } => {
                self.of_subscription("GET", IDS[id], "", None).await;
            }
            Deed::List { after, limit } => {
                let after = after.map(|after| below(PATHS[after]).to_owned());
                self.list(after, limit, true).await;
            }
            Deed::Subscriptions => {
                self.control("GET", "subscriptions?limit=2", None, None)
                    .await;
            }
            Deed::Retry { id } => {
                self.of_subscription("POST", IDS[id], "/retry", None).await;
            }
            Deed::Rotate { now } => {
                if now {
                    self.ledger(|ledger| ledger.revoked_at = self.executor().now());
                }
                let body = json!({ "now": now });
                let rotated = self.control("POST", "keys/rotate", None, Some(&body)).await;
                if now && rotated.is_some() {
                    self.ledger(|ledger| ledger.revoked_at = self.executor().now());
                }
            }
            Deed::Crash(whom) => self.crash(&self.whom(whom)),
            Deed::Evict(whom) => self.evict(&self.whom(whom)),
            Deed::Switch { whom, off } => {
                let node = self.whom(whom);
                node.settings.set(if off { NO_DIRECTORY } else { 0 });
                self.crash(&node);
            }
        }
    }

    fn whom(&self, whom: Whom) -> Rc<Node> {
        match whom {
            Whom::Shard(number) => self.node_of(Peer::Shard(number)),
            Whom::Subscription(id) => self.node_of(Peer::Subscription(&node_name(IDS[id]))),
            Whom::Stream(path) => self.node(PATHS[path]),
        }
    }

    /// Asks for something behind the reserved segment, with a wake token or the project's.
    pub async fn control(
        &self,
        method: &'static str,
        route: &str,
        wake_token: Option<&str>,
        body: Option<&Value>,
    ) -> Option<Response> {
        let scope = if method == "GET" { "read" } else { "write" };
        let credentials = match wake_token {
            Some(token) => format!("Bearer {token}"),
            None => token(self.executor().now(), scope),
        };
        let headers = match route {
            "jwks.json" => Vec::new(),
            _ => vec![("Authorization", credentials)],
        };
        let request = Request {
            method,
            url: format!("http://server/v1/stream/{ROOT}__ds/{route}"),
            headers,
            body: body.map(Value::to_string).unwrap_or_default().into(),
        };
        let response = self.request(request, 0).await?.response;
        let status = response.status;
        let kind = route.split(['?', '/']).next().unwrap_or_default();
        self.count(&format!("{method} {kind} {status}"));
        Some(response)
    }

    /// Asks for something of a subscription.
    pub async fn of_subscription(
        &self,
        method: &'static str,
        id: &str,
        route: &str,
        body: Option<&Value>,
    ) -> Option<Response> {
        let route = format!("subscriptions/{}{route}", encoded(id));
        self.control(method, &route, None, body).await
    }

    async fn put_subscription(&self, id: &str, body: &Value) -> Option<Response> {
        self.of_subscription("PUT", id, "", Some(body)).await
    }

    /// Removes a stream that somebody has named, appends to it, and adds it again.
    async fn skip(&self, n: usize, id: &str) {
        let named = self.ledger(|ledger| {
            let links = &ledger.account(id)?.stored.links;
            let named = links.iter().find(|(_, link)| link.is_named);
            named.map(|(path, _)| path.clone())
        });
        let Some(path) = named else {
            return;
        };
        let route = format!("/streams/{}", encoded(&path));
        self.of_subscription("DELETE", id, &route, None).await;
        let name = format!("{ROOT}{path}");
        if let Some(is_json) = self.model(|m| m.alive(&name).map(|life| life.is_json)) {
            let headers = vec![(header::CONTENT_TYPE, type_of(is_json))];
            let body = message(n, 0, 3, is_json);
            self.ask_for("POST", &name, "", headers, body).await;
        }
        let body = json!({ "streams": [path] });
        self.of_subscription("POST", id, "/streams", Some(&body))
            .await;
    }

    /// Goes through the list of streams, or looks at one page of it. Nothing if it was not told
    /// everything.
    pub async fn list(
        &self,
        mut after: Option<String>,
        limit: usize,
        one_page: bool,
    ) -> Option<Vec<String>> {
        let mut all: Vec<String> = Vec::new();
        for _ in 0..40 {
            let mut route = format!("streams?limit={limit}");
            if let Some(after) = &after {
                route += &format!("&after={}", encoded(after));
            }
            let response = self.control("GET", &route, None, None).await?;
            if response.status != 200 {
                return None;
            }
            let document = document(&response);
            let entries = document["streams"].as_array().cloned().unwrap_or_default();
            let paths = entries.iter().filter_map(|entry| entry["path"].as_str());
            let paths: Vec<String> = paths.map(str::to_owned).collect();
            self.expect(paths.len() <= limit, || format!("{paths:?} for {limit}"));
            for path in paths {
                let is_next = after.as_ref().is_none_or(|after| *after < path);
                self.expect(is_next, || format!("{path} is listed after {after:?}"));
                after = Some(path.clone());
                all.push(path);
            }
            match document["next"].as_str() {
                Some(next) if !one_page => after = Some(next.to_owned()),
                _ => return Some(all),
            }
        }
        self.fail("the list has no end".into());
        None
    }

    /// Comes with what some wake has left.
    async fn haunt(&self, id: usize, which: u64, manner: Manner) {
        let Some(grant) = self.ledger(|ledger| ledger.grant(which)) else {
            return;
        };
        // Mostly to the subscription that it is of.
        let id = match which % 4 {
            0 => IDS[id],
            _ => &grant.id,
        };
        let id = id.to_owned();
        let route = match which % 3 {
            0 => "callback",
            _ => "ack",
        };
        self.count("ghost");
        self.treat(&id, route, &grant, manner).await;
    }
}

/// What a subscription is about.
fn about(body: &mut Value, pattern: Option<usize>, streams: &[usize]) {
    if let Some(pattern) = pattern {
        body["pattern"] = PATTERNS[pattern].into();
    }
    if !streams.is_empty() {
        let paths = streams.iter().map(|path| below(PATHS[*path]));
        body["streams"] = paths.collect();
    }
}

/// How a subscription hands over its wakes. Each has an address of its own.
fn deliver_to(body: &mut Value, is_pull: bool, n: usize, wake: usize) {
    let Some(fields) = body.as_object_mut() else {
        return;
    };
    for field in [
        "webhook",
        "wake_stream",
        "target_stream",
        "from",
        "envelope",
    ] {
        fields.remove(field);
    }
    if is_pull {
        body["type"] = "pull-wake".into();
        body["wake_stream"] = below(PATHS[STREAMS + wake]).into();
    } else {
        body["type"] = "webhook".into();
        body["webhook"] = json!({ "url": format!("https://receiver.example/{n}") });
    }
}
