//! `login`, `logout` and `whoami`: what we are known to Cloudflare by, and what that may do.

use std::io::{IsTerminal, Read};

use anyhow::{Context, Result};
use console::style;
use serde_json::{Value, json};

use crate::{
    args::Login,
    cloudflare::{
        Ability, Access, Account, Credentials, Kept, Listed, Owner, Secret, Verified, login_path,
        opening, overriding, permissions,
    },
    error::problem,
    interrupt,
    project::{Here, Project},
    ui::Ui,
};

/// Where a token that is typed in or read from stdin is said to come from.
const GIVEN: &str = "given to login";
/// Far longer than any token.
const LONGEST: u64 = 4096;

/// Shows the page that makes a token, looks at what the token may do, and keeps it.
pub fn login(ui: &Ui, here: &Here, args: &Login) -> Result<()> {
    interrupt::note_interrupts();
    let path = login_path().context("there is no folder for it: HOME is not set")?;
    let project = project(here)?;
    let page = page(project.as_ref());
    let credentials = Credentials::token(&token(ui, args, &page)?, GIVEN)?;
    let found = Found::look(ui, project.as_ref(), credentials.clone())?;
    if let Some((_, verified)) = &found.owner
        && !verified.is_active()
    {
        return Err(problem(
            format!("the token is not kept: it is {}", verified.status),
            format!("make another at {page}"),
        ));
    }
    let lacks = found.obstacles();
    if !lacks.is_empty() {
        ui.note(found.text());
        check_anyway(ui, args, &lacks, &page)?;
    }
    let kept = credentials.to_be_kept(Some(found.account.id.clone()));
    kept.write(&path)?;
    let mut document = found.document();
    document["kept"] = json!(path);
    let note = match overriding() {
        Some(name) => format!("\n{name} is set, and goes before it."),
        None => String::new(),
    };
    ui.result(
        format!(
            "{}\nThe token is kept in {}, for you alone; `durable-streams logout` removes it.{note}",
            found.text(),
            path.display()
        ),
        &document,
    );
    Ok(())
}

/// Removes the token that is kept here. At Cloudflare it goes on to count.
pub fn logout(ui: &Ui) -> Result<()> {
    let path = login_path().context("there is no folder for it: HOME is not set")?;
    let removed = Kept::remove(&path)?;
    let text = match removed {
        true => format!(
            "Removed {}. Cloudflare takes the token until it is deleted at {}",
            path.display(),
            permissions::TOKENS
        ),
        false => "Nobody has logged in here".to_owned(),
    };
    ui.result(text, &json!({ "removed": removed }));
    Ok(())
}

/// Says what we are known by, in which account, and what that may do there.
pub fn whoami(ui: &Ui, here: &Here) -> Result<()> {
    interrupt::note_interrupts();
    let project = project(here)?;
    let found = Found::look(ui, project.as_ref(), Credentials::find()?)?;
    let mut text = found.text();
    if !found.obstacles().is_empty() {
        let page = page(project.as_ref());
        text.push_str(&format!("\nA token with all permissions is made at {page}"));
    }
    ui.result(text, &found.document());
    Ok(())
}

/// The project that the command is run in, if it is in one.
fn project(here: &Here) -> Result<Option<Project>> {
    match here.find()? {
        Some(_) => Project::open(here).map(Some),
        None => Ok(None),
    }
}

/// The page that makes a token which may do all that is needed.
fn page(project: Option<&Project>) -> String {
    let has_routes = project.is_some_and(|one| !one.wrangler.all_routes().is_empty());
    permissions::token_page(has_routes)
}

/// The token: from stdin, or typed in by somebody who has been told where one is made.
fn token(ui: &Ui, args: &Login, page: &str) -> Result<Secret> {
    if args.token_stdin {
        return from_stdin();
    }
    if !ui.can_ask() {
        return Err(problem(
            "there is no terminal to ask for a token",
            format!(
                "make one at {page} and give it to `durable-streams login --token-stdin`, or set \
                 CLOUDFLARE_API_TOKEN"
            ),
        ));
    }
    ask(ui, page, "")
}

/// Says where a token is made, and asks for it. `more` is said of it, too.
pub fn ask(ui: &Ui, page: &str, more: &str) -> Result<Secret> {
    ui.note(format!(
        "This page makes a token that may do what is needed. Choose the account there, and copy what \
         it shows in the end:\n\n  {page}\n{more}"
    ));
    Ok(Secret::new(&ui.password("Token")?))
}

fn from_stdin() -> Result<Secret> {
    let mut stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(problem(
            "--token-stdin: stdin is a terminal, which would show the token",
            "leave --token-stdin out to be asked, or pipe the token in",
        ));
    }
    let mut text = String::new();
    let mut limited = Read::take(&mut stdin, LONGEST);
    limited
        .read_to_string(&mut text)
        .context("--token-stdin: stdin holds no text")?;
    Ok(Secret::new(&text))
}

