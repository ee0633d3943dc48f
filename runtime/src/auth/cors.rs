//! Which pages of other origins may read an answer, and who may keep it.
//!
//! Credentials are headers that pages set themselves. No cookie is ever looked at, so that no page
//! is told that it may send some: `Access-Control-Allow-Credentials` is not among the answers, and
//! a page that asks for it is refused by its browser.

use super::access::Audience;
use crate::protocol::header;
use crate::protocol::reply::Reply;

const ALLOW_ORIGIN: &str = "Access-Control-Allow-Origin";
const EXPOSE_HEADERS: &str = "Access-Control-Expose-Headers";
const CACHE_CONTROL: &str = "Cache-Control";
const VARY: &str = "Vary";

/// Who besides pages of the server's own origin may read an answer in a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cors {
    /// Pages of every origin: what replies say by themselves.
    Any,
    /// Pages of the request's origin, because it is one of those that are allowed.
    Origin,
    /// Nobody.
    Nobody,
}

impl Cors {
    /// What a list of allowed origins means for a request from `origin`. An origin is compared as
    /// browsers send it, letter by letter; `*` in the list stands for all.
    pub fn decide(allowed: &[String], origin: Option<&str>) -> Self {
        if allowed.iter().any(|entry| entry == "*") {
            return Self::Any;
        }
        match origin {
            Some(origin) if allowed.iter().any(|entry| entry == origin) => Self::Origin,
            _ => Self::Nobody,
        }
    }
}

/// The longest list of headers that is allowed as it was asked for, in bytes.
const MAX_ASKED: usize = 2048;

/// The answer to an OPTIONS, a browser's preflight among them. `asked` is its
/// `Access-Control-Request-Headers`: all that is asked for is allowed, since what a header means is
/// decided when it comes, by the server or by whoever authorizes in it.
pub fn preflight(cors: Cors, origin: Option<String>, asked: Option<String>) -> Reply {
    let vary = "Origin, Access-Control-Request-Headers".to_owned();
    let mut reply = Reply::bare(204).with(VARY, vary);
    let allowed = match cors {
        Cors::Any => Some("*".to_owned()),
        Cors::Origin => origin,
        Cors::Nobody => None,
    };
    if let Some(allowed) = allowed {
        let asked = asked.filter(|asked| is_list_of_names(asked));
        let headers = asked.unwrap_or_else(|| header::ALLOWED_REQUEST_HEADERS.to_owned());
        let methods = "GET, HEAD, POST, PUT, DELETE, OPTIONS".to_owned();
        reply.headers.extend([
            (ALLOW_ORIGIN, allowed),
            ("Access-Control-Allow-Methods", methods),
            ("Access-Control-Allow-Headers", headers),
            ("Access-Control-Max-Age", "86400".to_owned()),
        ]);
    }
    reply
}

/// Whether a text is names of headers (RFC 9110 section 5.6.2), separated by commas, and no more.
fn is_list_of_names(text: &str) -> bool {
    let is_token = |name: &str| {
        let mark = |c| b"!#$%&'*+-.^_`|~".contains(&c);
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || mark(c))
    };
    text.len() <= MAX_ASKED && text.split(',').all(|name| is_token(name.trim_matches(' ')))
}

