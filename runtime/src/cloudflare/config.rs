//! Bindings and variables of the worker, as `wrangler.toml` gives them.

use std::cell::OnceCell;
use std::thread::LocalKey;

use worker::wasm_bindgen::JsValue;
use worker::{Env, js_sys};

use crate::directory::SHARDS;
use crate::edge::settings as edge;
use crate::object::settings::Settings;
use crate::protocol::error::Error;
use crate::settings::{self, Number, Switch, Word};
use crate::stream::tier::upkeep::Limits;
use crate::subscription;

/// The binding of the [`StreamDO`](super::StreamDO) namespace.
pub const STREAMS: &str = "STREAMS";
/// The binding of the [`DirectoryDO`](super::DirectoryDO) namespace.
pub const DIRECTORIES: &str = "DIRECTORIES";
/// The binding of the [`SubscriptionDO`](super::SubscriptionDO) namespace.
pub const SUBSCRIPTIONS: &str = "SUBSCRIPTIONS";
/// The binding of the KV namespace with projects and public streams; [`ProjectJwt`] needs it.
///
/// [`ProjectJwt`]: crate::auth::ProjectJwt
pub const REGISTRY: &str = "REGISTRY";
/// The binding of the Analytics Engine dataset; optional.
pub const METRICS: &str = "METRICS";
/// The binding of the R2 bucket; without it, all data stays in the streams' objects.
pub const R2: &str = "R2";

/// What the variables of `env` mean for objects of streams.
pub fn object_settings(env: &Env) -> Settings {
    thread_local! {
        static KNOWN: OnceCell<Settings> = const { OnceCell::new() };
    }
    look_once(&KNOWN, || {
        parse(&|name| variable(env, name), has(env, DIRECTORIES))
    })
}

fn parse(variable: Lookup, has_directory: bool) -> Settings {
    Settings {
        debug_timing: switch(variable, settings::DEBUG_TIMING).unwrap_or(false),
        max_append_bytes: number(variable, settings::MAX_APPEND_BYTES),
        read_max_bytes: number(variable, settings::READ_MAX_BYTES),
        max_live_readers: number(variable, settings::MAX_LIVE_READERS),
        segments: segments(variable),
        shards: shards(variable, has_directory),
    }
}

/// How many shards the directory has. A worker that was set up before there was one goes on without.
fn shards(variable: Lookup, has_directory: bool) -> Result<Option<u32>, Error> {
    let is_on = word(variable, settings::DIRECTORY)? != Some("off");
    Ok((is_on && has_directory).then_some(SHARDS))
}

/// What the variables of `env` mean for subscriptions.
pub fn subscription_settings(env: &Env) -> subscription::Settings {
    let lookup = |name: &str| variable(env, name);
    let days = number::<u64>(&lookup, settings::SUBSCRIPTION_PARK_DAYS);
    subscription::Settings {
        shards: shards(&lookup, has(env, DIRECTORIES)),
        is_dev: switch(&lookup, settings::DEV).unwrap_or(false),
        park_after: days.map(|days| days.saturating_mul(86_400_000)),
    }
}

/// Whether registry streams are told which streams come and go.
pub fn registry_stream(env: &Env) -> bool {
    switch(&|name| variable(env, name), settings::REGISTRY_STREAM).unwrap_or(false)
}

/// Whether there is a binding of a name.
pub fn has(env: &Env, binding: &str) -> bool {
    let value = js_sys::Reflect::get(env, &JsValue::from_str(binding));
    value.is_ok_and(|value| value.is_object())
}

fn segments(variable: Lookup) -> Result<Limits, Error> {
    Ok(Limits {
        max_messages: number(variable, settings::SEGMENT_MAX_MESSAGES)?,
        max_bytes: number(variable, settings::SEGMENT_MAX_BYTES)?,
        merge_bytes: number(variable, settings::SEGMENT_MERGE_BYTES)?,
    })
}

/// What the variables of `env` mean for the edge.
pub fn edge_settings(env: &Env) -> edge::Settings {
    thread_local! {
        static KNOWN: OnceCell<edge::Settings> = const { OnceCell::new() };
    }
    look_once(&KNOWN, || {
        let has_directory = has(env, DIRECTORIES) && has(env, SUBSCRIPTIONS);
        parse_edge(&|name| variable(env, name), has_directory)
    })
}

fn parse_edge(variable: Lookup, has_directory: bool) -> edge::Settings {
    let public_url = variable(settings::PUBLIC_URL.name);
    let public_url = settings::PUBLIC_URL.parse(public_url.as_deref());
    edge::Settings {
        long_poll_timeout_ms: number(variable, settings::LONG_POLL_TIMEOUT_MS),
        sse_timeout_ms: number(variable, settings::SSE_TIMEOUT_MS),
        sse_heartbeat_ms: number(variable, settings::SSE_HEARTBEAT_MS),
        shards: shards(variable, has_directory),
        public_url: public_url
            .map(|url| url.map(str::to_owned))
            .map_err(Error::Misconfigured),
    }
}

/// Where streams are, by the variables of `env`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Within which borders.
    pub jurisdiction: Option<&'static str>,
    /// Near whom.
    pub location_hint: Option<&'static str>,
}

/// What the variables of `env` say of where streams are.
///
/// # Errors
///
/// [`Error::Misconfigured`]: a stream that is looked for in the wrong place is not found, and one
/// that is created there is where it must not be.
pub fn placement(env: &Env) -> Result<Placement, Error> {
    parse_placement(&|name| variable(env, name))
}

