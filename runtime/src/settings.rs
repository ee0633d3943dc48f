//! The settings: variables of the worker that say how it works, and what each may be.
//!
//! The program that builds and deploys workers refuses malformed values with this very file, so
//! nothing but the standard library is used here.

/// A setting that is on or off; unset, it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The variable.
    pub name: &'static str,
}

/// A setting that is where the server is reached, such as `https://streams.example`; unset or
/// empty, that is wherever a request says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The variable.
    pub name: &'static str,
}

/// A setting that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// The variable.
    pub name: &'static str,
    /// What it counts.
    pub unit: &'static str,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
    /// What it is when the variable is not set.
    pub default: u64,
}

/// A setting that is one of a few words; unset or empty, it is none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// The variable.
    pub name: &'static str,
    /// What it may be.
    pub words: &'static [&'static str],
}

/// Whether responses say what they cost.
pub const DEBUG_TIMING: Switch = Switch {
    name: "DEBUG_TIMING",
};

/// Whether this is a server for development, on the machine of its user: webhooks may go there, and
/// each is told of. No other server may be one.
pub const DEV: Switch = Switch { name: "DEV" };

/// Whether a directory knows which streams there are, which is so unless it is switched off.
pub const DIRECTORY: Word = Word {
    name: "DIRECTORY",
    words: &["on", "off"],
};

/// Where clients and receivers of webhooks reach the server.
pub const PUBLIC_URL: Origin = Origin { name: "PUBLIC_URL" };

/// For how long a receiver of webhooks may fail before nothing is sent to it any more.
pub const SUBSCRIPTION_PARK_DAYS: Number = Number {
    name: "SUBSCRIPTION_PARK_DAYS",
    unit: "days",
    least: 1,
    most: 30,
    default: 3,
};

/// Whether the stream `__registry__` of a root, if there is one, says which streams came and went.
pub const REGISTRY_STREAM: Switch = Switch {
    name: "REGISTRY_STREAM",
};

/// The largest body of a PUT or POST.
pub const MAX_APPEND_BYTES: Number = Number {
    name: "MAX_APPEND_BYTES",
    unit: "bytes",
    least: 1,
    most: MOST_BYTES,
    default: 20 << 20,
};

/// About how many bytes a read answers.
pub const READ_MAX_BYTES: Number = Number {
    name: "READ_MAX_BYTES",
    unit: "bytes",
    least: 1,
    most: MOST_BYTES,
    default: 8 << 20,
};

/// How many live readers a stream has at most.
pub const MAX_LIVE_READERS: Number = Number {
    name: "MAX_LIVE_READERS",
    unit: "readers",
    least: 1,
    most: MOST_READERS,
    default: 10_000,
};

/// How long a long-poll waits.
pub const LONG_POLL_TIMEOUT_MS: Number = Number {
    name: "LONG_POLL_TIMEOUT_MS",
    unit: "milliseconds",
    least: 1,
    most: MOST_MILLIS,
    default: 25_000,
};

/// How long a response of events goes on.
pub const SSE_TIMEOUT_MS: Number = Number {
    name: "SSE_TIMEOUT_MS",
    unit: "milliseconds",
    least: 1,
    most: MOST_MILLIS,
    default: 60_000,
};

/// After how long without an event a reader of events is sent a comment.
pub const SSE_HEARTBEAT_MS: Number = Number {
    name: "SSE_HEARTBEAT_MS",
    unit: "milliseconds",
    least: 100,
    most: MOST_MILLIS,
    default: 15_000,
};

/// How many messages that have not moved make a stream's data move to the bucket.
pub const SEGMENT_MAX_MESSAGES: Number = Number {
    name: "SEGMENT_MAX_MESSAGES",
    unit: "messages",
    least: 1,
    most: MOST_MESSAGES,
    default: 1000,
};

/// How many bytes that have not moved do.
pub const SEGMENT_MAX_BYTES: Number = Number {
    name: "SEGMENT_MAX_BYTES",
    unit: "bytes",
    least: 1,
    most: MOST_BYTES,
    default: 4 << 20,
};

/// How large the objects are that small ones are merged into.
pub const SEGMENT_MERGE_BYTES: Number = Number {
    name: "SEGMENT_MERGE_BYTES",
    unit: "bytes",
    least: 1,
    most: MOST_MERGED_BYTES,
    default: 64 << 20,
};

