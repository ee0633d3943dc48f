use std::rc::Rc;

use super::copier::Copier;
use super::lab::{Fate, Lab};
use crate::protocol::ask::Interest;
use crate::protocol::error::Error;

/// The machine fails, but not before an alarm that could not be set was: then there is nobody left to
/// set it, and on the platform nobody was answered.
fn crash(lab: &Rc<Lab>) {
    lab.alarm_fails.set(0);
    // It may be that none is needed any more.
    for _ in 0..10 {
        if lab.is_doubtful.get() {
            lab.pass(1_000);
        }
    }
    lab.is_doubtful.set(false);
    lab.crash();
}

/// Anything, in any order; then nothing fails any more.
fn run(seed: u64) -> Rc<Lab> {
    let lab = Lab::new(seed);
    let chance = lab.executor.clone();
    lab.subscribe("glob");
    lab.meet("explicit", true);
    lab.copy("copy", Copier::new(Interest::Copies));
    lab.copy("named", Copier::from_start());
    for round in 10..10 + chance.below(40) {
        match chance.below(18) {
            0..=2 => _ = lab.put(chance.pick::<&[u8]>(&[b"", b"[1,2]"])),
            3..=6 => _ = lab.post(format!("[{round}]").as_bytes()),
            7..=8 => _ = lab.delete(),
            9 => crash(&lab),
            10 => _ = lab.get(),
            11 => lab.alarm_fails.set(chance.below(3) as u32),
            12 => {
                let fates = [Fate::Answered, Fate::Unheard, Fate::Lost, Fate::Refused];
                lab.fate.set(*chance.pick(&fates));
            }
            13 => {
                let malformed = Error::Misconfigured("DIRECTORY".to_owned());
                let settings = [Ok(Some(16)), Ok(Some(16)), Ok(None), Err(malformed)];
                crash(&lab);
                lab.set_shards(chance.pick(&settings).clone());
            }
            14 => _ = lab.try_link("explicit"),
            15 => _ = lab.try_link_for("named", Interest::NamedCopies),
            16 => {
                let name = *chance.pick(&["copy", "named"]);
                lab.copier(name, |copier| {
                    copier.takes = chance.chance(500);
                    copier.pause = *chance.pick(&[0, 0, 10_000]);
                });
            }
            _ => lab.disk.fail_after(chance.below(10) as u32),
        }
        let while_ = *chance.pick(&[0, 1, 15, 120, 3_000, 70_000]);
        lab.pass(chance.below(while_ + 1));
        if chance.chance(500) {
            lab.disk.heal();
        }
    }
    crash(&lab);
    lab.disk.heal();
    lab.alarm_fails.set(0);
    lab.fate.set(Fate::Answered);
    lab.set_shards(Ok(Some(16)));
    for name in ["copy", "named"] {
        lab.copier(name, |copier| copier.takes = true);
    }
    lab
}

#[test]
fn in_the_end_everybody_knows_what_there_is() {
    let seeds = std::env::var("SEEDS").map_or(400, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let lab = run(seed);
        let is_there = lab.get() == 200;
        lab.pass(30 * 86_400_000);
        let what = format!("seed {seed}: {:?}", lab.said.borrow());
        let life = {
            let known = lab.known.borrow();
            assert_eq!(known.contains_key("p/x"), is_there, "{what}");
            known.get("p/x").cloned()
        };
        assert_eq!(lab.alarm.get(), None, "{what}");
        assert!(!lab.tables().contains(&"farewell".to_owned()), "{what}");
        let links = lab.links();
        if !is_there && links.is_empty() {
            assert_eq!(lab.tables(), Vec::<String>::new(), "{what}");
        }
        if !is_there {
            assert!(!links.contains(&"glob".to_owned()), "{what}");
        }
        let tail = lab.link("probe").tail;
        let content = lab.content();
        for name in ["copy", "named"] {
            if !is_there || !links.contains(&name.to_owned()) {
                continue;
            }
            let (at, copied, begun) = lab.copier(name, |copier| {
                let lines = copier.text[copier.begun.1..].lines();
                let copied = lines.map(|line| line.parse().unwrap());
                (
                    copier.at.clone(),
                    copied.collect::<Vec<u64>>(),
                    copier.begun.0,
                )
            });
            let since = lab.link_for(name, Interest::Copies).since;
            match at {
                Some((known, at)) if Some(&known) == life.as_ref() => {
                    assert_eq!(at, tail, "{what}");
                    assert_eq!(copied, content[begun as usize..], "{what}");
                }
                _ => assert_eq!(since, tail, "{name} was not told; {what}"),
            }
        }
        for name in links {
            let knows = lab.subscriptions.borrow()[&name].knows.clone();
            match (knows, &life) {
                (Some((known, since, told)), Some(life)) => {
                    assert_eq!((&known, told), (life, tail), "{what}");
                    assert!(since <= told);
                }
                // It was told of none, and there is nothing behind where it began.
                (None, Some(_)) => {
                    let since = lab.link(&name).since;
                    assert_eq!(since, tail, "{name} was not told; {what}");
                }
                (Some(_), None) => panic!("{name} does not know of an end; {what}"),
                (None, None) => {}
            }
        }
    }
}
