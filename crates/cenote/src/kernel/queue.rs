//! The waiter queue: a ring of places in arrival order, and for each the part of it that lies in the future
//! that waits.
//!
//! All that the ledger's lock has to be held for is in the ring itself, by value. A node linked through the
//! waiters' own memory would be fetched from the processor that wrote it last, two or three times for each
//! hand-over and under the lock: with users on two processors that halved the rate.
//!
//! ## Who may touch what
//! The queue lives in the ledger, under its lock. A [`Waiter`]'s `status` says who owns its `outcome`: while
//! `QUEUED`, whoever took its place out of the ring under that lock (one [`Turn`], made once); before and
//! after, the future that owns it. The holder of the turn stores the outcome and then the status
//! (`Release`), the last it does with the waiter: the future may be gone. The future's load (`Acquire`) pairs
//! with that store. A hand-over ends its turn after the lock is let go, so a waiter that leaves and finds its place
//! gone waits for the status: a few instructions away, with no user code between.

use std::collections::VecDeque;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Waker;

use super::Owner;
use super::slot::{Held, Slot};
use crate::sync::{AtomicU8, AtomicU64, Ordering, UnsafeCell, pause};

const FREE: u8 = 0;
const QUEUED: u8 = 1;
const SETTLED: u8 = 2;

/// What a future has of its place in the queue. Must not move or go while queued, hence pinned; must have
/// left before it is dropped, which [`Ticket`](super::Ticket) sees to.
pub(super) struct Waiter<O: Owner> {
    status: AtomicU8,
    /// When it arrived, in the order of all; kept when it queues again, after the connection it was given
    /// proved dead. [`NONE`] before it has arrived. Its own future's alone.
    number: AtomicU64,
    outcome: UnsafeCell<Option<Outcome<O>>>,
    _pinned: PhantomPinned,
}

enum Outcome<O: Owner> {
    Granted(NonNull<Slot<O>>),
    Refused(O::Refusal),
}

// SAFETY: the cell is guarded by `status` (module docs); all it holds is `Send`.
unsafe impl<O: Owner> Send for Waiter<O> {}

impl<O: Owner> Waiter<O> {
    pub(super) fn new() -> Self {
        Self {
            status: AtomicU8::new(FREE),
            number: AtomicU64::new(NONE),
            outcome: UnsafeCell::new(None),
            _pinned: PhantomPinned,
        }
    }

    /// Whether it is neither queued nor settled. To be asked by its own future.
    pub(super) fn is_idle(&self) -> bool {
        self.status.load(Ordering::Relaxed) == FREE
    }

    /// The outcome, once there is one; the waiter can then be queued again.
    pub(super) fn outcome(self: Pin<&Self>) -> Option<Result<Held<O>, O::Refusal>> {
        if self.status.load(Ordering::Acquire) != SETTLED {
            return None;
        }
        // SAFETY: settled: the cell is the future's, which is the caller.
        let outcome = self
            .outcome
            .with_mut(|outcome| unsafe { (*outcome).take() });
        self.status.store(FREE, Ordering::Relaxed);
        match outcome.expect("a settled waiter has its outcome") {
            // SAFETY: the pointer comes from `into_raw` in `Turn::grant` and was taken out of the cell.
            Outcome::Granted(slot) => Some(Ok(unsafe { Held::from_raw(slot) })),
            Outcome::Refused(why) => Some(Err(why)),
        }
    }

    /// The outcome of a waiter whose place is gone: there already, or about to be.
    pub(super) fn coming_outcome(self: Pin<&Self>) -> Result<Held<O>, O::Refusal> {
        assert!(!self.is_idle(), "only who queued has an outcome to come");
        let mut rounds = 0_u32;
        loop {
            if let Some(outcome) = self.outcome() {
                return outcome;
            }
            pause(rounds);
            rounds = rounds.saturating_add(1);
        }
    }
}

