//! Removing all objects of a bucket, as only an empty bucket can be removed.

use std::time::Duration;

use anyhow::Result;

use crate::{
    cloudflare::{Account, Bucket},
    error::problem,
    ui::Ui,
};

/// Cloudflare takes 1200 requests in 5 minutes. So many go at full speed …
const AT_FULL_SPEED: u64 = 900;
/// … and all others this far apart.
const APART: Duration = Duration::from_millis(250);

/// Removes all objects of a bucket.
pub fn empty(ui: &Ui, account: &Account, bucket: &Bucket) -> Result<()> {
    ui.counting(&format!("Emptying the bucket {bucket}"), |count| {
        let mut removed = 0;
        let mut last = None;
        loop {
            let keys = account.some_objects(bucket)?;
            let Some(first) = keys.first() else {
                return Ok(());
            };
            if last.as_ref() == Some(first) {
                return Err(problem(
                    format!("the object {first} of the bucket {bucket} does not go away"),
                    "look at it in the dashboard; then run this again",
                ));
            }
            last = Some(first.clone());
            for key in &keys {
                account.delete_object(bucket, key)?;
                removed += 1;
                count(removed);
                if removed > AT_FULL_SPEED {
                    account.pause(APART)?;
                }
            }
        }
    })
}
