//! The token itself: whether it counts, and whose it is.

use reqwest::Method;
use serde::Deserialize;

use super::{
    account::Account,
    client::Request,
    error::{Endpoint, Error, Result},
};

/// Where the token of a user is looked at.
const OF_USER: &str = "/user/tokens/verify";

/// What Cloudflare says of a token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Verified {
    /// By which it is known.
    pub id: String,
    /// Whether it counts: `active`, `disabled` or `expired`.
    pub status: String,
    /// Until when.
    pub expires_on: Option<String>,
}

impl Verified {
    /// Whether it counts.
    pub fn is_active(&self) -> bool {
        self.status == "active"
    }
}

/// To whom a token belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A user, whose rights end where the user's do.
    User,
    /// The account.
    Account,
}

#[derive(Debug, Deserialize)]
struct User {
    email: Option<String>,
}

impl Account {
    /// Looks at the token: a user's, or one of this account.
    pub fn verify(&self) -> Result<(Owner, Verified)> {
        let what = "looking at the token";
        let ask = |path: &str| {
            let request = Request::new(Endpoint::User, what, Method::GET, path);
            self.client.call(&request)
        };
        match ask(OF_USER) {
            // There is no such token, as far as users go.
            Err(error @ Error::Refused { .. }) if error.is_denied() => {
                let of_account = format!("/accounts/{}/tokens/verify", self.id);
                match ask(&of_account) {
                    Err(Error::Refused { .. }) => Err(error),
                    outcome => Ok((Owner::Account, outcome?)),
                }
            }
            outcome => Ok((Owner::User, outcome?)),
        }
    }

    /// The e-mail address of the user, where the credentials may know it.
    pub fn email(&self) -> Result<Option<String>> {
        let what = "asking whose credentials they are";
        let request = Request::new(Endpoint::User, what, Method::GET, "/user");
        match self.client.call::<User>(&request) {
            Ok(user) => Ok(user.email),
            Err(Error::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
