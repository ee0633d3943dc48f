//! `stream truncate`: a stream loses its beginning.

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    confirm::confirm,
    desk::{About, Desk},
};
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
        "Drop what lies before {} in {stream} at {place}, for good",
        args.before
    );
    confirm(ui, args.yes, &what)?;
    let earliest = desk.run(async {
        let before = match args.before.is_now() {
            true => desk.client.head(stream).await.about(stream)?.next,
            false => args.before.clone(),
        };
        truncated(desk.client.truncate(stream, &before).await).about(stream)?
    })?;
    ui.result(
        format!("{stream} begins at {earliest} now"),
        &json!({ "stream": stream, "earliest": earliest.as_str() }),
    );
    Ok(())
}

/// A server that knows no such thing takes the request for an append of nothing.
fn truncated(outcome: Result<Offset, Error>) -> Result<Result<Offset>, Error> {
    match outcome {
        Ok(earliest) => Ok(Ok(earliest)),
        Err(Error::Refused {
            status: 400, said, ..
        }) if said.code.is_empty() => {
            let error = Error::Refused {
                status: 400,
                said,
                retry_after: None,
            };
            Ok(Err(error).context("the server seems to know no `Stream-Truncate-Before`"))
        }
        Err(error) => Err(error),
    }
}
