//! One seed, one clock that jumps, and tasks that take their turns in whatever order the seed says.
//!
//! Tasks belong to groups: a machine that fails takes its group with it, wherever its tasks wait.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use fastrand::Rng;

/// What fails together.
pub type Group = u64;

type Work = Pin<Box<dyn Future<Output = ()>>>;

/// See the module's text.
#[derive(Clone)]
pub struct Executor(Rc<Inner>);

struct Inner {
    now: Cell<u64>,
    rng: RefCell<Rng>,
    tasks: RefCell<BTreeMap<u64, (Group, Work)>>,
    /// Groups that have tasks, one of them perhaps at its turn now.
    dead: RefCell<BTreeSet<Group>>,
    current: Cell<Option<Group>>,
    ready: Arc<Mutex<Vec<u64>>>,
    timers: RefCell<BinaryHeap<Reverse<(u64, u64)>>>,
    sleepers: RefCell<BTreeMap<u64, Waker>>,
    next: Cell<u64>,
    /// Turns taken so far.
    turns: Cell<u64>,
}

struct Ready {
    task: u64,
    ready: Arc<Mutex<Vec<u64>>>,
}

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().push(self.task);
    }
}

impl Executor {
    pub fn new(seed: u64, now: u64) -> Self {
        Self(Rc::new(Inner {
            now: Cell::new(now),
            rng: RefCell::new(Rng::with_seed(seed)),
            tasks: RefCell::default(),
            dead: RefCell::default(),
            current: Cell::new(None),
            ready: Arc::default(),
            timers: RefCell::default(),
            sleepers: RefCell::default(),
            next: Cell::new(1),
            turns: Cell::new(0),
        }))
    }

    pub fn now(&self) -> u64 {
        self.0.now.get()
    }

    pub fn turns(&self) -> u64 {
        self.0.turns.get()
    }

    fn id(&self) -> u64 {
        let id = self.0.next.get();
        self.0.next.set(id + 1);
        id
    }

    /// A group of its own.
    pub fn group(&self) -> Group {
        self.id()
    }

    /// A number from 0 to `below`, without that.
    pub fn below(&self, below: u64) -> u64 {
        self.0.rng.borrow_mut().u64(..below.max(1))
    }

    /// Whether something happens that does so many times in a thousand.
    pub fn chance(&self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// A task that gets its turn some time.
    pub fn spawn(&self, group: Group, work: impl Future<Output = ()> + 'static) {
        let id = self.id();
        self.0
            .tasks
            .borrow_mut()
            .insert(id, (group, Box::pin(work)));
        self.0.ready.lock().unwrap().push(id);
    }

    /// A task whose first turn is part of the current one.
    pub fn spawn_now(&self, group: Group, work: impl Future<Output = ()> + 'static) {
        let id = self.id();
        self.poll(id, group, Box::pin(work));
    }

    /// Ends everything that a group does.
    pub fn kill(&self, group: Group) {
        self.0.dead.borrow_mut().insert(group);
        // Dropped when nothing is borrowed: it may wake others.
        let mut gone = Vec::new();
        let mut tasks = self.0.tasks.borrow_mut();
        let of_group: Vec<u64> = tasks
            .iter()
            .filter(|(_, (other, _))| *other == group)
            .map(|(id, _)| *id)
            .collect();
        for id in of_group {
            gone.extend(tasks.remove(&id));
        }
        drop(tasks);
        drop(gone);
    }

    pub fn is_dead(&self, group: Group) -> bool {
        self.0.dead.borrow().contains(&group)
    }

    /// Whether a group has nothing under way.
    pub fn is_idle(&self, group: Group) -> bool {
        self.0.current.get() != Some(group)
            && !self.0.tasks.borrow().values().any(|task| task.0 == group)
    }

    /// Is done after so many milliseconds.
    pub fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        let this = self.clone();
        let until = self.now().saturating_add(millis);
        let id = self.id();
        let mut is_set = false;
        let guard = Sleeper(this.clone(), id);
        std::future::poll_fn(move |context| {
            let _ = &guard;
            if this.now() >= until {
                return Poll::Ready(());
            }
            let mut sleepers = this.0.sleepers.borrow_mut();
            sleepers.insert(id, context.waker().clone());
            if !std::mem::replace(&mut is_set, true) {
                this.0.timers.borrow_mut().push(Reverse((until, id)));
            }
            Poll::Pending
        })
    }

