//! One account, and how it is chosen.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{
    client::{Client, Page, Request},
    credentials::Credentials,
    error::{Endpoint, Result},
};
use crate::{error::problem, http::reason, ui::Ui};

/// An account of Cloudflare: everything a project has there is in one.
#[derive(Debug)]
pub struct Account {
    pub(super) client: Client,
    /// Its id.
    pub id: String,
    /// Those that the credentials see, where it was chosen among them.
    listed: Option<Vec<Listed>>,
}

/// An account that credentials see.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: String,
    /// What its people call it.
    pub name: String,
}

impl Account {
    /// The account a project belongs to: the one its `wrangler.toml` names, else
    /// `CLOUDFLARE_ACCOUNT_ID`, else the one that was chosen with the login, else the only one the
    /// credentials see. Of several, a person chooses.
    pub fn open(ui: &Ui, credentials: Credentials, named: Option<&str>) -> anyhow::Result<Self> {
        let client = Client::new(credentials, ui.verbose())?;
        let given = std::env::var("CLOUDFLARE_ACCOUNT_ID").ok();
        let given = given.filter(|id| !id.trim().is_empty());
        let mut listed = None;
        let id = match named.map(str::to_owned).or(given) {
            Some(id) => checked(id.trim())?,
            None => match &client.credentials().account {
                Some(id) => checked(id)?,
                None => choose(ui, listed.insert(list(&client)?))?,
            },
        };
        Ok(Self { client, id, listed })
    }

    /// Where the credentials were found, for a person.
    pub fn credentials(&self) -> &str {
        self.client.credentials().source
    }

    /// The accounts that the credentials see; nothing where they may not list any.
    pub fn seen(&self) -> Result<Option<Vec<Listed>>> {
        if let Some(listed) = &self.listed {
            return Ok(Some(listed.clone()));
        }
        match list(&self.client) {
            Ok(accounts) => Ok(Some(accounts)),
            Err(error) if error.is_denied() || error.is_missing_list() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a person sees it.
    pub fn dashboard(&self) -> String {
        format!("https://dash.cloudflare.com/{}", self.id)
    }

    /// Asks for a page outside the API, without credentials: its status, and whether the answer has
    /// a header of this name. What failed on the way is the inner error.
    pub fn visit(
        &self,
        url: &str,
        limit: Duration,
        header: &str,
    ) -> Result<std::result::Result<(u16, bool), String>> {
        let visit = self.client.http().get(url).timeout(limit);
        let outcome = self.client.run(async { visit.send().await })?;
        Ok(outcome
            .map(|answer| {
                (
                    answer.status().as_u16(),
                    answer.headers().contains_key(header),
                )
            })
            .map_err(|error| reason(&error)))
    }

    /// Waits, unless we are asked to end.
    pub fn pause(&self, time: Duration) -> Result<()> {
        self.client.run(async { tokio::time::sleep(time).await })
    }

    pub(super) fn request(
        &self,
        endpoint: Endpoint,
        what: impl Into<String>,
        method: Method,
        path: &str,
    ) -> Request<'_> {
        Request::new(
            endpoint,
            what,
            method,
            format!("/accounts/{}{path}", self.id),
        )
    }
}

/// An id goes into URLs, so it has to be one.
fn checked(id: &str) -> anyhow::Result<String> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(id.to_owned());
    }
    Err(problem(
        format!("`{id}` is not the id of an account: those are 32 digits of 0-9 and a-f"),
        "copy `Account ID` from https://dash.cloudflare.com into CLOUDFLARE_ACCOUNT_ID or \
         `account_id` of wrangler.toml",
    ))
}

/// The only account there is, or the one that a person chooses.
fn choose(ui: &Ui, accounts: &[Listed]) -> anyhow::Result<String> {
    match accounts {
        [] => Err(problem(
            "the credentials see no account at all",
            "set CLOUDFLARE_ACCOUNT_ID, or give the token `Account Settings: Read`",
        )),
        [only] => Ok(only.id.clone()),
        several if ui.can_ask() => ask(ui, several),
        several => {
            let lines: Vec<String> = several
                .iter()
                .map(|account| format!("\n  {}  {}", account.id, account.name))
                .collect();
            Err(problem(
                format!("the credentials see several accounts:{}", lines.concat()),
                "set CLOUDFLARE_ACCOUNT_ID, or `account_id` in wrangler.toml, to one of them",
            ))
        }
    }
}

fn ask(ui: &Ui, accounts: &[Listed]) -> anyhow::Result<String> {
    let names: Vec<String> = accounts
        .iter()
        .map(|account| format!("{}  {}", account.name, account.id))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let chosen = ui.choose("Which account?", &names, 0)?;
    let chosen = accounts[chosen].id.clone();
    ui.note(format!(
        "It is {chosen}; CLOUDFLARE_ACCOUNT_ID, `account_id` in wrangler.toml or \
         `durable-streams login` remember that"
    ));
    Ok(chosen)
}

fn list(client: &Client) -> Result<Vec<Listed>> {
    let mut all = Vec::new();
    for number in 1.. {
        let request = Request::new(
            Endpoint::Accounts,
            "listing the accounts",
            Method::GET,
            format!("/accounts?page={number}"),
        );
        let page: Page<Vec<Listed>> = client.page(&request)?;
        all.extend(page.result);
        if number >= page.info.total_pages.unwrap_or(1) {
            break;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_is_none_goes_into_no_url() {
        checked("0123456789abcdef0123456789abcdef").unwrap();
        for bad in ["", "abc", "../../user", "0123456789abcdef0123456789abcdeg"] {
            checked(bad).unwrap_err();
        }
    }
}
