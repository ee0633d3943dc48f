//! What we are known to Cloudflare by, found where wrangler finds it.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use reqwest::{RequestBuilder, header::HeaderValue};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    kept::{self, Kept},
    permissions::{ANALYTICS, DEPLOY, TAIL, TOKENS},
};
use crate::{
    environment::{API_KEY, API_TOKEN, EMAIL},
    error::problem,
    hex::hex,
};

/// Where the login of this program is said to be.
const LOGIN: &str = "the login of durable-streams";
/// Where the login of wrangler is said to be.
const WRANGLER: &str = "the login of wrangler";
/// How many digits a global key has.
const KEY_DIGITS: usize = 37;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a text that came from outside, without the white space a copy brings along.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// What is wrong with it as a token, if it cannot be one: as something around it was copied along.
    fn fault(&self) -> Option<&'static str> {
        let text = self.0.as_str();
        let is_quote = |c| matches!(c, '"' | '\'' | '`' | '“' | '”');
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let lower = text.to_ascii_lowercase();
        if text.is_empty() {
            Some("is empty")
        } else if text.starts_with(is_quote) || text.ends_with(is_quote) {
            Some("has quotes around it")
        } else if lower.starts_with("bearer ") || lower.starts_with("authorization:") {
            Some("begins with a word of the header it is sent in")
        } else if lower.starts_with("cloudflare_") {
            Some("begins with the name of the variable")
        } else if text.len() == KEY_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Some(
                "looks like a global API key, which goes into CLOUDFLARE_API_KEY with CLOUDFLARE_EMAIL",
            )
        } else if !text.chars().all(is_part) {
            Some("has characters that no token has")
        } else {
            None
        }
    }

    fn header(&self, prefix: &str) -> Result<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What we are known by, and where it was found.
#[derive(Debug, Clone)]
pub struct Credentials {
    headers: Vec<(&'static str, HeaderValue)>,
    secret: Secret,
    /// Where it was found, for a person.
    pub source: &'static str,
    /// The account they are used for, where nothing else says so.
    pub account: Option<String>,
}

impl Credentials {
    /// Looks in wrangler's order: a global key, a token, a login. That of this program goes before
    /// wrangler's.
    pub fn find() -> Result<Self> {
        if let Some(found) = Self::given()? {
            return Ok(found);
        }
        let deploy = DEPLOY.map(|one| one.name).join(", ");
        Err(problem(
            "there are no credentials for Cloudflare",
            format!(
                "`durable-streams login` shows the page that makes a token, and keeps it; or set \
                 CLOUDFLARE_API_TOKEN to a token of {TOKENS} with the permissions {deploy}, and for \
                 `usage` and `logs` {ANALYTICS} and {TAIL}; or log in with `npx wrangler login`"
            ),
        ))
    }

    /// The same, without an error when there are none.
    pub fn given() -> Result<Option<Self>> {
        if let Some((key, email)) = global_key() {
            return Self::key(&Secret::new(&key), &email).map(Some);
        }
        if let Some(token) = set(API_TOKEN) {
            return Self::token(&Secret::new(&token), API_TOKEN).map(Some);
        }
        let kept = match kept::path() {
            Some(path) => Kept::read(&path)?,
            None => None,
        };
        if let Some(kept) = kept {
            let mut found = Self::token(&Secret::new(&kept.token), LOGIN)?;
            found.account = kept.account_id;
            return Ok(Some(found));
        }
        let Some(path) = login_file() else {
            return Ok(None);
        };
        match fs::read_to_string(&path) {
            Ok(text) => login(&text, &path, Timestamp::now()),
            Err(_) => Ok(None),
        }
    }

    /// A token.
    pub fn token(token: &Secret, source: &'static str) -> Result<Self> {
        if let Some(fault) = token.fault() {
            return Err(problem(
                format!("the API token ({source}) {fault}"),
                "give the token alone: one word of letters, digits, `-` and `_`, without quotes, and \
                 without `Bearer` before it",
            ));
        }
        let value = token.header("Bearer ").map_err(|_| unfit(source))?;
        Ok(Self {
            headers: vec![("authorization", value)],
            secret: token.clone(),
            source,
            account: None,
        })
    }

    fn key(key: &Secret, email: &str) -> Result<Self> {
        let source = API_KEY;
        let value = key.header("").map_err(|_| unfit(source))?;
        let email = HeaderValue::from_str(email.trim()).map_err(|_| unfit(EMAIL))?;
        Ok(Self {
            headers: vec![("x-auth-key", value), ("x-auth-email", email)],
            secret: key.clone(),
            source,
            account: None,
        })
    }

    /// Whether they are an API token, of which Cloudflare can say something.
    pub fn is_token(&self) -> bool {
        self.source != API_KEY && self.source != WRANGLER
    }

    /// How somebody gets others that may do more.
    pub fn remedy(&self) -> &'static str {
        match self.source {
            WRANGLER => "`npx wrangler login` makes a new login",
            API_KEY => "the key's user has to be given more rights in the account",
            _ => "give the token what it lacks, or make a new one",
        }
    }

    /// The token itself, to be kept.
    pub fn to_be_kept(&self, account: Option<String>) -> Kept {
        Kept {
            token: self.secret.0.clone(),
            account_id: account,
        }
    }

    /// Adds them to a request.
    pub fn sign(&self, request: RequestBuilder) -> RequestBuilder {
        let headers = self.headers.iter();
        headers.fold(request, |request, (name, value)| {
            request.header(*name, value.clone())
        })
    }

