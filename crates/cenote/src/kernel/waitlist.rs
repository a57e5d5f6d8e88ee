//! The waitlist: a ring of entries in arrival order, and for each waiter the cell that lies in the future
//! that waits. What waiters are granted (`G`) and why they are refused (`R`) is its user's: the ledger's are connections,
//! the shared pool's permits, the mux's tags.
//!
//! All that its user's lock has to be held for is in the ring itself, by value. A node linked through the
//! waiters' own memory would be fetched from the processor that wrote it last, two or three times for each
//! hand-over and under the lock: with users on two processors that halved the rate.
//!
//! ## Who may touch what
//! The ring lives under a lock of its user's, as in the ledger. A [`WaiterCell`]'s `status` says who owns its `outcome`: while
//! `QUEUED`, the holder of the [`Popped`] that was made of its entry under that lock; before and
//! after, the future that owns it. The holder of the popped entry stores the outcome and then the status
//! (`Release`), the last it does with the waiter: the future may be gone. The future's load (`Acquire`) pairs
//! with that store. A hand-over ends its turn after the lock is let go, so a waiter that leaves and finds its entry
//! gone waits for the status: a few instructions away, with no user code between.

use std::collections::VecDeque;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Waker;

use crate::sync::{AtomicBool, AtomicU8, AtomicU64, Ordering, UnsafeCell, pause};

const FREE: u8 = 0;
const QUEUED: u8 = 1;
const SETTLED: u8 = 2;

/// The part of a waiter that lies in its future. Must not move or go while queued, hence pinned; must have
/// left before it is dropped, which [`Waiter`](super::Waiter) and [`BoxedWaiter`](super::BoxedWaiter) see to.
pub(super) struct WaiterCell<G, R> {
    status: AtomicU8,
    /// When it arrived, in the order of all; kept when it queues again, after the connection it was given
    /// proved dead. [`NONE`] before it has arrived. Its own future's alone.
    number: AtomicU64,
    /// Since when it waits, by its owner's clock. Never changed once it may be queued.
    since: u64,
    /// Whether it was ever queued. Its own future's alone.
    has_queued: AtomicBool,
    outcome: UnsafeCell<Option<Result<G, R>>>,
    _pinned: PhantomPinned,
}

// SAFETY: the cell is guarded by `status` (module docs); all it holds is `Send`.
unsafe impl<G: Send, R: Send> Send for WaiterCell<G, R> {}

impl<G, R> WaiterCell<G, R> {
    pub(super) fn new(since: u64) -> Self {
        Self {
            status: AtomicU8::new(FREE),
            number: AtomicU64::new(NONE),
            since,
            has_queued: AtomicBool::new(false),
            outcome: UnsafeCell::new(None),
            _pinned: PhantomPinned,
        }
    }

    pub(super) fn since(&self) -> u64 {
        self.since
    }

    pub(super) fn has_queued(&self) -> bool {
        self.has_queued.load(Ordering::Relaxed)
    }

    /// Whether it is neither queued nor settled. To be asked by its own future.
    pub(super) fn is_idle(&self) -> bool {
        self.status.load(Ordering::Relaxed) == FREE
    }

    /// Whether the ring, or a [`Popped`], may lead to it.
    pub(super) fn is_queued(&self) -> bool {
        // Pairs with the store of the outcome: nothing touches the cell after that.
        self.status.load(Ordering::Acquire) == QUEUED
    }

    /// The outcome, once there is one; the waiter can then be queued again. To be asked by its own future.
    pub(super) fn outcome(self: Pin<&Self>) -> Option<Result<G, R>> {
        if self.status.load(Ordering::Acquire) != SETTLED {
            return None;
        }
        // SAFETY: settled: the cell is the future's, which is the caller.
        let outcome = self
            .outcome
            .with_mut(|outcome| unsafe { (*outcome).take() });
        self.status.store(FREE, Ordering::Relaxed);
        Some(outcome.expect("a settled waiter has its outcome"))
    }

