//! What clients want and what befalls machines, as a list that can be cut.

use fastrand::Rng;

use super::copy_deeds;
use super::deeds::{self, Deed};
use super::world::{LIMITS, SHARDS};

/// How many paths there are: few, so that streams meet each other. Behind the first [`STREAMS`], the
/// next [`WAKES`] are for the events of wakes, and the last [`TARGETS`] mostly for copies.
pub const PATHS: [&str; STREAMS + WAKES + TARGETS] = [
    "p/a", "p/b", "p/c", "p/d", "p/x/e", "p/x/y/f", "p/w/0", "p/w/1", "p/t/0", "p/x/t",
];
pub const STREAMS: usize = 6;
pub const WAKES: usize = 2;
pub const TARGETS: usize = 2;

/// When a stream ends by itself, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expires {
    Never,
    At(u64),
    Ttl(u64),
}

/// How a source comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Ends,
    Breaks,
    Hangs,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Op {
    Create {
        path: usize,
        is_json: bool,
        expires: Expires,
        public: bool,
        /// How many messages or bytes are kept; nothing for all.
        keeps: Option<u64>,
        /// After how many seconds without an append its will is carried out, and how long what it says
        /// is.
        will: Option<(u64, usize)>,
        lengths: Vec<usize>,
    },
    /// Drops so much of a stream, in 255ths.
    Truncate {
        path: usize,
        part: u8,
    },
    Fork {
        source: usize,
        target: usize,
        /// How much of the source, in 255ths; nothing for all of it.
        cut: Option<u8>,
        expires: Expires,
        will: Option<(u64, usize)>,
        lengths: Vec<usize>,
    },
    Append {
        path: usize,
        lengths: Vec<usize>,
        closes: bool,
    },
    /// Two writers append, each only where it believes the tail to be.
    Race {
        path: usize,
        rounds: usize,
    },
    /// Appends by an idempotent producer, each until it is acknowledged.
    Produce {
        path: usize,
        id: u8,
        count: usize,
    },
    /// The worker's own code pipes what comes from elsewhere.
    Pipe {
        path: usize,
        count: usize,
        /// Milliseconds between two pieces at the most.
        pace: u64,
        source: Source,
    },
    /// Reads a page from somewhere on.
    Read {
        path: usize,
        from: u8,
        anonymous: bool,
    },
    ReadAll {
        path: usize,
    },
    Head {
        path: usize,
    },
    /// Looks at all that is known of a stream.
    Inspect {
        path: usize,
    },
    Delete {
        path: usize,
    },
    /// Follows a stream in events, from its start or from now on.
    Follow {
        path: usize,
        from_now: bool,
        anonymous: bool,
        /// Milliseconds that the reader takes for an event at the most.
        pace: u64,
        /// Seconds until it is let go.
        window: u64,
    },
    Poll {
        path: usize,
        anonymous: bool,
    },
    Crash {
        path: usize,
    },
    Evict {
        path: usize,
    },
    /// The object starts anew with other variables.
    Restart {
        path: usize,
        settings: usize,
    },
    /// The bucket is restored from a copy.
    CopyBucket,
    Deed(Deed),
}

/// A run: when what happens, in milliseconds since its start, and how much goes wrong.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub trouble: u64,
    /// How many milliseconds a message takes at the most, mostly.
    pub latency: u64,
    /// How many shards the directory has, if there is one.
    pub shards: Option<u32>,
    /// How long a receiver of webhooks may fail, in milliseconds.
    pub park_after: u64,
    /// How many of a thousand objects fail behind what they have stored.
    pub crashes_behind: u64,
    pub ops: Vec<(u64, usize, Op)>,
}

