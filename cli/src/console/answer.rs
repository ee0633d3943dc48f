//! Answers: documents, and what is said of a request that is not taken.

use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue},
};
use reqwest::Body;
use serde_json::{Value, json};

use crate::error;

/// An answer, whose body may still be on its way.
pub type Answer = Response<Body>;

/// Why a request is not taken, or came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What programs know it by.
    pub code: &'static str,
    /// What a person is told.
    pub message: String,
}

impl Refusal {
    /// One with this status, code and text.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The request says something that is not taken.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", message)
    }

    /// What an error says, and the way out of it.
    pub fn of(status: StatusCode, code: &'static str, error: &anyhow::Error) -> Self {
        let message = match error::hint(error) {
            Some(hint) => format!("{error:#}; {hint}"),
            None => format!("{error:#}"),
        };
        Self::new(status, code, message)
    }
}

/// What nobody expected to fail has failed.
impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self::of(StatusCode::BAD_GATEWAY, "failed", &error)
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            code,
            message,
        } = refusal;
        let said = json!({ "error": { "code": code, "message": message } });
        document(status, &said)
    }
}

/// An answer with a document.
pub fn document(status: StatusCode, document: &Value) -> Answer {
    bytes(
        status,
        "application/json",
        document.to_string().into_bytes(),
    )
}

/// An answer with bytes of a type.
pub fn bytes(status: StatusCode, content_type: &'static str, bytes: impl Into<Body>) -> Answer {
    let mut answer = Response::new(bytes.into());
    *answer.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    answer.headers_mut().insert(CONTENT_TYPE, value);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::problem;

    #[test]
    fn an_error_is_told_with_its_way_out() {
        let error = problem("no `x`", "take `y`").context("the field `z`");
        let refusal = Refusal::from(error);
        assert_eq!(refusal.message, "the field `z`: no `x`; take `y`");
        let answer = Answer::from(refusal);
        assert_eq!(answer.status(), 502);
        let body = answer.body().as_bytes().unwrap();
        let said: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(said["error"]["code"], "failed");
    }
}
