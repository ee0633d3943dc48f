//! Bindings and variables of the worker, as `wrangler.toml` gives them.

use std::cell::OnceCell;
use std::thread::LocalKey;

use worker::wasm_bindgen::JsValue;
use worker::{Env, js_sys};

use crate::protocol::error::Error;
use crate::settings::{self, Number, Switch};
use crate::stream::upkeep::Limits;

/// The binding of the [`StreamDO`](super::StreamDO) namespace.
pub const STREAMS: &str = "STREAMS";
/// The binding of the KV namespace with projects and public streams; [`ProjectJwt`] needs it.
///
/// [`ProjectJwt`]: crate::auth::ProjectJwt
pub const REGISTRY: &str = "REGISTRY";
/// The binding of the Analytics Engine dataset; optional.
pub const METRICS: &str = "METRICS";
/// The binding of the R2 bucket; without it, all data stays in the streams' objects.
pub const R2: &str = "R2";

/// What the variables say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whether responses say what they cost.
    pub debug_timing: bool,
    /// The largest body of a PUT or POST, in bytes.
    pub max_append_bytes: usize,
    /// About how many bytes a read answers.
    pub read_max_bytes: usize,
    /// How many live readers a stream has at most.
    pub max_live_readers: u32,
    /// When data moves to the bucket, and in objects of which size.
    pub segments: Limits,
}

/// What the variables say to the edge of live reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveConfig {
    /// How long a long-poll waits, in milliseconds.
    pub long_poll_timeout_ms: u64,
    /// How long a response of events goes on, in milliseconds.
    pub sse_timeout_ms: u64,
}

impl Config {
    /// Reads the variables of `env`.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] names the variable, its value, and what would be right.
    pub fn from_env(env: &Env) -> Result<Self, Error> {
        thread_local! {
            static KNOWN: OnceCell<Result<Config, Error>> = const { OnceCell::new() };
        }
        look_once(&KNOWN, || Self::parse(&|name| variable(env, name)))
    }

    fn parse(variable: Lookup) -> Result<Self, Error> {
        Ok(Self {
            debug_timing: switch(variable, settings::DEBUG_TIMING)?,
            max_append_bytes: number(variable, settings::MAX_APPEND_BYTES)?,
            read_max_bytes: number(variable, settings::READ_MAX_BYTES)?,
            max_live_readers: number(variable, settings::MAX_LIVE_READERS)?,
            segments: Limits {
                max_messages: number(variable, settings::SEGMENT_MAX_MESSAGES)?,
                max_bytes: number(variable, settings::SEGMENT_MAX_BYTES)?,
                merge_bytes: number(variable, settings::SEGMENT_MERGE_BYTES)?,
            },
        })
    }
}

impl LiveConfig {
    /// Reads the variables of `env`.
    ///
    /// # Errors
    ///
    /// As [`Config::from_env`].
    pub fn from_env(env: &Env) -> Result<Self, Error> {
        thread_local! {
            static KNOWN: OnceCell<Result<LiveConfig, Error>> = const { OnceCell::new() };
        }
        look_once(&KNOWN, || Self::parse(&|name| variable(env, name)))
    }

    fn parse(variable: Lookup) -> Result<Self, Error> {
        Ok(Self {
            long_poll_timeout_ms: number(variable, settings::LONG_POLL_TIMEOUT_MS)?,
            sse_timeout_ms: number(variable, settings::SSE_TIMEOUT_MS)?,
        })
    }
}

/// Looks up a variable by name.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Whether responses say what they cost; at the edge, where nothing else of the configuration
/// matters.
pub fn debug_timing(env: &Env) -> bool {
    thread_local! {
        static KNOWN: OnceCell<bool> = const { OnceCell::new() };
    }
    look_once(&KNOWN, || {
        switch(&|name| variable(env, name), settings::DEBUG_TIMING).unwrap_or(false)
    })
}

/// What variables say, which stays as it is for as long as the isolate lives.
fn look_once<T: Clone>(known: &'static LocalKey<OnceCell<T>>, look: impl FnOnce() -> T) -> T {
    known.with(|known| known.get_or_init(look).clone())
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

fn switch(variable: Lookup, switch: Switch) -> Result<bool, Error> {
    let value = variable(switch.name);
    switch.parse(value.as_deref()).map_err(Error::Misconfigured)
}

fn number<N: TryFrom<u64>>(variable: Lookup, number: Number) -> Result<N, Error> {
    let value = variable(number.name);
    number.parse(value.as_deref()).map_err(Error::Misconfigured)
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
            max_live_readers: 10_000,
            segments: Limits {
                max_messages: 1000,
                max_bytes: 4_194_304,
                merge_bytes: 67_108_864,
            },
        };
        assert_eq!(config, expected);
        let live = LiveConfig {
            long_poll_timeout_ms: 25_000,
            sse_timeout_ms: 60_000,
        };
        assert_eq!(LiveConfig::parse(&|_| None).unwrap(), live);
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
            ("MAX_LIVE_READERS", "32769"),
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
        let asked = |name: &str| (name == "SSE_TIMEOUT_MS").then(|| "1 min".to_owned());
        let message = LiveConfig::parse(&asked).unwrap_err().to_string();
        assert!(message.contains("milliseconds"), "{message}");
    }
}