/// Within which borders streams are kept and served: those that both Durable Objects and R2 know. A
/// stream is found in the jurisdiction only in which it was created.
pub const JURISDICTION: Word = Word {
    name: "JURISDICTION",
    words: &["eu", "us", "fedramp"],
};

/// Near whom new streams are placed, as far as the platform can.
pub const LOCATION_HINT: Word = Word {
    name: "LOCATION_HINT",
    words: &[
        "wnam", "enam", "sam", "weur", "eeur", "apac", "oc", "afr", "me",
    ],
};

/// The largest value of limits on what is held in memory: requests, responses and segments are, a
/// few times over, and an isolate has 128 MB.
const MOST_BYTES: u64 = 32 << 20;
/// The most hibernating sockets that the platform lets an object have.
const MOST_READERS: u64 = 32_768;
/// The longest a reader is served before it has to come back: an hour.
const MOST_MILLIS: u64 = 3_600_000;
/// The largest value of the limit on merged segments, which are not held in memory.
const MOST_MERGED_BYTES: u64 = 1 << 30;
/// The largest value of the limit on messages: above that, bytes decide anyway.
const MOST_MESSAGES: u64 = 1 << 30;

const SWITCHES: &[Switch] = &[DEBUG_TIMING, DEV, REGISTRY_STREAM];
const WORDS: &[Word] = &[JURISDICTION, LOCATION_HINT, DIRECTORY];
const NUMBERS: &[Number] = &[
    MAX_APPEND_BYTES,
    READ_MAX_BYTES,
    MAX_LIVE_READERS,
    LONG_POLL_TIMEOUT_MS,
    SSE_TIMEOUT_MS,
    SSE_HEARTBEAT_MS,
    SEGMENT_MAX_MESSAGES,
    SEGMENT_MAX_BYTES,
    SEGMENT_MERGE_BYTES,
    SUBSCRIPTION_PARK_DAYS,
];

impl Switch {
    /// What the variable says.
    ///
    /// # Errors
    ///
    /// A message that names the variable, its value, and what would be right.
    pub fn parse(&self, value: Option<&str>) -> Result<bool, String> {
        match value {
            None | Some("" | "0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(other) => Err(format!("{} is {other:?}, not \"0\" or \"1\"", self.name)),
        }
    }
}

impl Number {
    /// What the variable says.
    ///
    /// # Errors
    ///
    /// A message that names the variable, its value, and what would be right.
    pub fn parse<N: TryFrom<u64>>(&self, value: Option<&str>) -> Result<N, String> {
        let Self {
            name,
            unit,
            least,
            most,
            default,
        } = *self;
        let number = match value {
            None => Some(default),
            Some(text) => text.parse().ok().filter(|n| (least..=most).contains(n)),
        };
        number.and_then(|n| N::try_from(n).ok()).ok_or_else(|| {
            let value = value.unwrap_or_default();
            format!("{name} is {value:?}, not a number of {unit} from {least} to {most}")
        })
    }
}

impl Origin {
    /// What the variable says, if anything.
    ///
    /// # Errors
    ///
    /// A message that names the variable, its value, and what would be right.
    pub fn parse<'a>(&self, value: Option<&'a str>) -> Result<Option<&'a str>, String> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| value.strip_prefix(scheme));
        let is_host = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
        match host.filter(|host| !host.is_empty() && host.bytes().all(is_host)) {
            Some(_) => Ok(Some(value)),
            None => Err(format!(
                "{} is {value:?}, not an origin such as \"https://streams.example\"",
                self.name
            )),
        }
    }
}

impl Word {
    /// What the variable says, if anything.
    ///
    /// # Errors
    ///
    /// A message that names the variable, its value, and what would be right.
    pub fn parse(&self, value: Option<&str>) -> Result<Option<&'static str>, String> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let known = self.words.iter().find(|word| **word == value);
        known.map(|word| Some(*word)).ok_or_else(|| {
            let words = self.words.join("\", \"");
            format!("{} is {value:?}, not one of \"{words}\"", self.name)
        })
    }
}

