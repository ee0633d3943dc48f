//! What is stored, and what edges and objects say to each other: whoever reads it refuses what it
//! cannot read, and what it takes it writes in the same way again.

use super::feed;
use super::noise::Noise;
use crate::protocol::frame::{self, Head};
use crate::protocol::part::Plan;
use crate::stream::birth::{Birth, Key};
use crate::stream::family::lend::{Claim, Loan};
use crate::stream::log::chunk::RowId;
use crate::stream::log::producers::Bucket;
use crate::stream::state::State;
use crate::stream::tier::record::Record;

const BIRTHS: &[&[u8]] = &[
    b"CREATE TABLE stream (/*{\"v\":2,\"content_type\":\"application\\/json\",\"path\":\"p\\/a\",\
      \"incarnation\":\"1-2\",\"key\":\"0123456789abcdef0123456789abcdef\",\"created_at\":1}*/ id)",
    b"CREATE TABLE stream (/*{\"content_type\":\"text\\/plain\",\"ttl\":60,\"closed\":true,\
      \"public\":true,\"path\":\"a\",\"incarnation\":\"1-2\",\"created_at\":1}*/ id)",
    b"CREATE TABLE stream (/*{\"content_type\":\"text\\/plain\",\
      \"expires_at\":\"2030-01-01T00:00:00Z\",\"path\":\"a\",\"incarnation\":\"1-2\",\
      \"origin\":{\"path\":\"b\",\"offset\":7,\"sub_offset\":1},\"created_at\":1}*/ id)",
];
const STATES: &[&[u8]] = &[
    b"{}",
    b"{\"closed\":true,\"deleted\":true}",
    b"{\"v\":2,\"closed\":true,\"closed_by\":{\"id\":\"a\",\"epoch\":1,\"seq\":2}}",
];
const RECORDS: &[&[u8]] = &[
    b"{\"size\":9,\"etag\":\"e\",\"marks\":[]}",
    b"{\"size\":9,\"etag\":\"e\",\"crc\":7,\"born\":3,\"holds\":4,\"owner\":\"streams/a/1-2/\",\
      \"marks\":[[1,2],[3,4]]}",
];
const BUCKETS: &[&[u8]] = &[
    b"{\"a\":[1,2],\"b\":[3,4]}",
    b"\x02\0\0\0\0\0\0\0\0\0\0\0\0",
    b"\x02\x05\0\0\0\0\0\0\0\x01\0\0\0\
      0123456789ab\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0",
];
const PLANS: &[&[u8]] = &[
    b"{\"v\":3,\"is_json\":true,\"parts\":[{\"key\":\"streams/s/1/0-9\",\"size\":9,\"etag\":\"e\",\
      \"offset\":1,\"length\":3,\"lines\":{\"skip\":1,\"take\":2}}]}",
    b"{\"is_json\":false,\"parts\":[]}",
];
const CLAIMS: &[&[u8]] = &[
    b"{\"v\":3,\"fork\":{\"path\":\"p/f\",\"incarnation\":\"1-2\"},\"content_type\":null,\
      \"offset\":7,\"sub_offset\":0}",
];
const HEADS: &[&[u8]] = &[
    b"{\"v\":3,\"status\":200,\"headers\":{\"Content-Type\":\"text/plain\"}}",
    b"{\"status\":204,\"headers\":{}}",
];
const LOANS: &[&[u8]] = &[
    b"{\"v\":3,\"content_type\":\"text/plain\",\"ttl\":null,\"expires_at\":null,\"offset\":5,\
      \"sealed\":3,\"end\":5,\"segments\":[[0,3,{\"size\":3,\"etag\":\"e\",\"marks\":[]}]]}",
];

/// A head and a body in one piece; its length is right most of the time.
fn framed(noise: &mut Noise, heads: &[&[u8]]) -> Vec<u8> {
    let head = noise.bytes_like(heads);
    let length = match noise.chance(90) {
        true => head.len() as u32,
        false => u32::from_be_bytes([0, 0, 0, 0]).wrapping_sub(noise.below(3) as u32),
    };
    [&length.to_be_bytes()[..], &head, &noise.bytes(20)].concat()
}

#[test]
fn records() {
    feed("records", 30_000, |noise| match noise.below(9) {
        0 => {
            let table = String::from_utf8_lossy(&noise.bytes_like(BIRTHS)).into_owned();
            if let Ok(birth) = Birth::from_table(&table) {
                let again = birth.create_table();
                assert_eq!(Birth::from_table(&again), Ok(birth));
                // Whatever a record holds, it ends neither the comment nor the statement.
                assert_eq!(again.matches("*/").count(), 1);
            }
        }
        1 => {
            if let Ok(state) = State::decode(&noise.bytes_like(STATES)) {
                assert_eq!(State::decode(&state.encode()), Ok(state));
            }
        }
        2 => {
            if let Ok(record) = Record::decode(&noise.bytes_like(RECORDS)) {
                assert_eq!(Record::decode(&record.encode()), Ok(record));
            }
        }
        3 => {
            let key = noise.chance(50).then(|| Key::new(7));
            let now = 1_700_000_000_000;
            if let Ok(bucket) = Bucket::decode(&noise.bytes_like(BUCKETS), key, now) {
                assert_eq!(Bucket::decode(&bucket.encode(), key, now), Ok(bucket));
            }
        }
        4 => {
            if let Ok(plan) = Plan::decode(&noise.bytes_like(PLANS)) {
                assert_eq!(Plan::decode(&plan.encode()).as_ref(), Ok(&plan));
                let _ = plan.pieces(noise.chance(50));
            }
        }
        5 => {
            if let Ok(claim) = Claim::decode(&noise.bytes_like(CLAIMS)) {
                assert_eq!(Claim::decode(claim.encode().as_bytes()), Ok(claim));
            }
        }
        6 => {
            let frame = framed(noise, HEADS);
            if let Some((head, body)) = frame::split::<Head>(&frame) {
                let again = frame::join(&head, body).expect("a frame");
                assert_eq!(frame::split(&again), Some((head, body)));
            }
        }
        7 => {
            if let Ok(loan) = Loan::decode(&framed(noise, LOANS)) {
                let again = loan.encode().expect("a loan");
                assert_eq!(Loan::decode(&again), Ok(loan));
            }
        }
        _ => {
            let id = i64::from_be_bytes(std::array::from_fn(|_| noise.below(256) as u8));
            if let Some(row) = RowId::decode(id) {
                assert!(row.encode().is_none_or(|again| again == id));
            }
        }
    });
}

#[test]
fn examples_are_read() {
    for birth in BIRTHS {
        Birth::from_table(std::str::from_utf8(birth).unwrap()).unwrap();
    }
    STATES
        .iter()
        .for_each(|it| drop(State::decode(it).unwrap()));
    RECORDS
        .iter()
        .for_each(|it| drop(Record::decode(it).unwrap()));
    PLANS.iter().for_each(|it| drop(Plan::decode(it).unwrap()));
    CLAIMS
        .iter()
        .for_each(|it| drop(Claim::decode(it).unwrap()));
    let frame = |head: &[u8]| [&(head.len() as u32).to_be_bytes()[..], head].concat();
    for head in HEADS {
        frame::split::<Head>(&frame(head)).unwrap();
    }
    LOANS
        .iter()
        .for_each(|it| drop(Loan::decode(&frame(it)).unwrap()));
    for bucket in BUCKETS {
        let decoded = Bucket::decode(bucket, None, 0);
        assert!(decoded.is_ok(), "{decoded:?}");
    }
}
