//! `stream head`: what is known of a stream.

use anyhow::Result;
use serde_json::json;

use super::desk::{About, Desk};
use crate::{
    args::OneStream,
    project::Here,
    stream::State,
    ui::{Ui, how_many},
};

/// Shows what is known of a stream.
pub fn run(ui: &Ui, here: &Here, args: &OneStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let stream = &args.stream;
    let state = desk.run(async { desk.client.head(stream).await.about(stream) })?;
    ui.result(
        text(stream, &state),
        &json!({
            "stream": stream,
            "url": desk.client.root().stream(stream)?,
            "contentType": state.content_type,
            "offset": state.next.as_str(),
            "earliest": state.earliest.as_ref().map(|offset| offset.as_str()),
            "closed": state.closed,
            "ttlSeconds": state.ttl,
            "expiresAt": state.expires_at,
            "retention": state.retention,
        }),
    );
    Ok(())
}

fn text(stream: &str, state: &State) -> String {
    let open = match state.closed {
        true => "closed",
        false => "open",
    };
    let mut lines = vec![
        format!("{stream}: {}, {open}", state.content_type),
        format!("  tail      {}", state.next),
    ];
    if let Some(earliest) = &state.earliest {
        lines.push(format!("  begins at {earliest}"));
    }
    if let Some(ttl) = state.ttl {
        let seconds = how_many(ttl, "second");
        lines.push(format!("  expires   {seconds} after it was last used"));
    }
    if let Some(time) = &state.expires_at {
        lines.push(format!("  expires   at {time}"));
    }
    if let Some(retention) = &state.retention {
        lines.push(format!("  keeps     {retention}"));
    }
    lines.join("\n")
}
