//! A request as its object looks at it.

use crate::protocol::header;
use crate::protocol::path;

/// The method of what objects ask each other. The edge refuses it.
pub const ASK: &str = "PATCH";

/// A request apart from its body. Each look may cost something, so nothing is looked at twice.
pub trait Incoming {
    /// Its method, in upper case.
    fn method(&self) -> &str;

    /// Its URL.
    fn url(&self) -> &str;

    /// The value of a header.
    fn header(&self, name: &str) -> Option<String>;

    /// When it came, by the object's [`tick`](crate::machine::Machine::tick).
    fn started(&self) -> f64;

    /// The path and the query of its URL.
    fn place(&self) -> (&str, &str) {
        path::split_url(self.url())
    }

    /// The path without what the edge may have put before it.
    fn public_path(&self) -> &str {
        path::split_era(self.place().0).1
    }

    /// The URL as its client knows it.
    fn public_url(&self) -> String {
        let origin = path::origin(self.url(), &|name| self.header(name));
        format!("{origin}{}", self.public_path())
    }

    /// Whether what it asks for depends on its body.
    fn needs_body(&self) -> bool {
        matches!(self.method(), "POST" | "PUT" | ASK)
    }

    /// Whether it takes more than this object's own turn: it comes from another object, or asks
    /// for a fork.
    fn takes_time(&self) -> bool {
        match self.method() {
            ASK => true,
            "PUT" => self.header(header::STREAM_FORKED_FROM).is_some(),
            _ => false,
        }
    }
}
