//! `stream create`: a stream of its own.

use anyhow::Result;
use serde_json::json;

use super::desk::{About, Desk};
use crate::{args::CreateStream, project::Here, stream::New, ui::Ui};

/// Makes a stream.
pub fn run(ui: &Ui, here: &Here, args: &CreateStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let stream = &args.stream;
    let url = desk.client.root().stream(stream)?;
    let new = New {
        content_type: Some(args.content_type.clone()),
        expiry: args.lifetime.expiry(),
        retention: args.retention.clone(),
        closed: args.closed,
        body: None,
    };
    let made = desk.run(async { desk.client.create(stream, &new).await.about(stream) })?;
    let said = match made.is_new {
        true => "Made the stream",
        false => "There is just this stream already:",
    };
    ui.result(
        format!("{said} {stream} ({}) at {url}", made.content_type),
        &json!({
            "stream": stream,
            "url": url,
            "created": made.is_new,
            "contentType": made.content_type,
            "offset": made.next.as_str(),
        }),
    );
    Ok(())
}