/// Whether a variable may have this value; any value will do where the variable is no setting.
///
/// # Errors
///
/// A message that names the variable, its value, and what would be right.
#[allow(
    dead_code,
    reason = "the worker reads its settings one by one; it is before it runs that all are checked"
)]
pub fn check(name: &str, value: &str) -> Result<(), String> {
    if let Some(switch) = SWITCHES.iter().find(|switch| switch.name == name) {
        return switch.parse(Some(value)).map(drop);
    }
    if let Some(word) = WORDS.iter().find(|word| word.name == name) {
        return word.parse(Some(value)).map(drop);
    }
    if name == PUBLIC_URL.name {
        return PUBLIC_URL.parse(Some(value)).map(drop);
    }
    match NUMBERS.iter().find(|number| number.name == name) {
        Some(number) => number.parse::<u64>(Some(value)).map(drop),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_a_value_that_may_be_set() {
        for number in NUMBERS {
            check(number.name, &number.default.to_string()).unwrap();
            assert_eq!(number.parse(None), Ok(number.default));
        }
        for switch in SWITCHES {
            assert_eq!(switch.parse(None), Ok(false));
        }
        for word in WORDS {
            assert_eq!(word.parse(None), Ok(None));
        }
    }

    #[test]
    fn a_switch_is_on_or_off() {
        for (value, is_on) in [
            ("", false),
            ("0", false),
            ("false", false),
            ("1", true),
            ("true", true),
        ] {
            assert_eq!(DEBUG_TIMING.parse(Some(value)), Ok(is_on));
        }
        for value in ["yes", "2", "True", " 1", "null"] {
            let message = check("DEBUG_TIMING", value).unwrap_err();
            let expected = format!("DEBUG_TIMING is {value:?}, not \"0\" or \"1\"");
            assert_eq!(message, expected);
        }
    }

    #[test]
    fn a_word_is_one_of_a_few_or_none() {
        for Word { name, words } in WORDS {
            words.iter().for_each(|word| check(name, word).unwrap());
            check(name, "").unwrap();
            for value in ["EU", " eu", "mars", "null", "weur,eeur"] {
                check(name, value).unwrap_err();
            }
        }
        assert_eq!(JURISDICTION.parse(Some("eu")), Ok(Some("eu")));
        assert_eq!(LOCATION_HINT.parse(Some("")), Ok(None));
        assert_eq!(
            check("JURISDICTION", "EU").unwrap_err(),
            "JURISDICTION is \"EU\", not one of \"eu\", \"us\", \"fedramp\""
        );
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for good in [
            "https://a.example",
            "http://localhost:8787",
            "http://[::1]:80",
            "",
        ] {
            check("PUBLIC_URL", good).unwrap();
        }
        for bad in [
            "a.example",
            "https://",
            "https://a/",
            "https://a/b",
            "ftp://a",
            "https://u@a",
        ] {
            check("PUBLIC_URL", bad).unwrap_err();
        }
        assert_eq!(
            check("PUBLIC_URL", "a.example/").unwrap_err(),
            "PUBLIC_URL is \"a.example/\", not an origin such as \"https://streams.example\""
        );
    }

    #[test]
    fn a_number_is_taken_within_its_bounds_and_refused_beyond() {
        for Number {
            name, least, most, ..
        } in NUMBERS
        {
            check(name, &least.to_string()).unwrap();
            check(name, &most.to_string()).unwrap();
            check(name, &(least - 1).to_string()).unwrap_err();
            check(name, &(most + 1).to_string()).unwrap_err();
        }
        for value in ["", "-1", "1.5", "1e3", "8 MB", " 1", "99999999999999999999"] {
            check("MAX_APPEND_BYTES", value).unwrap_err();
        }
    }

    #[test]
    fn a_bad_value_is_named_with_what_would_be_right() {
        assert_eq!(
            check("MAX_APPEND_BYTES", "20 MB").unwrap_err(),
            "MAX_APPEND_BYTES is \"20 MB\", not a number of bytes from 1 to 33554432"
        );
        assert_eq!(
            check("SSE_TIMEOUT_MS", "0").unwrap_err(),
            "SSE_TIMEOUT_MS is \"0\", not a number of milliseconds from 1 to 3600000"
        );
    }

    #[test]
    fn a_value_that_does_not_fit_its_type_is_refused() {
        let value = SEGMENT_MAX_MESSAGES.parse::<u8>(Some("1000"));
        assert!(value.unwrap_err().contains("1000"));
    }

    #[test]
    fn other_variables_may_be_anything() {
        check("GREETING", "hello").unwrap();
        check("debug_timing", "yes").unwrap();
    }
}