impl Plan {
    /// The run that a seed stands for.
    pub fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x5eed);
        let count = rng.usize(5..70);
        let trouble = [0, 20, 60, 150][rng.usize(..4)];
        let latency = [15, 15, 300, 4_000][rng.usize(..4)];
        // Some runs are about a few things only.
        let mood = Mood {
            forks: [2, 12, 30][rng.usize(..3)],
            readers: [2, 10, 25][rng.usize(..3)],
            expiry: [0.1, 0.4, 0.8][rng.usize(..3)],
            chaos: [1, 6, 15][rng.usize(..3)],
            truncations: [0, 2, 8][rng.usize(..3)],
            keeps: [0.0, 0.2, 0.7][rng.usize(..3)],
            wills: [0.0, 0.2, 0.7][rng.usize(..3)],
        };
        let mut at = 0;
        let mut ops = Vec::new();
        for n in 0..count {
            let pause = [3, 60, 800, 9_000][rng.usize(..4)];
            at += rng.u64(..pause);
            // Something to begin with.
            let op = if n < 3 {
                mood.create(&mut rng, n)
            } else {
                mood.op(&mut rng)
            };
            ops.push((at, n, op));
        }
        let plan = Self {
            seed,
            trouble,
            latency,
            shards: (seed % 7 != 6).then_some(SHARDS),
            park_after: 3 * 86_400_000,
            crashes_behind: trouble / 8,
            ops,
        };
        // Half of the runs are about streams alone; of the others, most are about subscriptions that
        // copy, too.
        match seed % 6 {
            0 => plan.with_deeds(mood.chaos, seed.is_multiple_of(12), false),
            3 => plan.with_deeds(mood.chaos, false, true),
            5 => plan.with_deeds(mood.chaos, true, true),
            _ => plan,
        }
    }

    /// The same with subscriptions. Streams do what they did before, or as little as there has to
    /// be.
    fn with_deeds(mut self, chaos: u32, alone: bool, copies: bool) -> Self {
        let mut rng = Rng::with_seed(self.seed ^ 0xdeed);
        if alone {
            self.ops.retain(|(_, n, op)| match op {
                Op::Create { .. } | Op::Append { .. } | Op::Produce { .. } | Op::Delete { .. } => {
                    true
                }
                Op::Crash { .. } | Op::Evict { .. } => true,
                _ => n % 4 == 0,
            });
        }
        let last = self.ops.last().map_or(0, |(at, ..)| *at);
        let time = last + [500, 20_000, 90_000, 400_000][rng.usize(..4)];
        let count = rng.usize(4..60);
        let first = self.ops.iter().map(|(_, n, _)| n + 1).max().unwrap_or(0);
        let mut deeds = deeds::deeds(&mut rng, count, time, chaos.min(8));
        if copies {
            let kept = [0, 30, 100][rng.usize(..3)];
            deeds.retain(|_| rng.usize(..100) < kept);
            let count = rng.usize(8..70);
            deeds.extend(copy_deeds::deeds(&mut rng, count, time, chaos.min(8)));
        }
        for (n, (at, op)) in deeds.into_iter().enumerate() {
            self.ops.push((at, first + n, op));
        }
        self.ops.sort_by_key(|(at, n, _)| (*at, *n));
        if rng.u8(..4) == 0 {
            self.park_after = 90_000;
        }
        self
    }
}

struct Mood {
    forks: u32,
    readers: u32,
    expiry: f64,
    chaos: u32,
    truncations: u32,
    keeps: f64,
    wills: f64,
}

