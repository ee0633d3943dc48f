//! Stored data of every released format stays readable: what `tests/fixtures/` holds, which workerd
//! has stored, is read, goes on, and moves as it would have then.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::sqlite::Sqlite;
use crate::protocol::error::Error;
use crate::protocol::offset::Offset;
use crate::protocol::part::{Identity, Part, Piece, Plan};
use crate::protocol::producer::{Accepted, Claim};
use crate::protocol::reply::{Appended, Reply};
use crate::protocol::request::{Append, Read, ReadFrom};
use crate::stream::Stream;
use crate::stream::tier::upkeep::{Abilities, GRACE, Job, Limits, Outcome};

/// `expected.json`, as `tests/tests/e2e/format.rs` describes it.
#[derive(Deserialize)]
struct Expected {
    written_at: u64,
    streams: Vec<Answers>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Answers {
    name: String,
    file: Option<String>,
    status: u16,
    headers: BTreeMap<String, String>,
    content: Option<String>,
    public: bool,
    seq: Option<String>,
    producers: Vec<(String, u64, u64)>,
    closed_by: Option<(String, u64, u64)>,
    ends: Option<(u64, u64)>,
    due: Option<String>,
}

impl Answers {
    fn is_json(&self) -> bool {
        let content_type = self.headers.get("content-type");
        content_type.is_some_and(|it| it.starts_with("application/json"))
    }

    fn is_open(&self) -> bool {
        self.status == 200 && !self.headers.contains_key("stream-closed")
    }
}

/// The files in `state.gz`, by name: a line that lists them, and then one after the other.
fn unpack(fixture: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = Vec::new();
    let packed = fs::File::open(fixture.join("state.gz")).unwrap();
    GzDecoder::new(packed).read_to_end(&mut all).unwrap();
    let end = all.iter().position(|byte| *byte == b'\n').unwrap();
    let list: Vec<(String, usize)> = serde_json::from_slice(&all[..end]).unwrap();
    let mut rest = &all[end + 1..];
    let mut files = BTreeMap::new();
    for (name, length) in list {
        let (body, others) = rest.split_at(length);
        files.insert(name, body.to_vec());
        rest = others;
    }
    files
}

/// Entity tags and contents by key.
#[derive(Clone)]
struct Bucket(BTreeMap<String, (String, Vec<u8>)>);

impl Bucket {
    /// What the bucket of miniflare holds.
    fn of(files: &BTreeMap<String, Vec<u8>>) -> Self {
        let is_index = |name: &str| {
            name.starts_with("r2/miniflare-R2BucketObject/")
                && name.ends_with(".sqlite")
                && !name.ends_with("metadata.sqlite")
        };
        let index = files.iter().find(|(name, _)| is_index(name)).unwrap().1;
        let mut objects = BTreeMap::new();
        for row in Sqlite::holding(index).texts("SELECT key, blob_id, etag FROM _mf_objects") {
            let [key, blob, etag] = <[String; 3]>::try_from(row).unwrap();
            let body = files[&format!("r2/R2/blobs/{blob}")].clone();
            objects.insert(key, (etag, body));
        }
        Self(objects)
    }

    fn part(&self, part: &Part) -> &[u8] {
        let (etag, body) = self
            .0
            .get(&part.key)
            .unwrap_or_else(|| panic!("{part:?} is missing"));
        let identity = part.identity(body.len() as u64, etag);
        assert_eq!(identity, Identity::Same, "{part:?} is another");
        let range = &body[part.offset as usize..(part.offset + part.length) as usize];
        part.lines.map_or(range, |lines| lines.cut(range).unwrap())
    }