fn parse_placement(variable: Lookup) -> Result<Placement, Error> {
    Ok(Placement {
        jurisdiction: word(variable, settings::JURISDICTION)?,
        location_hint: word(variable, settings::LOCATION_HINT)?,
    })
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

fn word(variable: Lookup, word: Word) -> Result<Option<&'static str>, Error> {
    let value = variable(word.name);
    word.parse(value.as_deref()).map_err(Error::Misconfigured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: &'static str, value: &'static str) -> Settings {
        parse(&|asked| (asked == name).then(|| value.to_owned()), true)
    }

    #[test]
    fn there_are_defaults() {
        let expected = Settings {
            debug_timing: false,
            max_append_bytes: Ok(20_971_520),
            read_max_bytes: Ok(8_388_608),
            max_live_readers: Ok(10_000),
            segments: Ok(Limits {
                max_messages: 1000,
                max_bytes: 4_194_304,
                merge_bytes: 67_108_864,
            }),
            shards: Ok(Some(SHARDS)),
        };
        assert_eq!(parse(&|_| None, true), expected);
        let live = edge::Settings {
            long_poll_timeout_ms: Ok(25_000),
            sse_timeout_ms: Ok(60_000),
            sse_heartbeat_ms: Ok(15_000),
            shards: Ok(Some(SHARDS)),
            public_url: Ok(None),
        };
        assert_eq!(parse_edge(&|_| None, true), live);
    }

    #[test]
    fn values_are_taken() {
        assert!(with("DEBUG_TIMING", "1").debug_timing);
        assert!(!with("DEBUG_TIMING", "0").debug_timing);
        assert_eq!(with("MAX_APPEND_BYTES", "10").max_append_bytes, Ok(10));
        let reads = with("READ_MAX_BYTES", "33554432").read_max_bytes;
        assert_eq!(reads, Ok(33_554_432));
        let segments = |name, value| with(name, value).segments.unwrap();
        assert_eq!(segments("SEGMENT_MAX_MESSAGES", "2").max_messages, 2);
        assert_eq!(segments("SEGMENT_MAX_BYTES", "100").max_bytes, 100);
        assert_eq!(
            segments("SEGMENT_MERGE_BYTES", "1073741824").merge_bytes,
            1_073_741_824
        );
    }

    #[test]
    fn there_is_a_directory_where_it_is_bound_and_not_switched_off() {
        let off = |name: &str| (name == "DIRECTORY").then(|| "off".to_owned());
        assert_eq!(parse(&off, true).shards, Ok(None));
        assert_eq!(parse(&|_| None, false).shards, Ok(None));
        let wrong = |name: &str| (name == "DIRECTORY").then(|| "no".to_owned());
        parse(&wrong, true).shards.unwrap_err();
    }

    #[test]
    fn a_bad_value_is_named_and_spoils_nothing_else() {
        for (name, value) in [
            ("MAX_APPEND_BYTES", "0"),
            ("MAX_APPEND_BYTES", "8 MB"),
            ("READ_MAX_BYTES", "33554433"),
            ("READ_MAX_BYTES", "-1"),
            ("MAX_LIVE_READERS", "32769"),
            ("SEGMENT_MAX_MESSAGES", "0"),
            ("SEGMENT_MAX_BYTES", "33554433"),
            ("SEGMENT_MERGE_BYTES", "1073741825"),
        ] {
            let settings = with(name, value);
            let errors: Vec<Error> = [
                settings.max_append_bytes.err(),
                settings.read_max_bytes.err(),
                settings.max_live_readers.err(),
                settings.segments.err(),
            ]
            .into_iter()
            .flatten()
            .collect();
            assert_eq!(errors.len(), 1, "{name}");
            let message = errors[0].detail().unwrap();
            assert!(
                message.contains(name) && message.contains(value),
                "{message}"
            );
        }
        assert!(!with("DEBUG_TIMING", "yes").debug_timing);
        let asked = |name: &str| (name == "SSE_TIMEOUT_MS").then(|| "1 min".to_owned());
        let live = parse_edge(&asked, true);
        assert_eq!(live.long_poll_timeout_ms, Ok(25_000));
        let error = live.sse_timeout_ms.unwrap_err();
        let message = error.detail().unwrap();
        assert!(message.contains("milliseconds"), "{message}");
    }

    #[test]
    fn a_place_is_two_words_and_neither_is_guessed() {
        let place = |jurisdiction: &'static str, hint: &'static str| {
            parse_placement(&|asked| match asked {
                "JURISDICTION" => Some(jurisdiction.to_owned()),
                "LOCATION_HINT" => Some(hint.to_owned()),
                _ => None,
            })
        };
        let nowhere = Placement {
            jurisdiction: None,
            location_hint: None,
        };
        assert_eq!(parse_placement(&|_| None), Ok(nowhere));
        assert_eq!(place("", ""), Ok(nowhere));
        let in_europe = Placement {
            jurisdiction: Some("eu"),
            location_hint: Some("weur"),
        };
        assert_eq!(place("eu", "weur"), Ok(in_europe));
        for (jurisdiction, hint) in [("Europe", "weur"), ("eu", "paris")] {
            place(jurisdiction, hint).unwrap_err();
        }
    }
}
