//! What is answered when something is wrong, as section 11 of the protocol says.

use worker::{Headers, Response, ResponseBuilder, Result};

/// Why a request comes to nothing.
#[derive(Debug)]
pub enum Refusal {
    NoMethod,
    MissingUrl,
    MissingMethod,
    InvalidMethod,
    NotAllowed,
    InvalidAction,
    MissingSecret,
    InvalidSecret,
    MissingSignature,
    InvalidSignature,
    ExpiredSignature,
    NoStream,
    /// The upstream has answered with a redirect.
    Redirect,
    /// The upstream cannot be reached.
    Unreachable(String),
    /// The upstream does not begin to answer.
    Late,
    /// The stream for the answer cannot be made.
    Storage(String),
    /// What this worker needs is not there, or is wrong.
    Settings(String),
}

impl Refusal {
    fn parts(&self) -> (u16, &'static str, &str) {
        match self {
            Self::NoMethod => (405, "METHOD_NOT_ALLOWED", "nothing here has this method"),
            Self::MissingUrl => (
                400,
                "MISSING_UPSTREAM_URL",
                "the header Upstream-URL is missing",
            ),
            Self::MissingMethod => (
                400,
                "MISSING_UPSTREAM_METHOD",
                "the header Upstream-Method is missing",
            ),
            Self::InvalidMethod => (
                400,
                "INVALID_UPSTREAM_METHOD",
                "Upstream-Method has to be GET, POST, PUT, PATCH or DELETE",
            ),
            Self::NotAllowed => (
                403,
                "UPSTREAM_NOT_ALLOWED",
                "Upstream-URL is no URL that ALLOWLIST allows",
            ),
            Self::InvalidAction => (
                400,
                "INVALID_ACTION",
                "the parameter action has to be abort",
            ),
            Self::MissingSecret => (
                401,
                "MISSING_SECRET",
                "this takes the secret, as the parameter secret or a bearer token",
            ),
            Self::InvalidSecret => (401, "INVALID_SECRET", "this is not the secret"),
            Self::MissingSignature => (
                401,
                "MISSING_SIGNATURE",
                "this takes a signed URL, with expires and signature",
            ),
            Self::InvalidSignature => (401, "SIGNATURE_INVALID", "the URL was not signed here"),
            Self::ExpiredSignature => (401, "SIGNATURE_EXPIRED", "the URL has expired"),
            Self::NoStream => (404, "STREAM_NOT_FOUND", "there is no such answer"),
            Self::Redirect => (
                400,
                "REDIRECT_NOT_ALLOWED",
                "the upstream has answered with a redirect, which is not followed",
            ),
            Self::Unreachable(what) => (502, "UPSTREAM_ERROR", what),
            Self::Late => (504, "UPSTREAM_TIMEOUT", "the upstream does not answer"),
            Self::Storage(what) => (502, "STORAGE_ERROR", what),
            Self::Settings(what) => (500, "MISCONFIGURED", what),
        }
    }

    /// The answer.
    ///
    /// # Errors
    ///
    /// None that depend on the request.
    pub fn answer(&self) -> Result<Response> {
        let (status, code, message) = self.parts();
        let document = serde_json::json!({ "error": { "code": code, "message": message } });
        let headers = Headers::new();
        if status == 502 {
            // Clients take a 502 for the upstream's own and look for its status. There was none.
            headers.set("Upstream-Status", "502")?;
            headers.set("Upstream-Content-Type", "application/json")?;
        }
        let answer = ResponseBuilder::new().with_status(status);
        answer.with_headers(headers).from_json(&document)
    }
}

/// What is wrong on the way to the platform is answered by the runtime.
pub type Outcome<T> = std::result::Result<T, Failure>;

/// A refusal, or what no request can lead to.
#[derive(Debug)]
pub enum Failure {
    Refused(Refusal),
    Broken(worker::Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<worker::Error> for Failure {
    fn from(error: worker::Error) -> Self {
        Self::Broken(error)
    }
}

/// What is answered in either case.
///
/// # Errors
///
/// What no request can lead to.
pub fn answered(outcome: Outcome<Response>) -> Result<Response> {
    match outcome {
        Ok(answer) => Ok(answer),
        Err(Failure::Refused(refusal)) => refusal.answer(),
        Err(Failure::Broken(error)) => Err(error),
    }
}
