use super::sqlite::Sqlite;
use super::{KEY, creation, named};
use crate::protocol::ask::Interest;
use crate::stream::Stream;
use crate::stream::storage::{Param, Statement, Storage};

fn create(stream: &mut Stream<&Sqlite>, incarnation: &str) {
    let (create, name) = (creation("application/json"), named("p/x", incarnation));
    let created = stream.create(&create, None, b"[1]", name, KEY, 0);
    assert!(created.unwrap().is_new);
}

/// Links as releases left them that knew of one interest alone.
fn of_older_release() -> Sqlite {
    let database = Sqlite::new();
    create(&mut Stream::new(&database), "1");
    let table = "CREATE TABLE link (subscription TEXT PRIMARY KEY, since INTEGER NOT NULL, \
        incarnation TEXT NOT NULL) WITHOUT ROWID";
    let insert = "INSERT OR REPLACE INTO link (subscription, since, incarnation) \
        VALUES (?1, ?2, ?3)";
    let table = Statement {
        sql: table,
        params: Vec::new(),
    };
    let insert = |name, since| Statement {
        sql: insert,
        params: vec![Param::Text(name), Param::Integer(since), Param::Text("1")],
    };
    let links = [table, insert("a", 1), insert("b", 0)];
    Storage::write(&&database, &links).unwrap();
    database
}

#[test]
fn links_of_older_releases_are_told_as_before() {
    let database = of_older_release();
    let mut stream = Stream::new(&database);
    let links = stream.links().unwrap();
    let names = links
        .iter()
        .map(|link| (&link.subscription[..], link.interest));
    assert!(names.eq([("a", Interest::Wakes), ("b", Interest::Wakes)]));
    assert!(stream.has_links() && stream.is_followed());
    assert!(!stream.is_target() && !stream.is_named_source());
    assert_eq!(stream.telling(&links[0]).unwrap().since, 1);
    // What nobody changes is not written.
    let written = database.written.get();
    let (tail, new) = stream.link("b", Interest::Wakes).unwrap();
    assert_eq!((tail.since, tail.tail, new), (0, 1, None));
    assert_eq!(
        stream.change_interest("a", Interest::Wakes),
        Ok(Interest::Wakes)
    );
    assert_eq!(database.written.get(), written);
    assert_eq!(stream.unlink("b", None), Ok(true));
    assert_eq!(stream.links().unwrap().len(), 1);
    assert_eq!(stream.unlink("a", None), Ok(true));
    assert!(!stream.has_links());
}

#[test]
fn links_of_older_releases_take_an_interest() {
    type Change = fn(&mut Stream<&Sqlite>);
    let changes: [(Change, Interest); 2] = [
        (
            |stream| drop(stream.link("a", Interest::NamedCopies).unwrap()),
            Interest::NamedCopies,
        ),
        (
            |stream| _ = stream.change_interest("a", Interest::Copies).unwrap(),
            Interest::Copies,
        ),
    ];
    for (change, interest) in changes {
        let database = of_older_release();
        let mut stream = Stream::new(&database);
        change(&mut stream);
        for mut stream in [stream, Stream::new(&database)] {
            let links = stream.links().unwrap();
            let interests = links.iter().map(|link| link.interest);
            assert!(interests.eq([interest, Interest::Wakes]));
            assert_eq!(stream.is_named_source(), interest == Interest::NamedCopies);
            assert_eq!(stream.telling(&links[0]).unwrap().since, 1);
        }
        // The older release goes on with it, and what it links is told.
        let insert = "INSERT OR REPLACE INTO link (subscription, since, incarnation) \
            VALUES ('c', 1, '1')";
        let insert = Statement {
            sql: insert,
            params: Vec::new(),
        };
        Storage::write(&&database, &[insert]).unwrap();
        let link = Stream::new(&database).links().unwrap().pop().unwrap();
        assert_eq!(
            (&link.subscription[..], link.interest),
            ("c", Interest::Wakes)
        );
    }
}

#[test]
fn nobody_copies_a_target_and_what_comes_after_it_is_none() {
    let database = Sqlite::new();
    let mut stream = Stream::new(&database);
    stream.link("early", Interest::Copies).unwrap();
    create(&mut stream, "1");
    assert!(stream.is_followed() && !stream.is_target());
    stream.link("target", Interest::Target).unwrap();
    assert!(stream.is_target());
    stream.link("late", Interest::Copies).unwrap();
    let admitted = stream.change_interest("early", Interest::Copies);
    assert_eq!(admitted, Ok(Interest::Ends));
    for _ in 0..2 {
        let links = stream.links().unwrap();
        let interests = links.iter().map(|link| link.interest);
        assert!(interests.eq([Interest::Ends, Interest::Ends, Interest::Target]));
        stream = Stream::new(&database);
    }
    stream.links().unwrap();
    stream.delete(0).unwrap();
    assert!(!stream.is_target());
    create(&mut stream, "2");
    for _ in 0..2 {
        assert!(!stream.is_target() && !stream.source().unwrap().is_target);
        stream = Stream::new(&database);
        stream.links().unwrap();
    }
    // It is asked what it wants.
    let names = ["late".to_owned()];
    stream.link_all(&names, 0).unwrap();
    let links = stream.links().unwrap();
    let late = links.iter().find(|link| link.subscription == "late");
    assert_eq!(late.unwrap().interest, Interest::Wakes);
}
