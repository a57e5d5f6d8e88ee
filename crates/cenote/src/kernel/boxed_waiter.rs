//! A waiter in memory of its own, for futures that may move: of a waitlist that lives under a lock of the mux.

use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::Waker;

use super::waitlist::{WaiterCell, Waitlist};

/// A waiter of a [`Waitlist`], which queues once. Its user has it leave the list before it is dropped; if not, its memory
/// is leaked, for the list leads there.
pub(crate) struct BoxedWaiter<G, R> {
    cell: ManuallyDrop<Pin<Box<WaiterCell<G, R>>>>,
}

// SAFETY: no method takes a shared reference.
unsafe impl<G: Send, R: Send> Sync for BoxedWaiter<G, R> {}

impl<G, R> BoxedWaiter<G, R> {
    /// A waiter at the end of `waitlist`.
    pub(crate) fn join(waitlist: &mut Waitlist<G, R>, waker: Waker, deadline: u64) -> Self {
        let cell = Box::pin(WaiterCell::new(0));
        waitlist.arrive(&cell);
        waitlist.join(cell.as_ref(), waker, deadline);
        Self {
            cell: ManuallyDrop::new(cell),
        }
    }

    /// The outcome, once: after it the waiter waits for nothing.
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