impl Mood {
    fn op(&self, rng: &mut Rng) -> Op {
        let path = rng.usize(..STREAMS);
        let weights = [
            (12, 0),
            (self.forks, 1),
            (30, 2),
            (6, 3),
            (6, 4),
            (4, 5),
            (2, 6),
            (5, 7),
            (self.readers, 8),
            (self.readers / 3, 9),
            (self.chaos, 10),
            (self.chaos, 11),
            (self.chaos / 3, 12),
            (1, 13),
            (4, 14),
            (self.truncations, 15),
            (5, 17),
            (3, 16),
        ];
        match pick(rng, &weights) {
            0 => self.create(rng, path),
            1 => Op::Fork {
                source: path,
                target: rng.usize(..STREAMS),
                cut: rng.bool().then(|| rng.u8(..)),
                expires: self.expires(rng),
                will: self.will(rng),
                lengths: lengths(rng, 2),
            },
            2 => Op::Append {
                path,
                lengths: lengths(rng, 9),
                closes: rng.u8(..25) == 0,
            },
            3 => Op::Produce {
                path,
                id: rng.u8(..2),
                count: rng.usize(1..5),
            },
            4 => Op::Read {
                path,
                from: rng.u8(..),
                anonymous: rng.bool(),
            },
            5 => Op::ReadAll { path },
            6 => Op::Head { path },
            7 => Op::Delete { path },
            8 => Op::Follow {
                path,
                from_now: rng.bool(),
                anonymous: rng.bool(),
                pace: [0, 5, 400, 20_000][rng.usize(..4)],
                // Some are there for more than a day; each minute of that takes time here, too.
                window: [5, 60, 2_000, 2_000, 2_000, 2_000, 2_000, 100_000][rng.usize(..8)],
            },
            9 => Op::Poll {
                path,
                anonymous: rng.bool(),
            },
            10 => Op::Crash { path },
            11 => Op::Evict { path },
            12 => Op::Restart {
                path,
                settings: rng.usize(..4),
            },
            13 => Op::CopyBucket,
            16 => Op::Inspect { path },
            17 => Op::Pipe {
                path,
                count: rng.usize(0..9),
                pace: [0, 60, 700, 4_000][rng.usize(..4)],
                source: [Source::Ends, Source::Breaks, Source::Hangs][rng.usize(..3)],
            },
            15 => Op::Truncate {
                path,
                part: if rng.u8(..4) == 0 { 255 } else { rng.u8(..) },
            },
            _ => Op::Race {
                path,
                rounds: rng.usize(1..4),
            },
        }
    }

    fn create(&self, rng: &mut Rng, path: usize) -> Op {
        Op::Create {
            path,
            is_json: rng.u8(..3) > 0,
            expires: self.expires(rng),
            public: rng.bool(),
            keeps: self.keeps(rng),
            will: self.will(rng),
            lengths: lengths(rng, 3),
        }
    }

    fn keeps(&self, rng: &mut Rng) -> Option<u64> {
        let most = [8, 80][rng.usize(..2)];
        (rng.f64() < self.keeps).then(|| rng.u64(1..most))
    }

    fn will(&self, rng: &mut Rng) -> Option<(u64, usize)> {
        let most = [4, 60][rng.usize(..2)];
        let length = [0, 4, 70][rng.usize(..3)];
        (rng.f64() < self.wills).then(|| (rng.u64(1..most), length))
    }

    fn expires(&self, rng: &mut Rng) -> Expires {
        if rng.f64() > self.expiry {
            return Expires::Never;
        }
        if rng.bool() {
            Expires::At(rng.u64(1..60))
        } else {
            Expires::Ttl(rng.u64(1..60))
        }
    }
}

/// One of some kinds, each of which has a weight.
pub fn pick(rng: &mut Rng, weights: &[(u32, u32)]) -> u32 {
    let all: u32 = weights.iter().map(|(weight, _)| weight).sum();
    let mut at = rng.u32(..all);
    let kind = weights.iter().find(|(weight, _)| {
        let is_it = at < *weight;
        at = at.saturating_sub(*weight);
        is_it
    });
    kind.map_or(0, |(_, kind)| *kind)
}

/// How long some messages are: mostly short, some longer than a row, a few longer than a page, a
/// frame, and what a reader may lag.
fn lengths(rng: &mut Rng, most: usize) -> Vec<usize> {
    let count = rng.usize(1..=most);
    let large = LIMITS.max_bytes * 8;
    (0..count)
        .map(|_| match rng.u8(..20) {
            0 => rng.usize(60..300),
            1 if count == 1 => rng.usize(300..large),
            _ => rng.usize(1..12),
        })
        .collect()
}
