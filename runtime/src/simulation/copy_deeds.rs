//! What is done to subscriptions that copy, their sources and their targets, as a list that can be cut.

use fastrand::Rng;

use super::deeds::{Deed, IDS, PATTERNS, WAKING, Whom, manner, spoil};
use super::workload::{Expires, Op, STREAMS, TARGETS, WAKES, pick};

/// What happens to them in a run: so many things in so many milliseconds. The first ones make some.
pub fn deeds(rng: &mut Rng, count: usize, time: u64, chaos: u32) -> Vec<(u64, Op)> {
    let mut ops = Vec::new();
    for n in 0..count {
        let at = match n {
            0..2 => rng.u64(..=time / 16),
            2..6 => rng.u64(..=time / 4),
            _ => rng.u64(..=time),
        };
        let op = match n {
            0 | 1 => make_target(rng, n),
            2..5 => Op::Deed(copy(rng)),
            _ => op(rng, chaos),
        };
        ops.push((at, op));
    }
    ops
}

fn op(rng: &mut Rng, chaos: u32) -> Op {
    let id = id(rng);
    let weights = [
        (10, 0),
        (3, 1),
        (3, 2),
        (5, 3),
        (5, 4),
        (3, 5),
        (1, 6),
        (chaos * 2, 7),
        (chaos, 8),
        (4, 9),
        (3, 10),
        (6, 11),
        (4, 12),
        (2, 13),
        (4, 14),
        (5, 15),
        (4, 16),
        (40, 17),
    ];
    Op::Deed(match pick(rng, &weights) {
        0 => copy(rng),
        1 => Deed::Confirm { id },
        2 => Deed::Delete { id },
        3 => Deed::Add {
            id,
            stream: source(rng),
        },
        4 => Deed::Remove {
            id,
            stream: source(rng),
        },
        5 => Deed::Show { id },
        6 => match rng.bool() {
            true => Deed::Retry { id },
            false => Deed::Claim {
                id,
                manner: manner(rng),
            },
        },
        7 => Deed::Crash(whom(rng)),
        8 => Deed::Evict(whom(rng)),
        9 => {
            let n = rng.usize(..TARGETS);
            return make_target(rng, n);
        }
        10 => {
            let path = target(rng);
            return spoil(rng, path, 2);
        }
        // Ordinary appends beside the copies.
        11 => {
            let path = target(rng);
            return append(rng, path);
        }
        12 => {
            let path = rng.usize(..STREAMS);
            return Op::Delete { path };
        }
        13 => {
            let (path, part) = (rng.usize(..STREAMS), rng.u8(..));
            return Op::Truncate { path, part };
        }
        14 => return read(rng),
        15 => Deed::Skip { id },
        16 => Deed::Renew { id },
        _ => {
            let path = rng.usize(..STREAMS);
            return append(rng, path);
        }
    })
}

fn copy(rng: &mut Rng) -> Deed {
    let pattern = (rng.u8(..3) > 0).then(|| rng.usize(..PATTERNS.len()));
    let least = usize::from(pattern.is_none());
    let count = rng.usize(least..3);
    Deed::Copy {
        id: id(rng),
        target: target(rng),
        pattern,
        streams: (0..count).map(|_| source(rng)).collect(),
        from_start: rng.bool(),
        envelope: rng.u8(..3) > 0,
    }
}

/// Mostly an id that only subscriptions which copy have.
fn id(rng: &mut Rng) -> usize {
    match rng.u8(..3) {
        0 => rng.usize(..IDS.len()),
        _ => rng.usize(WAKING..IDS.len()),
    }
}

/// Mostly a stream that is there for copies.
fn target(rng: &mut Rng) -> usize {
    match rng.u8(..6) {
        0 => rng.usize(..STREAMS),
        _ => STREAMS + WAKES + rng.usize(..TARGETS),
    }
}

/// Mostly a stream that is no target.
fn source(rng: &mut Rng) -> usize {
    match rng.u8(..10) {
        0 => STREAMS + WAKES + rng.usize(..TARGETS),
        1 => STREAMS + rng.usize(..WAKES),
        _ => rng.usize(..STREAMS),
    }
}

fn whom(rng: &mut Rng) -> Whom {
    match rng.u8(..3) {
        0 => Whom::Subscription(id(rng)),
        1 => Whom::Stream(target(rng)),
        _ => Whom::Stream(source(rng)),
    }
}

/// Mostly JSON, which takes copies of all that there is.
fn make_target(rng: &mut Rng, n: usize) -> Op {
    let expires = match rng.u8(..6) {
        0 => Expires::Ttl(rng.u64(5..120)),
        1 => Expires::At(rng.u64(5..120)),
        _ => Expires::Never,
    };
    Op::Create {
        path: STREAMS + WAKES + n,
        is_json: rng.u8(..5) > 0,
        expires,
        public: rng.bool(),
        keeps: (rng.u8(..8) == 0).then(|| rng.u64(1..40)),
        will: (rng.u8(..8) == 0).then(|| (rng.u64(1..60), 4)),
        lengths: vec![3],
    }
}

/// Somebody reads a target, once or from now on.
fn read(rng: &mut Rng) -> Op {
    let path = target(rng);
    match rng.bool() {
        true => Op::ReadAll { path },
        false => Op::Follow {
            path,
            from_now: rng.bool(),
            anonymous: false,
            pace: [0, 5, 400][rng.usize(..3)],
            window: [5, 60, 2_000][rng.usize(..3)],
        },
    }
}

fn append(rng: &mut Rng, path: usize) -> Op {
    let count = rng.usize(1..5);
    Op::Append {
        path,
        lengths: (0..count).map(|_| rng.usize(1..12)).collect(),
        closes: rng.u8(..60) == 0,
    }
}
