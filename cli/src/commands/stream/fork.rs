//! `stream fork`: a stream that begins as another one.

use anyhow::Result;
use serde_json::json;

use super::desk::{About, Desk};
use crate::{
    args::ForkStream,
    project::Here,
    stream::{Fork, New},
    ui::Ui,
};

/// Makes a fork.
pub fn run(ui: &Ui, here: &Here, args: &ForkStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let (source, stream) = (&args.source, &args.stream);
    let fork = Fork {
        source: source.clone(),
        at: args.at.clone(),
        beyond: args.beyond,
    };
    let new = New {
        expiry: args.lifetime.expiry(),
        ..New::default()
    };
    let made = desk.run(async { desk.client.fork(stream, &fork, &new).await.about(stream) })?;
    let said = match made.is_new {
        true => "Made the stream",
        false => "There is just this fork already:",
    };
    ui.result(
        format!("{said} {stream}, which is as {source} up to {}", made.next),
        &json!({
            "stream": stream,
            "source": source,
            "url": desk.client.root().stream(stream)?,
            "created": made.is_new,
            "contentType": made.content_type,
            "offset": made.next.as_str(),
        }),
    );
    Ok(())
}
