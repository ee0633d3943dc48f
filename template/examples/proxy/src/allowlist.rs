//! Which URLs may be asked. Whoever can make a server ask any URL can make it ask what only the server
//! should reach, so nothing is allowed that is not listed.

use url::Url;

/// What an entry looks like, for messages.
const SHAPE: &str = "scheme://host[:port][/path], such as https://api.example.com/v1/*";

/// What servers may take for `/`, `\`, `.` or `%` after all: with these, a path may lead elsewhere
/// than it seems to.
const ENCODED: [&str; 4] = ["%2f", "%5c", "%2e", "%25"];

/// The URLs that may be asked.
#[derive(Debug)]
pub struct Allowlist(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    scheme: String,
    host: Host,
    /// Any without one.
    port: Option<u16>,
    path: Paths,
}

#[derive(Debug)]
enum Host {
    Exactly(String),
    /// Hosts that end so; it starts with `.`.
    Below(String),
}

#[derive(Debug)]
enum Paths {
    Any,
    Exactly(String),
    /// Paths that begin so; it ends with `/`.
    Below(String),
}

impl Allowlist {
    /// Reads entries, which are separated by white space or commas.
    ///
    /// # Errors
    ///
    /// Which entry is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(|c: char| c.is_whitespace() || c == ',');
        let entries = entries.filter(|entry| !entry.is_empty()).map(|entry| {
            Entry::parse(entry).ok_or_else(|| format!("{entry:?} in ALLOWLIST is not {SHAPE}"))
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// The URL, if it may be asked. It is as it was understood here: what is asked is that, and not the
    /// text.
    pub fn admit(&self, text: &str) -> Option<Url> {
        let mut url = Url::parse(text).ok()?;
        let has_credentials = !url.username().is_empty() || url.password().is_some();
        if has_credentials || !self.0.iter().any(|entry| entry.admits(&url)) {
            return None;
        }
        url.set_fragment(None);
        Some(url)
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        if !["http", "https"].contains(&&*scheme) {
            return None;
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/*"),
        };
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let (below, authority) = match authority.strip_prefix("*.") {
            Some(authority) => (true, authority),
            None => (false, authority),
        };
        let (path, is_below) = match path.strip_suffix("**").or(path.strip_suffix('*')) {
            Some(path) => (path, true),
            None => (path, false),
        };
        // Read as URLs are, so that what is the same is written in the same way.
        let url = Url::parse(&format!("{scheme}://{authority}{path}")).ok()?;
        let is_more = url.query().is_some() || url.fragment().is_some() || authority.contains('@');
        // Numbers have no hosts below them.
        let is_name = url.domain().is_some();
        if is_more || text.matches('*').count() > 4 || url.path().contains('*') {
            return None;
        }
        if authority.contains('*') || (below && !is_name) || (is_below && !path.ends_with('/')) {
            return None;
        }
        let host = url.host_str()?;
        Some(Self {
            host: match below {
                true => Host::Below(format!(".{host}")),
                false => Host::Exactly(host.to_owned()),
            },
            port: (!any_port).then(|| url.port_or_known_default()).flatten(),
            path: match (is_below, url.path()) {
                (true, "/") => Paths::Any,
                (true, path) => Paths::Below(path.to_owned()),
                (false, path) => Paths::Exactly(path.to_owned()),
            },
            scheme,
        })
    }

    fn admits(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else {
            return false;
        };
        let host_fits = match &self.host {
            Host::Exactly(known) => host == known,
            Host::Below(end) => host.len() > end.len() && host.ends_with(end.as_str()),
        };
        let port_fits = self.port.is_none() || self.port == url.port_or_known_default();
        url.scheme() == self.scheme && host_fits && port_fits && self.path.admits(url.path())
    }
}

impl Paths {
    fn admits(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(known) => path == known,
            Self::Below(start) => {
                let lower = path.to_ascii_lowercase();
                let is_plain = !ENCODED.iter().any(|encoded| lower.contains(encoded));
                path.starts_with(start.as_str()) && is_plain
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(list: &str, url: &str) -> bool {
        Allowlist::parse(list).unwrap().admit(url).is_some()
    }

    #[test]
    fn nothing_is_allowed_that_is_not_listed() {
        for url in [
            "https://api.example.com/",
            "http://localhost/",
            "",
            "x",
            "/v1",
        ] {
            assert!(!admits("", url), "{url}");
            assert!(!admits("https://other.example.com", url), "{url}");
        }
    }

    #[test]
    fn scheme_host_port_and_path_have_to_fit() {
        let list = "https://api.example.com/v1/*";
        for url in [
            "https://api.example.com/v1/chat",
            "https://API.Example.com:443/v1/chat/completions?stream=1#part",
            "https://api.example.com/v1/x/../y",
        ] {
            assert!(admits(list, url), "{url}");
        }
        for url in [
            "http://api.example.com/v1/chat",
            "ftp://api.example.com/v1/chat",
            "file:///v1/chat",
            "https://api.example.com:8443/v1/chat",
            "https://api.example.com.evil.example/v1/chat",
            "https://evil.example/v1/https://api.example.com/v1/",
            "https://api.example.com@evil.example/v1/chat",
            "https://user:password@api.example.com/v1/chat",
            "https://xapi.example.com/v1/chat",
            "https://api.example.com./v1/chat",
            "https://api.example.com/v1",
            "https://api.example.com/v10/chat",
            "https://api.example.com/v2/chat",
            "https://api.example.com/V1/chat",
        ] {
            assert!(!admits(list, url), "{url}");
        }
    }

    #[test]
    fn a_path_leads_nowhere_else() {
        for path in [
            "../admin",
            "%2e%2e/admin",
            "..%2fadmin",
            "x/..%5c..%5cadmin",
            "%252e%252e/admin",
            "x\\..\\..\\admin",
        ] {
            let url = format!("https://api.example.com/v1/{path}");
            assert!(!admits("https://api.example.com/v1/*", &url), "{url}");
        }
        // Where every path is allowed, there is nowhere else.
        assert!(admits(
            "https://api.example.com",
            "https://api.example.com/a%2Fb"
        ));
    }

    #[test]
    fn hosts_below_another_are_neither_it_nor_beside_it() {
        let list = "https://*.example.com/api/**";
        assert!(admits(list, "https://sub.example.com/api/v1/test"));
        assert!(admits(list, "https://a.b.example.com/api/v1"));
        for host in [
            "example.com",
            "evilexample.com",
            ".example.com",
            "example.com.evil.example",
        ] {
            assert!(!admits(list, &format!("https://{host}/api/v1")), "{host}");
        }
    }

    #[test]
    fn an_entry_is_for_its_port_unless_it_says_any() {
        assert!(admits(
            "http://localhost:8080",
            "http://localhost:8080/any/path"
        ));
        assert!(!admits("http://localhost:8080", "http://localhost/"));
        assert!(!admits("http://localhost", "http://localhost:8080/"));
        assert!(admits(
            "http://localhost:*/**",
            "http://localhost:8080/any/path"
        ));
        assert!(admits("http://[::1]:*", "http://[::1]:8080/"));
    }

    #[test]
    fn numbers_are_hosts_in_each_way_to_write_them() {
        assert!(!admits("http://localhost:*", "http://127.0.0.1/"));
        assert!(!admits("https://*.example.com", "https://169.254.169.254/"));
        for url in ["http://0x7f.1/", "http://2130706433/", "http://127.1/"] {
            assert!(admits("http://127.0.0.1", url), "{url}");
            assert!(!admits("http://localhost", url), "{url}");
        }
    }

    #[test]
    fn a_path_without_a_star_is_that_path_alone() {
        let list = "https://api.example.com/v1/chat";
        assert!(admits(list, "https://api.example.com/v1/chat?model=x"));
        assert!(!admits(list, "https://api.example.com/v1/chat/"));
        assert!(!admits(list, "https://api.example.com/v1/cha"));
    }

    #[test]
    fn entries_that_could_be_misread_are_refused() {
        for entry in [
            "api.example.com",
            "*://api.example.com",
            "ftp://api.example.com",
            "https://",
            "https://*",
            "https://*/v1",
            "https://api-*.example.com",
            "https://a.*.example.com",
            "https://*.127.0.0.1",
            "https://api.example.com/v*",
            "https://api.example.com/*/chat",
            "https://api.example.com/v1?x=*",
            "https://user@api.example.com",
            "https://api.example.com:99999",
            "https://api.example.com/v1/***",
        ] {
            let error = Allowlist::parse(entry).map(|list| format!("{list:?}"));
            assert!(error.is_err(), "{entry}: {error:?}");
            assert!(error.unwrap_err().contains(entry), "{entry}");
        }
    }

    #[test]
    fn several_entries_stand_for_each_of_them() {
        let list = "https://a.example,\n  https://b.example/v1/*";
        assert!(admits(list, "https://a.example/x"));
        assert!(admits(list, "https://b.example/v1/x"));
        assert!(!admits(list, "https://b.example/x"));
    }
}
