//! A line for each request that a local run has answered.

use std::fmt;

use console::style;
use serde::Deserialize;

/// A request that was answered. Of one that is answered bit by bit, this is said when that begins.
#[derive(Debug, Deserialize)]
pub struct Request {
    method: String,
    /// Without the query, which may hold a token.
    path: String,
    status: u16,
    /// How long it took, in milliseconds.
    ms: u64,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = style(self.status).for_stderr();
        let status = match self.status {
            ..300 => status.green(),
            300..400 => status.cyan(),
            400..500 => status.yellow(),
            500.. => status.red(),
        };
        let ms = format!("{} ms", self.ms);
        write!(f, "{:<7} {status} {ms:>8}  {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_what_was_asked_and_what_became_of_it() {
        let line = |text: &str| {
            let request: Request = serde_json::from_str(text).unwrap();
            console::strip_ansi_codes(&request.to_string()).into_owned()
        };
        assert_eq!(
            line(r#"{"method":"POST","path":"/v1/stream/a","status":204,"ms":3}"#),
            "POST    204     3 ms  /v1/stream/a"
        );
        assert_eq!(
            line(r#"{"method":"GET","path":"/","status":404,"ms":25012}"#),
            "GET     404 25012 ms  /"
        );
    }
}
