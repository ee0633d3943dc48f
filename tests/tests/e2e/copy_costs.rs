//! What copies add to what Cloudflare bills: requests to objects, counted on their way, and rows and
//! alarms, counted where they are written.

use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use durable_streams_tests::costs::PRICES;
use durable_streams_tests::http::Client;
use durable_streams_tests::stream::Stream;
use durable_streams_tests::{say, wait_until};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::JSON;
use crate::counted::{Counted, Used};

/// How long a subscription waits at least between two requests to its target.
const GATHERED: Duration = Duration::from_millis(50);

/// What something has used, and what of it are alarms that streams have set.
struct Copying {
    used: Used,
    alarms: f64,
    lasted: Duration,
}

impl Copying {
    /// Requests to the target, when clients have made so many to streams.
    fn copies(&self, of_clients: u32) -> f64 {
        self.used.stream_requests - f64::from(of_clients)
    }

    /// Checks what each request to the target writes: a row of content, and one that says how far each
    /// of up to 64 sources is. Nobody else writes anything but the appends themselves.
    fn check_rows(&self, appends: u32, copies: f64) {
        let rows = self.used.stream_rows - self.alarms - f64::from(appends);
        assert_eq!(rows, 2.0 * copies, "{}", self.used);
        let elsewhere = (self.used.subscription_rows, self.used.directory_rows);
        assert_eq!(elsewhere, (0.0, 0.0), "{}", self.used);
        assert_eq!(self.used.directory_requests, 0.0, "{}", self.used);
    }

    /// Checks that each of so many sources sets an alarm once a minute at the most.
    fn check_alarms(&self, sources: u32) {
        let most = f64::from(sources) * (1.0 + self.lasted.as_secs_f64() / 60.0);
        let (alarms, lasted) = (self.alarms, self.lasted);
        assert!(alarms <= most, "{alarms} alarms in {lasted:.1?}");
    }

    /// Dollars for a million copies, without what the appends cost that are copied.
    fn dollars(&self, appends: u32, copies: u32) -> f64 {
        let mut more = self.used;
        more.stream_requests -= f64::from(appends);
        more.stream_rows -= f64::from(appends);
        more.each_of(copies).dollars(0.0)
    }
}

fn copying(counted: &Counted, what: impl FnOnce() -> Result<()>) -> Result<Copying> {
    let before = counted.at_rest()?.calls.object_alarms;
    let mut lasted = Duration::ZERO;
    let used = counted.during(|| {
        let start = Instant::now();
        what()?;
        lasted = start.elapsed();
        Ok(())
    })?;
    let alarms = f64::from(counted.server.calls()?.object_alarms - before);
    Ok(Copying {
        used,
        alarms,
        lasted,
    })
}

/// Copies into a new stream.
fn copy(client: &Client, target: &str, mut config: Value) -> Result<()> {
    Stream::create(client, target, JSON)?;
    config["type"] = json!("copy");
    config["target_stream"] = json!(target);
    let id = target.replace('/', "-");
    let call = client.call(Method::PUT, &format!("/v1/stream/__ds/subscriptions/{id}"));
    let made = call.send_bytes(config.to_string().as_bytes())?;
    made.expect(201)
        .map(drop)
        .with_context(|| target.to_owned())
}

fn copied(client: &Client, target: &str) -> Result<usize> {
    Ok(Stream::named(client, target, JSON)
        .read()?
        .messages()?
        .len())
}

fn wait_for(client: &Client, target: &str, count: usize) -> Result<()> {
    let what = format!("{count} messages are in {target}");
    wait_until(&what, || Ok(copied(client, target)? >= count))?;
    let found = copied(client, target)?;
    ensure!(found == count, "{found} messages are in {target}");
    Ok(())
}

/// One source, one target, and what is there of an object's records once something was copied.
fn one_to_one(client: &Client) -> Result<()> {
    Stream::create(client, "from/a", JSON)?;
    copy(client, "to/a", json!({ "streams": ["from/a"] }))?;
    Stream::named(client, "from/a", JSON).append("1")?;
    wait_for(client, "to/a", 1)
}

