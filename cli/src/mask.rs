//! Takes tokens and secrets out of what is shown of other people's requests.

use serde_json::Value;

/// What is shown in place of a secret.
const MASK: &str = "***";
/// Parameters of a query, and keys of documents, whose values let somebody in. A longer name that
/// ends in one of them, as `access_token` does, counts too.
const NAMES: &[&str] = &[
    "token",
    "authorization",
    "cookie",
    "secret",
    "password",
    "api-key",
    "api_key",
    "apikey",
    "auth-key",
    "signature",
];
/// What a credential follows in a text, lower case.
const SCHEMES: &[&str] = &["bearer ", "basic "];
/// How the header of a signed token begins: `{"` in base64url.
const SIGNED: &str = "ey";
/// The shortest signed token has more than this before its first dot.
const SHORTEST: usize = 8;

/// A text without tokens: not in the query of a URL, not behind `Bearer`, not anywhere.
pub fn text(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let at_start = !masked.ends_with(is_of_word);
        let kept = match at_start {
            true => prefix_of_secret(rest),
            false => None,
        };
        match kept {
            Some((kept, secret)) => {
                let (kept, rest_of) = rest.split_at(kept);
                masked.push_str(kept);
                masked.push_str(MASK);
                rest = rest_of.split_at(secret).1;
            }
            None => {
                let mut chars = rest.chars();
                masked.extend(chars.next());
                rest = chars.as_str();
            }
        }
    }
    masked
}

/// A document in which no text and no value of a telling key has a token.
pub fn document(value: &mut Value) {
    match value {
        Value::String(string) => *string = text(string),
        Value::Array(values) => values.iter_mut().for_each(document),
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(string) if is_telling(key) && !string.is_empty() => {
                        MASK.clone_into(string);
                    }
                    value => document(value),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// When a secret begins here: how many bytes stay before it, and how many it has.
fn prefix_of_secret(text: &str) -> Option<(usize, usize)> {
    let lower = |end: usize| text.get(..end).map(str::to_ascii_lowercase);
    for scheme in SCHEMES {
        if lower(scheme.len()).as_deref() == Some(*scheme) {
            let secret = length(&text[scheme.len()..], is_of_value);
            return (secret > 0).then_some((scheme.len(), secret));
        }
    }
    let word = length(text, is_of_word);
    let (name, after) = text.split_at(word);
    if after.starts_with('=') && is_telling(name) {
        let secret = length(&after[1..], is_of_value);
        return (secret > 0).then_some((word + 1, secret));
    }
    let signed = length(text, |c| is_of_word(c) || c == '.');
    is_signed(&text[..signed]).then_some((0, signed))
}

/// Whether this is header, claims and signature.
fn is_signed(text: &str) -> bool {
    let mut parts = text.trim_end_matches('.').splitn(4, '.');
    let header = parts.next().unwrap_or_default();
    let rest = parts.filter(|part| !part.is_empty()).count();
    header.starts_with(SIGNED) && header.len() > SHORTEST && rest == 2
}

fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|one| name.ends_with(one))
}

fn length(text: &str, is_part: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is_part(c)).unwrap_or(text.len())
}

fn is_of_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Whether a value goes on: to the next parameter, the end of the URL or the text around it.
fn is_of_value(c: char) -> bool {
    !c.is_whitespace() && !"&#;,\"'`<>()[]{}|".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl-_";

    #[test]
    fn tokens_are_taken_out_and_the_rest_stays() {
        for (shown, masked) in [
            (
                format!("https://x/v1/stream/a?offset=-1&token={JWT}&live=sse#f"),
                "https://x/v1/stream/a?offset=-1&token=***&live=sse#f".to_owned(),
            ),
            ("?token=plain%2Fone".to_owned(), "?token=***".to_owned()),
            (
                "?ACCESS_TOKEN=a&b=c".to_owned(),
                "?ACCESS_TOKEN=***&b=c".to_owned(),
            ),
            (
                format!("denied: Authorization: Bearer {JWT}, again"),
                "denied: Authorization: Bearer ***, again".to_owned(),
            ),
            ("bearer abc".to_owned(), "bearer ***".to_owned()),
            (format!("got {JWT}."), "got ***".to_owned()),
            (format!("(\"{JWT}\")"), "(\"***\")".to_owned()),
            ("a token of b".to_owned(), "a token of b".to_owned()),
            ("token=".to_owned(), "token=".to_owned()),
            (
                "/v1/stream/ey.b.c?cursor=1".to_owned(),
                "/v1/stream/ey.b.c?cursor=1".to_owned(),
            ),
            (
                "stoken=a é token=b".to_owned(),
                "stoken=*** é token=***".to_owned(),
            ),
            (
                "https://x/?tokens=2".to_owned(),
                "https://x/?tokens=2".to_owned(),
            ),
        ] {
            assert_eq!(text(&shown), masked);
        }
    }

    #[test]
    fn documents_are_masked_by_their_keys_too() {
        let mut event = json!({
            "event": { "request": {
                "url": "https://x/?token=abc",
                "headers": { "Authorization": "odd abc", "x-api-key": "k", "accept": "*/*", "cookie": "" },
            } },
            "logs": [{ "message": ["it was Bearer abc", { "token": "abc", "n": 1 }] }],
        });
        document(&mut event);
        assert_eq!(
            event,
            json!({
                "event": { "request": {
                    "url": "https://x/?token=***",
                    "headers": { "Authorization": "***", "x-api-key": "***", "accept": "*/*", "cookie": "" },
                } },
                "logs": [{ "message": ["it was Bearer ***", { "token": "***", "n": 1 }] }],
            })
        );
    }

    proptest! {
        #[test]
        fn a_token_is_nowhere_whatever_is_around_it(
            before in "[a-z/?&= ]{0,12}",
            after in "[&#\" ][a-z]{0,8}",
            name in "(token|access_token|Token)",
        ) {
            let secret = "s3cr3t-Value_9";
            let all = format!("{before}&{name}={secret}{after} Bearer {secret} {JWT}{after}");
            let shown = text(&all);
            prop_assert!(!shown.contains(secret), "{shown}");
            prop_assert!(!shown.contains("eyJ"), "{shown}");
            prop_assert!(shown.starts_with(&before) || before.contains('='), "{shown}");
        }

        #[test]
        fn any_text_is_taken(any in ".{0,64}") {
            let once = text(&any);
            prop_assert_eq!(text(&once), once);
        }
    }
}
