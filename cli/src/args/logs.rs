//! Options of `logs`, and what they take of what comes.

use std::str::FromStr;

use clap::Args;
use serde_json::{Value, json};

/// Options of `logs`.
#[derive(Debug, Default, Args)]
pub struct Logs {
    /// What became of it: `ok`, `error` or `canceled` as Cloudflare counts, or an HTTP status as in
    /// 404 or 5xx; several with commas
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    pub status: Vec<Status>,
    /// Failures only: a worker that fails, an HTTP status of 400 and more, or an error in its log
    #[arg(long)]
    pub errors: bool,
    /// The HTTP method; several with commas
    #[arg(long, value_name = "METHOD", value_delimiter = ',')]
    pub method: Vec<String>,
    /// Only what logs a text that has this in it
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// Only requests whose path has this in it
    #[arg(long, value_name = "TEXT")]
    pub path: Option<String>,
    /// Only requests with this header, or with this header and value
    #[arg(long, value_name = "NAME[:VALUE]", value_parser = header)]
    pub header: Option<Header>,
    /// Only requests from this address; `self` is this machine's; several with commas
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    pub ip: Vec<String>,
    /// Only a part of everything, as in 0.1 for a tenth
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub sampling: Option<f64>,
    /// Only what this version of the worker does
    #[arg(long, value_name = "ID")]
    pub version_id: Option<String>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The worker came to an end of its own.
    Ok,
    /// It failed.
    Error,
    /// The other side has gone.
    Canceled,
    /// HTTP statuses from one to another.
    Http(u64, u64),
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        match lower.as_str() {
            "ok" => return Ok(Self::Ok),
            "error" => return Ok(Self::Error),
            "canceled" | "cancelled" => return Ok(Self::Canceled),
            _ => {}
        }
        let class = lower.strip_suffix("xx").filter(|digit| digit.len() == 1);
        let found = match class.and_then(|digit| digit.parse::<u64>().ok()) {
            Some(class @ 1..=5) => Some((class * 100, class * 100 + 99)),
            _ => lower
                .parse()
                .ok()
                .filter(|code| (100..=599).contains(code))
                .map(|code| (code, code)),
        };
        found.map(|(from, to)| Self::Http(from, to)).ok_or_else(|| {
            format!("`{text}` is not ok, error, canceled, or an HTTP status as in 404 or 5xx")
        })
    }
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    name: String,
    value: Option<String>,
}

impl Logs {
    /// What Cloudflare itself is to leave out. Where a status is one of HTTP it sends everything, as it
    /// does not know those.
    pub fn filters(&self) -> Vec<Value> {
        let mut filters = Vec::new();
        if let Some(rate) = self.sampling {
            filters.push(json!({ "sampling_rate": rate }));
        }
        let is_outcome = |status: &Status| !matches!(status, Status::Http(..));
        if !self.status.is_empty() && self.status.iter().all(is_outcome) {
            let outcomes = self.status.iter().flat_map(|status| status.outcomes());
            filters.push(json!({ "outcome": outcomes.collect::<Vec<_>>() }));
        }
        if !self.method.is_empty() {
            let methods: Vec<String> = self
                .method
                .iter()
                .map(|name| name.to_ascii_uppercase())
                .collect();
            filters.push(json!({ "method": methods }));
        }
        if let Some(Header { name, value }) = &self.header {
            let mut header = json!({ "key": name });
            if let Some(value) = value {
                header["query"] = json!(value);
            }
            filters.push(json!({ "header": header }));
        }
        if !self.ip.is_empty() {
            filters.push(json!({ "client_ip": self.ip }));
        }
        if let Some(text) = &self.search {
            filters.push(json!({ "query": text }));
        }
        if let Some(version) = &self.version_id {
            filters.push(json!({ "scriptVersion": version }));
        }
        filters
    }

    /// Whether an event that came is to be shown: what Cloudflare cannot look at is looked at here.
    pub fn takes(&self, event: &Value) -> bool {
        let request = &event["event"]["request"];
        let has_status = self.status.is_empty() || self.status.iter().any(|one| one.is_of(event));
        let has_path = self.path.as_ref().is_none_or(|part| {
            let url = request["url"].as_str().unwrap_or_default();
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let path = path.split_once("://").map_or(path, |(_, rest)| rest);
            path.find('/').is_some_and(|at| path[at..].contains(part))
        });
        has_status && has_path && (!self.errors || is_failure(event))
    }
}

impl Status {
    /// What Cloudflare calls it.
    fn outcomes(self) -> &'static [&'static str] {
        match self {
            Self::Ok => &["ok"],
            Self::Error => &["exception", "exceededCpu", "exceededMemory", "unknown"],
            Self::Canceled => &["canceled"],
            Self::Http(..) => &[],
        }
    }

    fn is_of(self, event: &Value) -> bool {
        match self {
            Self::Http(from, to) => http(event).is_some_and(|status| (from..=to).contains(&status)),
            // Outcomes may get company that has no name here: it is no success.
            Self::Error => {
                let named = [Self::Ok.outcomes(), Self::Canceled.outcomes()].concat();
                !named.contains(&outcome(event))
            }
            named => named.outcomes().contains(&outcome(event)),
        }
    }
}

