//! Where webhooks may go (sections 6.2 and 12.8).
//!
//! The URL is not parsed as the platform will parse it, which knows many ways to write the same
//! place. What it could take for something else than it looks like is refused instead.

use std::net::Ipv4Addr;

use super::subscription_error::SubscriptionError;

/// The longest URL, in bytes.
pub const MAX_URL: usize = 2048;

/// The longest name of a host, and the longest part of one (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// Last parts of names that are for use within a network (RFC 6761, 6762, 8375; ICANN's board on
/// `internal`, `home` and `corp`) or of names that stand for addresses.
const INTERNAL: &[&str] = &[
    "local",
    "internal",
    "localhost",
    "localdomain",
    "arpa",
    "home",
    "corp",
    "lan",
    "intranet",
    "private",
];

/// Networks that are not the public's: their first address, and how many bits of it they share.
const PRIVATE: &[([u8; 4], u32)] = &[
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    // Multicast, what is reserved, and the address of everybody.
    ([224, 0, 0, 0], 3),
];

/// Refuses what is no address of a receiver, or one that only this server could reach. `is_dev` is
/// whether the server runs on the machine of its user, where receivers may, too. Names are not looked
/// up: what they lead to may be another place by the time of the request.
///
/// # Errors
///
/// [`SubscriptionError::WebhookUrl`].
pub fn check(url: &str, is_dev: bool) -> Result<(), SubscriptionError> {
    refuse(url, is_dev).map_or(Ok(()), |why| Err(SubscriptionError::WebhookUrl(why)))
}

/// Why nothing is sent to a URL.
fn refuse(url: &str, is_dev: bool) -> Option<&'static str> {
    if url.len() > MAX_URL {
        return Some("must be at most 2048 bytes");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("must be visible ASCII; percent-encode all else, and write names in Punycode");
    }
    if url.contains('\\') {
        return Some("must hold no backslash");
    }
    if url.contains('#') {
        return Some("must hold no fragment (#)");
    }
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => return Some("must be an absolute https URL"),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
        None => (authority.to_ascii_lowercase(), None),
    };
    if authority.contains('@') {
        return Some("must hold no user or password");
    }
    if authority.contains('[') {
        return Some("must name its host, not an IPv6 address");
    }
    if port.is_some_and(|port| !is_port(port)) {
        return Some("must have a port from 1 to 65535, or none");
    }
    let place = match Host::of(&host) {
        Ok(place) => place,
        Err(why) => return Some(why),
    };
    match (&*scheme, place) {
        ("https", Host::Public) => None,
        ("https", Host::Own | Host::Local) => Some("must not lead into a local network"),
        ("http", Host::Own) if is_dev => None,
        ("http", Host::Own) => {
            Some("must be https; http://localhost is for durable-streams dev alone")
        }
        _ => Some("must be https"),
    }
}

/// A plain number, written in the only way there is.
fn is_port(port: &str) -> bool {
    let number = port.parse::<u16>();
    number.is_ok_and(|number| number > 0 && number.to_string() == port)
}

/// Where a host is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Host {
    /// Anywhere.
    Public,
    /// On the server's own machine.
    Own,
    /// In a network that is not the public's.
    Local,
}

impl Host {
    /// Takes a host in lower case.
    fn of(host: &str) -> Result<Self, &'static str> {
        if host == "localhost" {
            return Ok(Self::Own);
        }
        let last = host.rsplit('.').next().unwrap_or_default();
        // What the platform would take for a number, and for an address, whatever precedes it.
        if last.starts_with("0x") || !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
            const FORM: &str = "must have an address in the form 192.0.2.1, or a name";
            let address: Ipv4Addr = host.parse().map_err(|_| FORM)?;
            return Ok(Self::of_address(address));
        }
        let labels = host.split('.');
        if host.len() > MAX_HOST || !labels.clone().all(is_label) {
            return Err("must have a host of letters, digits, hyphens and dots");
        }
        match labels.count() {
            1 => Err("must have a host with a full name, such as hooks.example.com"),
            _ if INTERNAL.contains(&last) => Ok(Self::Local),
            _ => Ok(Self::Public),
        }
    }

    fn of_address(address: Ipv4Addr) -> Self {
        let is_in = |(first, bits): &([u8; 4], u32)| {
            let shared = u32::MAX.checked_shl(32_u32.saturating_sub(*bits));
            address.to_bits() & shared.unwrap_or(0) == u32::from_be_bytes(*first)
        };
        match PRIVATE.iter().any(is_in) {
            _ if address.is_loopback() => Self::Own,
            true => Self::Local,
            false => Self::Public,
        }
    }
}

