//! The idempotent producer state machine (protocol section 5.2.1).

use super::error::Error;

/// What a request claims: the tuple of its `Producer-*` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The producer's stable name.
    pub id: String,
    /// Raised by the producer when it restarts.
    pub epoch: u64,
    /// Numbers the producer's requests within an epoch, from 0.
    pub seq: u64,
}

/// What a stream remembers of a producer: its latest accepted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The current epoch.
    pub epoch: u64,
    /// The highest accepted sequence number of that epoch.
    pub seq: u64,
}

/// What to do with a claim that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// New: append, and remember the claim's epoch and sequence number.
    Append,
    /// Done before: answer with what is remembered and change nothing.
    Duplicate(Accepted),
}

/// Holds a claim against what the stream remembers of its producer.
///
/// # Errors
///
/// [`Error::StaleEpoch`], [`Error::EpochStart`] or [`Error::SequenceGap`].
pub fn judge(remembered: Option<Accepted>, claim: &Claim) -> Result<Verdict, Error> {
    let Some(current) = remembered else {
        return expect_seq(0, claim);
    };
    if claim.epoch < current.epoch {
        return Err(Error::StaleEpoch {
            current: current.epoch,
        });
    }
    if claim.epoch > current.epoch {
        return match claim.seq {
            0 => Ok(Verdict::Append),
            seq => Err(Error::EpochStart {
                epoch: claim.epoch,
                seq,
            }),
        };
    }
    if claim.seq <= current.seq {
        return Ok(Verdict::Duplicate(current));
    }
    expect_seq(current.seq.saturating_add(1), claim)
}

fn expect_seq(expected: u64, claim: &Claim) -> Result<Verdict, Error> {
    if claim.seq == expected {
        Ok(Verdict::Append)
    } else {
        Err(Error::SequenceGap {
            expected,
            received: claim.seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(epoch: u64, seq: u64) -> Claim {
        Claim {
            id: "p".into(),
            epoch,
            seq,
        }
    }

    const AT: Option<Accepted> = Some(Accepted { epoch: 3, seq: 7 });

    #[test]
    fn the_table_of_the_protocol() {
        assert_eq!(judge(None, &claim(0, 0)), Ok(Verdict::Append));
        assert_eq!(judge(None, &claim(9, 0)), Ok(Verdict::Append));
        assert_eq!(
            judge(None, &claim(0, 2)),
            Err(Error::SequenceGap {
                expected: 0,
                received: 2
            })
        );
        assert_eq!(
            judge(AT, &claim(2, 8)),
            Err(Error::StaleEpoch { current: 3 })
        );
        assert_eq!(judge(AT, &claim(4, 0)), Ok(Verdict::Append));
        assert_eq!(
            judge(AT, &claim(4, 1)),
            Err(Error::EpochStart { epoch: 4, seq: 1 })
        );
        assert_eq!(judge(AT, &claim(3, 8)), Ok(Verdict::Append));
        assert_eq!(
            judge(AT, &claim(3, 9)),
            Err(Error::SequenceGap {
                expected: 8,
                received: 9
            })
        );
        let duplicate = Ok(Verdict::Duplicate(Accepted { epoch: 3, seq: 7 }));
        assert_eq!(judge(AT, &claim(3, 7)), duplicate);
        assert_eq!(judge(AT, &claim(3, 0)), duplicate);
    }

    proptest! {
        /// However requests are repeated and reordered, what is accepted of an epoch is exactly
        /// 0, 1, 2, … and epochs never go back.
        #[test]
        fn accepted_requests_are_contiguous(claims in proptest::collection::vec((0u64..3, 0u64..5), 0..60)) {
            let mut state: Option<Accepted> = None;
            for (epoch, seq) in claims {
                if judge(state, &claim(epoch, seq)) == Ok(Verdict::Append) {
                    match state {
                        Some(last) if last.epoch == epoch => prop_assert_eq!(seq, last.seq + 1),
                        Some(last) => prop_assert!(epoch > last.epoch && seq == 0),
                        None => prop_assert_eq!(seq, 0),
                    }
                    state = Some(Accepted { epoch, seq });
                }
            }
        }
    }
}
