use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

const KEYS: [Option<Key>; 2] = [None, Some(Key::new(7))];

/// So few that somebody is forgotten all the time.
const FEW: usize = 3;

fn claim(id: &str, epoch: u64, seq: u64) -> Claim {
    let id = id.to_owned();
    Claim { id, epoch, seq }
}

fn remembered(bucket: &Bucket, place: Place) -> Option<Accepted> {
    let entry = bucket
        .entries
        .iter()
        .find(|entry| entry.print == place.print);
    entry.map(|entry| entry.accepted)
}

#[test]
fn rows_stay_where_they_are() {
    // Published values of FNV-1a.
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    assert_eq!(Place::of("foobar", None).row, -2 - 0x7e8);
    // The start of SHA-256 of "foobar", without a key and behind one, as other programs compute it.
    let print = [
        0xc3, 0xab, 0x8f, 0xf1, 0x37, 0x20, 0xe8, 0xad, 0x90, 0x47, 0xdd, 0x39,
    ];
    assert_eq!(Place::of("foobar", None).print, print);
    let place = Place::of(
        "foobar",
        Some(Key::new(0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f)),
    );
    let print = [
        0xc2, 0x5d, 0xc0, 0x0c, 0xb1, 0x9e, 0x83, 0x75, 0xfc, 0x7c, 0x53, 0x2a,
    ];
    assert_eq!((place.row, place.print), (-1440, print));
}

/// What version 1 stored is read, and stored in the new way with the next request.
#[test]
fn buckets_of_version_1_are_read() {
    let stored = br#"{"a":[1,2],"b\u00e9":[0,0]}"#;
    for key in KEYS {
        let mut bucket = Bucket::decode(stored, key, 0).unwrap();
        for (id, epoch, seq) in [("a", 1, 2), ("bé", 0, 0)] {
            let accepted = Some(Accepted { epoch, seq });
            assert_eq!(remembered(&bucket, Place::of(id, key)), accepted);
        }
        assert_eq!(remembered(&bucket, Place::of("b", key)), None);
        bucket.accept(Place::of("a", key), &claim("a", 1, 3), 0);
        let again = Bucket::decode(&bucket.encode(), key, 0);
        assert_eq!(again, Ok(bucket));
    }
    assert_eq!(Bucket::decode(b"{}", None, 0), Ok(Bucket::default()));
}

#[test]
fn the_largest_bucket_of_version_1_gets_small() {
    let many: BTreeMap<String, (u64, u64)> =
        (0..3000).map(|n| (format!("{n:0>256}"), (n, 0))).collect();
    let stored = serde_json::to_vec(&many).unwrap();
    let mut bucket = Bucket::decode(&stored, None, 0).unwrap();
    let id = format!("{:0>256}", 0);
    let place = Place::of(&id, None);
    assert_eq!(
        bucket.judge(place, &claim(&id, 0, 1), 0),
        Ok(Verdict::Append)
    );
    bucket.accept(place, &claim(&id, 0, 1), 0);
    assert_eq!(bucket.encode().len(), MAX_BYTES);
    let accepted = Some(Accepted { epoch: 0, seq: 1 });
    assert_eq!(remembered(&bucket, place), accepted);
}

#[test]
fn what_nobody_wrote_is_refused() {
    let newer = Bucket::decode(&[3, 1, 2, 3], None, 0);
    assert!(matches!(newer, Err(StorageError::Newer(_))));
    for stored in [
        &b""[..],
        b"{",
        b"{\"a\":1}",
        b"{\"a\":[1]}",
        b"\x00",
        b"\x01",
        b"\x02",
        b"\x020123456789a",
        b"\x020123456789ab0123456789012345678901234567890",
    ] {
        let read = Bucket::decode(stored, None, 0);
        assert!(matches!(read, Err(StorageError::Failed(_))), "{stored:?}");
    }
}

/// Whoever was idle for seven days is forgotten first, and without a trace.
#[test]
fn after_seven_days_a_producer_may_be_new_again() {
    let place = |id: &str| Place::of(id, None);
    for (hours, is_guarded) in [(KEPT_HOURS, true), (KEPT_HOURS + 1, false)] {
        let mut bucket = Bucket::default();
        bucket.accept_among(2, place("a"), &claim("a", 5, 0), 1000);
        bucket.accept_among(2, place("b"), &claim("b", 0, 0), 1000 + hours);
        bucket.accept_among(2, place("c"), &claim("c", 0, 0), 1000 + hours);
        let now = u64::from(1000 + hours) * HOUR;
        assert_eq!(remembered(&bucket, place("a")), None);
        assert_eq!(
            remembered(&bucket, place("b")),
            Some(Accepted { epoch: 0, seq: 0 })
        );
        let stale = Err(Error::StaleEpoch { current: 5 });
        for id in ["a", "never seen"] {
            let expected = if is_guarded {
                stale.clone()
            } else {
                Ok(Verdict::Append)
            };
            assert_eq!(bucket.judge(place(id), &claim(id, 5, 0), now), expected);
            let next = bucket.judge(place(id), &claim(id, 6, 0), now);
            assert_eq!(next, Ok(Verdict::Append));
            // An hour later nobody who was forgotten is of interest any more.
            let later = bucket.judge(place(id), &claim(id, 5, 0), now + HOUR);
            assert_eq!(later, Ok(Verdict::Append));
        }
    }
}

