//! A waiter in memory of its own, for futures that may move: of a waitlist that lives under a lock of its user's, the mux's
//! or the shared pool's.

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::Waker;

use super::waitlist::{WaiterCell, Waitlist};

/// A waiter of one [`Waitlist`]. Its user has it leave the list before it is dropped; if not, its memory is leaked, for
/// the list leads there.
pub(crate) struct BoxedWaiter<G, R> {
    cell: ManuallyDrop<Pin<Box<WaiterCell<G, R>>>>,
}

// SAFETY: what is read through a shared reference is atomic, or never changed.
unsafe impl<G: Send, R: Send> Sync for BoxedWaiter<G, R> {}

impl<G, R> BoxedWaiter<G, R> {
    /// One that waits since `since`, by its user's clock, and has not arrived yet.
    pub(crate) fn new(since: u64) -> Self {
        Self {
            cell: ManuallyDrop::new(Box::pin(WaiterCell::new(since))),
        }
    }

    pub(crate) fn since(&self) -> u64 {
        self.cell.since()
    }

    /// Whether it is neither queued nor has an outcome to take.
    pub(crate) fn is_idle(&self) -> bool {
        self.cell.is_idle()
    }

    /// As [`Waitlist::arrive`].
    pub(crate) fn arrive(&mut self, waitlist: &mut Waitlist<G, R>) -> bool {
        waitlist.arrive(&self.cell)
    }

    /// As [`Waitlist::is_first`].
    pub(crate) fn is_first(&self, waitlist: &Waitlist<G, R>) -> bool {
        waitlist.is_first(&self.cell)
    }

    /// As [`Waitlist::join`], of a waiter that has arrived and is not queued.
    pub(crate) fn join(&mut self, waitlist: &mut Waitlist<G, R>, waker: Waker, deadline: u64) {
        waitlist.join(self.cell.as_ref(), waker, deadline);
    }

    /// The outcome, once: after it the waiter waits for nothing, and can queue again by its number.
    pub(crate) fn outcome(&mut self) -> Option<Result<G, R>> {
        self.cell.as_ref().outcome()
    }

    /// As [`Waitlist::renew`].
    pub(crate) fn renew(
        &mut self,
        waitlist: &mut Waitlist<G, R>,
        waker: Waker,
    ) -> Result<Option<Waker>, Waker> {
        waitlist.renew(self.cell.as_ref(), waker)
    }

    /// As [`Waitlist::leave`].
    pub(crate) fn leave(&mut self, waitlist: &mut Waitlist<G, R>) -> Result<Option<Waker>, ()> {
        waitlist.leave(self.cell.as_ref())
    }
}

impl<G, R> Drop for BoxedWaiter<G, R> {
    fn drop(&mut self) {
        if !self.cell.is_queued() {
            // SAFETY: it is not used again, and no list leads to it.
            unsafe { ManuallyDrop::drop(&mut self.cell) }
        }
    }
}
