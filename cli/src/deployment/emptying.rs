//! Removing all objects of a bucket, as only an empty bucket can be removed. Many go a thousand at a time
//! through R2's S3 API, for which an API token is needed; else, and where they are few, each with a
//! request of the REST API, which takes 1200 in 5 minutes.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::at_once::{AT_ONCE, at_once};
use crate::{
    cloudflare::{Account, BATCH, Bucket, S3Key},
    error::problem,
    ui::Ui,
};

/// So few go with a request each.
const FEW: usize = 100;
/// So many requests of the REST API go at full speed …
const AT_FULL_SPEED: u64 = 900;
/// … and all others this far apart.
const APART: Duration = Duration::from_millis(250);

/// Removes all objects of a bucket.
pub fn empty(ui: &Ui, account: &Account, bucket: &Bucket) -> Result<()> {
    let (keys, are_all) = account.some_objects(bucket, AT_ONCE)?;
    if keys.is_empty() {
        return Ok(());
    }
    let total = match are_all {
        true => Some(keys.len() as u64),
        false => account.object_count(bucket),
    };
    let s3 = match keys.len() > FEW {
        true => account.s3_key()?,
        false => None,
    };
    if s3.is_none() && keys.len() as u64 > AT_FULL_SPEED {
        ui.warn(
            "the objects go one by one, 4 a second: with an API token in CLOUDFLARE_API_TOKEN a \
             thousand go at a time",
        );
    }
    let mut way = Way {
        ui,
        account,
        bucket,
        s3,
        removed: 0,
    };
    ui.telling(&format!("Emptying the bucket {bucket}"), |say| {
        let started = Instant::now();
        way.go(keys, &|removed| {
            say(&progress(removed, total, started.elapsed()))
        })
    })
}

/// How a bucket is emptied, and how far.
struct Way<'a> {
    ui: &'a Ui,
    account: &'a Account,
    bucket: &'a Bucket,
    /// None when each object goes with a request of its own.
    s3: Option<S3Key>,
    removed: u64,
}

impl Way<'_> {
    fn go(&mut self, mut keys: Vec<String>, say: &dyn Fn(u64)) -> Result<()> {
        while let Some(first) = keys.first().cloned() {
            let key = self.s3.clone();
            match &key {
                Some(key) => self.remove_together(key, &keys)?,
                None => self.remove_each(&keys, say)?,
            }
            say(self.removed);
            (keys, _) = self.account.some_objects(self.bucket, AT_ONCE)?;
            match (keys.first() == Some(&first), key) {
                (false, _) => {}
                (true, Some(_)) if self.s3.is_none() => {}
                (true, Some(_)) => self.go_alone(&format!("the object {first} does not go away")),
                (true, None) => {
                    let bucket = self.bucket;
                    return Err(problem(
                        format!("the object {first} of the bucket {bucket} does not go away"),
                        "look at it in the dashboard; then run this again",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Removes a thousand with each request. Should the key not be taken, each goes alone from then on.
    fn remove_together(&mut self, key: &S3Key, keys: &[String]) -> Result<()> {
        let batches: Vec<&[String]> = keys.chunks(BATCH).collect();
        let outcome = at_once(&batches, |batch| {
            self.account.delete_objects(key, self.bucket, batch)
        });
        match outcome {
            Ok(removed) => self.removed += removed.into_iter().sum::<usize>() as u64,
            Err(error) if error.is_lasting() => self.go_alone(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn go_alone(&mut self, why: &str) {
        self.ui.warn(format!(
            "{why}: the objects go one by one now, 4 a second. That is what the API takes; emptying the \
             bucket in the dashboard is quicker for many"
        ));
        self.s3 = None;
    }

    fn remove_each(&mut self, keys: &[String], say: &dyn Fn(u64)) -> Result<()> {
        for some in keys.chunks(AT_ONCE) {
            let started = Instant::now();
            at_once(some, |key| self.account.delete_object(self.bucket, key))?;
            self.removed += some.len() as u64;
            say(self.removed);
            if self.removed > AT_FULL_SPEED {
                let pace = APART * u32::try_from(some.len()).unwrap_or(u32::MAX);
                self.account.pause(pace.saturating_sub(started.elapsed()))?;
            }
        }
        Ok(())
    }
}

/// How far it is, and how long it takes on.
fn progress(removed: u64, total: Option<u64>, elapsed: Duration) -> String {
    let Some(total) = total.filter(|total| *total >= removed && removed > 0) else {
        return format!("{removed} objects are gone");
    };
    let left = elapsed.as_secs_f64() * (total - removed) as f64 / removed as f64;
    let left = match left {
        ..90.0 => format!("{left:.0} s"),
        ..5400.0 => format!("{:.0} min", left / 60.0),
        _ => format!("{:.0} h", left / 3600.0),
    };
    format!("{removed} of about {total} objects are gone, {left} left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_said_with_what_is_left() {
        let text = |removed, total, seconds| progress(removed, total, Duration::from_secs(seconds));
        assert_eq!(text(7, None, 1), "7 objects are gone");
        assert_eq!(
            text(250, Some(1000), 10),
            "250 of about 1000 objects are gone, 30 s left"
        );
        assert_eq!(
            text(1000, Some(1_000_000), 1),
            "1000 of about 1000000 objects are gone, 17 min left"
        );
        assert_eq!(
            text(1000, Some(1_000_000), 250),
            "1000 of about 1000000 objects are gone, 69 h left"
        );
        // The statistics may be a day old.
        assert_eq!(text(5, Some(4), 1), "5 objects are gone");
    }
}