#[test]
fn a_copy_costs_two_rows_and_two_requests() -> Result<()> {
    const TIMES: u32 = 20;
    let counted = Counted::start("costs-copy", one_to_one)?;
    let client = counted.client();
    let source = Stream::named(client, "from/a", JSON);
    source.append("1")?;
    // Somebody reads, and for a minute copies do not pause.
    wait_for(client, "to/a", 2)?;
    let copying = copying(&counted, || {
        for _ in 0..TIMES {
            source.append("1")?;
            sleep(Duration::from_millis(300));
        }
        Ok(())
    })?;
    let used = &copying.used;
    say(&format!(
        "{TIMES} messages, each of them alone, with {} alarms: {used}; a million copies: {:.2} dollars; a \
         row and a request each would be {:.2}, two rows and a request {:.2}",
        copying.alarms,
        copying.dollars(TIMES, TIMES),
        1e6 * (PRICES.row_written + PRICES.object_request),
        1e6 * (2.0 * PRICES.row_written + PRICES.object_request),
    ));
    assert_eq!(copying.copies(TIMES), f64::from(TIMES), "{used}");
    assert_eq!(used.subscription_requests, f64::from(TIMES), "{used}");
    copying.check_rows(TIMES, f64::from(TIMES));
    copying.check_alarms(1);
    wait_for(client, "to/a", 2 + TIMES as usize)?;
    counted.server.stop()
}

#[test]
fn copies_of_many_sources_are_written_together() -> Result<()> {
    const SOURCES: usize = 50;
    const EACH: usize = 20;
    const WRITERS: usize = 5;
    let name = |at: usize| format!("from/{at:02}");
    let counted = Counted::start("costs-copies", |client| {
        for at in 0..SOURCES {
            Stream::create(client, &name(at), JSON)?;
        }
        copy(
            client,
            "page",
            json!({ "pattern": "from/*", "envelope": true }),
        )?;
        for at in 0..SOURCES {
            Stream::named(client, &name(at), JSON).append("1")?;
        }
        wait_for(client, "page", SOURCES)
    })?;
    let client = counted.client();
    // A writer has every fifth source; each source has a message every 250 ms.
    let write = |writer: usize| {
        let start = Instant::now();
        for round in 0..EACH {
            for at in (writer..SOURCES).step_by(WRITERS) {
                let due = Duration::from_millis(u64::try_from(round * 250 + at * 5)?);
                sleep(due.saturating_sub(start.elapsed()));
                Stream::named(client, &name(at), JSON).append("1")?;
            }
        }
        anyhow::Ok(())
    };
    for at in 0..SOURCES {
        Stream::named(client, &name(at), JSON).append("1")?;
    }
    wait_for(client, "page", 2 * SOURCES)?;
    let copying = copying(&counted, || {
        thread::scope(|scope| {
            let write = &write;
            let writers = (0..WRITERS).map(|writer| scope.spawn(move || write(writer)));
            let mut writers = writers.collect::<Vec<_>>().into_iter();
            writers.try_for_each(|writer| writer.join().ok().context("a writer panicked")?)
        })
    })?;
    let appends = u32::try_from(SOURCES * EACH)?;
    let (used, copies) = (&copying.used, copying.copies(appends));
    let lasted = copying.lasted;
    say(&format!(
        "{appends} messages of {SOURCES} sources in {lasted:.1?}: {copies} requests to the target, {:.1} \
         messages each, {} of sources, {} alarms; {used}; a million copies: {:.2} dollars",
        f64::from(appends) / copies,
        used.subscription_requests,
        copying.alarms,
        copying.dollars(appends, appends),
    ));
    copying.check_rows(appends, copies);
    let most = lasted.as_secs_f64() / GATHERED.as_secs_f64() + 2.0;
    assert!(
        copies <= most,
        "{copies} requests to the target in {lasted:?}"
    );
    let told = used.subscription_requests;
    assert!(told <= f64::from(appends), "{told} requests of sources");
    copying.check_alarms(u32::try_from(SOURCES)?);
    wait_for(client, "page", SOURCES * (EACH + 2))?;
    counted.server.stop()
}

#[test]
fn a_message_for_many_targets_costs_each_what_one_costs() -> Result<()> {
    const TARGETS: u32 = 200;
    const TIMES: u32 = 2;
    let name = |at: u32| format!("to/{at:03}");
    let counted = Counted::start("costs-targets", |client| {
        Stream::create(client, "from/a", JSON)?;
        for at in 0..TARGETS {
            copy(client, &name(at), json!({ "streams": ["from/a"] }))?;
        }
        Stream::named(client, "from/a", JSON).append("1")?;
        (0..TARGETS).try_for_each(|at| wait_for(client, &name(at), 1))
    })?;
    let client = counted.client();
    let source = Stream::named(client, "from/a", JSON);
    source.append("1")?;
    (0..TARGETS).try_for_each(|at| wait_for(client, &name(at), 2))?;
    let copying = copying(&counted, || {
        for _ in 0..TIMES {
            // A connection that was kept meanwhile may end just now.
            source.on(&Client::new(client.base())).append("1")?;
            // It is everywhere, so that each message goes alone.
            counted.at_rest()?;
        }
        Ok(())
    })?;
    let (used, all) = (&copying.used, TIMES * TARGETS);
    say(&format!(
        "{TIMES} messages for {TARGETS} targets in {:.0?}, with {} alarms: {used}; a million copies: {:.2} dollars",
        copying.lasted,
        copying.alarms,
        copying.dollars(TIMES, all),
    ));
    assert_eq!(copying.copies(TIMES), f64::from(all), "{used}");
    assert_eq!(used.subscription_requests, f64::from(all), "{used}");
    copying.check_rows(TIMES, f64::from(all));
    // A source that has left memory meanwhile does not know of its alarm.
    assert!(copying.alarms <= f64::from(TIMES), "{}", copying.alarms);
    for at in 0..TARGETS {
        wait_for(client, &name(at), 2 + TIMES as usize)?;
    }
    counted.server.stop()
}

