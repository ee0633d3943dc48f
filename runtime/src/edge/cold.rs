//! Answers of which a part lies in the bucket. The stream's object says what it consists of; here
//! it is decided how that is put together. The bytes move from streams to a stream, so that none of
//! them passes through the object.

use futures_util::future::try_join_all;

use super::ports::{Body, Outgoing, Ports};
use crate::patience::{self, within};
use crate::protocol::error::Error;
use crate::protocol::header;
use crate::protocol::part::{Part, Piece, Plan};

/// Completes an answer; one that is complete is passed on as it is.
///
/// # Errors
///
/// [`Error::Unavailable`] when a part cannot be had, [`Error::Storage`] when one is not what it
/// should be. What fails later breaks the answer off.
pub async fn complete<P: Ports>(ports: &P, response: P::Response) -> Result<P::Response, Error> {
    let Some(length) = plan_length(&response) else {
        return Ok(response);
    };
    let pieces = in_time(ports, gather(ports, &response, length)).await?;
    let length = pieces.iter().map(|(_, length)| *length);
    let length = length.fold(0, u64::saturating_add);
    // The length was that of the object's answer; the new body knows its own.
    let changes = [(header::DS_COLD, None), (header::CONTENT_LENGTH, None)];
    let pieces = pieces.into_iter().map(|(piece, _)| piece).collect();
    ports.assemble(&response, &changes, pieces, length)
}

/// The body of an answer, complete, in memory.
///
/// # Errors
///
/// As [`complete`]; all of them before there is any byte.
pub async fn bytes<P: Ports>(ports: &P, response: &P::Response) -> Result<Vec<u8>, Error> {
    in_time(ports, async {
        let Some(length) = plan_length(response) else {
            return Ok(ports.body(response, usize::MAX).await?.start);
        };
        let mut bytes = Vec::new();
        for (piece, length) in gather(ports, response, length).await? {
            let piece = ports.read(&piece).await?;
            if piece.len() as u64 != length {
                return Err(Error::Unavailable("a part of an answer is short".into()));
            }
            bytes.extend(piece);
        }
        Ok(bytes)
    })
    .await
}

/// The length of an answer's plan; nothing for an answer that is complete.
fn plan_length(response: &impl Outgoing) -> Option<usize> {
    let length = response.header(header::DS_COLD)?;
    Some(length.parse().unwrap_or(0))
}

async fn in_time<P: Ports, T>(
    ports: &P,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let outcome = within(ports.sleep(patience::BUCKET), work).await;
    outcome.unwrap_or_else(|| {
        let limit = patience::BUCKET;
        let what = format!("the parts of an answer did not come within {limit} ms");
        Err(Error::Unavailable(what))
    })
}

/// Opens everything an answer consists of, all at the same time. Gives the pieces with their
/// lengths.
async fn gather<P: Ports>(
    ports: &P,
    response: &P::Response,
    plan_length: usize,
) -> Result<Vec<(P::Piece, u64)>, Error> {
    let body = ports.body(response, plan_length).await?;
    let Body {
        start,
        rest,
        rest_length,
    } = body;
    let plan = Plan::decode(&start)?;
    let mut rest = Some(rest);
    let pieces = plan.pieces(rest_length > 0).into_iter();
    // There is one rest at most.
    let pieces = pieces.map(|piece| match piece {
        Piece::Rest => open(ports, piece, rest.take().map(|rest| (rest, rest_length))),
        _ => open(ports, piece, None),
    });
    try_join_all(pieces).await
}

async fn open<P: Ports>(
    ports: &P,
    piece: Piece<'_>,
    rest: Option<(P::Piece, u64)>,
) -> Result<(P::Piece, u64), Error> {
    let bytes = |bytes: &[u8]| Ok((ports.piece(bytes), bytes.len() as u64));
    match piece {
        Piece::Text(text) => bytes(text),
        Piece::Rest => rest.map_or_else(|| bytes(b""), Ok),
        Piece::Part(part) if part.lines.is_none() => Ok((ports.open(part).await?, part.length)),
        Piece::Part(part) => bytes(&lines(ports, part).await?),
    }
}

/// The lines of a part, of which its range has more than belong to the answer.
async fn lines<P: Ports>(ports: &P, part: &Part) -> Result<Vec<u8>, Error> {
    let range = ports.read(&ports.open(part).await?).await?;
    let lines = part.lines.and_then(|lines| lines.cut(&range));
    let lines = lines.ok_or_else(|| Error::Storage(format!("{} has too few lines", part.key)))?;
    Ok(lines.to_vec())
}