fn is_failure(event: &Value) -> bool {
    let mut logs = event["logs"].as_array().into_iter().flatten();
    let exceptions = event["exceptions"].as_array();
    Status::Error.is_of(event)
        || http(event).is_some_and(|status| status >= 400)
        || exceptions.is_some_and(|all| !all.is_empty())
        || logs.any(|log| log["level"] == "error")
}

fn outcome(event: &Value) -> &str {
    event["outcome"].as_str().unwrap_or("unknown")
}

fn http(event: &Value) -> Option<u64> {
    event["event"]["response"]["status"].as_u64()
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    rate.filter(|rate| *rate > 0.0 && *rate < 1.0)
        .ok_or_else(|| {
            format!("`{text}` is not a number between 0 and 1, as in 0.25 for a quarter")
        })
}

fn header(text: &str) -> Result<Header, String> {
    let (name, value) = match text.split_once(':') {
        Some((name, value)) => (name, Some(value.trim().to_owned())),
        None => (text, None),
    };
    match name.trim() {
        "" => Err(format!(
            "`{text}` has no name of a header, as in `user-agent:curl`"
        )),
        name => Ok(Header {
            name: name.to_owned(),
            value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(status: &[&str]) -> Logs {
        Logs {
            status: status.iter().map(|text| text.parse().unwrap()).collect(),
            ..Logs::default()
        }
    }

    fn event(outcome: &str, status: Option<u64>) -> Value {
        let mut event = json!({
            "outcome": outcome, "logs": [], "exceptions": [],
            "event": { "request": { "url": "https://orders.example/v1/stream/a?path=orders" } },
        });
        if let Some(status) = status {
            event["event"]["response"] = json!({ "status": status });
        }
        event
    }

    #[test]
    fn filters_have_the_words_of_the_api() {
        let all = Logs {
            status: vec![Status::Error, Status::Canceled],
            method: vec!["get".to_owned(), "POST".to_owned()],
            search: Some("it".to_owned()),
            header: Some(header("user-agent: curl:1").unwrap()),
            ip: vec!["self".to_owned()],
            sampling: Some(0.25),
            version_id: Some("v".to_owned()),
            errors: true,
            path: Some("a".to_owned()),
        };
        assert_eq!(
            Value::from(all.filters()),
            json!([
                { "sampling_rate": 0.25 },
                { "outcome": ["exception", "exceededCpu", "exceededMemory", "unknown", "canceled"] },
                { "method": ["GET", "POST"] },
                { "header": { "key": "user-agent", "query": "curl:1" } },
                { "client_ip": ["self"] },
                { "query": "it" },
                { "scriptVersion": "v" },
            ])
        );
        // What only we can tell, Cloudflare must not leave out.
        assert!(logs(&["ok", "5xx"]).filters().is_empty());
        assert!(Logs::default().filters().is_empty());
    }

    #[test]
    fn what_cloudflare_does_not_know_is_looked_at_here() {
        let takes = |logs: &Logs, outcome, status| logs.takes(&event(outcome, status));
        for (given, outcome, status, taken) in [
            (&[][..], "ok", Some(200), true),
            (&["404"], "ok", Some(404), true),
            (&["404"], "ok", Some(405), false),
            (&["4xx", "500"], "ok", Some(499), true),
            (&["4xx", "500"], "ok", Some(500), true),
            (&["4xx", "500"], "ok", Some(501), false),
            (&["5xx"], "ok", None, false),
            (&["5xx", "error"], "exception", None, true),
            (&["error"], "somethingNew", None, true),
            (&["canceled"], "canceled", Some(200), true),
            (&["ok"], "canceled", Some(200), false),
        ] {
            assert_eq!(
                takes(&logs(given), outcome, status),
                taken,
                "{given:?} {outcome} {status:?}"
            );
        }
        let errors = Logs {
            errors: true,
            ..Logs::default()
        };
        assert!(!takes(&errors, "ok", Some(200)));
        assert!(!takes(&errors, "canceled", Some(200)));
        assert!(takes(&errors, "ok", Some(409)));
        assert!(takes(&errors, "exceededCpu", None));
        let mut logged = event("ok", Some(200));
        logged["logs"] = json!([{ "level": "error", "message": ["no"] }]);
        assert!(errors.takes(&logged));
        // Neither the host nor the query is the path.
        let path = |part: &str| Logs {
            path: Some(part.to_owned()),
            ..Logs::default()
        };
        assert!(!path("orders").takes(&event("ok", None)));
        assert!(path("stream/a").takes(&event("ok", None)));
    }

    #[test]
    fn a_value_that_is_none_says_what_would_be_one() {
        for bad in ["4x", "99", "600", "0xx", "6xx", "good", ""] {
            let error = bad.parse::<Status>().unwrap_err();
            assert!(error.contains("404 or 5xx"), "{error}");
        }
        for bad in ["0", "1", "-1", "x", "NaN"] {
            rate(bad).unwrap_err();
        }
        header(": x").unwrap_err();
    }
}
