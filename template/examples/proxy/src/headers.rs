//! Which headers of a request go to the upstream.

/// What is about the connection, or about who is asking this server, and not for the upstream.
const NEVER: [&str; 27] = [
    // The connection, and the message on it (RFC 9110, section 7.6.1).
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
    "expect",
    "host",
    "content-length",
    "accept-encoding",
    // What opens this server, or another proxy.
    "authorization",
    "proxy-authenticate",
    "proxy-authorization",
    "cookie",
    "cookie2",
    // Who asks, and from which page.
    "origin",
    "referer",
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "cdn-loop",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
];

/// Beginnings of such names: this protocol's, what stands before this server, and what a browser says
/// of a page.
const NEVER_BELOW: [&str; 5] = ["upstream-", "x-forwarded-", "cf-", "sec-", "exchange-"];

/// The one that becomes `Authorization`.
const AUTHORIZATION: &str = "upstream-authorization";

/// The headers of the request to the upstream, of those of the request to this server.
pub fn for_upstream(headers: &[(String, String)]) -> Vec<(String, String)> {
    let lower: Vec<(String, &String)> = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    // `Connection` names headers that are about the connection, too.
    let connection: Vec<String> = lower
        .iter()
        .filter(|(name, _)| name == "connection")
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let goes = |name: &str| {
        !NEVER.contains(&name)
            && !NEVER_BELOW.iter().any(|start| name.starts_with(start))
            && !connection.iter().any(|named| named == name)
    };
    lower
        .iter()
        .filter_map(|(name, value)| match name.as_str() {
            AUTHORIZATION => Some(("authorization".to_owned(), (*value).clone())),
            _ => goes(name).then(|| (name.clone(), (*value).clone())),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &[(&str, &str)]) -> Vec<String> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let sent = for_upstream(&headers);
        sent.iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    #[test]
    fn what_the_upstream_asks_for_goes_there() {
        let sent = names(&[
            ("Content-Type", "application/json"),
            ("accept", "text/event-stream"),
            ("Anthropic-Version", "2023-06-01"),
            ("X-Request-Id", "1"),
            ("User-Agent", "test"),
        ]);
        assert_eq!(
            sent,
            [
                "content-type: application/json",
                "accept: text/event-stream",
                "anthropic-version: 2023-06-01",
                "x-request-id: 1",
                "user-agent: test",
            ]
        );
    }

    #[test]
    fn credentials_of_this_server_do_not_and_those_for_the_upstream_take_their_place() {
        let sent = names(&[
            ("Authorization", "Bearer ours"),
            ("Cookie", "session=ours"),
            ("Proxy-Authorization", "Basic ours"),
            ("Upstream-Authorization", "Bearer theirs"),
            ("Upstream-URL", "https://api.example.com/"),
            ("UPSTREAM-METHOD", "POST"),
        ]);
        assert_eq!(sent, ["authorization: Bearer theirs"]);
    }

    #[test]
    fn what_is_about_the_connection_or_the_client_stays_here() {
        let sent = names(&[
            ("Host", "proxy.example"),
            ("Connection", "keep-alive, X-Hop"),
            ("X-Hop", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Content-Length", "5"),
            ("CF-Connecting-IP", "192.0.2.1"),
            ("X-Forwarded-For", "192.0.2.1"),
            ("Origin", "https://app.example"),
            ("Sec-Fetch-Mode", "cors"),
            ("Exchange-Stream", "elsewhere"),
        ]);
        assert_eq!(sent, [""; 0]);
    }
}
