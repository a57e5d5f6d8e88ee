//! A turn taken before the request is known: what `poll_ready` of a tower service promises.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::call::Call;
use super::error::{CallError, Sent};
use super::handle::Mux;
use super::submit::Admitted;
use super::tags::TagWaiter;

impl<Req, Resp> Mux<Req, Resp> {
    /// Waits for a turn before the request is known, so that the call itself need not: for code that must say
    /// that it is ready first. Queues as a call does, with no time-out of its own.
    ///
    /// # Errors
    /// [`CallError::QueueFull`] and [`CallError::Disconnected`], as [`call`](Self::call).
    pub fn reserve(&self) -> Reserve<Req, Resp> {
        Reserve::new(self.same())
    }
}

/// The right to one call, from [`Mux::reserve`]. It counts as a pending request until it is used or dropped.
#[must_use = "a permit dropped at once was never needed"]
pub struct Permit<Req, Resp> {
    mux: Mux<Req, Resp>,
    /// The tag, until it is used.
    index: Option<u32>,
}

impl<Req, Resp> Permit<Req, Resp> {
    /// As [`Mux::call`], with the turn that was taken. The time-out counts from the call's first poll.
    pub fn call(mut self, request: Req) -> Call<'static, Req, Resp> {
        let index = self.index.take().expect("a permit is used once");
        Call::reserved(self.mux.same(), index, request)
    }
}

impl<Req, Resp> Drop for Permit<Req, Resp> {
    fn drop(&mut self) {
        if let Some(index) = self.index {
            self.mux.engine.finish(index);
        }
    }
}

impl<Req, Resp> fmt::Debug for Permit<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("mux", &self.mux).finish()
    }
}

/// A [`Mux::reserve`] under way. Dropping it passes the turn on.
#[must_use = "nothing is reserved until it is awaited"]
pub struct Reserve<Req, Resp> {
    mux: Mux<Req, Resp>,
    /// Once it is queued, until it has its turn.
    waiter: Option<TagWaiter>,
}

impl<Req, Resp> Reserve<Req, Resp> {
    pub(super) fn new(mux: Mux<Req, Resp>) -> Self {
        Self { mux, waiter: None }
    }

    fn permit(&self, index: u32) -> Permit<Req, Resp> {
        Permit {
            mux: self.mux.same(),
            index: Some(index),
        }
    }
}

impl<Req, Resp> fmt::Debug for Reserve<Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve")
            .field("mux", &self.mux)
            .finish_non_exhaustive()
    }
}

impl<Req, Resp> Future for Reserve<Req, Resp> {
    type Output = Result<Permit<Req, Resp>, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let engine = &this.mux.engine;
        match &mut this.waiter {
            None => match engine.reserve(cx) {
                Ok(Admitted::Tag(index)) => Poll::Ready(Ok(this.permit(index))),
                Ok(Admitted::Queued(waiter)) => {
                    this.waiter = Some(waiter);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error)),
            },
            Some(waiter) => match engine.poll_queued(waiter, cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(granted) => {
                    let outcome = granted
                        .map(|index| this.permit(index))
                        .map_err(|_no_tag| engine.lost(Sent::No));
                    this.waiter = None;
                    Poll::Ready(outcome)
                }
            },
        }
    }
}

impl<Req, Resp> Drop for Reserve<Req, Resp> {
    fn drop(&mut self) {
        if let Some(waiter) = &mut self.waiter {
            self.mux.engine.leave_queue(waiter);
        }
    }
}
