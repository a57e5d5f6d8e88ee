//! The waiter queue: an intrusive list in arrival order, each node inside the future that waits, so that
//! waiting allocates nothing.
//!
//! ## Who may touch what
//! The queue lives in the ledger, so its links are touched only under the ledger's lock. A node's `status`
//! says who owns its `cell`: while `QUEUED`, the holder of the ledger's lock; before and after, the future
//! that owns the node. The owner of the lock stores the outcome, unlinks the node, and only then stores
//! the new status (`Release`), after which it never touches the node again: the future may be gone. The
//! future's load (`Acquire`) pairs with that store.

use std::marker::PhantomPinned;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::Waker;

use super::slot::Held;
use super::sync::{AtomicU8, Ordering, UnsafeCell};
use super::{Owner, slot::Slot};

const FREE: u8 = 0;
const QUEUED: u8 = 1;
const SETTLED: u8 = 2;

/// A place in the queue. Must not move while queued, hence pinned; must be unlinked before it is dropped,
/// which [`Ticket`](super::Ticket) sees to.
pub(super) struct Waiter<O: Owner> {
    status: AtomicU8,
    cell: UnsafeCell<Cell<O>>,
    _pinned: PhantomPinned,
}

struct Cell<O: Owner> {
    /// Without meaning at the head, so that serving the head leaves its neighbour's memory alone.
    prev: Option<NonNull<Waiter<O>>>,
    next: Option<NonNull<Waiter<O>>>,
    waker: Option<Waker>,
    deadline: u64,
    outcome: Option<Outcome<O>>,
}

enum Outcome<O: Owner> {
    Granted(NonNull<Slot<O>>),
    Refused(O::Refusal),
}

// SAFETY: the cell is guarded by `status` and the ledger's lock (module docs); all it holds is `Send`.
unsafe impl<O: Owner> Send for Waiter<O> {}
// SAFETY: as above.
unsafe impl<O: Owner> Sync for Waiter<O> {}

impl<O: Owner> Waiter<O> {
    pub(super) fn new() -> Self {
        Self {
            status: AtomicU8::new(FREE),
            cell: UnsafeCell::new(Cell {
                prev: None,
                next: None,
                waker: None,
                deadline: u64::MAX,
                outcome: None,
            }),
            _pinned: PhantomPinned,
        }
    }

    /// Whether it is neither queued nor settled. To be asked by its own future.
    pub(super) fn is_idle(&self) -> bool {
        self.status.load(Ordering::Relaxed) == FREE
    }

    /// Whether it is linked into the queue. Final only under the ledger's lock.
    pub(super) fn is_queued(&self) -> bool {
        self.status.load(Ordering::Acquire) == QUEUED
    }

    /// The outcome, once there is one; the waiter can then be queued again.
    pub(super) fn outcome(self: Pin<&Self>) -> Option<Result<Held<O>, O::Refusal>> {
        if self.status.load(Ordering::Acquire) != SETTLED {
            return None;
        }
        // SAFETY: settled: the cell is the future's, which is the caller.
        let outcome = self.cell.with_mut(|cell| unsafe { (*cell).outcome.take() });
        self.status.store(FREE, Ordering::Relaxed);
        match outcome.expect("a settled waiter has its outcome") {
            // SAFETY: the pointer comes from `into_raw` in `Queue::grant` and was taken out of the cell.
            Outcome::Granted(slot) => Some(Ok(unsafe { Held::from_raw(slot) })),
            Outcome::Refused(why) => Some(Err(why)),
        }
    }
}

/// The list. All methods are called under the ledger's lock, which owns it.
pub(super) struct Queue<O: Owner> {
    head: Option<NonNull<Waiter<O>>>,
    tail: Option<NonNull<Waiter<O>>>,
    len: usize,
}

// SAFETY: the pointers lead to pinned, `Sync` waiters that are unlinked before they go.
unsafe impl<O: Owner> Send for Queue<O> {}

/// Which end of the queue a waiter joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In arrival order.
    Back,
    /// Ahead of all: a waiter whose turn came and who was given a connection that proved dead.
    Front,
}

