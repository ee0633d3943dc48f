use super::lab::{Fate, Lab};
use crate::object::wake::SAFETY;
use crate::protocol::ask::{self, Life};
use crate::protocol::error::Error;

const NAME: &str = "p/x";
const HOUR: u64 = 3_600_000;

fn registered(lab: &Lab) -> Option<Life> {
    lab.known.borrow().get(NAME).cloned()
}

#[test]
fn a_creation_costs_one_alarm_and_one_question() {
    let lab = Lab::new(1);
    lab.set_shards(Ok(None));
    let (rows, alarms, asked) = lab.counted(|| assert_eq!(lab.put(b"[1]"), 201));
    assert_eq!((alarms, asked), ((0, 0), 0));
    assert_eq!(lab.delete(), 204);
    lab.pass(HOUR);
    lab.crash();

    lab.set_shards(Ok(Some(16)));
    let listed = lab.counted(|| assert_eq!(lab.put(b"[1]"), 201));
    // The alarm is there before anybody is answered, and what is asked has not been yet.
    assert_eq!(listed, (rows, (1, 0), 1));
    assert_eq!(lab.alarm.get(), Some(lab.executor.now() + SAFETY));
    assert_eq!(registered(&lab), None);
    let behind = lab.counted(|| lab.pass(HOUR));
    assert_eq!(behind, (0, (0, 1), 0));
    assert!(registered(&lab).is_some());
    // From then on, nothing but the append.
    let append = lab.counted(|| {
        assert_eq!(lab.append(), 204);
        lab.pass(HOUR);
    });
    assert_eq!(append, (1, (0, 0), 0));
    // An object that was away does not ask either.
    lab.crash();
    let later = lab.counted(|| {
        assert_eq!((lab.append(), lab.get()), (204, 200));
        lab.pass(HOUR);
    });
    assert_eq!(later, (1, (0, 0), 0));
}

#[test]
fn a_crash_between_creation_and_registration_loses_nothing() {
    let lab = Lab::new(2);
    lab.subscribe("s");
    lab.put(b"[1,2]");
    lab.crash();
    assert_eq!(registered(&lab), None);
    lab.append();
    lab.pass(HOUR);
    assert!(registered(&lab).is_some());
    assert_eq!(lab.told("s").last(), Some(&(0, 3, false)));
    assert_eq!(lab.alarm.get(), None);
    // That it is known was noted: the next alarm does not ask again.
    lab.crash();
    let asked = lab.times(ask::REGISTER);
    lab.alarm.set(Some(lab.executor.now()));
    lab.pass(HOUR);
    assert_eq!(lab.times(ask::REGISTER), asked);
}