    fn assemble(&self, plan: &Plan, rest: &[u8]) -> Vec<u8> {
        let pieces = plan
            .pieces(!rest.is_empty())
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => text,
                Piece::Part(part) => self.part(part),
                Piece::Rest => rest,
            });
        pieces.collect::<Vec<_>>().concat()
    }

    fn put(&mut self, key: &str, body: Vec<u8>) -> Outcome {
        let etag = format!("{:x?}", &Sha256::digest(&body)[..8]);
        let size = body.len() as u64;
        self.0.insert(key.to_owned(), (etag.clone(), body));
        Outcome::Stored { size, etag }
    }

    fn carry_out(&mut self, job: &Job) -> Outcome {
        match job {
            Job::Seal(seal) => return self.put(&seal.key, seal.body.clone()),
            Job::Merge(merge) => {
                let body = self.assemble(&merge.plan, b"");
                return self.put(&merge.key, body);
            }
            Job::Drop(_) => {}
            Job::Sweep(sweep) => self.0.retain(|key, _| !sweep.keys.contains(key)),
            Job::Purge(purge) => self.0.retain(|key, _| !purge.concerns(key)),
        }
        Outcome::Removed
    }
}

/// All content in one piece, read in pages of about so many bytes.
fn content(
    stream: &mut Stream<&Sqlite>,
    bucket: &Bucket,
    is_json: bool,
    max: usize,
    now: u64,
) -> Vec<u8> {
    let (mut pages, mut from) = (Vec::new(), Offset::START);
    loop {
        let (page, next, is_last) = page(stream, bucket, from, max, now);
        let page = match is_json {
            true => page[1..page.len() - 1].to_vec(),
            false => page,
        };
        if !page.is_empty() {
            pages.push(page);
        }
        if is_last {
            break;
        }
        assert!(next > from, "no progress");
        from = next;
    }
    match is_json {
        true => [b"[", &pages.join(&b",\n"[..])[..], b"]"].concat(),
        false => pages.concat(),
    }
}

fn page(
    stream: &mut Stream<&Sqlite>,
    bucket: &Bucket,
    from: Offset,
    max: usize,
    now: u64,
) -> (Vec<u8>, Offset, bool) {
    let request = Read {
        from: ReadFrom::At(from),
        live: None,
        cursor: None,
        if_none_match: None,
    };
    let page = stream.read(&request, max, now).unwrap();
    let is_json = page.content_type.is_json();
    let body = if page.cold.is_empty() {
        page.body
    } else {
        let parts = page.cold;
        bucket.assemble(&Plan { is_json, parts }, &page.body)
    };
    (body, page.next, page.up_to_date)
}

fn able(limits: Limits) -> Abilities {
    Abilities {
        bucket: true,
        limits: Some(limits),
    }
}

/// Nothing new is due.
const NOTHING: Limits = Limits {
    max_messages: u64::MAX,
    max_bytes: usize::MAX,
    merge_bytes: 1,
};

/// What is longer is not read in small pages: that would take seconds.
const LONG: usize = 200_000;

/// Content as a fixture has it.
fn told(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.len() <= 4096 => text.to_owned(),
        _ => {
            let hash = Sha256::digest(content);
            let hex = hash.iter().map(|byte| format!("{byte:02x}"));
            format!("sha256:{}", hex.collect::<String>())
        }
    }
}

/// A fixture, and the bucket while its streams go on.
struct World {
    databases: BTreeMap<String, Sqlite>,
    bucket: Bucket,
    now: u64,
}

impl World {
    /// A stream that nobody has asked for anything yet.
    fn stream(&self, answers: &Answers) -> Option<Stream<&Sqlite>> {
        let file = answers.file.as_ref()?;
        Some(Stream::new(&self.databases[file]))
    }

    fn compare(&self, answers: &Answers) {
        let Some(mut stream) = self.stream(answers) else {
            return;
        };
        let (name, now) = (&answers.name, self.now);
        match answers.status {
            404 => assert_eq!(stream.head(now), Err(Error::NotFound), "{name}"),
            410 => assert_eq!(stream.head(now), Err(Error::Gone), "{name}"),
            _ => {
                let head = Reply::metadata(&stream.head(now).unwrap());
                let headers = head.headers.into_iter();
                let headers = headers.map(|(name, value)| (name.to_lowercase(), value));
                let mut headers: BTreeMap<_, _> = headers.collect();
                headers.retain(|name, _| name == "content-type" || name.starts_with("stream-"));
                // The first release minted offsets of two parts for the same positions.
                let next = answers.headers.get("stream-next-offset");
                let next = next.and_then(|token| token.parse::<Offset>().ok());
                let next = next.map(|offset| offset.to_string());
                let mut expected = answers.headers.clone();
                expected.extend(next.map(|next| ("stream-next-offset".to_owned(), next)));
                assert_eq!(headers, expected, "{name}");
                assert_eq!(stream.require_public(now).is_ok(), answers.public, "{name}");
                self.read(answers, &mut stream);
            }
        }
        let (job, errors) = stream.next_job(&able(NOTHING), now + GRACE + 1);
        assert!(errors.is_empty(), "{name}: {errors:?}");
        assert_eq!(
            job.as_ref().map(Job::name),
            answers.due.as_deref(),
            "{name}"
        );
        if let Some((alive, over)) = answers.ends {
            assert!(self.stream(answers).unwrap().head(alive).is_ok(), "{name}");
            let over = self.stream(answers).unwrap().head(over);
            assert_eq!(over, Err(Error::NotFound), "{name}");
        }
    }