/// A token that lacks something may still do what somebody wants.
fn check_anyway(ui: &Ui, args: &Login, lacks: &str, page: &str) -> Result<()> {
    let question = "Keep it all the same?";
    if args.yes || ui.can_ask() && ui.yes_or_no(question, false)? {
        return Ok(());
    }
    Err(problem(
        format!("the token is not kept: {lacks}"),
        format!("`--yes` keeps it; this page makes a token with all that is needed: {page}"),
    ))
}

/// What was found out.
#[derive(Debug)]
struct Found {
    account: Account,
    owner: Option<(Owner, Verified)>,
    email: Option<String>,
    accounts: Option<Vec<Listed>>,
    abilities: Vec<Ability>,
}

impl Found {
    /// Asks Cloudflare, in the account that a deploy from here goes to.
    fn look(ui: &Ui, project: Option<&Project>, credentials: Credentials) -> Result<Self> {
        let named = project.and_then(|project| project.wrangler.account_id.as_deref());
        let is_token = credentials.is_token();
        let account = Account::open(ui, credentials, named)?;
        let look = || {
            let owner = is_token.then(|| account.verify()).transpose()?;
            anyhow::Ok((
                owner,
                account.email()?,
                account.seen()?,
                account.abilities()?,
            ))
        };
        let (owner, email, accounts, mut abilities) = ui.step("Asking Cloudflare", look)?;
        abilities.push(Ability {
            permission: permissions::SETTINGS,
            access: match accounts {
                Some(_) => Access::Granted,
                None => Access::Lacking,
            },
        });
        Ok(Self {
            account,
            owner,
            email,
            accounts,
            abilities,
        })
    }

    /// What is lacking, in a row; empty if nothing is.
    fn obstacles(&self) -> String {
        let lacking = self.abilities.iter().filter_map(|one| match one.access {
            Access::Lacking => Some(format!("it lacks `{}`", one.permission)),
            _ => None,
        });
        lacking.collect::<Vec<_>>().join(", ")
    }

    fn name(&self) -> Option<&str> {
        let mut accounts = self.accounts.iter().flatten();
        let found = accounts.find(|account| account.id == self.account.id);
        found.map(|account| account.name.as_str())
    }

    fn text(&self) -> String {
        let kind = match &self.owner {
            Some((Owner::User, _)) => "a user's API token, ",
            Some((Owner::Account, _)) => "an API token of the account, ",
            None => "",
        };
        let mut lines = vec![format!("credentials  {kind}{}", self.account.credentials())];
        if let Some((_, verified)) = &self.owner {
            let until = verified.expires_on.as_deref();
            let until = until.map_or(String::new(), |until| format!(", until {until}"));
            lines.push(format!("status       {}{until}", verified.status));
        }
        lines.extend(
            self.email
                .iter()
                .map(|email| format!("user         {email}")),
        );
        let name = self
            .name()
            .map_or(String::new(), |name| format!(" ({name})"));
        lines.push(format!("account      {}{name}", self.account.id));
        let others = self.accounts.iter().flatten();
        let others = others.filter(|other| other.id != self.account.id);
        lines.extend(
            others.map(|other| format!("             sees also {} ({})", other.id, other.name)),
        );
        lines.extend(self.abilities.iter().map(|one| self.line(one)));
        lines.join("\n")
    }

    fn line(&self, ability: &Ability) -> String {
        let Ability { permission, access } = ability;
        let (mark, more) = match access {
            Access::Granted => (style("ok     ").green(), String::new()),
            Access::Lacking => (style("lacking").red(), String::new()),
            Access::Closed => {
                let opening = opening(*permission, &self.account.dashboard());
                (style("closed ").yellow(), format!("; {opening}"))
            }
            Access::Unknown(why) => (style("unknown").yellow(), format!("; {why}")),
        };
        format!("{mark} {permission}, for {}{more}", permission.why)
    }

    fn document(&self) -> Value {
        let owner = self.owner.as_ref();
        let permissions = self
            .abilities
            .iter()
            .map(|one| json!({ "permission": one.permission.name, "access": one.access }));
        json!({
            "credentials": self.account.credentials(),
            "owner": owner.map(|(owner, _)| match owner {
                Owner::User => "user",
                Owner::Account => "account",
            }),
            "status": owner.map(|(_, verified)| &verified.status),
            "expiresOn": owner.and_then(|(_, verified)| verified.expires_on.as_ref()),
            "email": self.email,
            "account": self.account.id,
            "accounts": self.accounts,
            "permissions": permissions.collect::<Vec<_>>(),
        })
    }
}