#[test]
fn a_shard_that_does_not_answer_is_asked_again() {
    for fate in [Fate::Lost, Fate::Unheard, Fate::Refused] {
        let lab = Lab::new(3);
        lab.fate.set(fate);
        lab.put(b"");
        lab.pass(HOUR);
        let asked = lab.times(ask::REGISTER);
        assert!((10..20).contains(&asked), "{fate:?}: {asked} times an hour");
        assert!(lab.alarm.get().is_some());
        assert_eq!(lab.said.borrow().len(), 1, "{:?}", lab.said.borrow());
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        assert!(registered(&lab).is_some());
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn an_alarm_that_could_not_be_set_is_set_again() {
    let lab = Lab::new(4);
    lab.alarm_fails.set(2);
    lab.fate.set(Fate::Lost);
    lab.put(b"");
    assert_eq!(lab.alarm.get(), None);
    lab.pass(3_000);
    assert!(lab.alarm.get().is_some());
    lab.fate.set(Fate::Answered);
    lab.crash();
    lab.pass(HOUR);
    assert!(registered(&lab).is_some());
}

#[test]
fn older_streams_register_when_they_are_used() {
    for is_read in [false, true] {
        let lab = Lab::new(5);
        lab.set_shards(Ok(None));
        lab.put(b"[1]");
        lab.crash();
        lab.set_shards(Ok(Some(16)));
        lab.subscribe("s");
        let used = lab.counted(|| {
            assert!(matches!(
                if is_read { lab.get() } else { lab.append() },
                200 | 204
            ));
        });
        // The note, and the alarm beside it.
        assert_eq!(used, (1 + u64::from(!is_read), (1, 0), 1));
        lab.pass(HOUR);
        assert!(registered(&lab).is_some());
        // Where it was before it was used, it is linked.
        assert_eq!(lab.links(), ["s"]);
        let tail = match is_read {
            true => 1,
            false => 2,
        };
        let told = lab.told("s").last().copied();
        assert_eq!(told, (!is_read).then_some((1, tail, false)));
        lab.append();
        lab.pass(HOUR);
        assert_eq!(lab.told("s").last(), Some(&(1, tail + 1, false)));
        lab.crash();
        let later = lab.counted(|| {
            lab.get();
            lab.pass(HOUR);
        });
        assert_eq!(later, (0, (0, 0), 0));
    }
}

#[test]
fn an_older_stream_that_was_not_registered_in_time_is_by_the_alarm() {
    let lab = Lab::new(6);
    lab.set_shards(Ok(None));
    lab.put(b"[1]");
    lab.crash();
    lab.set_shards(Ok(Some(16)));
    lab.subscribe("s");
    lab.get();
    lab.crash();
    lab.append();
    lab.crash();
    lab.pass(HOUR);
    assert!(registered(&lab).is_some());
    assert_eq!(lab.told("s").last(), Some(&(1, 2, false)));
}

#[test]
fn a_malformed_variable_is_told_once_and_streams_are_made_nevertheless() {
    let lab = Lab::new(7);
    let malformed = Error::Misconfigured("DIRECTORY is \"of\"".into());
    lab.set_shards(Err(malformed));
    assert_eq!(lab.put(b"[1]"), 201);
    assert_eq!((lab.append(), lab.get()), (204, 200));
    lab.pass(HOUR);
    assert_eq!(lab.said.borrow().len(), 1, "{:?}", lab.said.borrow());
    assert_eq!((lab.alarm.get(), lab.asked.borrow().len()), (None, 0));
    lab.crash();
    lab.set_shards(Ok(Some(16)));
    lab.get();
    lab.pass(HOUR);
    assert!(registered(&lab).is_some());
}

#[test]
fn a_directory_that_is_switched_off_and_on_hears_of_everybody() {
    let lab = Lab::new(8);
    lab.put(b"");
    lab.crash();
    lab.set_shards(Ok(None));
    lab.pass(HOUR);
    // Nobody looks again and again for what is not wanted.
    assert_eq!((lab.alarm.get(), lab.asked.borrow().len()), (None, 1));
    lab.crash();
    lab.set_shards(Ok(Some(16)));
    lab.get();
    lab.crash();
    lab.pass(HOUR);
    assert!(registered(&lab).is_some());
    lab.crash();

    // It ends while there is none.
    lab.set_shards(Ok(None));
    assert_eq!(lab.delete(), 204);
    lab.pass(HOUR);
    assert!(registered(&lab).is_some() && lab.alarm.get().is_some());
    lab.crash();
    lab.set_shards(Ok(Some(16)));
    lab.pass(25 * HOUR);
    assert_eq!(registered(&lab), None);
    assert_eq!((lab.alarm.get(), lab.tables()), (None, Vec::new()));
}

#[test]
fn a_deletion_is_told_and_leaves_nothing() {
    let lab = Lab::new(9);
    lab.set_shards(Ok(None));
    lab.put(b"[1]");
    let (rows, ..) = lab.counted(|| assert_eq!(lab.delete(), 204));
    lab.pass(HOUR);
    lab.crash();
    lab.set_shards(Ok(Some(16)));
    lab.put(b"[1]");
    lab.pass(HOUR);
    let deleted = lab.counted(|| assert_eq!(lab.delete(), 204));
    // And a table, in whose text the farewell is.
    assert_eq!((rows, deleted), (0, (0, (1, 0), 1)));
    assert_eq!(lab.tables(), ["farewell"]);
    let behind = lab.counted(|| lab.pass(HOUR));
    assert_eq!(behind.1, (0, 1));
    assert_eq!((registered(&lab), lab.tables()), (None, Vec::new()));
}

#[test]
fn a_stream_that_comes_before_the_last_one_is_forgotten_stays_registered() {
    for crash in [false, true] {
        let lab = Lab::new(10);
        lab.put(b"");
        lab.pass(HOUR);
        let first = registered(&lab).unwrap();
        lab.fate.set(Fate::Lost);
        lab.delete();
        lab.pass(5_000);
        assert_eq!(lab.put(b""), 201);
        lab.pass(5_000);
        lab.delete();
        if crash {
            lab.crash();
        }
        lab.pass(5_000);
        assert_eq!(lab.put(b""), 201);
        lab.pass(5_000);
        if crash {
            lab.crash();
        }
        lab.fate.set(Fate::Answered);
        lab.pass(HOUR);
        assert!(registered(&lab).is_some_and(|life| life.is_after(&first)));
        assert_eq!(lab.gone.borrow().len(), 2);
        assert_eq!(
            (lab.alarm.get(), lab.tables()),
            (None, vec!["stream".to_owned()])
        );
    }
}

#[test]
fn a_stream_whose_time_is_over_is_forgotten_whoever_finds_it() {
    for is_found in [false, true] {
        let lab = Lab::new(11);
        lab.put_with(b"", &[("Stream-TTL", "100")]);
        lab.pass(10_000);
        assert!(registered(&lab).is_some());
        lab.crash();
        if is_found {
            // The alarm is late.
            let alarm = lab.alarm.take();
            lab.pass(200_000);
            assert_eq!(lab.get(), 404);
            lab.crash();
            lab.alarm.set(lab.alarm.get().or(alarm));
        }
        lab.pass(HOUR);
        assert_eq!((registered(&lab), lab.tables()), (None, Vec::new()));
        assert_eq!(lab.alarm.get(), None);
    }
}

#[test]
fn a_stream_that_is_kept_for_its_forks_is_forgotten_once() {
    for crash in [false, true] {
        let lab = Lab::new(12);
        lab.meet("a", true);
        lab.put(b"[1]");
        lab.link("a");
        lab.pass(HOUR);
        let claim = r#"{"v":3,"fork":{"path":"p/f","incarnation":"1"},"content_type":null,"offset":null,"sub_offset":0}"#;
        assert_eq!(lab.question("claim", claim.to_owned()).status, 200);
        lab.delete();
        if crash {
            lab.crash();
        }
        lab.pass(2 * SAFETY);
        assert_eq!(registered(&lab), None);
        assert_eq!(lab.told("a").last(), Some(&(1, 1, true)));
        assert_eq!(lab.get(), 410);
        let asked = (lab.times(ask::UNREGISTER), lab.times(ask::TOLD));
        let fork = r#"{"v":3,"path":"p/f","incarnation":"1"}"#;
        assert_eq!(lab.question("release", fork.to_owned()).status, 204);
        lab.pass(HOUR);
        // When the last fork goes, there is nothing more to say.
        assert_eq!((lab.times(ask::UNREGISTER), lab.times(ask::TOLD)), asked);
        assert_eq!(lab.tables(), ["link"]);
    }
}

#[test]
fn a_stream_registers_anew_when_it_is_asked_to() {
    let lab = Lab::new(13);
    let enroll = || lab.question(ask::ENROLL, String::new()).status;
    assert_eq!(enroll(), 404);
    lab.put(b"");
    lab.pass(HOUR);
    lab.known.take();
    assert_eq!(enroll(), 204);
    assert!(registered(&lab).is_some());
    lab.known.take();
    lab.fate.set(Fate::Lost);
    assert_eq!(enroll(), 503);
    lab.fate.set(Fate::Answered);
    lab.pass(HOUR);
    assert!(registered(&lab).is_some());
    lab.crash();
    lab.set_shards(Ok(None));
    assert_eq!(enroll(), 501);
}

#[test]
fn storage_that_fails_while_links_are_noted_loses_nothing() {
    for statements in 0..12 {
        let lab = Lab::new(40 + u64::from(statements));
        lab.subscribe("s");
        assert_eq!(lab.put(b"[1,2]"), 201);
        // It came into memory since, and so notes that it is registered when it is.
        lab.crash();
        lab.wake();
        lab.disk.fail_after(statements);
        lab.pass(500);
        lab.disk.heal();
        lab.pass(HOUR);
        assert!(registered(&lab).is_some(), "after {statements} statements");
        let told = lab.told("s");
        assert_eq!(
            told.last(),
            Some(&(0, 2, false)),
            "after {statements} statements"
        );
    }
}
