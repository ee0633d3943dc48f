//! Values of headers and parameters. A subject is a name, examples of what is taken, and what has to
//! hold of any text: a parser that is new gets a line in [`SUBJECTS`].

use super::feed;
use crate::protocol::condition::Condition;
use crate::protocol::content_type::ContentType;
use crate::protocol::cursor;
use crate::protocol::error::Error;
use crate::protocol::etag;
use crate::protocol::expiry::{self, Expiry};
use crate::protocol::header;
use crate::protocol::offset::Offset;
use crate::protocol::path::{self, StreamPath};
use crate::protocol::request::{self, Append, Create, Read, ReadFrom};
use crate::protocol::retention::Retention;
use crate::protocol::version;
use crate::protocol::will::Will;

struct Subject {
    name: &'static str,
    /// All of them are taken.
    examples: &'static [&'static str],
    /// Whether it is taken; fails where something does not hold.
    takes: fn(&str) -> bool,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "offset",
        examples: &[
            "0000000000000000_0000000000000000",
            "0000000000000000_0000000000000042_0000",
            "0000000000000000_0000140737488355_0000",
        ],
        takes: |text| {
            let Ok(offset) = text.parse::<Offset>() else {
                return false;
            };
            // What was taken is what is given, or that without its third part.
            assert!(offset.to_string().starts_with(text));
            assert_eq!(Offset::new(offset.position()), Some(offset));
            true
        },
    },
    Subject {
        name: "path",
        examples: &[
            "/v1/stream/a",
            "/v1/stream/p/a%20b/c",
            "/v1/streams/p%2Fa",
            "/v1/stream/%C3%A9/~x",
        ],
        takes: |text| {
            let Ok(path) = StreamPath::parse(text) else {
                return false;
            };
            let decoded = path.as_str();
            assert!(!decoded.is_empty() && decoded.len() <= path::MAX_BYTES);
            assert!(!decoded.chars().any(char::is_control));
            let mut segments = decoded.split('/');
            assert!(segments.all(|one| !matches!(one, "" | "." | "..")));
            assert_ne!(decoded.split('/').next(), Some(path::RESERVED));
            // Its own text, with every byte escaped, names it again, below either prefix.
            let escaped: String = decoded.bytes().map(|b| format!("%{b:02x}")).collect();
            for prefix in [path::PREFIX, path::OTHER_PREFIX] {
                let again = StreamPath::parse(&format!("{prefix}{escaped}"));
                assert_eq!(again.as_ref(), Ok(&path));
            }
            true
        },
    },
    Subject {
        name: "content type",
        examples: &[
            "application/json",
            "text/plain; charset=utf-8",
            "A/b;c=\"d\"",
        ],
        takes: |text| {
            let Some(content_type) = ContentType::parse(text) else {
                return false;
            };
            // It goes back out as a header, and into a comment of SQL.
            assert!(
                content_type
                    .as_str()
                    .bytes()
                    .all(|b| (0x20..0x7f).contains(&b))
            );
            let again = ContentType::parse(content_type.as_str());
            assert_eq!(again.as_ref(), Some(&content_type));
            assert!(content_type.matches(&content_type));
            true
        },
    },
    Subject {
        name: "ttl",
        examples: &["0", "1", "3600", "9007199254740991"],
        takes: |text| {
            let ttl = Expiry::parse_ttl(text);
            if let Some(expiry) = &ttl {
                assert_eq!(Expiry::split(Some(expiry)).0.unwrap().to_string(), text);
                let _ = expiry.deadline(u64::MAX);
            }
            ttl.is_some()
        },
    },
    Subject {
        name: "expires at",
        examples: &[
            "2030-01-01T00:00:00Z",
            "2030-12-31T23:59:59.999+01:00",
            "0001-01-01T00:00:00-12:00",
        ],
        takes: |text| {
            let Some(expiry) = Expiry::parse_at(text) else {
                return false;
            };
            assert!(expiry.matches(&expiry));
            let (ttl, at) = Expiry::split(Some(&expiry));
            let stored = Expiry::join(ttl, at).flatten().unwrap();
            assert_eq!(stored.deadline(0), expiry.deadline(0));
            true
        },
    },
    Subject {
        name: "integer",
        examples: &["0", "7", "9007199254740991"],
        takes: |text| {
            let number = expiry::parse_integer(text);
            if let Some(number) = number {
                assert!(number < 1 << 53);
                assert_eq!(number.to_string(), text);
            }
            number.is_some()
        },
    },
    Subject {
        name: "cursor",
        examples: &["0", "123456"],
        takes: |text| {
            let cursor = cursor::parse(text);
            let next = cursor::next(1_800_000_000_000, cursor, 7);
            assert!(cursor.is_none_or(|cursor| next > cursor || cursor == u64::MAX));
            cursor.is_some()
        },
    },
    Subject {
        name: "if-none-match",
        examples: &["\"1:2:3\"", "W/\"1:2:3\"", "*", "\"a\", \"1:2:3\""],
        takes: |text| etag::matches(text, "\"1:2:3\""),
    },
    Subject {
        name: "version",
        examples: &["1", "2", "3"],
        takes: |text| version::check("it", version::stated(Some(text)), version::SPOKEN).is_ok(),
    },
    Subject {
        name: "fork source",
        examples: &["/v1/stream/p/a", "/v1/streams/p%2Fa"],
        takes: |text| {
            let source = request::fork_source(text);
            // In a header, only ASCII can be told apart.
            let is_path = text.is_ascii() && StreamPath::parse(text).is_ok();
            assert_eq!(source.is_ok(), is_path);
            is_taken(source, &[header::STREAM_FORKED_FROM])
        },
    },
    Subject {
        name: "query of a read",
        examples: &[
            "offset=-1",
            "offset=now&live=sse",
            "live=long-poll&offset=0000000000000000_0000000000000001_0000&cursor=7",
            "off%73et=-1&x=y",
        ],
        takes: |text| is_taken(Read::parse(text, &|_| None), &["offset", "live"]),
    },
    Subject {
        name: "query of a creation",
        examples: &["", "public=true", "public=false&a=b", "%70ublic=true"],
        takes: |text| {
            let created = Create::parse(text, &|_| None);
            let public = request::is_public(text);
            assert_eq!(
                created.as_ref().map(|it| it.public),
                public.as_ref().copied()
            );
            is_taken(created, &["public"])
        },
    },
    Subject {
        name: "headers of an append",
        examples: &["a", "7", "text/plain"],
        takes: |text| {
            // The same value for each, so that a refusal may name any of them.
            let value = |name: &str| match name {
                header::CONTENT_TYPE => Some("text/plain".to_owned()),
                _ => Some(text.to_owned()),
            };
            is_taken(Append::parse(&value, false), Append::HEADERS);
            let value = |name: &str| (name == header::CONTENT_TYPE).then(|| text.to_owned());
            is_taken(Append::parse(&value, false), Append::HEADERS);
            true
        },
    },
    Subject {
        name: "if match",
        examples: &[
            "*",
            "\"0000000000000000_0000000000000042\"",
            "\"0000000000000000_0000000000000042_0000\", W/\"x\"",
        ],
        takes: |text| {
            let condition = Condition::parse(text);
            if let Ok(condition) = &condition {
                let offset = |position| Offset::new(position).unwrap();
                let holds = [0, 42, 1 << 40].map(|at| condition.holds(offset(at)));
                let is_any = text.trim() == "*";
                assert!(!is_any || holds == [true; 3]);
                assert!(is_any || !holds[0] || text.contains("_0000000000000000"));
            }
            is_taken(condition, &[header::IF_MATCH])
        },
    },
    Subject {
        name: "retention",
        examples: &["messages=1", "bytes=140737488355327"],
        takes: |text| is_taken(Retention::parse(text), &[header::STREAM_RETENTION]),
    },
    Subject {
        name: "will",
        examples: &["{\"error\": \"cut off\"}", "[1, 2]", ":WzFd:"],
        takes: |text| {
            let will = Will::parse(&|name| match name {
                header::STREAM_WILL_AFTER => Some("7".to_owned()),
                _ => Some(text.to_owned()),
            });
            let json = ContentType::parse("application/json").unwrap();
            let kept = will.and_then(|will| will.map(|will| will.of_type(&json)).transpose());
            if let Ok(Some(kept)) = &kept {
                assert_eq!(kept.of_type(&json).as_ref(), Ok(kept));
            }
            is_taken(kept, &[header::STREAM_WILL])
        },
    },
    Subject {
        name: "time of a will",
        examples: &["1", "31536000"],
        takes: |text| {
            let value = |name: &str| (name == header::STREAM_WILL_AFTER).then(|| text.to_owned());
            is_taken(Will::parse(&value), &[header::STREAM_WILL_AFTER])
        },
    },
    Subject {
        name: "last event id",
        examples: &["0000000000000000_0000000000000042_0000"],
        takes: |text| {
            let value = |name: &str| (name == header::LAST_EVENT_ID).then(|| text.to_owned());
            let read = Read::parse("offset=-1&live=sse", &value);
            if let Ok(read) = &read {
                let start = match text {
                    "" => ReadFrom::Start,
                    _ => ReadFrom::At(text.parse().unwrap()),
                };
                assert_eq!(read.from, start);
            }
            is_taken(read, &[header::LAST_EVENT_ID])
        },
    },
];

/// What is not taken is refused with the name of one of these.
fn is_taken<T>(outcome: Result<T, Error>, fields: &[&str]) -> bool {
    match outcome {
        Ok(_) => true,
        Err(Error::Invalid { field, message }) => {
            assert!(fields.contains(&field), "{field}");
            assert!(!message.is_empty());
            false
        }
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn examples_are_taken() {
    for Subject {
        name,
        examples,
        takes,
    } in SUBJECTS
    {
        for example in *examples {
            assert!(takes(example), "{name}: {example}");
        }
    }
}

#[test]
fn values() {
    feed("values", 30_000, |noise| {
        let subject = &SUBJECTS[noise.below(SUBJECTS.len())];
        let text = match noise.chance(50) {
            true => noise.header_like(subject.examples),
            false => noise.text_like(subject.examples),
        };
        let once = (subject.takes)(&text);
        assert_eq!((subject.takes)(&text), once, "{text:?}");
    });
}
