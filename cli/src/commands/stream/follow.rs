//! `stream follow`: what is there, and what comes.

use anyhow::Result;
use serde_json::json;

use super::{
    desk::{About, Desk},
    output::{Content, Rest, print},
};
use crate::{
    args::{FollowStream, TransportChoice},
    interrupt,
    project::Here,
    stream::{Batch, Happening, Kind, Live, Transport},
    ui::Ui,
};

/// Prints messages as they come, until the stream is closed, there were enough, or Ctrl-C. With `--json`
/// each batch is a document on a line of its own, with the offset behind it.
pub fn run(ui: &Ui, here: &Here, args: &FollowStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    match desk.run(follow(ui, &desk, args)) {
        // Whoever follows ends it like this.
        Err(_) if interrupt::interrupted() => Ok(()),
        outcome => outcome,
    }
}

async fn follow(ui: &Ui, desk: &Desk, args: &FollowStream) -> Result<()> {
    let stream = &args.stream;
    let state = desk.client.head(stream).await.about(stream)?;
    let transport = args.live.map(|choice| match choice {
        TransportChoice::Sse => Transport::Events,
        TransportChoice::LongPoll => Transport::LongPoll,
    });
    let mut live = Live::new(&desk.client, stream, &state, &args.from, transport);
    let mut rest = Rest::new(args.limit);
    while let Some(happening) = live.next().await.about(stream)? {
        match happening {
            Happening::Batch(batch) => {
                show(ui, state.kind(), &batch, &mut rest)?;
                if rest.is_nothing() {
                    return Ok(());
                }
            }
            Happening::Lost(error) => ui.note(format!("{error}; trying again")),
            Happening::Found => ui.note(format!("Connected again, behind {}", live.position())),
        }
    }
    ui.note(format!("{stream} is closed at {}", live.position()));
    Ok(())
}

fn show(ui: &Ui, kind: Kind, batch: &Batch, rest: &mut Rest) -> Result<()> {
    let mut content = Content::read(kind, &batch.parts)?;
    let is_cut = rest.cut(&mut content);
    if !ui.is_json() {
        return print(&content.bytes());
    }
    if content.count() == 0 && !batch.closed {
        return Ok(());
    }
    // Where a batch was cut, nobody knows the offset.
    let offset = (!is_cut).then(|| batch.next.as_str());
    let line = format!(
        "{{{},\"offset\":{},\"closed\":{}}}\n",
        content.member(),
        json!(offset),
        batch.closed
    );
    print(line.as_bytes())
}
