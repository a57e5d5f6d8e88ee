//! How a call begins: with a tag of its lane or of the admission, or in the queue for one; and how its request, and
//! messages without a reply, are put into a lane.

use std::task::{Context, Poll, Waker};

use super::admission::Admission;
use super::engine::Engine;
use super::error::{CallError, Disconnected, Sent};
use super::lane::{EncodeFailure, HandleOrder, LockedLane};
use super::tags::{NoTag, TagWaiter};
use crate::sync::MutexGuard;
use crate::wake::release;

/// The waker cloned for a call that begins, to be left where the call is woken from.
fn own(waker: &mut Option<Waker>) -> Waker {
    waker.take().expect("a waker is left in one place")
}

/// What a call that begins has.
pub(super) enum Admitted {
    Tag(u32),
    /// No tag was free.
    Queued(TagWaiter),
}

/// What ends a queued call whose time is over.
#[derive(Clone, Copy)]
pub(super) enum TimedBy {
    /// The driver's count of ticks.
    Driver,
    /// The caller: a timer of its own, or nothing.
    Caller,
}

/// Why a message without a reply was not appended.
pub(super) enum Unsent<Req> {
    /// As many bytes as may wait do.
    NoRoom(Req),
    /// The connection takes no more.
    Ended(Req, CallError),
    /// The codec took it and made nothing of it.
    NotEncoded(CallError),
}

impl<Req, Resp> Engine<Req, Resp> {
    /// Begins a call: appends the request if a tag is free, or queues for one and leaves the request where
    /// it is. With the tick at which that was.
    pub(super) fn begin(
        &self,
        request: &mut Option<Req>,
        timed_by: TimedBy,
        order: &HandleOrder,
        cx: &Context<'_>,
    ) -> Result<(Admitted, u64), CallError> {
        // Under no lock, nor dropped under one: it is user code.
        let mut waker = Some(cx.waker().clone());
        let now = self.now();
        let mut lane = self.lanes.lane_for(order);
        if let Some(index) = lane.cache.take() {
            let tag = self.pending.insert(index, own(&mut waker), now);
            self.append(lane, tag, index, request)?;
            return Ok((Admitted::Tag(index), now));
        }
        drop(lane);
        let mut admission = self.admission();
        let lane = || self.lanes.lane_for(order);
        let deadline = match timed_by {
            TimedBy::Driver => self.deadline(now),
            TimedBy::Caller => u64::MAX,
        };
        let admitted = self.admit(&mut admission, lane, deadline, &mut waker)?;
        if let Admitted::Tag(index) = admitted {
            self.append_admitted(admission, index, request, now, order, &mut waker)?;
        }
        Ok((admitted, now))
    }

    /// Takes a tag for a request to come, or queues for one.
    pub(super) fn reserve(&self, cx: &Context<'_>) -> Result<Admitted, CallError> {
        if let Some(index) = self.lanes.of_thread().cache.take() {
            return Ok(Admitted::Tag(index));
        }
        let mut waker = Some(cx.waker().clone());
        let mut admission = self.admission();
        let lane = || self.lanes.of_thread();
        self.admit(&mut admission, lane, u64::MAX, &mut waker)
    }

