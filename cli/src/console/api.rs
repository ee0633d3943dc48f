//! What the page asks the program itself for: where it is, the projects, tokens, and the usage.

use clap::ValueEnum;
use http_body_util::{BodyExt, Limited};
use hyper::{Method, Request, StatusCode, Uri, body::Incoming};
use percent_encoding::percent_decode_str;
use reqwest::Url;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    About,
    answer::{Answer, Refusal, document},
    clerk::Clerk,
    pass::Pass,
};
use crate::{
    args::{
        self,
        values::{Scope, lifetime},
    },
    registry::check_name,
    token::{self, Claims},
};

/// Where all of this is below the console's own address.
pub const PLACE: &str = "/api/";
/// No document that is asked for is nearly as long.
const LONGEST: usize = 64 * 1024;

/// A project to be made or deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

/// A token to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    project: String,
    scope: String,
    stream: Option<String>,
    expires: Option<String>,
}

/// Answers a request.
pub async fn answer(
    about: &About,
    pass: &Pass,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let path = request.uri().path().to_owned();
    let rest = path.strip_prefix(PLACE).unwrap_or_default();
    match (rest, request.method()) {
        ("console", &Method::GET) => console(about, pass).await,
        ("projects", &Method::GET) => projects(clerk(pass)?).await,
        ("projects", &Method::POST) => create(pass, read(request).await?).await,
        ("tokens", &Method::POST) => make_token(clerk(pass)?, read(request).await?).await,
        ("usage", &Method::GET) => usage(clerk(pass)?, request.uri()).await,
        ("console" | "usage", _) => Err(method("GET")),
        ("projects", _) => Err(method("GET or POST")),
        ("tokens", _) => Err(method("POST")),
        (rest, asked) => match (rest.strip_prefix("projects/"), asked) {
            (Some(name), &Method::DELETE) => {
                let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
                delete(pass, name, read(request).await?).await
            }
            (Some(_), _) => Err(method("DELETE")),
            (None, _) => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "not_found",
                format!("there is nothing at {path}"),
            )),
        },
    }
}

/// Where one is.
async fn console(about: &About, pass: &Pass) -> Result<Answer, Refusal> {
    let (project, projects) = match pass.clerk() {
        None => (None, None),
        Some(clerk) => clerk.ask(|books| Ok(books.projects()?)).await?,
    };
    Ok(document(
        StatusCode::OK,
        &json!({
            "server": pass.root().server(),
            "root": pass.root().as_str(),
            "isRemote": about.is_remote,
            "project": project,
            "canMakeTokens": projects.is_some(),
            "projects": projects,
            "version": env!("CARGO_PKG_VERSION"),
            "environment": about.environment,
        }),
    ))
}

async fn projects(clerk: &Clerk) -> Result<Answer, Refusal> {
    let listed = clerk.ask(|books| Ok(books.list()?)).await?;
    let listed = listed.ok_or_else(no_projects)?;
    let shown = listed.into_iter().map(|shown| match shown.is_public {
        Ok(is_public) => json!({ "name": shown.name, "isPublic": is_public }),
        Err(error) => json!({ "name": shown.name, "error": error }),
    });
    Ok(document(StatusCode::OK, &shown.collect()))
}

async fn create(pass: &Pass, Named { name }: Named) -> Result<Answer, Refusal> {
    check(&name)?;
    let asked = name.clone();
    let secret = clerk(pass)?
        .ask(move |books| {
            check_books(books.can_make_tokens()?)?;
            if books.find(&name)?.is_some() {
                return Err(Refusal::new(
                    StatusCode::CONFLICT,
                    "project_exists",
                    format!("`name` is `{name}`: there is a project of this name already"),
                ));
            }
            Ok(books.create(&name)?)
        })
        .await?;
    pass.forget(&asked);
    let made = json!({ "name": asked, "secret": secret.reveal() });
    Ok(document(StatusCode::CREATED, &made))
}

/// Deletes a project whose name was typed once more.
async fn delete(pass: &Pass, name: String, typed: Named) -> Result<Answer, Refusal> {
    check(&name)?;
    if typed.name != name {
        return Err(Refusal::invalid(format!(
            "`name` is `{}`, and the project to be deleted is `{name}`: type its name",
            typed.name
        )));
    }
    let asked = name.clone();
    clerk(pass)?
        .ask(move |books| {
            check_books(books.can_make_tokens()?)?;
            // One that cannot be read can be deleted.
            if let Ok(None) = books.find(&name) {
                return Err(no_project(&name));
            }
            Ok(books.delete(&name)?)
        })
        .await?;
    pass.forget(&asked);
    let done = json!({ "name": asked, "deleted": true });
    Ok(document(StatusCode::OK, &done))
}