/// The ring. All methods are called under the ledger's lock, which owns it.
pub(super) struct Queue<O: Owner> {
    /// In the order of their numbers. The first and the last are taken; those between whose waiters have left
    /// are cleared away before they are more than the taken ones and [`SLACK`].
    places: VecDeque<Place<O>>,
    /// The last number given.
    last: u64,
    /// Places taken.
    len: usize,
}

struct Place<O: Owner> {
    number: u64,
    /// `None` once it has left, or was refused between others.
    waiter: Option<NonNull<Waiter<O>>>,
    waker: Option<Waker>,
    deadline: u64,
}

// SAFETY: the pointers lead to pinned, `Send` waiters that are gone from the ring before they go; what is read of them
// through it is atomic, or the turn's alone.
unsafe impl<O: Owner> Send for Queue<O> {}

/// The number of who has not arrived.
const NONE: u64 = 0;

/// Beyond as many, places that were left are cleared away, and a ring that is empty again is made small.
const SLACK: usize = 64;

impl<O: Owner> Queue<O> {
    pub(super) fn new() -> Self {
        Self {
            places: VecDeque::new(),
            last: NONE,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Gives `waiter` its number, unless it has one; whether it is new.
    pub(super) fn arrive(&mut self, waiter: &Waiter<O>) -> bool {
        let is_new = waiter.number.load(Ordering::Relaxed) == NONE;
        if is_new {
            self.last += 1;
            waiter.number.store(self.last, Ordering::Relaxed);
        }
        is_new
    }

    /// Whether `waiter`, which has arrived and does not queue, comes before all who do.
    pub(super) fn is_first(&self, waiter: &Waiter<O>) -> bool {
        let number = waiter.number.load(Ordering::Relaxed);
        self.places
            .front()
            .is_none_or(|first| number < first.number)
    }

    /// Queues `waiter`, which has arrived, in its place.
    pub(super) fn join(&mut self, waiter: Pin<&Waiter<O>>, waker: Waker, deadline: u64) {
        assert!(waiter.is_idle(), "a waiter has one place at most");
        let number = waiter.number.load(Ordering::Relaxed);
        // Published by the lock.
        waiter.status.store(QUEUED, Ordering::Relaxed);
        let place = Place {
            number,
            waiter: Some(NonNull::from(waiter.get_ref())),
            waker: Some(waker),
            deadline,
        };
        self.len += 1;
        match self.places.back() {
            Some(last) if number < last.number => {
                let index = self.places.partition_point(|other| other.number < number);
                self.places.insert(index, place);
            }
            _ => self.places.push_back(place),
        }
    }

    /// The place of `waiter`, unless it is gone.
    fn find(&self, waiter: Pin<&Waiter<O>>) -> Option<usize> {
        let number = waiter.number.load(Ordering::Relaxed);
        let index = self.places.partition_point(|place| place.number < number);
        let place = self.places.get(index)?;
        (place.number == number && !place.is_left()).then_some(index)
    }

    /// Replaces the waker of `waiter`; the old one is to be dropped outside the lock. `Err`: its place is gone.
    pub(super) fn renew(
        &mut self,
        waiter: Pin<&Waiter<O>>,
        waker: Waker,
    ) -> Result<Option<Waker>, Waker> {
        match self.find(waiter) {
            Some(index) => Ok(self.places[index].waker.replace(waker)),
            None => Err(waker),
        }
    }

    /// Takes `waiter` out; its waker is to be dropped outside the lock. `Err`: its place is gone.
    pub(super) fn leave(&mut self, waiter: Pin<&Waiter<O>>) -> Result<Option<Waker>, ()> {
        let index = self.find(waiter).ok_or(())?;
        waiter.status.store(FREE, Ordering::Relaxed);
        let place = &mut self.places[index];
        place.waiter = None;
        let waker = place.waker.take();
        self.len -= 1;
        self.tidy();
        Ok(waker)
    }

    /// The turn of the oldest.
    pub(super) fn pop(&mut self) -> Option<Turn<O>> {
        let place = self.places.pop_front()?;
        self.len -= 1;
        self.tidy_front();
        Some(Turn {
            waiter: place.waiter.expect("the first place is taken"),
            waker: place.waker,
        })
    }

    /// Tells all that they wait in vain; their wakers are to be woken outside the lock.
    pub(super) fn refuse_all(&mut self, mut why: impl FnMut() -> O::Refusal) -> Vec<Option<Waker>> {
        std::iter::from_fn(|| Some(self.pop()?.refuse(why()))).collect()
    }

    /// As [`refuse_all`](Self::refuse_all), those whose deadline has come; and the next deadline to watch.
    /// Waiters with a timer of their own (`u64::MAX`) are passed over; the others have one time-out, so the
    /// order of arrival is that of deadlines, and one pass up to the first that is not due will do.
    pub(super) fn refuse_due(
        &mut self,
        now: u64,
        mut why: impl FnMut() -> O::Refusal,
    ) -> (Vec<Option<Waker>>, Option<u64>) {
        let mut wakers = Vec::new();
        let mut next = None;
        for place in &mut self.places {
            let Some(waiter) = place.waiter else {
                continue;
            };
            if place.deadline <= now {
                place.waiter = None;
                let waker = place.waker.take();
                wakers.push(Turn { waiter, waker }.refuse(why()));
            } else if place.deadline != u64::MAX {
                next = Some(place.deadline);
                break;
            }
        }
        self.len -= wakers.len();
        self.tidy();
        (wakers, next)
    }

    /// The wakers of all, who stay where they are and leave a new one when they look.
    pub(super) fn take_wakers(&mut self) -> Vec<Option<Waker>> {
        self.places
            .iter_mut()
            .map(|place| place.waker.take())
            .collect()
    }

    /// After the first place was left or served: the next is taken. The back is another processor's.
    fn tidy_front(&mut self) {
        while self.places.front().is_some_and(Place::is_left) {
            self.places.pop_front();
        }
        if self.len == 0 && self.places.capacity() > 16 * SLACK {
            self.places.shrink_to(SLACK);
        }
    }

    /// After any place was left: what `places` promises.
    fn tidy(&mut self) {
        self.tidy_front();
        while self.places.back().is_some_and(Place::is_left) {
            self.places.pop_back();
        }
        if self.places.len() > 2 * self.len + SLACK {
            self.places.retain(|place| !place.is_left());
        }
    }
}

impl<O: Owner> Place<O> {
    fn is_left(&self) -> bool {
        self.waiter.is_none()
    }
}

/// A waiter out of the queue, to be told its outcome: at once, for it cannot leave before.
#[must_use = "the waiter waits for its outcome"]
pub(super) struct Turn<O: Owner> {
    waiter: NonNull<Waiter<O>>,
    waker: Option<Waker>,
}

impl<O: Owner> Turn<O> {
    /// It has `held`; its waker is to be woken outside the lock.
    pub(super) fn grant(self, held: Held<O>) -> Option<Waker> {
        self.settle(Outcome::Granted(held.into_raw()))
    }

    fn refuse(self, why: O::Refusal) -> Option<Waker> {
        self.settle(Outcome::Refused(why))
    }

    fn settle(self, outcome: Outcome<O>) -> Option<Waker> {
        // SAFETY: `QUEUED` with its place gone: the waiter stays until the status says otherwise, and its
        // cell is this turn's, of which there is one.
        let waiter = unsafe { self.waiter.as_ref() };
        waiter
            .outcome
            // SAFETY: as above.
            .with_mut(|cell| unsafe { *cell = Some(outcome) });
        waiter.status.store(SETTLED, Ordering::Release);
        self.waker
    }
}

#[cfg(all(test, not(cenote_loom)))]
mod tests;