    /// The outcome of a waiter whose entry is gone: there already, or about to be.
    pub(super) fn coming_outcome(self: Pin<&Self>) -> Result<G, R> {
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

/// The ring. All methods are called under its user's lock.
pub(crate) struct Waitlist<G, R> {
    /// In the order of their numbers. The first and the last have their waiters; entries between them whose waiters
    /// have left are cleared away before they outnumber those with waiters and [`SLACK`].
    entries: VecDeque<WaitlistEntry<G, R>>,
    /// The last number given.
    last: u64,
    /// Entries with a waiter.
    len: usize,
}

struct WaitlistEntry<G, R> {
    number: u64,
    /// `None` once it has left, or was refused between others.
    waiter: Option<NonNull<WaiterCell<G, R>>>,
    waker: Option<Waker>,
    deadline: u64,
}

// SAFETY: the pointers lead to pinned, `Send` waiters that are gone from the ring before they go; what is read of them
// through it is atomic, never changed once a waiter is queued, or the holder's of a [`Popped`] alone.
unsafe impl<G: Send, R: Send> Send for Waitlist<G, R> {}

/// The number of a waiter that has not arrived.
const NONE: u64 = 0;

/// Beyond this many, entries whose waiters have left are cleared away, and a ring that is empty again is made small.
const SLACK: usize = 64;

impl<G, R> Waitlist<G, R> {
    pub(crate) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            last: NONE,
            len: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The number of the first in line.
    pub(super) fn first(&self) -> Option<u64> {
        Some(self.entries.front()?.number)
    }

    /// Since when the first in line waits.
    pub(crate) fn oldest(&self) -> Option<u64> {
        let first = self.entries.front()?.waiter?;
        // SAFETY: an entry with its waiter is queued: the waiter is taken out of the ring, under the lock that is held
        // here, before it goes. `since` is not written any more.
        Some(unsafe { first.as_ref() }.since)
    }

    /// Gives `waiter` its number, unless it has one; whether it is new.
    pub(super) fn arrive(&mut self, waiter: &WaiterCell<G, R>) -> bool {
        let is_new = waiter.number.load(Ordering::Relaxed) == NONE;
        if is_new {
            self.last += 1;
            waiter.number.store(self.last, Ordering::Relaxed);
        }
        is_new
    }

    /// Whether `waiter`, which has arrived and does not queue, comes before all that do.
    pub(super) fn is_first(&self, waiter: &WaiterCell<G, R>) -> bool {
        let number = waiter.number.load(Ordering::Relaxed);
        self.entries
            .front()
            .is_none_or(|first| number < first.number)
    }

    /// Queues `waiter`, which has arrived, by its number.
    pub(super) fn join(&mut self, waiter: Pin<&WaiterCell<G, R>>, waker: Waker, deadline: u64) {
        assert!(waiter.is_idle(), "a waiter has one entry at most");
        let number = waiter.number.load(Ordering::Relaxed);
        // Published by the lock.
        waiter.status.store(QUEUED, Ordering::Relaxed);
        waiter.has_queued.store(true, Ordering::Relaxed);
        let entry = WaitlistEntry {
            number,
            waiter: Some(NonNull::from(waiter.get_ref())),
            waker: Some(waker),
            deadline,
        };
        self.len += 1;
        match self.entries.back() {
            Some(last) if number < last.number => {
                let index = self.entries.partition_point(|other| other.number < number);
                self.entries.insert(index, entry);
            }
            _ => self.entries.push_back(entry),
        }
    }

    /// The index of the entry of `waiter`, unless it is gone.
    fn find(&self, waiter: Pin<&WaiterCell<G, R>>) -> Option<usize> {
        let number = waiter.number.load(Ordering::Relaxed);
        let index = self.entries.partition_point(|entry| entry.number < number);
        let entry = self.entries.get(index)?;
        // Another list's waiter may have the number, so the cell decides.
        (entry.waiter == Some(NonNull::from(waiter.get_ref()))).then_some(index)
    }

    /// Replaces the waker of `waiter`; the old one is to be dropped outside the lock. `Err`: its entry is gone.
    pub(super) fn renew(
        &mut self,
        waiter: Pin<&WaiterCell<G, R>>,
        waker: Waker,
    ) -> Result<Option<Waker>, Waker> {
        match self.find(waiter) {
            Some(index) => Ok(self.entries[index].waker.replace(waker)),
            None => Err(waker),
        }
    }

    /// Takes `waiter` out; its waker is to be dropped outside the lock. `Err`: its entry is gone.
    pub(super) fn leave(&mut self, waiter: Pin<&WaiterCell<G, R>>) -> Result<Option<Waker>, ()> {
        let index = self.find(waiter).ok_or(())?;
        waiter.status.store(FREE, Ordering::Relaxed);
        let entry = &mut self.entries[index];
        entry.waiter = None;
        let waker = entry.waker.take();
        self.len -= 1;
        self.tidy();
        Ok(waker)
    }

    /// The turn of the oldest.
    pub(crate) fn pop(&mut self) -> Option<Popped<G, R>> {
        let entry = self.entries.pop_front()?;
        self.len -= 1;
        self.tidy_front();
        Some(Popped {
            waiter: entry.waiter.expect("the first entry has its waiter"),
            waker: entry.waker,
        })
    }

    /// Tells all that they wait in vain; their wakers are to be woken outside the lock.
    pub(crate) fn refuse_all(&mut self, mut why: impl FnMut() -> R) -> Vec<Option<Waker>> {
        std::iter::from_fn(|| Some(self.pop()?.refuse(why()))).collect()
    }

    /// As [`refuse_all`](Self::refuse_all), those whose deadline has come; and the next deadline to watch.
    /// Waiters with a timer of their own (`u64::MAX`) are passed over; the others have one time-out, so the
    /// order of arrival is that of deadlines, and one pass up to the first that is not due will do.
    pub(crate) fn refuse_due(
        &mut self,
        now: u64,
        mut why: impl FnMut() -> R,
    ) -> (Vec<Option<Waker>>, Option<u64>) {
        let mut wakers = Vec::new();
        let mut next = None;
        for entry in &mut self.entries {
            let Some(waiter) = entry.waiter else {
                continue;
            };
            if entry.deadline <= now {
                entry.waiter = None;
                let waker = entry.waker.take();
                wakers.push(Popped { waiter, waker }.refuse(why()));
            } else if entry.deadline != u64::MAX {
                next = Some(entry.deadline);
                break;
            }
        }
        self.len -= wakers.len();
        self.tidy();
        (wakers, next)
    }

    /// The wakers of all waiters, which stay in the waitlist and leave another waker when they are polled.
    pub(crate) fn take_wakers(&mut self) -> Vec<Option<Waker>> {
        self.entries
            .iter_mut()
            .map(|entry| entry.waker.take())
            .collect()
    }

    /// Gives back the memory of a ring that is empty.
    pub(crate) fn shrink(&mut self) {
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// After the first waiter has left or was served: the first entry has a waiter again. The back is another
    /// processor's.
    fn tidy_front(&mut self) {
        while self.entries.front().is_some_and(WaitlistEntry::is_left) {
            self.entries.pop_front();
        }
        if self.len == 0 && self.entries.capacity() > 16 * SLACK {
            self.entries.shrink_to(SLACK);
        }
    }

    /// After any waiter has left: what `entries` promises.
    fn tidy(&mut self) {
        self.tidy_front();
        while self.entries.back().is_some_and(WaitlistEntry::is_left) {
            self.entries.pop_back();
        }
        if self.entries.len() > 2 * self.len + SLACK {
            self.entries.retain(|entry| !entry.is_left());
        }
    }
}

impl<G, R> WaitlistEntry<G, R> {
    fn is_left(&self) -> bool {
        self.waiter.is_none()
    }
}

/// A waiter out of the queue, to be told its outcome: at once, for it cannot leave before.
#[must_use = "the waiter waits for its outcome"]
pub(crate) struct Popped<G, R> {
    waiter: NonNull<WaiterCell<G, R>>,
    waker: Option<Waker>,
}

impl<G, R> Popped<G, R> {
    /// It has `grant`; its waker is to be woken outside the lock.
    pub(crate) fn grant(self, grant: G) -> Option<Waker> {
        self.settle(Ok(grant))
    }

    fn refuse(self, why: R) -> Option<Waker> {
        self.settle(Err(why))
    }

    fn settle(self, outcome: Result<G, R>) -> Option<Waker> {
        // SAFETY: `QUEUED` with its entry gone: the waiter stays until the status says otherwise, and its
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
