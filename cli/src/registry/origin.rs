//! Origins, as browsers write them in the `Origin` header.

use anyhow::Result;

use crate::error::problem;

/// Refuses what no browser would ever send, and says what it would send instead.
pub fn check(text: &str) -> Result<()> {
    if text == "*" {
        return Ok(());
    }
    let hint = match serialized(text) {
        Some(origin) if origin == text => return Ok(()),
        Some(origin) => format!("a browser says `{origin}`"),
        None => "give a scheme and a host, as https://app.example or http://localhost:3000, or *"
            .to_owned(),
    };
    Err(problem(
        format!("--cors-origin `{text}` is no origin of a page"),
        hint,
    ))
}

/// The origin of a URL: in lower case, without a port that follows from the scheme, and without
/// what comes after the port.
fn serialized(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let host = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if scheme.is_empty() || host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        for origin in [
            "*",
            "https://app.example",
            "http://localhost:3000",
            "http://[::1]:8080",
            "https://app.example:8443",
            "capacitor://localhost",
        ] {
            check(origin).unwrap();
        }
    }

    #[test]
    fn other_spellings_are_refused_with_the_right_one() {
        for (text, right) in [
            ("https://app.example/", "https://app.example"),
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80/path?x", "http://app.example"),
        ] {
            let error = check(text).unwrap_err();
            assert_eq!(
                crate::error::hint(&error),
                Some(format!("a browser says `{right}`").as_str())
            );
        }
        for text in [
            "",
            "app.example",
            "null",
            "https://",
            "https://*.example",
            "https://a b",
            "**",
        ] {
            let error = check(text).unwrap_err();
            assert!(
                crate::error::hint(&error).unwrap().contains("a scheme"),
                "{text}"
            );
        }
    }
}
