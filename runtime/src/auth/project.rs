//! What is registered of a project.

use std::future::Future;
use std::rc::Rc;

use serde::Deserialize;

use super::token::MIN_SECRET_BYTES;
use crate::protocol::error::Error;
use crate::protocol::path::{Era, StreamPath};

/// A project, as its record in the registry says: a JSON document under the project's name.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Whoever knows one of these signs tokens. New tokens are signed with the first one.
    pub signing_secrets: Vec<String>,
    /// The origins whose pages may use the project's streams; `*` for all.
    #[serde(default)]
    pub cors_origins: Vec<String>,
    /// Whether every stream can be read without a token.
    #[serde(default)]
    pub is_public: bool,
    /// Which of the projects of this name it is: any number, unless it is the first.
    #[serde(default)]
    pub era: Option<Era>,
}

impl std::fmt::Debug for Project {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Project")
            .field("signing_secrets", &self.signing_secrets.len())
            .field("cors_origins", &self.cors_origins)
            .field("is_public", &self.is_public)
            .field("era", &self.era)
            .finish()
    }
}

impl Project {
    /// Reads the record of the project called `name`.
    ///
    /// # Errors
    ///
    /// [`Error::Misconfigured`] for one that is malformed, or holds a secret that is too short to
    /// be one. No secret is in the message.
    pub fn parse(name: &str, record: &str) -> Result<Self, Error> {
        let wrong = |what| Error::Misconfigured(format!("the record of project {name:?} {what}"));
        let project: Self = serde_json::from_str(record).map_err(|_| {
            wrong("is not {\"signingSecrets\", \"corsOrigins\", \"isPublic\", \"era\"}")
        })?;
        let is_short = |secret: &String| secret.len() < MIN_SECRET_BYTES;
        if project.signing_secrets.iter().any(is_short) {
            return Err(wrong("has a secret of less than 32 bytes"));
        }
        Ok(project)
    }
}

/// What is registered of a public stream under its path: a JSON document, by its letters.
pub fn announcement(era: Option<Era>) -> String {
    match era {
        Some(era) => format!(r#"{{"public":true,"era":"{era}"}}"#),
        None => r#"{"public":true}"#.to_owned(),
    }
}

/// Where projects and public streams are registered.
pub trait Registry {
    /// The project of this name, if there is one.
    fn project(&self, name: &str) -> impl Future<Output = Result<Option<Rc<Project>>, Error>>;

    /// Whether a stream of an era is registered as public. It may be so after its end.
    fn is_public(
        &self,
        stream: &StreamPath,
        era: Option<Era>,
    ) -> impl Future<Output = Result<bool, Error>>;

    /// Registers a stream of an era as public.
    fn publish(
        &self,
        stream: &StreamPath,
        era: Option<Era>,
    ) -> impl Future<Output = Result<(), Error>>;

    /// Takes that back.
    fn unpublish(
        &self,
        stream: &StreamPath,
        era: Option<Era>,
    ) -> impl Future<Output = Result<(), Error>>;
}

/// What is to be registered of a stream after it was created or deleted. Its object knows whether it is
/// public, too: what is registered only saves it requests that it would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// That it is public.
    Publish {
        /// Whether it was created now. A creation that finds its stream may complete one that broke off
        /// before this.
        is_new: bool,
    },
    /// That it has ended. A deletion that finds none may complete one, too.
    Withdraw,
}

impl Settling {
    /// What follows from a request that its object has answered with `status`; `is_public` if it was to
    /// make a public stream.
    pub fn after(method: &str, status: u16, is_public: bool) -> Option<Self> {
        match (method, status) {
            ("PUT", 200 | 201) if is_public => Some(Self::Publish {
                is_new: status == 201,
            }),
            ("DELETE", 200..300 | 404 | 410) => Some(Self::Withdraw),
            _ => None,
        }
    }

    /// Registers it.
    ///
    /// # Errors
    ///
    /// [`Error::RegistryUnavailable`], after which the same request again does that.
    pub async fn settle(
        self,
        registry: &impl Registry,
        stream: &StreamPath,
        era: Option<Era>,
    ) -> Result<(), Error> {
        match self {
            Self::Publish { is_new: true } => registry.publish(stream, era).await,
            Self::Publish { is_new: false } => match registry.is_public(stream, era).await? {
                true => Ok(()),
                false => registry.publish(stream, era).await,
            },
            Self::Withdraw => match registry.is_public(stream, era).await? {
                true => registry.unpublish(stream, era).await,
                false => Ok(()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_record_is_read() {
        let full = format!(
            r#"{{"signingSecrets":["{SECRET}"],"corsOrigins":["*"],"isPublic":true,"more":1}}"#
        );
        let expected = Project {
            signing_secrets: vec![SECRET.to_owned()],
            cors_origins: vec!["*".to_owned()],
            is_public: true,
            era: None,
        };
        assert_eq!(Project::parse("p", &full), Ok(expected));
        let record = |era: &str| format!(r#"{{"signingSecrets":[],"era":{era}}}"#);
        let later = Project::parse("p", &record("255")).unwrap();
        assert_eq!(later.era, Some(Era::new(255)));
        for wrong in ["\"255\"", "-1", "0.5", "1e99", "{}"] {
            Project::parse("p", &record(wrong)).unwrap_err();
        }
        let short = Project::parse("p", r#"{"signingSecrets":[]}"#).unwrap();
        assert!(short.signing_secrets.is_empty() && short.cors_origins.is_empty());
        assert!(!short.is_public);
    }

    #[test]
    fn what_is_made_is_published_and_what_ends_is_withdrawn() {
        let made = |status| Settling::after("PUT", status, true);
        assert_eq!(made(201), Some(Settling::Publish { is_new: true }));
        assert_eq!(made(200), Some(Settling::Publish { is_new: false }));
        for status in [204, 400, 409, 503] {
            assert_eq!(made(status), None);
        }
        assert_eq!(Settling::after("PUT", 201, false), None);
        for (status, ends) in [
            (204, true),
            (404, true),
            (410, true),
            (401, false),
            (503, false),
        ] {
            let expected = ends.then_some(Settling::Withdraw);
            assert_eq!(
                Settling::after("DELETE", status, false),
                expected,
                "{status}"
            );
        }
        assert_eq!(Settling::after("POST", 204, true), None);
    }

    #[test]
    fn debug_output_keeps_the_secrets() {
        let record = format!(r#"{{"signingSecrets":["{SECRET}"]}}"#);
        let project = Project::parse("p", &record).unwrap();
        assert!(!format!("{project:?}").contains(SECRET));
    }

    #[test]
    fn a_malformed_record_is_named_without_what_is_in_it() {
        for record in [
            "",
            "{}",
            "null",
            r#"{"signingSecrets":"hunter2 hunter2"}"#,
            r#"{"signingSecrets":["hunter2"]}"#,
            r#"{"signingSecrets":[""]}"#,
            r#"{"signingSecrets":["0123456789abcdef0123456789abcdef","hunter2"]}"#,
            r#"{"signingSecrets":[],"isPublic":"hunter2"}"#,
        ] {
            let error = Project::parse("my-project", record).unwrap_err();
            assert!(matches!(error, Error::Misconfigured(_)), "{error:?}");
            let detail = error.detail().unwrap();
            assert!(detail.contains("my-project"), "{detail}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
