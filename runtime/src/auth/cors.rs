//! Which pages of other origins may read an answer, and who may keep it.

use super::access::Audience;

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
