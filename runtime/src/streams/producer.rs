//! Appends that can be repeated without harm (section 5.2.1).

use super::{Append, Appended, Error, Stream};
use crate::auth::project::Registry;
use crate::edge::ports::Ports;
use crate::protocol::producer::Claim;

/// A producer, which numbers its appends.
#[derive(Debug)]
pub struct Producer<P> {
    stream: Stream<P>,
    id: String,
    epoch: u64,
    next: u64,
    /// What was sent with the next number and may have been appended, by its [sum](Append::sum).
    doubt: Option<u64>,
}

impl<P> Stream<P> {
    /// A producer of this stream. Of one name, only the one with the highest epoch may append, and its
    /// numbers start at 0.
    pub fn producer(&self, id: impl Into<String>, epoch: u64) -> Producer<P>
    where
        P: Clone,
    {
        Producer {
            stream: self.clone(),
            id: id.into(),
            epoch,
            next: 0,
            doubt: None,
        }
    }
}

impl<P: Ports> Stream<P> {
    /// A producer that takes over from all that were made of this name in this way before, whose
    /// appends are refused from its first one on ([`Error::StaleEpoch`]). Its epoch is the time, so
    /// that whoever begins anew need not know what came before; so clocks have to be right, and what
    /// an earlier one has sent and not heard of may be there already.
    pub fn successor(&self, id: impl Into<String>) -> Producer<P> {
        let ports = &self.streams.ports;
        // Two that begin in the same millisecond are still told apart, but for chance.
        let epoch = ports.now().saturating_mul(1 << 10);
        self.producer(id, epoch.saturating_add(ports.random() & 0x3ff))
    }
}

impl<P> Producer<P> {
    /// The same producer, whose next append has this number: what [`Producer::next`] was when somebody
    /// wrote it down.
    #[must_use]
    pub fn from(self, next: u64) -> Self {
        Self { next, ..self }
    }

    /// The number of the next append.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

impl<P: Ports<Env: Registry>> Producer<P> {
    /// Appends once. After [`Error::Unavailable`], or when this was dropped before it was done, the
    /// same has to be sent again: it keeps its number, so that what had been appended all the same is
    /// not appended twice. Anything else would be taken for it, and is refused.
    ///
    /// # Errors
    ///
    /// As [`Stream::send`]; [`Error::Refused`] with the code `producer_in_doubt`.
    pub async fn send(&mut self, append: Append) -> Result<Appended, Error> {
        let sum = append.sum();
        let was_in_doubt = self.doubt.is_some();
        if self.doubt.is_some_and(|doubt| doubt != sum) {
            return Err(self.in_doubt());
        }
        self.doubt = Some(sum);
        let claim = Claim {
            id: self.id.clone(),
            epoch: self.epoch,
            seq: self.next,
        };
        let outcome = self.stream.send(append.claim(claim)).await;
        match &outcome {
            Ok(_) => {
                self.doubt = None;
                self.next = self.next.saturating_add(1);
            }
            // Nothing comes behind these, whatever it is.
            Err(Error::Closed { .. } | Error::StaleEpoch { .. }) => self.doubt = None,
            Err(Error::Unavailable(_)) => {}
            Err(_) if was_in_doubt => {}
            Err(_) => self.doubt = None,
        }
        outcome
    }

    fn in_doubt(&self) -> Error {
        let (id, next) = (&self.id, self.next);
        Error::Refused {
            status: 409,
            code: "producer_in_doubt".to_owned(),
            message: format!(
                "append {next} of the producer {id:?} was not answered: send the same again, \
                 before anything else"
            ),
        }
    }
}