/// However large the epochs are that somebody claims, there is one left for everybody else.
#[test]
fn nobody_uses_up_all_epochs() {
    let largest = (1 << 53) - 1;
    let mut bucket = Bucket::default();
    for n in 0..10 {
        let id = n.to_string();
        bucket.accept_among(FEW, Place::of(&id, None), &claim(&id, largest, 0), 1);
    }
    let Err(Error::StaleEpoch { current }) =
        bucket.judge(Place::of("x", None), &claim("x", 0, 0), HOUR)
    else {
        panic!("it may be one that was forgotten");
    };
    assert!(current < largest);
    let next = bucket.judge(Place::of("x", None), &claim("x", current + 1, 0), HOUR);
    assert_eq!(next, Ok(Verdict::Append));
}

/// Who sends what, and how many hours later than the one before.
fn any_claims() -> impl Strategy<Value = Vec<(u8, u64, u64, u32)>> {
    let hours = prop_oneof![8 => Just(0), 2 => 0u32..3, 1 => 0u32..400];
    proptest::collection::vec((0u8..8, 0u64..4, 0u64..3, hours), 0..120)
}

proptest! {
    /// Held against a model that never forgets: nothing is accepted that the model would not
    /// accept, unless its producer was idle for seven days; and whoever is refused although the
    /// model would not refuse is told an epoch behind which it can go on.
    #[test]
    fn nothing_is_accepted_twice_and_nobody_is_locked_out(claims in any_claims(), is_keyed: bool) {
        let key = KEYS[usize::from(is_keyed)];
        let mut model: BTreeMap<u8, (Accepted, u32)> = BTreeMap::new();
        let mut bucket = Bucket::default();
        let mut now = 490_000;
        for (id, epoch, seq, hours) in claims {
            now += hours;
            let millis = u64::from(now) * HOUR + u64::from(id);
            let claim = claim(&id.to_string(), epoch, seq);
            let place = Place::of(&claim.id, key);
            let known = model.get(&id).copied();
            let expected = producer::judge(known.map(|(accepted, _)| accepted), &claim);
            let found = bucket.judge(place, &claim, millis);
            if let Err(Error::StaleEpoch { current }) = found {
                let next = Claim { epoch: current + 1, seq: 0, ..claim.clone() };
                prop_assert_eq!(bucket.judge(place, &next, millis), Ok(Verdict::Append));
            }
            let is_refused_anyway = found.is_err() && expected.is_err();
            if found != expected && !is_refused_anyway {
                let is_old = known.is_some_and(|(_, seen)| now - seen > KEPT_HOURS);
                let is_stale = matches!(found, Err(Error::StaleEpoch { current }) if epoch <= current);
                prop_assert!(is_stale || is_old, "{:?}, {:?} expected", found, expected);
            }
            if found == Ok(Verdict::Append) {
                bucket.accept_among(FEW, place, &claim, now);
                model.insert(id, (Accepted { epoch, seq }, now));
                prop_assert_eq!(remembered(&bucket, place), Some(Accepted { epoch, seq }));
            }
            let stored = bucket.encode();
            prop_assert!(stored.len() <= Lost::END + FEW * Entry::BYTES);
            let read = Bucket::decode(&stored, key, millis);
            prop_assert_eq!(read.as_ref(), Ok(&bucket));
        }
    }

    #[test]
    fn buckets_round_trip(
        entries in proptest::collection::btree_map("\\PC{1,9}", any::<(u64, u64)>(), 0..5),
        key: Option<u128>,
        now: u64,
    ) {
        let key = key.map(Key::new);
        let mut bucket = Bucket::default();
        for (id, (epoch, seq)) in &entries {
            bucket.accept(Place::of(id, key), &claim(id, *epoch, *seq), now);
        }
        prop_assert_eq!(bucket.encode().len(), Lost::END + entries.len() * Entry::BYTES);
        prop_assert_eq!(Bucket::decode(&bucket.encode(), key, 0), Ok(bucket.clone()));
        for (id, (epoch, seq)) in entries {
            let accepted = Some(Accepted { epoch, seq });
            prop_assert_eq!(remembered(&bucket, Place::of(&id, key)), accepted);
        }
    }

    #[test]
    fn garbage_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..100), version in 0u8..4) {
        let _ = Bucket::decode(&body, None, 0);
        let stated = [&[version], &body[..]].concat();
        if let Ok(bucket) = Bucket::decode(&stated, None, 0) {
            prop_assert_eq!(bucket.encode(), stated);
        }
    }

    #[test]
    fn rows_lie_between_state_and_the_last_bucket(id in "\\PC{1,30}", key: Option<u128>) {
        let place = Place::of(&id, key.map(Key::new));
        prop_assert!((-4097..=-2).contains(&place.row));
    }
}
