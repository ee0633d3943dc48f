//! Who may do what: the two traits behind every decision, and project tokens as one answer to
//! them. No I/O and no JS types: what has to be looked up comes through [`Registry`].
//!
//! | file | what it knows |
//! |---|---|
//! | [`access`] | the traits, what they are asked, and what they grant |
//! | [`cors`] | which pages of other origins may read an answer |
//! | [`token`] | JSON Web Tokens: what is in them, and whether a secret signed them |
//! | [`project`] | what is registered of a project |
//! | [`project_jwt`] | tokens signed with a secret of each project, and public streams |
//! | [`mint`] | tokens that the worker itself makes |
//! | [`fork`] | which streams a fork may start from |
//! | [`cache`] | what was looked up, for as long as it may be believed |

pub mod access;
pub mod cache;
pub mod cors;
pub mod fork;
pub mod mint;
pub mod project;
pub mod project_jwt;
pub mod token;

#[cfg(test)]
mod project_jwt_tests;

pub use access::{
    Audience, AuthorizeMutation, AuthorizeRead, Grant, NoAuth, Purpose, Refusal, Request, RootGrant,
};
pub use cors::Cors;
pub use mint::Scope;
pub use project::{Project, Registry};
pub use project_jwt::ProjectJwt;
