//! What is done to subscriptions and the directory, as a list that can be cut.

use fastrand::Rng;

use super::workload::{Expires, Op, STREAMS, WAKES};

/// How many ids there are: few, so that subscriptions meet those that had their id before. The last
/// ones are of subscriptions that copy; those have others, too.
pub const IDS: [&str; WAKING + 2] = ["s0", "s1", "s2:a", "c0", "c1"];
/// How many of them may be of subscriptions that wake somebody.
pub const WAKING: usize = 3;

/// What subscriptions are about.
pub const PATTERNS: [&str; 6] = ["*", "**", "a", "x/*", "*/e", "x/**"];

/// Whom something befalls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Shard(u32),
    Subscription(usize),
    /// A stream, a wake stream perhaps.
    Stream(usize),
}

/// What somebody does with a wake, or with what is left of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Reads all that is pending, acknowledges it and is done.
    Proper,
    /// Acknowledges one stream after the other, and half of each before the rest.
    ByAndBy,
    /// Acknowledges what is right together with what is wrong, and then as it should.
    Wrong,
    /// Is done without having acknowledged anything.
    Empty,
    /// Comes back when its lease is over.
    Late,
    /// Gives the wake back.
    Release,
    /// Is never heard of again.
    Die,
}

/// All of them: the first ones are chosen more often.
pub const MANNERS: [Manner; 10] = [
    Manner::Proper,
    Manner::Proper,
    Manner::Proper,
    Manner::ByAndBy,
    Manner::ByAndBy,
    Manner::Wrong,
    Manner::Late,
    Manner::Release,
    Manner::Die,
    Manner::Empty,
];

/// See the module's text.
#[derive(Clone, Debug)]
pub enum Deed {
    /// Makes a subscription, or confirms it, or is refused since there is another one.
    Create {
        id: usize,
        is_pull: bool,
        pattern: Option<usize>,
        streams: Vec<usize>,
        lease: u64,
        wake: usize,
    },
    /// Makes a subscription that copies, or confirms it, or is refused.
    Copy {
        id: usize,
        target: usize,
        pattern: Option<usize>,
        streams: Vec<usize>,
        from_start: bool,
        envelope: bool,
    },
    /// Asks for a subscription just as it is.
    Confirm {
        id: usize,
    },
    Delete {
        id: usize,
    },
    /// The subscription is made anew, of the other kind perhaps.
    Replace {
        id: usize,
        is_pull: bool,
    },
    /// The subscription is made anew as it is.
    Renew {
        id: usize,
    },
    Add {
        id: usize,
        stream: usize,
    },
    /// Something is appended to a stream that the subscription has named, while it has not.
    Skip {
        id: usize,
    },
    Remove {
        id: usize,
        stream: usize,
    },
    /// A worker that has heard of nothing tries.
    Claim {
        id: usize,
        manner: Manner,
    },
    /// Somebody comes with a token of a wake that may be over, or is another subscription's.
    Haunt {
        id: usize,
        which: u64,
        manner: Manner,
    },
    Show {
        id: usize,
    },
    List {
        after: Option<usize>,
        limit: usize,
    },
    Subscriptions,
    Retry {
        id: usize,
    },
    Rotate {
        now: bool,
    },
    Crash(Whom),
    Evict(Whom),
    /// The object starts anew, with the directory switched on or off.
    Switch {
        whom: Whom,
        off: bool,
    },
}

/// What happens to subscriptions in a run: so many things in so many milliseconds. The first
/// ones make some.
pub fn deeds(rng: &mut Rng, count: usize, time: u64, chaos: u32) -> Vec<(u64, Op)> {
    let mut ops = Vec::new();
    let switches = rng.u8(..4) == 0;
    for n in 0..count {
        let at = match n {
            0..4 => rng.u64(..=time / 4),
            _ => rng.u64(..=time),
        };
        let op = match n {
            0 => wake_stream(rng),
            1..3 => Op::Deed(create(rng)),
            _ => op(rng, chaos, switches),
        };
        ops.push((at, op));
    }
    ops
}

