//! Positions in a stream.

use std::fmt;

use super::Error;

/// The longest offset that is taken, in bytes (section 8 of the protocol).
const LONGEST: usize = 256;

/// A position in a stream, as the server names it. What it is made of is the server's affair; of two of
/// the same stream the one that sorts first comes first (section 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset(String);

impl Offset {
    /// Where what is there begins.
    pub fn start() -> Self {
        Self("-1".to_owned())
    }

    /// Where what comes from now on begins: the tail at the moment when the server is asked.
    pub fn now() -> Self {
        Self("now".to_owned())
    }

    /// Takes `start`, `now`, or what a server has given.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where no server gives such an offset.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "start" => Ok(Self::start()),
            "now" => Ok(Self::now()),
            text if is_token(text) => Ok(Self(text.to_owned())),
            text => Err(Error::Invalid(format!(
                "`{text}` is no offset: say `start`, `now`, or one that a server has given"
            ))),
        }
    }

    /// Whether it is [`Offset::now`], which is no place that can be kept.
    pub fn is_now(&self) -> bool {
        self.0 == "now"
    }

    /// Whether it lies before another one of the same stream.
    pub fn is_before(&self, other: &Self) -> bool {
        other.0 != "-1" && self.0 != other.0 && (self.0 == "-1" || self.0 < other.0)
    }

    /// As it goes into a request.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_token(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_graphic() && !b",&=?/".contains(&b);
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_a_word_or_a_token_of_the_server() {
        assert_eq!(Offset::parse("start"), Ok(Offset::start()));
        assert_eq!(Offset::parse("-1"), Ok(Offset::start()));
        assert!(Offset::parse("now").unwrap().is_now());
        assert_eq!(Offset::parse("0_12").unwrap().as_str(), "0_12");
        for text in ["", "a b", "a&b", "a/b", "é", "a\n", &"a".repeat(257)] {
            Offset::parse(text).unwrap_err();
        }
    }

    #[test]
    fn offsets_of_a_stream_are_in_order_and_the_start_comes_first() {
        let at = |text: &str| Offset::parse(text).unwrap();
        assert!(at("0_1").is_before(&at("0_2")));
        assert!(!at("0_2").is_before(&at("0_2")));
        assert!(Offset::start().is_before(&at("!")));
        assert!(!at("!").is_before(&Offset::start()));
    }
}
