//! Who may ask: the page that was served from here, and nobody else's. Any page that a person looks at can
//! send requests to this machine, also under a name of its own that leads here.

use hyper::{HeaderMap, Method, StatusCode, Uri};

use super::answer::Refusal;

/// Knows by what name the console is called.
#[derive(Debug)]
pub struct Guard {
    hosts: Vec<String>,
}

impl Guard {
    /// For a console that listens on this port of this machine.
    pub fn new(port: u16) -> Self {
        let names = ["127.0.0.1", "localhost", "[::1]"];
        let mut hosts: Vec<String> = names.map(|name| format!("{name}:{port}")).into();
        // This port goes without saying.
        if port == 80 {
            hosts.extend(names.map(str::to_owned));
        }
        Self { hosts }
    }

    /// Refuses a request that does not come from a page of this console, nor from a person who opens it.
    /// What is no page needs the header besides: a link, a form or a picture elsewhere has none.
    pub fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        is_page: bool,
    ) -> Result<(), Refusal> {
        self.check_host(uri, headers)?;
        if let Some(origin) = only(headers, "Origin")? {
            let host = origin.strip_prefix("http://").unwrap_or_default();
            if !self.knows(host) {
                return Err(foreign(format!(
                    "`Origin` is {origin:?}: pages of other origins may not use this console"
                )));
            }
        }
        if let Some(site) = only(headers, "Sec-Fetch-Site")?
            && !matches!(site, "same-origin" | "none")
        {
            return Err(foreign(format!(
                "`Sec-Fetch-Site` is {site:?}: open this console by its own address"
            )));
        }
        if is_page && matches!(*method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        // A page of another origin cannot send it without asking first, which is refused.
        match only(headers, "X-Console")? {
            Some("1") => Ok(()),
            Some(other) => Err(foreign(format!("`X-Console` is {other:?}, not 1"))),
            None => Err(foreign("the header `X-Console: 1` is missing")),
        }
    }

    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refusal> {
        let named = uri.authority().map(|authority| authority.as_str());
        let host = only(headers, "Host")?;
        let mut said = named.into_iter().chain(host).peekable();
        let is_named = said.peek().is_some();
        match said.find(|name| !self.knows(name)) {
            None if is_named => Ok(()),
            wrong => Err(Refusal::new(
                StatusCode::MISDIRECTED_REQUEST,
                "unknown_host",
                format!(
                    "`Host` is {:?}: this console is called {}",
                    wrong.unwrap_or_default(),
                    self.hosts.join(" or ")
                ),
            )),
        }
    }

    fn knows(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// The value of a header that is there once at most.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::invalid(format!("`{name}` is there twice")));
    }
    match first.map(|value| value.to_str()) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(Refusal::invalid(format!("`{name}` is no text"))),
    }
}