fn op(rng: &mut Rng, chaos: u32, switches: bool) -> Op {
    let id = rng.usize(..WAKING);
    let weights = [
        (10, 0),
        (4, 1),
        (4, 2),
        (3, 3),
        (4, 4),
        (3, 5),
        (8, 6),
        (6, 7),
        (2, 8),
        (2, 9),
        (1, 10),
        (1, 11),
        (2, 12),
        (chaos, 13),
        (chaos, 14),
        (if switches { 4 } else { 0 }, 15),
        (3, 16),
        (2, 17),
        (30, 18),
    ];
    Op::Deed(match super::workload::pick(rng, &weights) {
        0 => create(rng),
        1 => Deed::Confirm { id },
        2 => Deed::Delete { id },
        3 => Deed::Replace {
            id,
            is_pull: rng.bool(),
        },
        4 => Deed::Add {
            id,
            stream: stream(rng),
        },
        5 => Deed::Remove {
            id,
            stream: stream(rng),
        },
        6 => Deed::Claim {
            id,
            manner: manner(rng),
        },
        7 => Deed::Haunt {
            id,
            which: rng.u64(..),
            manner: manner(rng),
        },
        8 => Deed::Show { id },
        9 => Deed::List {
            after: rng.bool().then(|| stream(rng)),
            limit: rng.usize(1..5),
        },
        10 => Deed::Subscriptions,
        11 => Deed::Retry { id },
        12 => Deed::Rotate {
            now: rng.u8(..3) == 0,
        },
        13 => Deed::Crash(whom(rng)),
        14 => Deed::Evict(whom(rng)),
        15 => Deed::Switch {
            whom: whom(rng),
            off: rng.bool(),
        },
        16 => return wake_stream(rng),
        17 => {
            let path = STREAMS + rng.usize(..WAKES);
            return spoil(rng, path, 1);
        }
        _ => return append(rng),
    })
}

fn create(rng: &mut Rng) -> Deed {
    let pattern = (rng.u8(..4) > 0).then(|| rng.usize(..PATTERNS.len()));
    let least = usize::from(pattern.is_none());
    let count = rng.usize(least..3);
    Deed::Create {
        id: rng.usize(..WAKING),
        is_pull: rng.bool(),
        pattern,
        streams: (0..count).map(|_| stream(rng)).collect(),
        lease: [1_000, 5_000, 30_000][rng.usize(..3)],
        wake: rng.usize(..WAKES),
    }
}

pub fn manner(rng: &mut Rng) -> Manner {
    MANNERS[rng.usize(..MANNERS.len())]
}

fn stream(rng: &mut Rng) -> usize {
    rng.usize(..STREAMS)
}

fn whom(rng: &mut Rng) -> Whom {
    match rng.u8(..6) {
        0 => Whom::Shard(rng.u32(..super::world::SHARDS)),
        1..4 => Whom::Subscription(rng.usize(..WAKING)),
        _ => Whom::Stream(rng.usize(..STREAMS + WAKES)),
    }
}

/// Mostly JSON, as events of wakes are.
fn wake_stream(rng: &mut Rng) -> Op {
    Op::Create {
        path: STREAMS + rng.usize(..WAKES),
        is_json: rng.u8(..8) > 0,
        expires: Expires::Never,
        public: false,
        keeps: None,
        will: None,
        lengths: vec![3],
    }
}

/// A stream that something else needs is gone, which is so many times as likely as that it is closed, or
/// that it is cut.
pub fn spoil(rng: &mut Rng, path: usize, deletions: u8) -> Op {
    match rng.u8(..deletions + 2) {
        n if n < deletions => Op::Delete { path },
        n if n == deletions => Op::Append {
            path,
            lengths: vec![4],
            closes: true,
        },
        _ => Op::Truncate { path, part: 200 },
    }
}

fn append(rng: &mut Rng) -> Op {
    let count = rng.usize(1..4);
    Op::Append {
        path: stream(rng),
        lengths: (0..count).map(|_| rng.usize(1..12)).collect(),
        closes: false,
    }
}
