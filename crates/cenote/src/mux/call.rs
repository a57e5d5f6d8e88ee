//! A call under way.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::error::{CallError, Sent};
use super::handle::{Mux, MuxRef};
use super::silence::GaveUp;
use super::submit::{Admitted, TimedBy};
use super::tags::{NoTag, TagWaiter};
use crate::rt::Sleep;

impl<Req, Resp> Mux<Req, Resp> {
    /// Sends a request and waits for its reply. Nothing happens before the first poll. Calls made on one handle are
    /// sent in the order of their first polls, those that waited for their turn when it has come; those on
    /// clones of it in any order.
    ///
    /// # Errors
    /// [`CallError::TimedOut`] after `call_timeout`; [`CallError::QueueFull`] when too many wait for their
    /// turn; [`CallError::Disconnected`] when the connection has ended or takes no new calls;
    /// [`CallError::Encode`] when the codec refuses the request.
    pub fn call(&self, request: Req) -> Call<'_, Req, Resp> {
        Call::new(self, request)
    }
}

/// A [`Mux::call`] under way.
///
/// Dropping it, before or after the request was written, never harms the connection or another call: a turn
/// goes to the next in line, and a tag stays taken until its reply has come, which is then dropped.
#[must_use = "a call does nothing until it is awaited"]
pub struct Call<'a, Req, Resp> {
    handle: MuxRef<'a, Req, Resp>,
    request: Option<Req>,
    stage: Stage,
    /// The tick at which it began.
    began: u64,
    /// The peer's activity when its request was made.
    activity: u32,
    own: Option<Own>,
}

enum Stage {
    New,
    /// It has its tag.
    Reserved(u32),
    Queued(TagWaiter),
    /// Its reply will be in this entry of the pending table.
    Pending(u32),
    Done,
}

/// A time-out of the call's own.
struct Own {
    limit: Duration,
    /// Set when there is something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<'a, Req, Resp> Call<'a, Req, Resp> {
    pub(super) fn new(mux: &'a Mux<Req, Resp>, request: Req) -> Self {
        Self {
            handle: MuxRef::Borrowed(mux),
            request: Some(request),
            stage: Stage::New,
            began: 0,
            activity: 0,
            own: None,
        }
    }

    pub(super) fn reserved(mux: Mux<Req, Resp>, index: u32, request: Req) -> Self {
        Self {
            handle: MuxRef::Owned(mux),
            request: Some(request),
            stage: Stage::Reserved(index),
            began: 0,
            activity: 0,
            own: None,
        }
    }

    /// Waits this long at most, its turn included, instead of `call_timeout`. Exact to the timer's
    /// millisecond; costs a timer of its own. To be set before the first poll: a call that is queued by then waits for
    /// its turn no longer than `call_timeout`.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.own = Some(Own { limit, timer: None });
        self
    }

    /// The same call without its tie to the handle it was made on: for tasks and structs of their own.
    pub fn into_owned(mut self) -> Call<'static, Req, Resp> {
        Call {
            handle: self.handle.to_owned(),
            request: self.request.take(),
            stage: std::mem::replace(&mut self.stage, Stage::Done),
            began: self.began,
            activity: self.activity,
            own: self.own.take(),
        }
    }

    /// Until there is a reply or none will come; time-outs are `poll_time`'s.
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Resp, CallError>> {
        let Mux { engine, order } = self.handle.mux();
        let timed_by = match self.own {
            None => TimedBy::Driver,
            Some(_) => TimedBy::Caller,
        };
        let index = match &mut self.stage {
            Stage::New => match engine.begin(&mut self.request, timed_by, order, cx) {
                Ok((admitted, now)) => {
                    self.began = now;
                    self.activity = engine.activity.count();
                    self.stage = match admitted {
                        Admitted::Tag(index) => Stage::Pending(index),
                        Admitted::Queued(waiter) => Stage::Queued(waiter),
                    };
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            },
            Stage::Reserved(index) => {
                self.began = engine.now();
                *index
            }
            Stage::Queued(waiter) => match engine.poll_queued(waiter, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(NoTag::Ended)) => return Poll::Ready(Err(engine.lost(Sent::No))),
                Poll::Ready(Err(NoTag::TimedOut)) => {
                    // Its own limit came too late for the driver, who times what is queued.
                    let (limit, sent) = (engine.call_timeout(), Sent::No);
                    return Poll::Ready(Err(CallError::TimedOut { limit, sent }));
                }
                Poll::Ready(Ok(index)) => index,
            },
            Stage::Pending(index) => {
                return match engine.pending.poll(*index, cx) {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(reply) => {
                        engine.finish(*index);
                        self.stage = Stage::Done;
                        Poll::Ready(reply.ok_or_else(|| engine.lost(Sent::Maybe)))
                    }
                };
            }
            Stage::Done => panic!("a call was polled after it was done"),
        };
        // Cloned while the tag is the call's own: it is user code, which may panic.
        self.stage = Stage::Reserved(index);
        let waker = cx.waker().clone();
        // Until it is pending nothing is to be left: `resume` gives the tag back if it fails.
        self.stage = Stage::Done;
        match engine.resume(index, &mut self.request, self.began, order, waker) {
            Ok(()) => {
                self.activity = engine.activity.count();
                self.stage = Stage::Pending(index);
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// The time-out that has passed, if one has.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Option<Duration> {
        let engine = self.handle.engine();
        match &mut self.own {
            None => engine.is_overdue(self.began).then(|| engine.call_timeout()),
            Some(Own { limit, timer }) => {
                let timer = timer.get_or_insert_with(|| Box::pin(engine.sleep(*limit)));
                timer.as_mut().poll(cx).is_ready().then_some(*limit)
            }
        }
    }

    /// Leaves without a reply.
    fn leave(&mut self, how: GaveUp) -> Sent {
        let engine = self.handle.engine();
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Queued(mut waiter) => {
                engine.leave_queue(&mut waiter);
                Sent::No
            }
            Stage::Pending(index) => {
                engine.leave(index, how, self.activity);
                Sent::Maybe
            }
            Stage::Reserved(index) => {
                engine.finish(index);
                Sent::No
            }
            Stage::New | Stage::Done => Sent::No,
        }
    }
}

// The request is moved, never polled.
impl<Req, Resp> Unpin for Call<'_, Req, Resp> {}

impl<Req, Resp> Future for Call<'_, Req, Resp> {
    type Output = Result<Resp, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = self.get_mut();
        if matches!(call.stage, Stage::Queued(_)) {
            // Before it takes its turn, which may have come: the peer had no time to answer.
            if let Some(limit) = call.poll_time(cx) {
                let sent = call.leave(GaveUp::TimedOut);
                return Poll::Ready(Err(CallError::TimedOut { limit, sent }));
            }
        }
        if let Poll::Ready(done) = call.poll_reply(cx) {
            call.stage = Stage::Done;
            return Poll::Ready(done);
        }
        let Some(limit) = call.poll_time(cx) else {
            return Poll::Pending;
        };
        let sent = call.leave(GaveUp::TimedOut);
        Poll::Ready(Err(CallError::TimedOut { limit, sent }))
    }
}

impl<Req, Resp> Drop for Call<'_, Req, Resp> {
    fn drop(&mut self) {
        self.leave(GaveUp::Dropped);
    }
}

impl<Req, Resp> fmt::Debug for Call<'_, Req, Resp> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("mux", self.handle.mux())
            .finish_non_exhaustive()
    }
}
