//! `stream close`: nothing comes after what is there.

use anyhow::Result;
use serde_json::json;

use super::desk::{About, Desk};
use crate::{args::OneStream, project::Here, stream::Append, ui::Ui};

/// Closes a stream; one that is closed stays so.
pub fn run(ui: &Ui, here: &Here, args: &OneStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let stream = &args.stream;
    let close = Append {
        close: true,
        ..Append::default()
    };
    let closed = desk.run(async { desk.client.append(stream, close).await.about(stream) })?;
    let tail = closed.next.map(|offset| offset.to_string());
    let at = tail
        .as_ref()
        .map_or(String::new(), |tail| format!(" at {tail}"));
    ui.result(
        format!("{stream} is closed{at}"),
        &json!({ "stream": stream, "closed": true, "offset": tail }),
    );
    Ok(())
}
