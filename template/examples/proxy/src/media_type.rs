//! The upstream's media type, kept in that of the stream.
//!
//! A stream of bytes gives its readers exactly what came; one of the type `text/event-stream` or
//! `application/json` would mean something of its own to this server. So the type that the upstream
//! has said is a parameter of the stream's, as in `application/octet-stream; upstream="text/plain"`.

/// What streams of answers are.
pub const BYTES: &str = "application/octet-stream";
const PARAMETER: &str = "; upstream=\"";
/// The longest type that a stream may have.
const MAX_BYTES: usize = 255;

/// The type of the stream for an answer of this type. One that has no place there is not kept.
pub fn of_stream(upstream: &str) -> String {
    let escaped = upstream.replace('\\', "\\\\").replace('"', "\\\"");
    let kept = format!("{BYTES}{PARAMETER}{escaped}\"");
    let is_plain = upstream.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    if kept.len() > MAX_BYTES || !is_plain {
        return BYTES.to_owned();
    }
    kept
}

/// The upstream's type, from the stream's.
pub fn of_upstream(stream: &str) -> Option<String> {
    let (_, rest) = stream.split_once(PARAMETER)?;
    let mut upstream = String::new();
    let mut letters = rest.strip_suffix('"')?.chars();
    while let Some(letter) = letters.next() {
        upstream.push(if letter == '\\' {
            letters.next()?
        } else {
            letter
        });
    }
    Some(upstream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_comes_back_as_it_was() {
        for upstream in [
            "text/event-stream",
            "text/event-stream; charset=utf-8",
            r#"multipart/mixed; boundary="a \"b\" \\ c""#,
            "",
        ] {
            assert_eq!(of_upstream(&of_stream(upstream)).as_deref(), Some(upstream));
        }
    }

    #[test]
    fn a_type_that_has_no_place_is_not_kept() {
        for upstream in ["text/\u{e4}", "a\nb", &"x".repeat(300)] {
            assert_eq!(of_stream(upstream), BYTES);
        }
        assert_eq!(of_upstream(BYTES), None);
        assert_eq!(of_upstream("text/plain; charset=utf-8"), None);
    }
}
