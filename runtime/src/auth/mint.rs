//! Tokens that the worker itself makes, for whoever it lets in by rules of its own.

use super::project::Registry;
use super::token::Claims;
use crate::protocol::error::Error;
use crate::protocol::path::StreamPath;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Reading.
    Read,
    /// Creating, appending, closing and deleting, and reading.
    Write,
}

impl Scope {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// A token for one stream that ends at `exp`, in seconds since the Unix epoch, signed with the first
/// secret of the stream's project.
///
/// # Errors
///
/// [`Error::Misconfigured`] where the project is not registered, or has no secret;
/// [`Error::UnknownRoute`] for a path that is in no project; what the registry says.
pub async fn mint(
    stream: &StreamPath,
    scope: Scope,
    exp: u64,
    registry: &impl Registry,
) -> Result<String, Error> {
    let (name, path) = stream.in_project().ok_or(Error::UnknownRoute)?;
    let project = registry.project(name).await?;
    let secrets = project.as_ref().map(|project| &project.signing_secrets);
    let secret = secrets.and_then(|secrets| secrets.first()).ok_or_else(|| {
        Error::Misconfigured(format!(
            "no project {name:?} is registered that could sign tokens: \
             `durable-streams projects create {name}` makes it"
        ))
    })?;
    let claims = Claims {
        sub: name.to_owned(),
        scope: scope.name().to_owned(),
        exp,
        nbf: None,
        stream_id: Some(path.to_owned()),
    };
    claims.sign(secret)
}