async fn make_token(clerk: &Clerk, wanted: Wanted) -> Result<Answer, Refusal> {
    let Wanted {
        project,
        scope,
        stream,
        expires,
    } = wanted;
    check(&project)?;
    let scope = Scope::from_str(&scope, false).map_err(|_| {
        let words = Scope::value_variants()
            .iter()
            .filter_map(Scope::to_possible_value);
        let words: Vec<String> = words.map(|word| word.get_name().to_owned()).collect();
        Refusal::invalid(format!(
            "`scope` is `{scope}`, not one of: {}",
            words.join(", ")
        ))
    })?;
    if let Some(stream) = &stream {
        token::check_stream(stream).map_err(|_| {
            Refusal::invalid(format!(
                "`stream` is `{}`, which names no stream: give the path after the project, as in \
                 my-stream or chats/42",
                stream.escape_debug()
            ))
        })?;
    }
    let expires = expires.unwrap_or_else(|| "1h".to_owned());
    let expires =
        lifetime(&expires).map_err(|why| Refusal::invalid(format!("`expires`: {why}")))?;
    let expires_at =
        token::expiry(expires).map_err(|error| Refusal::invalid(format!("`expires`: {error}")))?;
    let token = clerk
        .ask(move |books| {
            check_books(books.can_make_tokens()?)?;
            let record = books.find(&project)?.ok_or_else(|| no_project(&project))?;
            let claims = Claims {
                project,
                scope,
                expires_at,
                stream,
            };
            Ok(token::mint(record.primary()?, &claims)?)
        })
        .await?;
    let made = json!({ "token": token, "expiresAt": expires_at });
    Ok(document(StatusCode::CREATED, &made))
}

async fn usage(clerk: &Clerk, uri: &Uri) -> Result<Answer, Refusal> {
    let args = usage_of(uri.query().unwrap_or_default())?;
    let used = clerk.ask(move |books| Ok(books.usage(&args))).await?;
    let absent = |message| Refusal::new(StatusCode::NOT_FOUND, "no_usage", message);
    match used {
        Ok(Some(used)) => Ok(document(StatusCode::OK, &used)),
        Ok(None) => Err(absent(
            "what this server is used for is not counted: that is so for the deployed one, with --remote"
                .to_owned(),
        )),
        Err(error) => Err(Refusal::of(StatusCode::NOT_FOUND, "no_usage", &error)),
    }
}

/// The options of `usage`, of which each may be a parameter.
fn usage_of(query: &str) -> Result<args::Usage, Refusal> {
    let wrong = |name: &str, why: &str| Refusal::invalid(format!("`{name}`: {why}"));
    let mut usage = args::Usage::default();
    // Only a whole URL is taken apart.
    let url = Url::parse(&format!("http://x/?{query}"))
        .map_err(|error| wrong("query", &error.to_string()))?;
    for (name, value) in url.query_pairs() {
        match &*name {
            "since" => usage.since = args::kept(&value).map_err(|why| wrong("since", &why))?,
            "project" => {
                check(&value)?;
                usage.project = Some(value.into_owned());
            }
            "top" => {
                let number = value
                    .parse()
                    .ok()
                    .filter(|top| i64::from(*top) <= args::MOST);
                let why = || {
                    wrong(
                        "top",
                        &format!("`{value}` is no number up to {}", args::MOST),
                    )
                };
                usage.top = number.ok_or_else(why)?;
            }
            _ => {
                return Err(wrong(
                    &name,
                    "there is no such parameter: there are since, project and top",
                ));
            }
        }
    }
    Ok(usage)
}

/// The document of a request.
async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), LONGEST).collect().await;
    let body =
        body.map_err(|error| Refusal::invalid(format!("the body cannot be read: {error}")))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        Refusal::invalid(format!(
            "the body is not the document that is needed: {error}"
        ))
    })
}

fn clerk(pass: &Pass) -> Result<&Clerk, Refusal> {
    pass.clerk().ok_or_else(no_projects)
}

fn check(name: &str) -> Result<(), Refusal> {
    check_name(name)
        .map_err(|error| Refusal::of(StatusCode::BAD_REQUEST, "invalid_request", &error))
}

fn check_books(are_there: bool) -> Result<(), Refusal> {
    match are_there {
        true => Ok(()),
        false => Err(no_projects()),
    }
}

fn no_project(name: &str) -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "project_not_found",
        format!("there is no project `{name}`"),
    )
}

fn no_projects() -> Refusal {
    Refusal::new(
        StatusCode::NOT_FOUND,
        "no_projects",
        "this server has no projects that are known here: everyone uses it without a token, or it is named \
         by --url or STREAM_URL alone",
    )
}

fn method(allowed: &str) -> Refusal {
    Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("this takes {allowed}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_asked_for_as_on_the_command_line() {
        let usual = usage_of("").unwrap();
        assert_eq!(
            (usual.since.as_secs(), usual.project, usual.top),
            (86_400, None, 10)
        );
        let some = usage_of("since=7d&project=shop&top=0").unwrap();
        assert_eq!(
            (some.since.as_secs(), some.project.as_deref(), some.top),
            (604_800, Some("shop"), 0)
        );
        for (query, says) in [
            ("since=91d", "`since`: Analytics Engine keeps"),
            ("since=x", "`since`: `x` is not"),
            ("top=1001", "`top`: `1001` is no number up to 1000"),
            ("top=-1", "`top`"),
            ("project=a%2Fb", "`a/b` cannot be a project"),
            ("untill=1", "`untill`: there is no such parameter"),
        ] {
            let refusal = usage_of(query).unwrap_err();
            assert!(refusal.message.contains(says), "{}", refusal.message);
            assert_eq!(refusal.status, 400);
        }
    }
}
