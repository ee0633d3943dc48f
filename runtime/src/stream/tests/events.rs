//! What happens to a simulated stream.

use proptest::prelude::*;

use super::bucket::{Fault, any_fault};

/// What happens.
#[derive(Clone, Debug)]
pub enum Op {
    Create {
        first: Vec<String>,
        /// Seconds until the stream expires.
        lives: Option<u64>,
        /// How much of it is kept.
        keeps: Option<u64>,
    },
    /// Drops so much of the stream, in 255ths.
    Truncate(u8),
    Append(Vec<String>),
    /// Reads a page, and keeps the plan for it for later.
    Read {
        at: u64,
        max: usize,
    },
    Delete,
    Wait(u64),
    /// The object is evicted from memory, or crashes.
    Restart,
    /// What an alarm does about a stream that has ended.
    Expire,
    Job {
        /// What kind of job it is, when that matters: others before it are carried out.
        kind: Option<&'static str>,
        fault: Fault,
        /// Statements until the database fails while the job is planned.
        fails_planned: Option<u32>,
        /// Statements until the database fails while the outcome is committed.
        fails_finished: Option<u32>,
        /// What happens while it is carried out.
        meanwhile: Vec<Op>,
    },
    /// The bucket is replaced by a copy of it.
    Copy,
    /// Appends, and whatever has to be done then, without any failure.
    Fill(Vec<String>),
}

fn messages() -> impl Strategy<Value = Vec<String>> {
    let message = prop_oneof![5 => "[a-zé]{0,9}", 1 => "[a-z]{30,130}"];
    proptest::collection::vec(message, 1..6)
}

fn request() -> impl Strategy<Value = Op> {
    let lives = proptest::option::weighted(0.3, 1u64..3000);
    let keeps = proptest::option::weighted(0.4, prop_oneof![1u64..12, 12u64..200]);
    prop_oneof![
        2 => (messages(), lives, keeps)
            .prop_map(|(first, lives, keeps)| Op::Create { first, lives, keeps }),
        2 => prop_oneof![3 => any::<u8>(), 1 => Just(255)].prop_map(Op::Truncate),
        9 => messages().prop_map(Op::Append),
        3 => (0u64..120, 1usize..150).prop_map(|(at, max)| Op::Read { at, max }),
        1 => Just(Op::Delete),
    ]
}

fn any_kind() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![
        None,
        Some("drop"),
        Some("seal"),
        Some("merge"),
        Some("sweep"),
        Some("purge"),
    ])
}

/// Anything that may happen.
pub fn any_op() -> impl Strategy<Value = Op> {
    let fails = || proptest::option::weighted(0.2, 0u32..9);
    let meanwhile = proptest::collection::vec(request(), 0..3);
    let job = (any_kind(), any_fault(), fails(), fails(), meanwhile).prop_map(
        |(kind, fault, fails_planned, fails_finished, meanwhile)| Op::Job {
            kind,
            fault,
            fails_planned,
            fails_finished,
            meanwhile,
        },
    );
    prop_oneof![
        10 => request(),
        2 => (0u64..1000).prop_map(Op::Wait),
        1 => Just(Op::Restart),
        1 => Just(Op::Expire),
        1 => Just(Op::Copy),
        10 => job,
        6 => messages().prop_map(Op::Fill),
    ]
}