    /// The secret key that R2's S3 API takes for a token; what a token's key is called, the token says.
    pub fn s3_secret(&self) -> Option<String> {
        self.is_token()
            .then(|| hex(&Sha256::digest(self.secret.0.as_bytes())))
    }

    /// A text without the secret, should it hold it.
    pub fn strike_out(&self, text: &str) -> String {
        match self.secret.0.as_str() {
            "" => text.to_owned(),
            secret => text.replace(secret, "***"),
        }
    }
}

fn unfit(source: &str) -> anyhow::Error {
    problem(
        format!("{source} holds characters that no credentials have"),
        "copy it again: it is one word without quotes",
    )
}

/// The variable that goes before what a login keeps, if it is set.
pub fn overriding() -> Option<&'static str> {
    let key = global_key().map(|_| API_KEY);
    key.or_else(|| set(API_TOKEN).map(|_| API_TOKEN))
}

fn global_key() -> Option<(String, String)> {
    Some((set(API_KEY)?, set(EMAIL)?))
}

fn set(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.trim().is_empty())
}

/// The file `wrangler login` writes.
#[derive(Debug, Deserialize)]
struct Login {
    oauth_token: Option<String>,
    expiration_time: Option<String>,
}

/// Where wrangler keeps its login: below `~/.wrangler` if that is there from older days, else where
/// the system wants configuration.
fn login_file() -> Option<PathBuf> {
    let home = env::home_dir()?;
    let old = home.join(".wrangler");
    let folder = if old.is_dir() {
        old
    } else if let Some(folder) = set("XDG_CONFIG_HOME") {
        PathBuf::from(folder).join(".wrangler")
    } else if cfg!(target_os = "macos") {
        home.join("Library/Preferences/.wrangler")
    } else if cfg!(windows) {
        PathBuf::from(set("APPDATA")?).join("xdg.config/.wrangler")
    } else {
        home.join(".config/.wrangler")
    };
    Some(folder.join("config/default.toml"))
}

fn login(text: &str, path: &Path, now: Timestamp) -> Result<Option<Credentials>> {
    // The parser's own message would show the line, which may be the token's.
    let login: Login = toml_edit::de::from_str(text)
        .ok()
        .with_context(|| format!("wrangler's login file {} is not TOML", path.display()))?;
    let Some(token) = login.oauth_token else {
        return Ok(None);
    };
    let expires: Option<Timestamp> = login.expiration_time.and_then(|text| text.parse().ok());
    if expires.is_some_and(|expires| expires <= now) {
        return Err(problem(
            "the login of wrangler has expired",
            "`npx wrangler whoami` refreshes it; or set CLOUDFLARE_API_TOKEN",
        ));
    }
    Credentials::token(&Secret::new(&token), WRANGLER).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "oauth_token = \"tok-123\"\nexpiration_time = \
                         \"2026-11-24T12:00:00.000Z\"\nrefresh_token = \"r\"\nscopes = [\"a\"]\n";

    fn at(time: &str) -> Result<Option<Credentials>> {
        login(LOGIN, Path::new("default.toml"), time.parse().unwrap())
    }

    #[test]
    fn the_login_counts_until_it_expires() {
        assert!(at("2026-11-24T11:59:59Z").unwrap().is_some());
        let error = at("2026-11-24T12:00:00Z").unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
        assert!(
            crate::error::hint(&error)
                .unwrap()
                .contains("wrangler whoami")
        );
    }

    #[test]
    fn a_broken_login_is_told_without_showing_it() {
        let text = "oauth_token = \"tok-123";
        let error = login(text, Path::new("default.toml"), Timestamp::now()).unwrap_err();
        let shown = format!("{error:#}");
        assert!(!shown.contains("tok-123"), "{shown}");
        assert!(shown.contains("default.toml"), "{shown}");
        let none = login("a = 1", Path::new(""), Timestamp::now()).unwrap();
        assert!(none.is_none());
    }

    #[test]
    fn what_was_copied_along_with_a_token_is_named() {
        let token = "v1.0-Ab_9~z+/=";
        assert!(Credentials::token(&Secret::new(&format!(" {token}\n")), "X").is_ok());
        for (text, fault) in [
            (format!("\"{token}\""), "quotes"),
            (format!("'{token}'"), "quotes"),
            (format!("{token}\""), "quotes"),
            (format!("Bearer {token}"), "word of the header"),
            (
                format!("authorization: bearer {token}"),
                "word of the header",
            ),
            (
                format!("CLOUDFLARE_API_TOKEN={token}"),
                "name of the variable",
            ),
            (
                "0123456789abcdef0123456789abcdef01234".to_owned(),
                "global API key",
            ),
            (format!("{token} {token}"), "no token has"),
            (format!("{token}é"), "no token has"),
            (String::new(), "empty"),
        ] {
            let error = Credentials::token(&Secret::new(&text), "X").unwrap_err();
            let shown = error.to_string();
            assert!(shown.contains(fault) && shown.contains("(X)"), "{shown}");
            assert!(!shown.contains(token), "{shown}");
        }
    }

    #[test]
    fn a_secret_is_never_shown() {
        let credentials = Credentials::token(&Secret::new(" tok-123\n"), "x").unwrap();
        assert!(!format!("{credentials:?}").contains("tok-123"));
        assert_eq!(credentials.strike_out("bad tok-123!"), "bad ***!");
        let error = Credentials::token(&Secret::new("tok\u{7f}-123"), "X").unwrap_err();
        assert!(!format!("{error:#}").contains("-123"), "{error:#}");
    }
}