    /// The content, in large pages and small ones, and from everywhere.
    fn read(&self, answers: &Answers, stream: &mut Stream<&Sqlite>) {
        let (name, now, is_json) = (&answers.name, self.now, answers.is_json());
        let all = content(stream, &self.bucket, is_json, 8 << 20, now);
        assert_eq!(Some(told(&all)), answers.content, "{name}");
        if all.len() > LONG {
            return;
        }
        let pages = content(stream, &self.bucket, is_json, 1000, now);
        assert!(pages == all, "{name} in small pages");
        let tail = stream.head(now).unwrap().tail;
        let messages: Vec<_> = match is_json {
            true => {
                let text = std::str::from_utf8(&all[1..all.len() - 1]).unwrap();
                text.split(",\n").collect()
            }
            false => Vec::new(),
        };
        for start in (0..tail.position()).step_by(if is_json { 1 } else { 997 }) {
            let (body, next, _) =
                page(stream, &self.bucket, Offset::new(start).unwrap(), 1000, now);
            let range = start as usize..next.position() as usize;
            let right = match is_json {
                true => format!("[{}]", messages[range].join(",\n")).into_bytes(),
                false => all[range].to_vec(),
            };
            assert!(body == right, "{name} from {start}");
        }
    }

    /// Producers, order and closure are remembered, and appends go on. Says what was appended.
    fn go_on(&self, answers: &Answers) -> Vec<&'static str> {
        let Some(mut stream) = self.stream(answers) else {
            return Vec::new();
        };
        let (name, now) = (&answers.name, self.now);
        let content_type = answers.headers.get("content-type");
        let content_type = content_type.map_or("application/json", String::as_str);
        let mut post = |body: &str, seq: Option<&str>, by: Option<(&str, u64, u64)>| {
            let header = |header: &str| match header {
                "Content-Type" => Some(content_type.to_owned()),
                "Stream-Seq" => seq.map(str::to_owned),
                _ => None,
            };
            let mut append = Append::parse(&header, false).unwrap();
            append.producer = by.map(|(id, epoch, seq)| Claim {
                id: id.to_owned(),
                epoch,
                seq,
            });
            stream.append(&append, body.as_bytes(), now)
        };
        let is_repeated = |appended: &Result<Appended, Error>, epoch, seq| {
            let appended = appended.as_ref().unwrap();
            let accepted = Some(Accepted { epoch, seq });
            appended.producer == accepted && !appended.is_new_data
        };
        if let Some((id, epoch, seq)) = &answers.closed_by {
            let again = post("0", None, Some((id, *epoch, *seq)));
            assert!(is_repeated(&again, *epoch, *seq), "{name}: {again:?}");
        }
        if !answers.is_open() {
            let refused = post("0", None, None);
            let as_it_should = match answers.status {
                200 => matches!(refused, Err(Error::Closed { .. })),
                410 => matches!(refused, Err(Error::Gone)),
                _ => matches!(refused, Err(Error::NotFound)),
            };
            assert!(as_it_should, "{name}: {refused:?}");
            return Vec::new();
        }
        if let Some(seq) = &answers.seq {
            let refused = post("0", Some(seq), None);
            assert!(
                matches!(refused, Err(Error::SeqRegression { .. })),
                "{name}: {refused:?}"
            );
        }
        let mut appended = Vec::new();
        for (id, epoch, seq) in &answers.producers {
            let (epoch, seq) = (*epoch, *seq);
            let again = post("0", None, Some((id, epoch, seq)));
            assert!(is_repeated(&again, epoch, seq), "{name}: {again:?}");
            let gap = post("0", None, Some((id, epoch, seq + 2)));
            assert!(
                matches!(gap, Err(Error::SequenceGap { .. })),
                "{name}: {gap:?}"
            );
            if let Some(stale) = epoch.checked_sub(1) {
                let stale = post("0", None, Some((id, stale, 0)));
                assert!(
                    matches!(stale, Err(Error::StaleEpoch { .. })),
                    "{name}: {stale:?}"
                );
            }
            assert!(
                post("8", None, Some((id, epoch, seq + 1)))
                    .unwrap()
                    .is_new_data,
                "{name}"
            );
            appended.push("8");
        }
        post("9", None, None).unwrap();
        appended.push("9");
        appended
    }

    /// Does all there is to do, of which some is to be done later.
    fn rest(&mut self, answers: &Answers) {
        const LIMITS: Limits = Limits {
            max_messages: 1,
            max_bytes: 20_000,
            merge_bytes: 200_000,
        };
        let Some(file) = &answers.file else {
            return;
        };
        let mut stream = Stream::new(&self.databases[file]);
        for now in [self.now, self.now + GRACE + 1, self.now + 2 * GRACE + 2] {
            while let (Some(job), errors) = stream.next_job(&able(LIMITS), now) {
                assert!(errors.is_empty(), "{}: {errors:?}", answers.name);
                let outcome = self.bucket.carry_out(&job);
                assert!(
                    stream.finish(job, outcome, now).unwrap(),
                    "{}",
                    answers.name
                );
            }
        }
    }

    /// What a stream has now, after so much was appended.
    fn look(&self, answers: &Answers, appended: &[&str]) {
        let stream = self.stream(answers).filter(|_| answers.status == 200);
        let Some(mut stream) = stream else {
            return;
        };
        let is_json = answers.is_json();
        let all = content(&mut stream, &self.bucket, is_json, 8 << 20, self.now);
        let mut before = &all[..];
        let mut close = "";
        if !appended.is_empty() {
            let (new, separator) = match is_json {
                true => (appended.join(",\n") + "]", ",\n"),
                false => (appended.concat(), ""),
            };
            before = all.strip_suffix(new.as_bytes()).unwrap();
            before = before.strip_suffix(separator.as_bytes()).unwrap_or(before);
            close = if is_json { "]" } else { "" };
        }
        let before = told(&[before, close.as_bytes()].concat());
        assert_eq!(Some(before), answers.content, "{}", answers.name);
    }
}

