//! How a call begins: with a tag of its lane or of the desk, or in the queue for one; and how its request is put
//! into a lane.

use std::sync::Arc;
use std::task::{Context, Waker};

use super::desk::Desk;
use super::engine::Engine;
use super::error::{CallError, Disconnected, Sent};
use super::lane::{Held, Order, Unencoded};
use super::tags::Turn;
use crate::sync::MutexGuard;

/// The waker that its caller has cloned, to be left where it is woken from.
fn own(waker: &mut Option<Waker>) -> Waker {
    waker.take().expect("a waker is left in one place")
}

/// Where a call stands at first.
pub(super) enum Place {
    Tag(u32),
    /// No tag was free.
    Queued(Arc<Turn>),
}

impl<Req, Resp> Engine<Req, Resp> {
    /// Begins a call: appends the request if a tag is free, or queues for one and leaves the request where
    /// it is. With the tick at which that was.
    pub(super) fn begin(
        &self,
        request: &mut Option<Req>,
        order: &Order,
        cx: &Context<'_>,
    ) -> Result<(Place, u32), CallError> {
        // Under no lock, nor dropped under one: it is user code.
        let mut waker = Some(cx.waker().clone());
        let now = self.now();
        let mut lane = self.lanes.lane_for(order);
        if let Some(index) = lane.stock.take() {
            let tag = self.cells.begin_call(index, own(&mut waker), now);
            self.append(lane, tag, index, request)?;
            return Ok((Place::Tag(index), now));
        }
        drop(lane);
        let mut desk = self.desk();
        let place = self.place(&mut desk, || self.lanes.lane_for(order), now, &mut waker)?;
        if let Place::Tag(index) = place {
            self.append_from(desk, index, request, now, order, &mut waker)?;
        }
        Ok((place, now))
    }

    /// Takes a tag for a request to come, or queues for one.
    pub(super) fn reserve(&self, cx: &Context<'_>) -> Result<Place, CallError> {
        if let Some(index) = self.lanes.of_thread().stock.take() {
            return Ok(Place::Tag(index));
        }
        let mut waker = Some(cx.waker().clone());
        let now = self.now();
        let mut desk = self.desk();
        self.place(&mut desk, || self.lanes.of_thread(), now, &mut waker)
    }

    fn place<'a>(
        &self,
        desk: &mut Desk,
        lane: impl FnOnce() -> Held<'a, Req>,
        now: u32,
        waker: &mut Option<Waker>,
    ) -> Result<Place, CallError>
    where
        Req: 'a,
    {
        desk.accepts()?;
        if let Some(index) = desk.take(&self.lanes, lane) {
            return Ok(Place::Tag(index));
        }
        let max_queued = self.settings.max_queued;
        if desk.tags.waiting() >= max_queued {
            return Err(CallError::QueueFull { max_queued });
        }
        Ok(Place::Queued(desk.tags.queue(own(waker), now)))
    }

    /// A call that queued, or reserved, has its tag.
    pub(super) fn resume(
        &self,
        index: u32,
        request: &mut Option<Req>,
        began: u32,
        order: &Order,
        cx: &Context<'_>,
    ) -> Result<(), CallError> {
        let mut waker = Some(cx.waker().clone());
        let desk = self.desk();
        if let Err(error) = desk.still_serves() {
            self.give_back(desk, index);
            return Err(error);
        }
        self.append_from(desk, index, request, began, order, &mut waker)
    }

    /// Appends with a tag that is in no lane.
    fn append_from(
        &self,
        desk: MutexGuard<'_, Desk>,
        index: u32,
        request: &mut Option<Req>,
        began: u32,
        order: &Order,
        waker: &mut Option<Waker>,
    ) -> Result<(), CallError> {
        let lane = self.lanes.lane_for(order);
        // Under the desk's lock: the end, when it comes, finds the cell.
        let tag = self.cells.begin_call(index, own(waker), began);
        drop(desk);
        self.append(lane, tag, index, request)
    }

    fn append(
        &self,
        mut lane: Held<'_, Req>,
        tag: u32,
        index: u32,
        request: &mut Option<Req>,
    ) -> Result<(), CallError> {
        let request = request.take().expect("a call writes its request once");
        let appended = lane.append_call(tag, index, request);
        drop(lane);
        match appended {
            Ok(()) => {
                self.see_written();
                Ok(())
            }
            Err(error) => {
                self.cells.revoke(index);
                self.finish(index);
                Err(self.unencoded(error))
            }
        }
    }

    /// The codec made nothing of a message. After a panic its state is anyone's guess, and the connection
    /// over.
    pub(super) fn unencoded(&self, error: Unencoded) -> CallError {
        match error {
            Unencoded::Refused(error) => CallError::Encode(error.into()),
            Unencoded::Panicked => {
                self.end(Disconnected::Panicked);
                self.lost(Sent::No)
            }
        }
    }
}
