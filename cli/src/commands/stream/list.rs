//! `stream list`: which streams there are.

use anyhow::Result;
use serde_json::json;

use super::desk::Desk;
use crate::{
    args::ListStreams,
    error::problem,
    project::Here,
    stream::{Client, Error, Listed},
    ui::Ui,
};

/// Lists streams.
pub fn run(ui: &Ui, here: &Here, args: &ListStreams) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let found = desk.run(all(&desk.client, &args.prefix))?;
    let width = found
        .iter()
        .map(|one| one.path.chars().count())
        .max()
        .unwrap_or(0);
    let line = |one: &Listed| match args.long {
        true => {
            let made = one.created_at.as_deref().unwrap_or_default();
            format!("{:width$}  {made:24}  {}", one.path, one.content_type)
        }
        false => one.path.clone(),
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    if found.is_empty() {
        ui.note(format!(
            "There is no stream yet at {}",
            desk.client.root().as_str()
        ));
    }
    let document = |one: &Listed| {
        json!({
            "path": one.path,
            "contentType": one.content_type,
            "createdAt": one.created_at,
        })
    };
    let documents: Vec<_> = found.iter().map(document).collect();
    if !found.is_empty() || ui.is_json() {
        ui.result(lines.join("\n"), &json!({ "streams": documents }));
    }
    Ok(())
}

/// All streams whose paths begin like this.
pub async fn all(client: &Client, prefix: &str) -> Result<Vec<Listed>> {
    match client.list_all(prefix).await {
        Ok(found) => Ok(found),
        Err(
            Error::NotFound(_)
            | Error::Strange(_)
            | Error::Refused {
                status: 400 | 405 | 501,
                ..
            },
        ) => Err(problem(
            format!(
                "the server at {} cannot list its streams",
                client.root().as_str()
            ),
            "the protocol has no list: a server made with durable-streams has one unless its \
                 `DIRECTORY` is `off`; name the streams instead",
        )),
        Err(error) => Err(error.into()),
    }
}
