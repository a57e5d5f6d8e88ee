//! A waiter: joins the waitlist, learns its outcome, and leaves the waitlist however it ends.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::endpoints::EndpointNumber;
use super::ledger::TokenCell;
use super::token::SlotToken;
use super::waitlist::WaiterCell;
use super::{Core, JoinOutcome, Owner};
use crate::sync::{AtomicU32, Ordering};

/// A waiter of `core`, which can queue any number of times. Dropping it leaves the waitlist; a
/// connection granted meanwhile goes back to the pool, and so to the next in line.
pub(crate) struct Waiter<'a, O: Owner> {
    core: &'a Core<O>,
    /// The endpoint that it last queued for; [`ANY`] for all. Its own future's alone.
    aim: AtomicU32,
    cell: TokenCell<O>,
}

/// No endpoint's number.
const ANY: EndpointNumber = EndpointNumber::MAX;

impl<'a, O: Owner> Waiter<'a, O> {
    /// One that waits since `since`, by its owner's clock.
    pub(crate) fn new(core: &'a Core<O>, since: u64) -> Self {
        Self {
            core,
            aim: AtomicU32::new(ANY),
            cell: WaiterCell::new(since),
        }
    }

    pub(crate) fn since(&self) -> u64 {
        self.cell.since()
    }

    /// Whether it was ever queued.
    pub(crate) fn has_queued(&self) -> bool {
        self.cell.has_queued()
    }

    fn cell(self: Pin<&Self>) -> Pin<&TokenCell<O>> {
        // SAFETY: `cell` is pinned whenever the waiter is: it is never moved out, and `Drop` leaves the queue.
        unsafe { self.map_unchecked(|waiter| &waiter.cell) }
    }

    /// Counts as having arrived now: if the connection found without queueing does not do, it queues
    /// ahead of those that arrive later.
    pub(crate) fn arrive(&self) {
        self.core.arrive(&self.cell);
    }

    fn aim(&self) -> Option<EndpointNumber> {
        Some(self.aim.load(Ordering::Relaxed)).filter(|number| *number != ANY)
    }

    /// Takes an idle connection if it is this waiter's turn, or queues, by the order of arrival.
    pub(crate) fn join(
        self: Pin<&Self>,
        waker: &Waker,
        deadline: u64,
        max_waiters: usize,
    ) -> JoinOutcome<O> {
        self.join_for(None, waker, deadline, max_waiters)
    }

    /// As [`join`](Self::join); with an `aim`, for a connection of that endpoint and no other.
    pub(crate) fn join_for(
        self: Pin<&Self>,
        aim: Option<EndpointNumber>,
        waker: &Waker,
        deadline: u64,
        max_waiters: usize,
    ) -> JoinOutcome<O> {
        self.aim.store(aim.unwrap_or(ANY), Ordering::Relaxed);
        let cell = self.cell();
        self.core.join(cell, aim, waker, deadline, max_waiters)
    }

    /// The outcome, if there is one; else `cx` is woken when there is.
    pub(crate) fn poll(
        self: Pin<&Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<SlotToken<O>, O::Refusal>> {
        let cell = self.cell();
        if let Some(outcome) = cell.outcome() {
            return Poll::Ready(outcome.map(SlotToken::from));
        }
        self.core.renew(cell, self.aim(), cx.waker().clone())
    }

    /// Leaves the waitlist; the outcome, if one came first.
    pub(crate) fn leave(self: Pin<&Self>) -> Option<Result<SlotToken<O>, O::Refusal>> {
        self.core.leave(self.cell(), self.aim())
    }
}

impl<O: Owner> Drop for Waiter<'_, O> {
    fn drop(&mut self) {
        if self.cell.is_idle() {
            return;
        }
        // SAFETY: a waiter that ever queued was pinned, and is dropped where it stands.
        let this = unsafe { Pin::new_unchecked(&*self) };
        if let Some(Ok(token)) = this.leave() {
            O::return_unclaimed(token);
        }
    }
}
