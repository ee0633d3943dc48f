//! Options of `usage`.

use std::time::Duration;

use clap::Args;

use super::values::lifetime;

/// For how long Analytics Engine keeps what it is given.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

/// How many streams are named at most.
pub const MOST: i64 = 1000;
/// How many are named unless somebody says it.
const TOP: u16 = 10;

/// Options of `usage`.
#[derive(Debug, Args)]
pub struct Usage {
    /// How far to look back, up to 90 days, as in 15m, 24h or 30d
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = kept)]
    pub since: Duration,
    /// The streams of this project only
    #[arg(long, short, value_name = "NAME")]
    pub project: Option<String>,
    /// How many of the dearest streams to name
    #[arg(long, value_name = "NUMBER", default_value_t = TOP, value_parser = clap::value_parser!(u16).range(0..=MOST))]
    pub top: u16,
}

impl Default for Usage {
    fn default() -> Self {
        Self {
            since: Duration::from_secs(86_400),
            project: None,
            top: TOP,
        }
    }
}

/// Reads how far to look back: as far as anything is kept.
pub fn kept(text: &str) -> Result<Duration, String> {
    match lifetime(text)? {
        time if time > KEPT => Err("Analytics Engine keeps 90 days: at most 90d".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_asks_for_what_is_not_kept_any_more() {
        assert!(kept("91d").unwrap_err().contains("90d"));
        kept("90d").unwrap();
    }
}
