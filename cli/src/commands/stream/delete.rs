//! `stream delete`: streams and all they hold.

use anyhow::Result;
use serde_json::json;

use super::desk::{About, Desk};
use crate::{
    args::DeleteStream,
    project::Here,
    ui::{Ui, how_many},
};

/// Deletes streams, one after the other.
pub fn run(ui: &Ui, here: &Here, args: &DeleteStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let names = args.streams.join(", ");
    let count = how_many(args.streams.len() as u64, "stream");
    let place = desk.client.root().as_str();
    let question = format!("Delete {count} at {place}: {names}?");
    ui.confirm(args.yes, &question, "nothing was deleted")?;
    desk.run(async {
        for stream in &args.streams {
            desk.client.delete(stream).await.about(stream)?;
            ui.note(format!("Deleted {stream}"));
        }
        Ok(())
    })?;
    ui.result(
        format!("Deleted {names}"),
        &json!({ "deleted": args.streams }),
    );
    Ok(())
}
