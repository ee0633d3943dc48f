//! Streams grow, lose their beginning, and are closed (sections 5.2 and 5.3).

use reqwest::{Method, StatusCode};

use super::{Client, Error, Offset, header};

/// What tells a server that an append is the same as one before (section 5.2.1): it counts once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Who appends.
    pub producer: String,
    /// Which run of it: who comes with a higher one shuts those before out.
    pub epoch: u64,
    /// The number of the append in this run, from 0, without gaps.
    pub seq: u64,
}

/// Something to append.
#[derive(Debug, Clone, Default)]
pub struct Append {
    /// What it is, which has to be what the stream holds.
    pub content_type: Option<String>,
    /// The bytes, or an array of messages; empty only to close.
    pub body: Vec<u8>,
    /// What it is known by.
    pub stamp: Option<Stamp>,
    /// Nothing comes after it.
    pub close: bool,
}

/// What has become of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The tail; servers need not say it of what they had before.
    pub next: Option<Offset>,
    /// It was there already.
    pub is_duplicate: bool,
    /// The highest number that was taken of this run of the producer.
    pub highest: Option<u64>,
}

impl Client {
    /// Appends, or closes, or both at once.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::StaleEpoch`], [`Error::SequenceGap`]. After other errors, unless
    /// [`Error::is_untaken`], nobody knows whether it was appended.
    pub async fn append(&self, stream: &str, append: Append) -> Result<Appended, Error> {
        let is_stamped = append.stamp.is_some();
        let closes_only = append.close && append.body.is_empty();
        let mut ask = self.ask(Method::POST, stream, "")?;
        ask.is_repeatable = is_stamped || closes_only;
        if !append.body.is_empty() {
            ask = ask.maybe("content-type", append.content_type);
        }
        if let Some(stamp) = append.stamp {
            ask = ask
                .header(header::PRODUCER, stamp.producer)
                .header(header::EPOCH, stamp.epoch.to_string())
                .header(header::SEQ, stamp.seq.to_string());
        }
        ask = ask.maybe(header::CLOSED, append.close.then_some("true"));
        ask.body = Some(append.body);
        let response = self.send(&ask).await?;
        let headers = response.headers();
        Ok(Appended {
            next: header::offset(headers, header::NEXT),
            is_duplicate: is_stamped && !closes_only && response.status() == StatusCode::NO_CONTENT,
            highest: header::number(headers, header::SEQ),
        })
    }

    /// Drops what lies before an offset, for good. Gives where the stream begins then. Not all servers know
    /// that; those that do not refuse it.
    pub async fn truncate(&self, stream: &str, before: &Offset) -> Result<Offset, Error> {
        let mut ask = self
            .ask(Method::POST, stream, "")?
            .header(header::TRUNCATE_BEFORE, before.as_str());
        ask.body = Some(Vec::new());
        let response = self.send(&ask).await?;
        header::offset(response.headers(), header::EARLIEST)
            .ok_or_else(|| Error::Strange("a stream that was truncated".to_owned()))
    }
}