impl<O: Owner> Queue<O> {
    pub(super) fn new() -> Self {
        Self {
            head: None,
            tail: None,
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn link(&mut self, waiter: Pin<&Waiter<O>>, end: End, waker: Waker, deadline: u64) {
        debug_assert!(!waiter.is_queued());
        let node = NonNull::from(waiter.get_ref());
        let (prev, next) = match end {
            End::Back => (self.tail, None),
            End::Front => (None, self.head),
        };
        // SAFETY: not queued, so the cell is the calling future's.
        waiter.cell.with_mut(|cell| unsafe {
            *cell = Cell {
                prev,
                next,
                waker: Some(waker),
                deadline,
                outcome: None,
            };
        });
        match prev {
            // SAFETY: linked nodes are alive and their cells are the lock holder's.
            Some(prev) => unsafe {
                prev.as_ref()
                    .cell
                    .with_mut(|cell| (*cell).next = Some(node))
            },
            None => self.head = Some(node),
        }
        match next {
            // SAFETY: as above.
            Some(next) => unsafe {
                next.as_ref()
                    .cell
                    .with_mut(|cell| (*cell).prev = Some(node))
            },
            None => self.tail = Some(node),
        }
        self.len += 1;
        waiter.status.store(QUEUED, Ordering::Release);
    }

    /// Replaces the waker of a queued waiter; the old one is returned to be dropped outside the lock.
    pub(super) fn renew(&mut self, waiter: Pin<&Waiter<O>>, waker: Waker) -> Option<Waker> {
        if !waiter.is_queued() {
            return Some(waker);
        }
        // SAFETY: queued: the cell is the lock holder's.
        waiter
            .cell
            .with_mut(|cell| unsafe { (*cell).waker.replace(waker) })
    }

    /// Takes `waiter` out if it is still queued; its waker is to be dropped outside the lock.
    pub(super) fn unlink(&mut self, waiter: Pin<&Waiter<O>>) -> Option<Waker> {
        if !waiter.is_queued() {
            return None;
        }
        let waker = self.detach(NonNull::from(waiter.get_ref()));
        waiter.status.store(FREE, Ordering::Relaxed);
        waker
    }

    /// Gives `held` to the waiter at the head; its waker is to be woken outside the lock.
    pub(super) fn grant(&mut self, held: Held<O>) -> Option<Waker> {
        let head = self.head.expect("granted only when somebody waits");
        self.settle(head, Outcome::Granted(held.into_raw()))
    }

    /// Tells all that they wait in vain; their wakers are to be woken outside the lock.
    pub(super) fn refuse_all(&mut self, mut why: impl FnMut() -> O::Refusal) -> Vec<Option<Waker>> {
        let mut wakers = Vec::with_capacity(self.len);
        while let Some(head) = self.head {
            wakers.push(self.settle(head, Outcome::Refused(why())));
        }
        wakers
    }

    /// As [`refuse_all`](Self::refuse_all), those whose deadline has come; and the next deadline to watch.
    /// Waiters with a timer of their own (`u64::MAX`) are passed over; the others stand in the order of
    /// their deadlines, near enough, so one pass up to the first that is not due will do.
    pub(super) fn refuse_due(
        &mut self,
        now: u64,
        mut why: impl FnMut() -> O::Refusal,
    ) -> (Vec<Option<Waker>>, Option<u64>) {
        let mut wakers = Vec::new();
        let mut node = self.head;
        while let Some(waiter) = node {
            // SAFETY: linked nodes are alive and their cells are the lock holder's.
            let (deadline, next) = unsafe {
                waiter
                    .as_ref()
                    .cell
                    .with(|cell| ((*cell).deadline, (*cell).next))
            };
            if deadline <= now {
                wakers.push(self.settle(waiter, Outcome::Refused(why())));
            } else if deadline != u64::MAX {
                return (wakers, Some(deadline));
            }
            node = next;
        }
        (wakers, None)
    }

    /// The wakers of all, who stay where they are and leave a new one when they look.
    pub(super) fn take_wakers(&mut self) -> Vec<Option<Waker>> {
        let mut wakers = Vec::with_capacity(self.len);
        let mut node = self.head;
        while let Some(waiter) = node {
            // SAFETY: linked nodes are alive and their cells are the lock holder's.
            node = unsafe {
                waiter.as_ref().cell.with_mut(|cell| {
                    wakers.push((*cell).waker.take());
                    (*cell).next
                })
            };
        }
        wakers
    }

    fn settle(&mut self, node: NonNull<Waiter<O>>, outcome: Outcome<O>) -> Option<Waker> {
        let waker = self.detach(node);
        // SAFETY: just detached under the lock, still `QUEUED`, so alive and the lock holder's until the
        // status says otherwise.
        unsafe {
            node.as_ref()
                .cell
                .with_mut(|cell| (*cell).outcome = Some(outcome));
            node.as_ref().status.store(SETTLED, Ordering::Release);
        }
        waker
    }

    /// Unlinks `node` and takes its waker.
    fn detach(&mut self, node: NonNull<Waiter<O>>) -> Option<Waker> {
        // SAFETY: linked nodes are alive and their cells are the lock holder's.
        let (prev, next, waker) = unsafe {
            node.as_ref()
                .cell
                .with_mut(|cell| ((*cell).prev, (*cell).next, (*cell).waker.take()))
        };
        self.len -= 1;
        if self.head == Some(node) {
            self.head = next;
        } else {
            let prev = prev.expect("only the head has no predecessor");
            // SAFETY: as above.
            unsafe { prev.as_ref().cell.with_mut(|cell| (*cell).next = next) };
            if let Some(next) = next {
                // SAFETY: as above.
                unsafe {
                    next.as_ref()
                        .cell
                        .with_mut(|cell| (*cell).prev = Some(prev))
                };
            }
        }
        if self.tail == Some(node) {
            self.tail = if self.head.is_none() { None } else { prev };
        }
        waker
    }
}