    /// Is done after a while of at most so many milliseconds.
    pub fn pause(&self, at_most: u64) -> impl Future<Output = ()> + 'static {
        self.sleep(self.below(at_most + 1))
    }

    /// Ends everything. Tasks hold on to whatever has started them.
    pub fn clear(&self) {
        drop(self.0.tasks.take());
        self.0.sleepers.take();
        self.0.timers.take();
    }

    fn poll(&self, id: u64, group: Group, mut work: Work) {
        self.0.turns.set(self.0.turns.get() + 1);
        let waker = Waker::from(Arc::new(Ready {
            task: id,
            ready: Arc::clone(&self.0.ready),
        }));
        let before = self.0.current.replace(Some(group));
        let outcome = work.as_mut().poll(&mut Context::from_waker(&waker));
        self.0.current.set(before);
        if outcome.is_pending() && !self.is_dead(group) {
            self.0.tasks.borrow_mut().insert(id, (group, work));
        }
    }

    /// Lets one task have its turn, or the clock jump to the next that waits for a time before
    /// `until`. Says whether there was any.
    pub fn step(&self, until: u64) -> bool {
        loop {
            let id = {
                let mut ready = self.0.ready.lock().unwrap();
                if ready.is_empty() {
                    None
                } else {
                    let at = self.below(ready.len() as u64) as usize;
                    Some(ready.swap_remove(at))
                }
            };
            let Some(id) = id else {
                break;
            };
            let task = self.0.tasks.borrow_mut().remove(&id);
            if let Some((group, work)) = task {
                self.poll(id, group, work);
                return true;
            }
        }
        loop {
            let next = self.0.timers.borrow().peek().map(|timer| timer.0);
            let Some((at, id)) = next.filter(|(at, _)| *at <= until) else {
                self.0.now.set(self.now().max(until));
                return false;
            };
            self.0.timers.borrow_mut().pop();
            let waker = self.0.sleepers.borrow_mut().remove(&id);
            if let Some(waker) = waker {
                self.0.now.set(self.now().max(at));
                waker.wake();
                return true;
            }
        }
    }
}

/// Forgets a timer that nobody waits for any more.
struct Sleeper(Executor, u64);

impl Drop for Sleeper {
    fn drop(&mut self) {
        if let Ok(mut sleepers) = self.0.0.sleepers.try_borrow_mut() {
            sleepers.remove(&self.1);
        }
    }
}

/// The two ends of something that comes once, or, when the sender is gone, never will.
pub fn once<T>() -> (Sender<T>, Receiver<T>) {
    let slot = Rc::new(RefCell::new(Slot {
        value: None,
        waker: None,
        is_over: false,
    }));
    (Sender(Rc::clone(&slot)), Receiver(slot))
}

struct Slot<T> {
    value: Option<T>,
    waker: Option<Waker>,
    is_over: bool,
}

pub struct Sender<T>(Rc<RefCell<Slot<T>>>);

pub struct Receiver<T>(Rc<RefCell<Slot<T>>>);

impl<T> Sender<T> {
    pub fn send(self, value: T) {
        self.0.borrow_mut().value = Some(value);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut slot = self.0.borrow_mut();
            slot.is_over = true;
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut slot = self.0.borrow_mut();
        if let Some(value) = slot.value.take() {
            return Poll::Ready(Some(value));
        }
        if slot.is_over {
            return Poll::Ready(None);
        }
        slot.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(executor: &Executor) {
        while executor.step(u64::MAX) {}
    }

    #[test]
    fn a_seed_says_in_which_order_things_happen() {
        let order = |seed| {
            let executor = Executor::new(seed, 0);
            let seen = Rc::new(RefCell::new(Vec::new()));
            for n in 0..6 {
                let (seen, clock) = (Rc::clone(&seen), executor.clone());
                executor.spawn(1, async move {
                    clock.pause(10).await;
                    seen.borrow_mut().push((n, clock.now()));
                });
            }
            run(&executor);
            seen.take()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_eq!(order(3).len(), 6);
    }

    #[test]
    fn a_group_that_is_killed_goes_no_further() {
        let executor = Executor::new(0, 0);
        let (sender, receiver) = once::<()>();
        let clock = executor.clone();
        executor.spawn(1, async move {
            clock.sleep(5).await;
            sender.send(());
        });
        let heard = Rc::new(Cell::new(None));
        let told = Rc::clone(&heard);
        executor.spawn(2, async move { told.set(Some(receiver.await)) });
        executor.step(3);
        executor.step(3);
        assert!(!executor.is_idle(1));
        executor.kill(1);
        run(&executor);
        assert!(executor.is_idle(1));
        assert_eq!(heard.get(), Some(None));
    }
}