fn foreign(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "foreign_page", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORT: u16 = 4470;
    const HERE: (&str, &str) = ("host", "127.0.0.1:4470");
    const OURS: (&str, &str) = ("x-console", "1");

    fn check(
        method: &Method,
        target: &str,
        is_page: bool,
        said: &[(&'static str, &str)],
    ) -> Result<(), (u16, String)> {
        let mut headers = HeaderMap::new();
        for (name, value) in said {
            headers.append(*name, value.parse().unwrap());
        }
        let uri = target.parse().unwrap();
        let checked = Guard::new(PORT).check(method, &uri, &headers, is_page);
        checked.map_err(|refusal| (refusal.status.as_u16(), refusal.message))
    }

    #[track_caller]
    fn refused(said: &[(&'static str, &str)], status: u16, names: &str) {
        for is_page in [true, false] {
            let (found, message) = check(&Method::GET, "/", is_page, said).unwrap_err();
            assert_eq!(found, status, "{said:?}");
            assert!(message.contains(names), "{message}");
        }
    }

    #[test]
    fn a_page_is_opened_by_its_address() {
        for host in [
            "127.0.0.1:4470",
            "localhost:4470",
            "LocalHost:4470",
            "[::1]:4470",
        ] {
            for more in [
                None,
                Some(("sec-fetch-site", "none")),
                Some(("sec-fetch-site", "same-origin")),
            ] {
                let said: Vec<_> = [("host", host)].into_iter().chain(more).collect();
                check(&Method::GET, "/", true, &said).unwrap();
                check(&Method::HEAD, "/", true, &said).unwrap();
            }
        }
    }

    #[test]
    fn another_name_leads_nowhere() {
        for host in [
            "evil.example",
            "evil.example:4470",
            "127.0.0.1",
            "127.0.0.1:4471",
            "localhost",
            "localhost.:4470",
            "localhost.evil.example:4470",
            "127.0.0.1:4470.evil.example",
            "0.0.0.0:4470",
            "127.0.0.2:4470",
            "::1:4470",
            "user@127.0.0.1:4470",
            "",
        ] {
            refused(&[("host", host), OURS], 421, "`Host`");
        }
        refused(&[OURS], 421, "`Host`");
        refused(&[HERE, HERE, OURS], 400, "twice");
        refused(&[("host", "é"), OURS], 400, "no text");
        let absolute = check(&Method::GET, "http://evil.example/", true, &[HERE, OURS]);
        assert_eq!(absolute.unwrap_err().0, 421);
        check(&Method::GET, "http://127.0.0.1:4470/", true, &[HERE]).unwrap();
        check(&Method::GET, "http://127.0.0.1:4470/", true, &[]).unwrap();
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        for origin in [
            "null",
            "",
            "http://evil.example",
            "https://127.0.0.1:4470",
            "http://127.0.0.1:4437",
            "http://127.0.0.1",
            "http://127.0.0.1:4470/",
            "http://localhost:4470.evil.example",
            "127.0.0.1:4470",
        ] {
            refused(&[HERE, OURS, ("origin", origin)], 403, "`Origin`");
        }
        let twice = ("origin", "http://127.0.0.1:4470");
        refused(&[HERE, OURS, twice, twice], 400, "twice");
        for origin in [
            "http://127.0.0.1:4470",
            "http://localhost:4470",
            "http://[::1]:4470",
        ] {
            check(
                &Method::POST,
                "/api/tokens",
                false,
                &[HERE, OURS, ("origin", origin)],
            )
            .unwrap();
        }
    }

    #[test]
    fn what_another_site_asks_for_is_refused() {
        for site in ["cross-site", "same-site", "", "Same-Origin", "x"] {
            refused(
                &[HERE, OURS, ("sec-fetch-site", site)],
                403,
                "`Sec-Fetch-Site`",
            );
        }
        let ours = ("sec-fetch-site", "same-origin");
        refused(
            &[HERE, OURS, ours, ("sec-fetch-site", "cross-site")],
            400,
            "twice",
        );
    }

    #[test]
    fn all_that_is_no_page_needs_the_header() {
        for (method, is_page) in [
            (Method::GET, false),
            (Method::HEAD, false),
            (Method::PUT, false),
            (Method::POST, false),
            (Method::DELETE, false),
            (Method::OPTIONS, false),
            (Method::POST, true),
            (Method::OPTIONS, true),
        ] {
            let asked = |said: &[_]| check(&method, "/", is_page, said);
            asked(&[HERE, OURS]).unwrap();
            for wrong in [None, Some(""), Some("0"), Some("1, 1"), Some("true")] {
                let said: Vec<_> = [HERE]
                    .into_iter()
                    .chain(wrong.map(|value| ("x-console", value)))
                    .collect();
                let (status, message) = asked(&said).unwrap_err();
                assert_eq!(status, 403, "{method} {wrong:?}");
                assert!(message.contains("`X-Console"), "{message}");
            }
            assert_eq!(asked(&[HERE, OURS, OURS]).unwrap_err().0, 400);
        }
    }

    #[test]
    fn the_usual_port_goes_without_saying() {
        let guard = Guard::new(80);
        assert!(guard.knows("localhost") && guard.knows("localhost:80"));
    }
}