/// After how long without a reader a target is copied into rarely, and how often then.
const UNREAD: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(8));

#[test]
fn a_target_that_nobody_reads_is_copied_into_rarely() -> Result<()> {
    const SECONDS: u32 = 40;
    let counted = Counted::start("costs-unread", one_to_one)?;
    let client = counted.client();
    let source = Stream::named(client, "from/a", JSON);
    let each_second = |seconds: u32| {
        for _ in 0..seconds {
            source.append("1")?;
            sleep(Duration::from_secs(1));
        }
        anyhow::Ok(())
    };
    // All objects stay in memory meanwhile.
    let before = u32::try_from(UNREAD.0.as_secs())? + 5;
    each_second(before)?;
    let copying = copying(&counted, || {
        each_second(SECONDS)?;
        // What has waited last.
        sleep(UNREAD.1 + Duration::from_secs(2));
        Ok(())
    })?;
    let (used, copies) = (&copying.used, copying.copies(SECONDS));
    say(&format!(
        "{SECONDS} messages, one a second, for a target that nobody reads: {copies} requests to the \
         target, {} alarms; {used}; a million copies: {:.2} dollars",
        copying.alarms,
        copying.dollars(SECONDS, SECONDS),
    ));
    // On a busy machine, an object of which nothing is asked for a while may leave memory, and is in a
    // hurry for ten seconds when it comes back.
    let most = f64::from(SECONDS) * 0.75;
    assert!((1.0..=most).contains(&copies), "{copies} requests");
    let told = used.subscription_requests;
    assert!((told - copies).abs() <= 1.0, "{used}");
    // What waits when counting begins is counted in part.
    let rows = used.stream_rows - f64::from(SECONDS) - copying.alarms;
    assert!((rows - 2.0 * copies).abs() <= 2.0, "{used}");
    // One is set for the end of a pause, one when it goes off, and one when something waits again.
    assert!(copying.alarms <= 3.0 * copies + 3.0, "{}", copying.alarms);

    // Whoever reads has all of it, and what comes from now on at once.
    let count = 1 + before as usize + SECONDS as usize;
    wait_for(client, "to/a", count)?;
    source.append("1")?;
    wait_for(client, "to/a", count + 1)?;
    let start = Instant::now();
    source.append("1")?;
    wait_for(client, "to/a", count + 2)?;
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(2), "{took:?} once it is read");
    counted.server.stop()
}

#[test]
fn idle_copies_cost_nothing() -> Result<()> {
    let counted = Counted::start("costs-idle-copies", |client| {
        for at in 0..20 {
            Stream::create(client, &format!("from/{at}"), JSON)?.append("1")?;
        }
        let config = json!({ "pattern": "from/*", "from": "start", "envelope": true });
        copy(client, "page", config)?;
        wait_for(client, "page", 20)
    })?;
    let client = counted.client();
    let before = counted.at_rest()?;
    // Longer than after which alarms are set anew.
    sleep(Duration::from_secs(65));
    assert_eq!(counted.now()?, before);

    let source = Stream::named(client, "from/3", JSON);
    let copying = copying(&counted, || {
        source.append("1")?;
        sleep(Duration::from_secs(3));
        Ok(())
    })?;
    let used = &copying.used;
    say(&format!(
        "a message after a minute, with {} alarms: {used}; a million such copies: {:.2} dollars",
        copying.alarms,
        copying.dollars(1, 1),
    ));
    assert_eq!(
        (copying.copies(1), used.subscription_requests),
        (1.0, 1.0),
        "{used}"
    );
    copying.check_rows(1, 1.0);
    // One is set ahead, and goes when all is told.
    assert!(copying.alarms <= 2.0, "{} alarms", copying.alarms);
    wait_for(client, "page", 21)?;
    counted.server.stop()
}
