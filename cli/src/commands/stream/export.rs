//! `stream export`: streams to files, up to where they are, and from there on the next time.

use std::io::Write;

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use indicatif::HumanBytes;
use serde_json::json;

use super::{
    archive::{Archive, Manifest},
    desk::{About, Desk},
    list,
    output::Content,
    progress::Progress,
};
use crate::{
    args::ExportStreams,
    error::problem,
    project::Here,
    stream::{Client, Error, Offset, State},
    ui::{Ui, how_many},
};

/// How many streams are read at once.
const AT_ONCE: usize = 8;

/// Writes streams to files.
pub fn run(ui: &Ui, here: &Here, args: &ExportStreams) -> Result<()> {
    let desk = Desk::open(ui, here, &args.server)?.patient();
    let archive = Archive::to_write(&args.dir)?;
    let is_listed = args.streams.is_empty();
    let names: Vec<String> = match is_listed {
        false => args.streams.clone(),
        true => {
            let prefix = args.prefix.as_deref().unwrap_or_default();
            let found = desk.run(list::all(&desk.client, prefix))?;
            found.into_iter().map(|one| one.path).collect()
        }
    };
    let progress = Progress::new(ui, "Exporting", names.len() as u64, None);
    let one = async |name: &String| {
        let outcome = export(&desk.client, &archive, name, &progress).await;
        progress.stream();
        (name.clone(), outcome)
    };
    let (mut done, mut gone) = (Vec::new(), Vec::new());
    let outcome = desk.run(async {
        let mut outcomes = stream::iter(&names).map(one).buffer_unordered(AT_ONCE);
        while let Some((name, outcome)) = outcomes.next().await {
            match outcome {
                Ok(manifest) => done.push(manifest),
                // Somebody has deleted it since it was listed.
                Err(error) if is_listed && is_gone(&error) => gone.push(name),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    let (bytes, took) = (progress.total(), progress.took());
    drop(progress);
    outcome.inspect_err(|_| {
        ui.note(format!(
            "{} of {} are in {}; the same command goes on from there",
            done.len(),
            how_many(names.len() as u64, "stream"),
            args.dir.display()
        ));
    })?;
    for name in &gone {
        ui.warn(format!("{name} was deleted in the meantime"));
    }
    done.sort_by(|one, other| one.stream.cmp(&other.stream));
    ui.result(
        format!(
            "Exported {} to {}: {} in {took}",
            how_many(done.len() as u64, "stream"),
            args.dir.display(),
            HumanBytes(bytes)
        ),
        &json!({ "dir": args.dir, "bytes": bytes, "streams": done, "deleted": gone }),
    );
    Ok(())
}

fn is_gone(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<Error>();
    matches!(cause, Some(Error::NotFound(_) | Error::Gone(_)))
}

/// Writes what a stream holds behind what was written before.
async fn export(
    client: &Client,
    archive: &Archive,
    name: &str,
    progress: &Progress<'_>,
) -> Result<Manifest> {
    let state = client.head(name).await.about(name)?;
    let place = archive.place(name);
    let mut manifest = match place.manifest()? {
        Some(manifest) => continued(manifest, name, &state)?,
        None => Manifest::new(name, &client.root().stream(name)?, &state.content_type),
    };
    manifest.ttl_seconds = state.ttl;
    manifest.expires_at = state.expires_at.clone();
    manifest.retention = state.retention.clone();
    let mut file = place.writer(&manifest)?;
    let mut is_up_to_date = false;
    while !is_up_to_date {
        let from = Offset::parse(&manifest.offset)?;
        let page = match client.page(name, &from).await {
            Err(Error::Truncated { .. }) if manifest.bytes > 0 => return Err(dropped(name)),
            outcome => outcome.about(name)?,
        };
        let content = Content::read(state.kind(), &[page.body]).about(name)?;
        let bytes = content.bytes();
        file.write_all(&bytes)
            .with_context(|| format!("cannot write what {name} holds"))?;
        manifest.bytes += bytes.len() as u64;
        manifest.messages = manifest.messages.map(|count| count + content.count());
        manifest.closed = page.closed;
        is_up_to_date = page.up_to_date || page.next == from;
        manifest.offset = page.next.to_string();
        place.keep(&file, &manifest)?;
        progress.bytes(bytes.len() as u64);
    }
    Ok(manifest)
}

/// What was written before, if it is of the same stream.
fn continued(manifest: Manifest, name: &str, state: &State) -> Result<Manifest> {
    let offset = Offset::parse(&manifest.offset)?;
    let is_same = manifest.stream == name
        && manifest.content_type == state.content_type
        && !state.next.is_before(&offset);
    match is_same {
        true => Ok(manifest),
        false => Err(problem(
            format!(
                "{name} is another stream than the one that was exported here before: that one was {} up to {offset}, \
                 and this one is {} up to {}",
                manifest.content_type, state.content_type, state.next
            ),
            "export into another folder, or remove the stream's folder from this one",
        )),
    }
}

fn dropped(name: &str) -> anyhow::Error {
    problem(
        format!(
            "{name}: what comes behind the last export was dropped from the stream in the meantime"
        ),
        "export into another folder to have what is left",
    )
}
