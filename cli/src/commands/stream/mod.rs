//! `stream`: streams of a server, of whatever make. A file a verb.

mod append;
mod archive;
mod close;
mod create;
mod delete;
mod desk;
mod export;
mod follow;
mod fork;
mod head;
mod import;
mod input;
mod list;
mod output;
mod progress;
mod read;
mod truncate;
mod who;

use anyhow::Result;

pub use self::desk::{Meant, check_folder};

use self::output::NobodyReads;
use crate::{args::Stream, error::problem, interrupt, project::Here, stream::Error, ui::Ui};

/// Works on streams.
pub fn run(ui: &Ui, here: &Here, args: &Stream) -> Result<()> {
    interrupt::note_interrupts();
    let outcome = match args {
        Stream::Create(args) => create::run(ui, here, args),
        Stream::Append(args) => append::run(ui, here, args),
        Stream::Read(args) => read::run(ui, here, args),
        Stream::Follow(args) => follow::run(ui, here, args),
        Stream::Head(args) => head::run(ui, here, args),
        Stream::Close(args) => close::run(ui, here, args),
        Stream::Delete(args) => delete::run(ui, here, args),
        Stream::Fork(args) => fork::run(ui, here, args),
        Stream::List(args) => list::run(ui, here, args),
        Stream::Truncate(args) => truncate::run(ui, here, args),
        Stream::Export(args) => export::run(ui, here, args),
        Stream::Import(args) => import::run(ui, here, args),
    };
    match outcome {
        Err(error) if error.downcast_ref::<NobodyReads>().is_some() => Ok(()),
        Err(error) => Err(with_way_out(error)),
        Ok(()) => Ok(()),
    }
}

/// Adds what is to be done about what a server answers.
fn with_way_out(error: anyhow::Error) -> anyhow::Error {
    let Some(cause) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Error>())
    else {
        return error;
    };
    let hint = way_out(cause);
    match hint.is_empty() || crate::error::hint(&error).is_some() {
        true => error,
        false => problem(format!("{error:#}"), hint),
    }
}

fn way_out(error: &Error) -> String {
    match error {
        Error::Unreachable { .. } => {
            "`durable-streams dev` serves a project here, --remote takes the deployed server, and --url \
             names any other one"
                .to_owned()
        }
        Error::NotFound(_) => {
            "`durable-streams stream list` shows the streams there are, and `stream create` makes one; \
             --project names another project"
                .to_owned()
        }
        Error::Truncated { earliest } => format!("--from {earliest} or --from start reads what is left"),
        Error::Closed { .. } => {
            "a closed stream stays as it is: `stream fork` makes one that goes on from it".to_owned()
        }
        Error::StaleEpoch { current } => format!(
            "if it is this run that is to go on, claim the next one with --epoch {}",
            current.saturating_add(1)
        ),
        Error::SequenceGap { expected } => {
            format!("--seq {expected} is what comes next of this producer in this epoch")
        }
        Error::Refused { status: 401 | 403, .. } => {
            "for a server named by --url or STREAM_URL, --token or STREAM_AUTH says who asks; for that of \
             the project, the registry here and that of the server may differ: --local and --remote say \
             which to take the secret from"
                .to_owned()
        }
        _ => String::new(),
    }
}