fn check(fixture: &Path) {
    let expected = fs::read(fixture.join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_slice(&expected).unwrap();
    let files = unpack(fixture);
    let is_stream = |name: &str| {
        name.starts_with("do/streams-StreamDO/")
            && name.ends_with(".sqlite")
            && !name.ends_with("metadata.sqlite")
    };
    let databases = files.iter().filter(|(name, _)| is_stream(name));
    let databases = databases.map(|(name, file)| (name.clone(), Sqlite::holding(file)));
    let mut world = World {
        databases: databases.collect(),
        bucket: Bucket::of(&files),
        now: expected.written_at,
    };
    let streams = &expected.streams;
    streams.iter().for_each(|answers| world.compare(answers));
    let appended: Vec<_> = streams.iter().map(|answers| world.go_on(answers)).collect();
    streams.iter().for_each(|answers| world.rest(answers));
    for (answers, appended) in streams.iter().zip(&appended) {
        world.look(answers, appended);
    }
    for answers in streams.iter().filter(|answers| answers.status == 404) {
        let prefix = format!("streams/{}/", answers.name);
        let left = world.bucket.0.keys().find(|key| key.starts_with(&prefix));
        assert_eq!(left, None);
    }
}

#[test]
fn what_was_stored_is_read_and_goes_on() {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests");
    if !tests.exists() {
        // A package has no fixtures.
        return;
    }
    let mut fixtures = 0;
    for entry in fs::read_dir(tests.join("fixtures")).unwrap() {
        check(&entry.unwrap().path());
        fixtures += 1;
    }
    assert!(fixtures > 0);
}
