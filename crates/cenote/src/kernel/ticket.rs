//! One waiter's safe handle: joins the queue, learns the outcome, and leaves it however it ends.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::queue::Waiter;
use super::slot::Held;
use super::{Core, Joined, Owner};

/// A place in the queue of `core`, good for any number of turns. Dropping it leaves the queue; a
/// connection granted meanwhile goes back to the pool, and so to the next in line.
pub(crate) struct Ticket<'a, O: Owner> {
    core: &'a Core<O>,
    waiter: Waiter<O>,
}

impl<'a, O: Owner> Ticket<'a, O> {
    pub(crate) fn new(core: &'a Core<O>) -> Self {
        Self {
            core,
            waiter: Waiter::new(),
        }
    }

    fn waiter(self: Pin<&Self>) -> Pin<&Waiter<O>> {
        // SAFETY: `waiter` is pinned whenever the ticket is: it is never moved out, and `Drop` leaves the queue.
        unsafe { self.map_unchecked(|ticket| &ticket.waiter) }
    }

    /// Counts as having arrived now: if the connection found without queueing does not do, it queues
    /// ahead of those who arrive later.
    pub(crate) fn arrive(&self) {
        self.core.arrive(&self.waiter);
    }

    /// Takes an idle connection if it is this waiter's turn, or queues, by the order of arrival.
    pub(crate) fn join(
        self: Pin<&Self>,
        waker: &Waker,
        deadline: u64,
        max_waiters: usize,
    ) -> Joined<O> {
        self.core.join(self.waiter(), waker, deadline, max_waiters)
    }

    /// The outcome, if there is one; else `cx` is woken when there is.
    pub(crate) fn poll(
        self: Pin<&Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Held<O>, O::Refusal>> {
        let waiter = self.waiter();
        if let Some(outcome) = waiter.outcome() {
            return Poll::Ready(outcome);
        }
        self.core.renew(waiter, cx.waker().clone())
    }

    /// Leaves the queue; the outcome, if one came first.
    pub(crate) fn leave(self: Pin<&Self>) -> Option<Result<Held<O>, O::Refusal>> {
        self.core.leave(self.waiter())
    }
}

impl<O: Owner> Drop for Ticket<'_, O> {
    fn drop(&mut self) {
        if self.waiter.is_idle() {
            return;
        }
        // SAFETY: a ticket that ever queued was pinned, and is dropped where it stands.
        let this = unsafe { Pin::new_unchecked(&*self) };
        if let Some(Ok(held)) = this.leave() {
            O::unclaimed(held);
        }
    }
}
