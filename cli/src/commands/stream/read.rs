//! `stream read`: what is there.

use anyhow::Result;
use serde_json::json;

use super::{
    desk::{About, Desk},
    output::{Content, Rest, print},
};
use crate::{
    args::ReadStream,
    project::Here,
    stream::{Kind, Offset},
    ui::Ui,
};

/// Prints what a stream holds up to now, page by page.
pub fn run(ui: &Ui, here: &Here, args: &ReadStream) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?;
    let stream = &args.stream;
    let mut from = args.from.clone();
    let mut rest = Rest::new(args.limit);
    let mut held: Option<Content> = None;
    let mut end = End::default();
    while !rest.is_nothing() {
        let page = desk.run(async { desk.client.page(stream, &from).await.about(stream) })?;
        let mut content = Content::read(Kind::of(&page.content_type), &[page.body])?;
        // Where a page is cut, nobody knows the offset.
        let is_cut = rest.cut(&mut content);
        end = End {
            content_type: page.content_type,
            next: (!is_cut).then(|| page.next.clone()),
            up_to_date: page.up_to_date && !is_cut,
            closed: page.closed && !is_cut,
        };
        match ui.is_json() {
            false => print(&content.bytes())?,
            true => {
                held = Some(match held {
                    Some(before) => before.and(content),
                    None => content,
                });
            }
        }
        if page.up_to_date || page.next == from {
            break;
        }
        from = page.next;
    }
    match (held, &end.next) {
        (Some(held), _) => print(document(stream, &held, &end).as_bytes()),
        (None, Some(next)) if !ui.is_json() => {
            let closed = if end.closed {
                ", where it is closed"
            } else {
                ""
            };
            ui.note(format!("Read up to {next}{closed}"));
            Ok(())
        }
        _ => Ok(()),
    }
}

/// How far one has come.
#[derive(Debug, Default)]
struct End {
    content_type: String,
    next: Option<Offset>,
    up_to_date: bool,
    closed: bool,
}

/// All that was read as one document, with messages as they were written.
fn document(stream: &str, held: &Content, end: &End) -> String {
    format!(
        "{{\"stream\":{},\"contentType\":{},{},\"offset\":{},\"upToDate\":{},\"closed\":{}}}\n",
        json!(stream),
        json!(end.content_type),
        held.member(),
        json!(end.next.as_ref().map(Offset::as_str)),
        end.up_to_date,
        end.closed,
    )
}
