//! `stream truncate`: a stream loses its beginning.

use anyhow::{Context, Result};
use serde_json::json;

use super::desk::{About, Desk};
use crate::{
    args::TruncateStream,
    project::Here,
    stream::{Error, Offset},
    ui::Ui,
};

/// Drops what lies before an offset.
pub fn run(ui: &Ui, here: &Here, args: &TruncateStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let stream = &args.stream;
    let place = desk.client.root().as_str();
    let what = format!(
        "Drop what lies before {} in {stream} at {place}, for good?",
        args.before
    );
    ui.confirm(args.yes, &what, "nothing was changed")?;
    let earliest = desk.run(async {
        let before = match args.before.is_now() {
            true => desk.client.head(stream).await.about(stream)?.next,
            false => args.before.clone(),
        };
        truncated(desk.client.truncate(stream, &before).await).with_context(|| stream.clone())
    })?;
    ui.result(
        format!("{stream} begins at {earliest} now"),
        &json!({ "stream": stream, "earliest": earliest.as_str() }),
    );
    Ok(())
}

/// A server that knows no such thing takes the request for an append of nothing. Ours say with a code what
/// is wrong.
fn truncated(outcome: Result<Offset, Error>) -> Result<Offset> {
    let is_of_another_make = |error: &Error| match error {
        Error::Refused { status, said, .. } => *status == 400 && said.code.is_empty(),
        _ => false,
    };
    match outcome {
        Err(error) if is_of_another_make(&error) => {
            Err(error).context("the server seems to know no `Stream-Truncate-Before`")
        }
        outcome => Ok(outcome?),
    }
}
