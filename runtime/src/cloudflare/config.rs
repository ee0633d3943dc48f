//! Bindings and variables of the worker, as `wrangler.toml` gives them.

use worker::wasm_bindgen::JsValue;
use worker::{Env, js_sys};

use crate::protocol::error::Error;
use crate::stream::upkeep::Limits;

/// The binding of the [`StreamDO`](super::StreamDO) namespace.
pub const STREAMS: &str = "STREAMS";
/// The binding of the Analytics Engine dataset; optional.
pub const METRICS: &str = "METRICS";
/// The binding of the R2 bucket; without it, all data stays in the streams' objects.
pub const R2: &str = "R2";

const DEBUG_TIMING: &str = "DEBUG_TIMING";
const MAX_APPEND_BYTES: &str = "MAX_APPEND_BYTES";
const READ_MAX_BYTES: &str = "READ_MAX_BYTES";
const SEGMENT_MAX_BYTES: &str = "SEGMENT_MAX_BYTES";
const SEGMENT_MAX_MESSAGES: &str = "SEGMENT_MAX_MESSAGES";
const SEGMENT_MERGE_BYTES: &str = "SEGMENT_MERGE_BYTES";

/// The largest value of limits on what is held in memory: requests, responses and segments are, a
/// few times over, and an isolate has 128 MB.
const MOST_BYTES: usize = 32 << 20;

/// The largest value of the limit on merged segments, which are not held in memory.
const MOST_MERGED_BYTES: usize = 1 << 30;

/// The largest value of the limit on messages: above that, bytes decide anyway.
const MOST_MESSAGES: usize = 1 << 30;

/// What the variables say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether responses say what they cost.
    pub debug_timing: bool,
    /// The largest body of a PUT or POST, in bytes.
    pub max_append_bytes: usize,
    /// About how many bytes a read answers.
    pub read_max_bytes: usize,
    /// When data moves to the bucket, and in objects of which size.
    pub segments: Limits,
}

impl Config {
    /// Reads the variables of `env`.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] names the variable, its value, and what would be right.
    pub fn from_env(env: &Env) -> Result<Self, Error> {
        Self::parse(&|name| variable(env, name))
    }

    fn parse(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let number = |name, default, most, unit| match variable(name) {
            Some(value) => parse_number(name, &value, most, unit),
            None => Ok(default),
        };
        let bytes = |name, default| number(name, default, MOST_BYTES, "bytes");
        let segments = Limits {
            max_messages: widen(number(
                SEGMENT_MAX_MESSAGES,
                1000,
                MOST_MESSAGES,
                "messages",
            )?),
            max_bytes: bytes(SEGMENT_MAX_BYTES, 4 << 20)?,
            merge_bytes: widen(number(
                SEGMENT_MERGE_BYTES,
                64 << 20,
                MOST_MERGED_BYTES,
                "bytes",
            )?),
        };
        Ok(Self {
            debug_timing: parse_switch(DEBUG_TIMING, variable(DEBUG_TIMING))?,
            max_append_bytes: bytes(MAX_APPEND_BYTES, 20 << 20)?,
            read_max_bytes: bytes(READ_MAX_BYTES, 8 << 20)?,
            segments,
        })
    }
}

/// Whether responses say what they cost; at the edge, where nothing else of the configuration
/// matters.
pub fn debug_timing(env: &Env) -> bool {
    parse_switch(DEBUG_TIMING, variable(env, DEBUG_TIMING)).unwrap_or(false)
}

/// A variable as text; numbers and booleans in `wrangler.toml` count as their text.
fn variable(env: &Env, name: &str) -> Option<String> {
    let value = js_sys::Reflect::get(env, &JsValue::from_str(name)).ok()?;
    if value.is_undefined() || value.is_null() {
        return None;
    }
    let text = value.as_string();
    text.or_else(|| js_sys::JSON::stringify(&value).ok().map(String::from))
}

fn parse_switch(name: &str, value: Option<String>) -> Result<bool, Error> {
    match value.as_deref() {
        None | Some("" | "0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(Error::Misconfigured(format!(
            "{name} is {other:?}, not \"0\" or \"1\""
        ))),
    }
}

fn parse_number(name: &str, value: &str, most: usize, unit: &str) -> Result<usize, Error> {
    let parsed = value
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    parsed.ok_or_else(|| {
        let rule = format!("not a number of {unit} from 1 to {most}");
        Error::Misconfigured(format!("{name} is {value:?}, {rule}"))
    })
}

fn widen(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &'static str, value: &'static str) -> Result<Config, Error> {
        Config::parse(&|asked| (asked == name).then(|| value.to_owned()))
    }

    #[test]
    fn there_are_defaults() {
        let config = Config::parse(&|_| None).unwrap();
        let expected = Config {
            debug_timing: false,
            max_append_bytes: 20_971_520,
            read_max_bytes: 8_388_608,
            segments: Limits {
                max_messages: 1000,
                max_bytes: 4_194_304,
                merge_bytes: 67_108_864,
            },
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn values_are_taken() {
        assert!(parse("DEBUG_TIMING", "1").unwrap().debug_timing);
        assert!(!parse("DEBUG_TIMING", "0").unwrap().debug_timing);
        assert_eq!(
            parse("MAX_APPEND_BYTES", "10").unwrap().max_append_bytes,
            10
        );
        assert_eq!(
            parse("READ_MAX_BYTES", "33554432").unwrap().read_max_bytes,
            33_554_432
        );
        let segments = |name, value| parse(name, value).unwrap().segments;
        assert_eq!(segments("SEGMENT_MAX_MESSAGES", "2").max_messages, 2);
        assert_eq!(segments("SEGMENT_MAX_BYTES", "100").max_bytes, 100);
        assert_eq!(
            segments("SEGMENT_MERGE_BYTES", "1073741824").merge_bytes,
            1_073_741_824
        );
    }

    #[test]
    fn a_bad_value_is_named() {
        for (name, value) in [
            ("DEBUG_TIMING", "yes"),
            ("MAX_APPEND_BYTES", "0"),
            ("MAX_APPEND_BYTES", "8 MB"),
            ("READ_MAX_BYTES", "33554433"),
            ("READ_MAX_BYTES", "-1"),
            ("SEGMENT_MAX_MESSAGES", "0"),
            ("SEGMENT_MAX_BYTES", "33554433"),
            ("SEGMENT_MERGE_BYTES", "1073741825"),
        ] {
            let message = parse(name, value).unwrap_err().to_string();
            assert!(
                message.contains(name) && message.contains(value),
                "{message}"
            );
        }
    }
}