    fn admit<'a>(
        &self,
        admission: &mut Admission,
        lane: impl FnOnce() -> LockedLane<'a, Req>,
        deadline: u64,
        waker: &mut Option<Waker>,
    ) -> Result<Admitted, CallError>
    where
        Req: 'a,
    {
        admission.admits_new()?;
        if let Some(index) = admission.take_tag(&self.lanes, lane) {
            return Ok(Admitted::Tag(index));
        }
        let max_queued = self.settings.max_queued;
        if admission.tags.waiting() >= max_queued {
            return Err(CallError::QueueFull { max_queued });
        }
        let waitlist = &mut admission.tags.waitlist;
        let mut waiter = TagWaiter::new(0);
        waiter.arrive(waitlist);
        waiter.join(waitlist, own(waker), deadline);
        Ok(Admitted::Queued(waiter))
    }

    /// The tag of a queued call, when it has been granted one; or why it gets none.
    pub(super) fn poll_queued(
        &self,
        waiter: &mut TagWaiter,
        cx: &Context<'_>,
    ) -> Poll<Result<u32, NoTag>> {
        if let Some(outcome) = waiter.outcome() {
            return Poll::Ready(outcome);
        }
        // Cloned, and dropped, under no lock: it is user code.
        let waker = cx.waker().clone();
        let renewed = waiter.renew(&mut self.admission().tags.waitlist, waker);
        match renewed {
            Ok(old) => {
                release(old);
                Poll::Pending
            }
            Err(new) => {
                release(Some(new));
                let outcome = waiter.outcome();
                Poll::Ready(outcome.expect("settled under the lock, or asked once too often"))
            }
        }
    }

    /// A call that queued, or reserved, has its tag.
    pub(super) fn resume(
        &self,
        index: u32,
        request: &mut Option<Req>,
        began: u64,
        order: &HandleOrder,
        waker: Waker,
    ) -> Result<(), CallError> {
        // Before the lock, so that it is not dropped under it.
        let mut waker = Some(waker);
        let admission = self.admission();
        if let Err(error) = admission.admits_queued() {
            self.return_tag(admission, index);
            return Err(error);
        }
        self.append_admitted(admission, index, request, began, order, &mut waker)
    }

    /// Appends with a tag that is in no lane.
    fn append_admitted(
        &self,
        admission: MutexGuard<'_, Admission>,
        index: u32,
        request: &mut Option<Req>,
        began: u64,
        order: &HandleOrder,
        waker: &mut Option<Waker>,
    ) -> Result<(), CallError> {
        let lane = self.lanes.lane_for(order);
        // Under the admission's lock: the end of the connection, when it comes, finds the entry.
        let tag = self.pending.insert(index, own(waker), began);
        drop(admission);
        self.append(lane, tag, index, request)
    }

    fn append(
        &self,
        mut lane: LockedLane<'_, Req>,
        tag: u32,
        index: u32,
        request: &mut Option<Req>,
    ) -> Result<(), CallError> {
        let request = request.take().expect("a call writes its request once");
        let appended = lane.append_call(tag, index, request);
        drop(lane);
        match appended {
            Ok(()) => {
                self.flush_or_request();
                Ok(())
            }
            Err(failure) => {
                self.pending.remove(index);
                self.finish(index);
                Err(self.not_encoded(failure))
            }
        }
    }

    /// Appends a message that has no reply, unless too many bytes of such messages are to be written already.
    pub(super) fn send(&self, message: Req, order: &HandleOrder) -> Result<(), Unsent<Req>> {
        let max = self.settings.max_buffered;
        let mut lane = self.lanes.lane_for(order);
        if lane.cache.is_frozen() {
            drop(lane);
            let admission = self.admission();
            if let Err(error) = admission.admits_new() {
                return Err(Unsent::Ended(message, error));
            }
            // Under the admission's lock: a drain that follows finds the lane taken, and then the message in it.
            lane = self.lanes.lane_for(order);
        }
        let appended = self.lanes.append_one_way(&mut lane, message, max);
        let appended = appended.map_err(Unsent::NoRoom)?;
        drop(lane);
        match appended {
            Ok(()) => {
                self.flush_or_request();
                Ok(())
            }
            Err(failure) => Err(Unsent::NotEncoded(self.not_encoded(failure))),
        }
    }

    /// The codec made nothing of a message. After a panic its state is unknown, and the connection over.
    fn not_encoded(&self, failure: EncodeFailure) -> CallError {
        match failure {
            EncodeFailure::Refused(error) => CallError::Encode(error.into()),
            EncodeFailure::Panicked => {
                self.end(Disconnected::Panicked);
                self.lost(Sent::No)
            }
        }
    }

    /// Appends a ping, a request whose reply is dropped, unless the last has none yet. The driver's to call, which then
    /// sees that a write is requested.
    pub(super) fn ping(&self, request: Req) -> Result<(), Disconnected> {
        let mut admission = self.admission();
        if admission.is_ping_pending {
            return Ok(());
        }
        admission.is_ping_pending = true;
        let index = self.ping_index();
        let tag = self.pending.insert_abandoned(index);
        let appended = self.lanes.of_thread().append_call(tag, index, request);
        drop(admission);
        self.write_signal.request();
        appended.map_err(|failure| match failure {
            EncodeFailure::Refused(error) => Disconnected::Ping(error.into()),
            EncodeFailure::Panicked => Disconnected::Panicked,
        })
    }
}
