//! Truncation: what asks for it, and what only looks as if it did.

use super::condition::Condition;
use super::error::Error;
use super::header;
use super::offset::Offset;
use super::request::{HeaderLookup, if_match};

/// A POST that drops the beginning of a stream.
///
/// It is no DELETE with a parameter: a server that does not know the parameter would delete the
/// whole stream, while a POST without a body is refused by all that do not know the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truncate {
    /// `Stream-Truncate-Before`: what lies before it is dropped.
    pub before: Offset,
    /// `If-Match`: where the tail has to be.
    pub if_match: Option<Condition>,
}

impl Truncate {
    /// Reads the headers of a POST; `None` for one that is an append.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for an offset that is none, and for what goes with appends only.
    pub fn parse(header: HeaderLookup, body_is_empty: bool) -> Result<Option<Self>, Error> {
        let Some(before) = header(header::STREAM_TRUNCATE_BEFORE) else {
            return Ok(None);
        };
        let refused = |what: &str| {
            let message = format!("takes no {what}: truncate and append in two requests");
            Err(Error::invalid(header::STREAM_TRUNCATE_BEFORE, message))
        };
        if !body_is_empty {
            return refused("body");
        }
        let of_appends = [
            header::STREAM_CLOSED,
            header::STREAM_SEQ,
            header::PRODUCER_ID,
            header::PRODUCER_EPOCH,
            header::PRODUCER_SEQ,
        ];
        if let Some(name) = of_appends.into_iter().find(|name| header(name).is_some()) {
            return refused(name);
        }
        let before = before.parse().map_err(|_| {
            let rule = "must be an offset this server returned";
            Error::invalid(header::STREAM_TRUNCATE_BEFORE, rule)
        })?;
        let if_match = if_match(header)?;
        Ok(Some(Self { before, if_match }))
    }
}

/// Looks at the query of a DELETE (without `?`). Whoever means to drop the beginning of a stream
/// must not lose all of it.
///
/// # Errors
///
/// [`Error::Invalid`] for a parameter `before`.
pub fn check_deletion(query: &str) -> Result<(), Error> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    if parameters.any(|(name, _)| name == "before") {
        let rule = "is no parameter of DELETE, which removes the whole stream; to drop its \
                    beginning, POST without a body and with Stream-Truncate-Before: <offset>";
        return Err(Error::invalid("before", rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(headers: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let mut headers = headers.iter();
            headers.find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
        }
    }

    fn field_of<T: std::fmt::Debug>(result: Result<T, Error>) -> &'static str {
        match result {
            Err(Error::Invalid { field, .. }) => field,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn to_truncate_is_no_append() {
        let seven = Offset::new(7).unwrap();
        let token = seven.to_string();
        let before = ("Stream-Truncate-Before", token.as_str());
        let parse =
            |headers: &[(&str, &str)], is_empty| Truncate::parse(&lookup(headers), is_empty);
        let truncate = Truncate {
            before: seven,
            if_match: None,
        };
        assert_eq!(parse(&[], true), Ok(None));
        let typed = ("Content-Type", "text/plain");
        assert_eq!(parse(&[before, typed], true), Ok(Some(truncate)));
        assert_eq!(field_of(parse(&[before], false)), "Stream-Truncate-Before");
        for other in ["Stream-Closed", "Stream-Seq", "Producer-Id", "Producer-Seq"] {
            let refused = parse(&[before, (other, "true")], true);
            assert!(refused.unwrap_err().to_string().contains(other), "{other}");
        }
        for bad in ["", "-1", "now", "7"] {
            let refused = parse(&[("Stream-Truncate-Before", bad)], true);
            assert_eq!(field_of(refused), "Stream-Truncate-Before", "{bad}");
        }
        let tagged = parse(&[before, ("If-Match", "*")], true).unwrap().unwrap();
        assert_eq!(tagged.if_match, Some(Condition::Anywhere));
    }

    #[test]
    fn a_deletion_is_of_the_whole_stream() {
        assert_eq!(check_deletion(""), Ok(()));
        assert_eq!(check_deletion("a=before"), Ok(()));
        for query in ["before=7", "before", "x=1&be%66ore="] {
            assert_eq!(field_of(check_deletion(query)), "before", "{query}");
        }
    }
}
