//! Several requests at once, where there are many.

use std::thread;

use crate::cloudflare;

/// How many requests are on their way at once.
pub const AT_ONCE: usize = 8;

/// Does some things at once. The first error counts, once all have ended.
pub fn at_once<T: Sync, R: Send>(
    things: &[T],
    work: impl Fn(&T) -> cloudflare::Result<R> + Sync,
) -> cloudflare::Result<Vec<R>> {
    let work = &work;
    thread::scope(|scope| {
        let running: Vec<_> = things
            .iter()
            .map(|thing| scope.spawn(move || work(thing)))
            .collect();
        let ended = running.into_iter().map(|one| one.join());
        let ended = ended.map(|one| one.unwrap_or(Err(cloudflare::Error::Interrupted)));
        ended.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_done_and_an_error_is_told() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let done = AtomicUsize::new(0);
        let outcome = at_once(&[1, 2, 3], |number| {
            done.fetch_add(1, Ordering::SeqCst);
            match number {
                1 => Err(cloudflare::Error::Interrupted),
                _ => Ok(()),
            }
        });
        assert!(outcome.is_err());
        assert_eq!(done.load(Ordering::SeqCst), 3);
    }
}
