//! A value that somebody gives and somebody else waits for, who is woken then.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
struct Shared<T> {
    value: Option<T>,
    waker: Option<Waker>,
}

/// Whoever gives it.
#[derive(Debug)]
pub struct Answering<T>(Rc<RefCell<Shared<T>>>);

/// Whoever waits for it.
#[derive(Debug)]
pub struct Waiting<T>(Rc<RefCell<Shared<T>>>);

/// Both.
pub fn pair<T>() -> (Answering<T>, Waiting<T>) {
    let shared = Rc::new(RefCell::new(Shared {
        value: None,
        waker: None,
    }));
    (Answering(Rc::clone(&shared)), Waiting(shared))
}

impl<T> Answering<T> {
    /// Gives it. Nothing comes of it when nobody waits any more.
    pub fn give(self, value: T) {
        let waker = {
            let mut shared = self.0.borrow_mut();
            shared.value = Some(value);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Waiting<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut shared = self.0.borrow_mut();
        match shared.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                shared.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_waits_is_woken_once() {
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let (answering, waiting) = pair();
        let mut waiting = pin!(waiting);
        for _ in 0..2 {
            assert_eq!(waiting.as_mut().poll(&mut context), Poll::Pending);
        }
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        answering.give(7);
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(7));
    }

    #[test]
    fn what_was_given_before_is_there() {
        let mut context = Context::from_waker(Waker::noop());
        let (answering, waiting) = pair();
        answering.give(7);
        assert_eq!(pin!(waiting).poll(&mut context), Poll::Ready(7));
        let (answering, waiting) = pair::<u8>();
        drop(waiting);
        answering.give(1);
    }
}