/// The headers of an answer that differ from those it came with: a value to set, or `None` for a
/// header to take away. `origin` is the request's, `caching` the answer's `Cache-Control`.
pub fn header_changes(
    cors: Cors,
    origin: Option<&str>,
    audience: Audience,
    caching: Option<&str>,
) -> Vec<(&'static str, Option<String>)> {
    let mut changes = Vec::new();
    let mut depends_on = Vec::new();
    match (cors, origin) {
        (Cors::Any, _) => {}
        (Cors::Origin, Some(origin)) => {
            changes.push((ALLOW_ORIGIN, Some(origin.to_owned())));
            depends_on.push("Origin");
        }
        _ => {
            changes.push((ALLOW_ORIGIN, None));
            changes.push((EXPOSE_HEADERS, None));
            depends_on.push("Origin");
        }
    }
    let shared = caching.and_then(|value| value.strip_prefix("public"));
    if let (Audience::Holder, Some(rest)) = (audience, shared) {
        changes.push((CACHE_CONTROL, Some(format!("private{rest}"))));
        depends_on.push("Authorization");
    }
    if !depends_on.is_empty() {
        changes.push((VARY, Some(depends_on.join(", "))));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "https://app.example";

    fn value<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        let mut headers = reply.headers.iter();
        headers.find_map(|(known, value)| (*known == name).then_some(value.as_str()))
    }

    #[test]
    fn a_preflight_is_allowed_what_it_asks_for() {
        for asked in [
            "x-api-key",
            "authorization,traceparent, baggage,sentry-trace",
            "Cache-Control",
        ] {
            for (cors, origin) in [(Cors::Any, "*"), (Cors::Origin, APP)] {
                let reply = preflight(cors, Some(APP.to_owned()), Some(asked.to_owned()));
                assert_eq!(reply.status, 204);
                assert_eq!(value(&reply, "Access-Control-Allow-Headers"), Some(asked));
                assert_eq!(value(&reply, ALLOW_ORIGIN), Some(origin));
                assert_eq!(
                    value(&reply, VARY),
                    Some("Origin, Access-Control-Request-Headers")
                );
                let methods = value(&reply, "Access-Control-Allow-Methods").unwrap();
                assert!(methods.contains("DELETE"));
                assert!(value(&reply, "Access-Control-Max-Age").is_some());
                assert_eq!(value(&reply, "Access-Control-Allow-Credentials"), None);
            }
        }
    }

    #[test]
    fn what_is_no_list_of_names_is_answered_with_the_usual_one() {
        let usual = Some(header::ALLOWED_REQUEST_HEADERS);
        let long = "x".repeat(MAX_ASKED + 1);
        for asked in [
            "", ",", "a,,b", "a b", "a:b", "a\n", "é", "a;b", "*,\t", &long,
        ] {
            let reply = preflight(Cors::Any, None, Some(asked.to_owned()));
            assert_eq!(
                value(&reply, "Access-Control-Allow-Headers"),
                usual,
                "{asked:?}"
            );
        }
        let reply = preflight(Cors::Any, None, None);
        assert_eq!(value(&reply, "Access-Control-Allow-Headers"), usual);
    }

    #[test]
    fn a_page_of_another_origin_learns_nothing_from_a_preflight() {
        for (cors, origin) in [(Cors::Nobody, Some(APP)), (Cors::Origin, None)] {
            let reply = preflight(
                cors,
                origin.map(str::to_owned),
                Some("authorization".to_owned()),
            );
            assert_eq!(reply.status, 204);
            let mut names = reply.headers.iter().map(|(name, _)| *name);
            assert!(
                names.all(|name| !name.starts_with("Access-Control")),
                "{reply:?}"
            );
            assert!(value(&reply, VARY).is_some_and(|vary| vary.contains("Origin")));
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_allowed_is_a_header_that_can_be_sent(asked in "[ -~]{0,40}|\\PC{0,40}") {
            let reply = preflight(Cors::Any, None, Some(asked));
            let allowed = value(&reply, "Access-Control-Allow-Headers").unwrap();
            for name in allowed.split(',') {
                let name = name.trim();
                proptest::prop_assert!(!name.is_empty());
                proptest::prop_assert!(!name.contains([' ', ':', ';', '"', '\r', '\n']));
            }
        }
    }

    fn decide(allowed: &[&str], origin: Option<&str>) -> Cors {
        let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
        Cors::decide(&allowed, origin)
    }

    #[test]
    fn an_origin_is_compared_letter_by_letter() {
        assert_eq!(decide(&["https://a.example", APP], Some(APP)), Cors::Origin);
        for other in [
            "https://app.example.evil.example",
            "https://evil-app.example",
            "http://app.example",
            "https://app.example:8443",
            "https://app.example/",
            "HTTPS://app.example",
            "null",
            "*",
            "",
        ] {
            assert_eq!(decide(&[APP], Some(other)), Cors::Nobody, "{other}");
        }
        assert_eq!(decide(&[APP], None), Cors::Nobody);
        assert_eq!(decide(&[], Some(APP)), Cors::Nobody);
    }

    #[test]
    fn a_star_is_all_only_as_a_whole_entry() {
        assert_eq!(decide(&["*"], Some(APP)), Cors::Any);
        assert_eq!(decide(&["*"], None), Cors::Any);
        assert_eq!(decide(&["https://*.example"], Some(APP)), Cors::Nobody);
    }

    #[test]
    fn what_is_open_to_all_stays_as_it_is() {
        let caching = Some("public, max-age=60");
        let changes = header_changes(Cors::Any, Some(APP), Audience::Everyone, caching);
        assert_eq!(changes, []);
    }

    #[test]
    fn an_allowed_origin_is_named_and_no_other() {
        let set = |value: &str| Some(value.to_owned());
        let changes = |cors| header_changes(cors, Some(APP), Audience::Everyone, None);
        assert_eq!(
            changes(Cors::Origin),
            [(ALLOW_ORIGIN, set(APP)), (VARY, set("Origin"))]
        );
        assert_eq!(
            changes(Cors::Nobody),
            [
                (ALLOW_ORIGIN, None),
                (EXPOSE_HEADERS, None),
                (VARY, set("Origin"))
            ]
        );
    }

    #[test]
    fn shared_caches_keep_nothing_that_needed_a_token() {
        let changes = |audience, caching| header_changes(Cors::Any, None, audience, Some(caching));
        let public = "public, max-age=60, stale-while-revalidate=300";
        assert_eq!(
            changes(Audience::Holder, public),
            [
                (
                    CACHE_CONTROL,
                    Some("private, max-age=60, stale-while-revalidate=300".to_owned())
                ),
                (VARY, Some("Authorization".to_owned()))
            ]
        );
        assert_eq!(changes(Audience::Holder, "no-store"), []);
        assert_eq!(changes(Audience::EveryoneIfPublic, public), []);
    }
}