/// A part of a name.
fn is_label(label: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(is_inner)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use url::{Host as UrlHost, Url};

    use super::*;

    fn refusal(url: &str, is_dev: bool) -> Option<String> {
        let refused = check(url, is_dev).err()?;
        assert_eq!(
            (refused.status(), refused.code()),
            (400, "WEBHOOK_URL_REJECTED")
        );
        Some(refused.to_string())
    }

    #[test]
    fn receivers_with_a_public_name_are_taken() {
        let long = format!("https://a.example/{}", "x".repeat(MAX_URL - 18));
        assert_eq!(long.len(), MAX_URL);
        for url in [
            "https://worker.example/hooks",
            "https://worker.example",
            "https://worker.example?key=%20a@b:c",
            "HTTPS://Worker.Example/Hooks",
            "https://worker.example:8443/",
            "https://worker.example:65535/a//b?c=d/e",
            "https://worker.example/a@b:c[d]",
            "https://xn--caf-dma.example/",
            "https://a_b.my-host.example/",
            "https://1.2.3.4.example/",
            "https://1.1.1.1/hook",
            "https://8.8.8.8:443",
            "https://172.15.255.255",
            "https://172.32.0.0",
            "https://192.0.1.0",
            "https://100.63.255.255",
            "https://100.128.0.0",
            "https://198.17.0.0",
            "https://198.20.0.0",
            "https://223.255.255.255",
            "https://local.example",
            "https://notlocal.com",
            &long,
        ] {
            for is_dev in [false, true] {
                assert_eq!(refusal(url, is_dev), None, "{url}");
            }
        }
    }

    #[test]
    fn all_that_is_not_https_or_leads_inside_is_refused() {
        for url in [
            // The scheme.
            "http://worker.example/hooks",
            "http://10.0.0.1/hook",
            "ftp://worker.example",
            "ws://worker.example",
            "file:///etc/passwd",
            "data:text/plain,x",
            "javascript://worker.example/%0Aalert(1)",
            "worker.example/hooks",
            "//worker.example",
            "https:worker.example",
            "https:/worker.example",
            "https:///worker.example",
            " https://worker.example",
            "://worker.example",
            "",
            // The server's own machine.
            "https://localhost",
            "https://LOCALHOST:8080/",
            "https://localhost.",
            "https://a.localhost",
            "https://127.0.0.1",
            "https://127.255.255.255",
            // Its network.
            "https://0.0.0.0",
            "https://0.1.2.3",
            "https://10.0.0.1",
            "https://10.255.255.255",
            "https://100.64.0.0",
            "https://100.127.255.255",
            "https://169.254.169.254/latest/meta-data/",
            "https://172.16.0.1",
            "https://172.31.255.255",
            "https://192.0.0.1",
            "https://192.168.0.1",
            "https://192.168.255.255",
            "https://198.18.0.1",
            "https://198.19.255.255",
            "https://224.0.0.1",
            "https://239.255.255.255",
            "https://240.0.0.1",
            "https://255.255.255.255",
            "https://printer.local",
            "https://metadata.google.internal",
            "https://a.home.arpa",
            "https://1.0.0.127.in-addr.arpa",
            "https://a.localdomain",
            "https://a.lan",
            "https://a.corp",
            "https://a.home",
            "https://a.intranet",
            "https://a.private",
            "https://intranet",
            "https://router:8443",
            // Addresses in other words.
            "https://2130706433",
            "https://0x7f000001",
            "https://0x7f.1",
            "https://017700000001",
            "https://0177.0.0.1",
            "https://127.1",
            "https://127.0.1",
            "https://127.0.0.01",
            "https://010.0.0.1",
            "https://1.2.3.4.",
            "https://1.2.3.4.5",
            "https://1.2.3.256",
            "https://256",
            "https://a.1",
            "https://a.0x1",
            "https://a.0x",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]:443/",
            "https://[2606:4700:4700::1111]",
            // What may be read in more ways than one.
            "https://user@worker.example",
            "https://user:password@worker.example",
            "https://worker.example@10.0.0.1",
            "https://@worker.example",
            "https://worker.example\\@10.0.0.1",
            "https:\\\\worker.example",
            "https://worker.example\\",
            "https://worker.example#@10.0.0.1",
            "https://worker.example/#x",
            "https://worker%2Eexample",
            "https://%31%30.0.0.1",
            "https://worker.example%00.com",
            "https://w\u{f6}rker.example",
            "https://worker\u{3002}example",
            "https://\u{2460}27.0.0.1",
            "https://worker.example/\u{e9}",
            "https://worker.example/a b",
            "https://worker.example/\n",
            "https://wor\tker.example",
            "https://worker.example\0",
            "https://worker..example",
            "https://.worker.example",
            "https://worker.example.",
            "https://.",
            "https://",
            "https://?a.b",
            "https://-a.example",
            "https://a-.example",
            "https://a!b.example",
            "https://a,b.example",
            "https://*.example",
            // Ports.
            "https://worker.example:",
            "https://worker.example:0",
            "https://worker.example:65536",
            "https://worker.example:0443",
            "https://worker.example:+443",
            "https://worker.example:-1",
            "https://worker.example:443:443",
            "https://worker.example:a",
            "https://worker.example:443a/",
            // Lengths.
            &format!("https://a.example/{}", "x".repeat(MAX_URL - 17)),
            &format!("https://{}.example", "a".repeat(64)),
            &format!("https://{}example", "a.".repeat(124)),
        ] {
            for is_dev in [false, true] {
                assert!(refusal(url, is_dev).is_some(), "{url}");
            }
        }
    }

    #[test]
    fn a_server_for_development_reaches_its_own_machine() {
        for url in [
            "http://localhost/hook",
            "http://localhost:3000",
            "HTTP://LocalHost:3000/x?y",
            "http://127.0.0.1:9/hook",
            "http://127.1.2.3",
        ] {
            assert_eq!(refusal(url, true), None, "{url}");
            let refused = refusal(url, false).unwrap();
            assert!(refused.contains("durable-streams dev"), "{refused}");
        }
        for url in [
            "http://localhost.",
            "http://a.localhost",
            "http://localhost@10.0.0.1",
            "http://user@localhost",
            "http://127.1",
            "http://2130706433",
            "http://[::1]:3000",
            "http://0.0.0.0:3000",
            "http://192.168.0.1",
            "http://host.docker.internal",
            "http://router",
            "http://localhost:99999",
        ] {
            assert!(refusal(url, true).is_some(), "{url}");
        }
    }

    /// Whether an address is the public's, in the words of the standard library.
    fn is_public(address: Ipv4Addr) -> bool {
        let [a, b, c, _] = address.octets();
        let is_shared = a == 100 && (64..128).contains(&b);
        let is_for_tests = a == 198 && (18..20).contains(&b);
        let is_assigned = (a, b, c) == (192, 0, 0);
        !(address.is_private()
            || address.is_loopback()
            || address.is_link_local()
            || address.is_multicast()
            || a == 0
            || a >= 240
            || is_shared
            || is_for_tests
            || is_assigned)
    }

    /// Everything that is taken leads where the platform's parser thinks, too, and that is outside.
    pub(crate) fn check_taken(url: &str) -> Result<(), TestCaseError> {
        if check(url, false).is_err() {
            return Ok(());
        }
        let parsed = Url::parse(url).unwrap();
        prop_assert_eq!(parsed.scheme(), "https");
        prop_assert_eq!((parsed.username(), parsed.password()), ("", None));
        prop_assert_eq!(parsed.fragment(), None);
        prop_assert_ne!(parsed.port_or_known_default(), Some(0));
        match parsed.host() {
            Some(UrlHost::Ipv4(address)) => prop_assert!(is_public(address), "{}", address),
            Some(UrlHost::Domain(name)) => {
                // The parser has not made another name of it.
                prop_assert!(url.to_ascii_lowercase()[8..].starts_with(name), "{}", name);
                prop_assert!(name.contains('.') && !name.ends_with('.'));
                let last = name.rsplit('.').next();
                prop_assert!(!INTERNAL.contains(&last.unwrap()));
            }
            other => prop_assert!(false, "{:?}", other),
        }
        Ok(())
    }

    const URLS: &str = "(https|HTTPS|http|ftp)(://|:/|:///|:\\\\\\\\)\
        (user(:pw)?@)?\
        (localhost|[a-z]{1,4}|0x[0-9a-f]{1,8}|[0-9]{1,4}|\\[::1\\]|%[0-9A-F]{2}|\\.|-|_|é|。){1,7}\
        (:[0-9]{0,6})?([/?#\\\\][a-z@:.#/?%]{0,9})?";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn addresses_are_public_or_refused(octets in any::<[u8; 4]>(), first in prop::sample::select(vec![0_u8, 10, 100, 127, 169, 172, 192, 198, 224, 239, 240, 255])) {
            for octets in [octets, [first, octets[1], octets[2], octets[3]], [first, octets[1] % 32, octets[2] % 2, octets[3]]] {
                let address = Ipv4Addr::from(octets);
                let url = format!("https://{address}/hook");
                prop_assert_eq!(check(&url, false).is_ok(), is_public(address), "{}", url);
                prop_assert_eq!(check(&url, true).is_ok(), is_public(address), "{}", url);
                let plain = format!("http://{address}:1/hook");
                prop_assert_eq!(check(&plain, true).is_ok(), address.is_loopback());
                prop_assert!(check(&plain, false).is_err());
            }
        }

        #[test]
        fn what_is_taken_is_what_it_looks_like(url in URLS) {
            check_taken(&url)?;
        }

        #[test]
        fn noise_is_what_it_looks_like(url in "https://(\\PC|[a-z0-9.:@/\\\\%]|\\x00|\t|\n){0,30}") {
            check_taken(&url)?;
        }

        #[test]
        fn good_names_are_taken(name in "([a-z][a-z0-9]{0,9}\\.){1,4}(com|example|dev|io)", port in prop::option::of(1_u16..), path in "(/[a-z0-9%@:.-]{0,9}){0,3}") {
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            let url = format!("https://{name}{port}{path}");
            prop_assert_eq!(check(&url, false), Ok(()), "{}", url);
            check_taken(&url)?;
        }
    }
}
