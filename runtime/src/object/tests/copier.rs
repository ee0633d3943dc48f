//! A subscription that copies, together with its target, which are too simple to be wrong.

use crate::protocol::ask::{Copying, Interest, Kept, Life, Slice, Told};

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Copier {
    pub interest: Interest,
    /// Whether it copies what was there before it.
    pub is_from_start: bool,
    /// Whether its target takes what it is sent.
    pub takes: bool,
    pub pause: u64,
    /// The stream, and up to where it was copied.
    pub at: Option<(Life, u64)>,
    /// What was copied.
    pub text: String,
    /// From where on the present stream was copied, and where in the text that begins.
    pub begun: (u64, usize),
    /// What came with each message.
    pub slices: Vec<Option<Slice>>,
    /// The lengths of what came.
    pub lengths: Vec<usize>,
}

impl Copier {
    pub fn new(interest: Interest) -> Self {
        Self {
            interest,
            is_from_start: false,
            takes: true,
            pause: 0,
            at: None,
            text: String::new(),
            begun: (0, 0),
            slices: Vec::new(),
            lengths: Vec::new(),
        }
    }

    pub fn from_start() -> Self {
        Self {
            is_from_start: true,
            ..Self::new(Interest::NamedCopies)
        }
    }

    /// How many messages were given with a slice, and how many without.
    pub fn given(&self) -> (usize, usize) {
        let with = self.slices.iter().flatten().count();
        (with, self.slices.len() - with)
    }

    pub fn hear(&mut self, told: &Told, content: &[u8]) -> Kept {
        let source = told.source.as_ref();
        if told.ended {
            return Kept::is(true);
        }
        let source = source.expect("a stream says what it is");
        self.slices.push(source.slice);
        self.lengths.push(content.len());
        let is_first = self.at.is_none();
        let at = match &self.at {
            Some((life, _)) if life.is_after(&told.life) => return Kept::is(true),
            Some((life, at)) if *life == told.life => *at,
            _ => {
                let is_all = is_first && self.is_from_start;
                let since = if is_all { 0 } else { told.since };
                self.begun = (since, self.text.len());
                since
            }
        };
        let mut now = at;
        if let Some(slice) = source.slice {
            assert!(!source.is_target);
            assert!(slice.behind <= slice.from && slice.from <= slice.to && slice.to <= told.tail);
            assert!(slice.behind < slice.to);
            if slice.behind == at && self.takes {
                self.text += std::str::from_utf8(content).unwrap();
                if slice.base64 {
                    self.text.push('\n');
                } else {
                    let lines = content.iter().filter(|byte| **byte == b'\n').count();
                    assert_eq!(lines as u64, slice.to - slice.from);
                    assert!(content.is_empty() || content.ends_with(b"\n"));
                }
                now = slice.to;
            }
        } else {
            assert_eq!(content, b"");
        }
        self.at = Some((told.life.clone(), now));
        let interest = match source.is_target {
            true => Interest::Ends,
            false => self.interest,
        };
        Kept {
            keep: true,
            interest: Some(interest),
            copying: Some(Copying {
                at: now,
                pause: self.pause,
            }),
        }
    }
}
