//! What the callers and the driver of one connection share.
//!
//! ## Locks, in the order they are taken
//! - `writer`: the write half. A caller that is alone only tries it; the driver waits for it.
//! - `desk`: the phase, the free tags, the queue for them, and the buffer of what is to be written. The
//!   codec's encoder is the only user code that runs under it: it needs its state to itself, and frames
//!   their order.
//! - the cells and the turns, each with a lock of its own; none is taken under another.
//!
//! Wakers are woken and replies dropped under no lock.
//!
//! ## Why no request stays unwritten
//! A request is appended under the desk's lock. Its caller then either finds the driver asked already, asks
//! it, or takes the writer's lock and with it the whole buffer. `asked` is cleared only by taking the
//! buffer, so what is in the buffer is always either asked for or about to be taken by who appended it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Sleep, sleep};

use super::cells::{Cells, Left};
use super::error::{CallError, Lost, Written};
use super::outbox::{Encode, Outbox, Unencoded};
use super::settings::Settings;
use super::tags::{Tags, Turn};
use super::writer::Writer;
use crate::rt::Runtime;
use crate::sync::{Mutex, MutexGuard, lock};

pub(super) struct Engine<Req, Resp> {
    pub(super) settings: Settings,
    cells: Cells<Resp>,
    desk: Mutex<Desk<Req>>,
    pub(super) writer: Mutex<Writer>,
    /// A coarse clock: counted up by the driver. Only compared with itself.
    pub(super) ticks: AtomicU32,
    /// Calls in a row that timed out; any reply resets it. Advice: it may miss one under contention.
    timed_out: AtomicU32,
    /// Whether new calls are taken: the phase, to be read without a lock.
    is_open: AtomicBool,
    /// How many [`Mux`](super::Mux) handles there are; the last to go begins the drain.
    pub(super) handles: AtomicUsize,
    /// Told when the buffer was taken away, and when the connection ended.
    pub(super) room: Notify,
    pub(super) ended: Notify,
    /// After how many ticks a call has had its time.
    ticks_per_call: u32,
    runtime: Runtime,
}

pub(super) struct Desk<Req> {
    pub(super) phase: Phase,
    pub(super) tags: Tags,
    pub(super) outbox: Outbox<Req>,
    /// A ping is without a reply. Its cell is the one after those of `tags`, so that it never waits for one.
    pinged: bool,
}

pub(super) enum Phase {
    Open,
    /// No new calls; it ends when the pending ones have, for this reason.
    Draining(Lost),
    Ended(Lost),
}

/// Where a call stands at first.
pub(super) enum Place {
    Tag(u32),
    /// No tag was free.
    Queued(Arc<Turn>),
}

impl<Req, Resp> Engine<Req, Resp> {
    pub(super) fn new(
        settings: Settings,
        tag_bits: u32,
        encode: Encode<Req>,
        order: Option<VecDeque<u32>>,
        writer: Writer,
    ) -> Self {
        let cap = settings.max_in_flight;
        let pings = usize::from(settings.ping_after.is_some());
        let ticks = settings.ticks();
        let runtime = Runtime::callers();
        runtime.see();
        Self {
            cells: Cells::new(cap + pings, tag_bits),
            desk: Mutex::new(Desk {
                phase: Phase::Open,
                tags: Tags::new(u32::try_from(cap).expect("settings bound the cap")),
                outbox: Outbox::new(encode, order),
                pinged: false,
            }),
            writer: Mutex::new(writer),
            ticks: AtomicU32::new(0),
            timed_out: AtomicU32::new(0),
            is_open: AtomicBool::new(true),
            handles: AtomicUsize::new(1),
            room: Notify::new(),
            ended: Notify::new(),
            ticks_per_call: ticks.map_or(u32::MAX, |ticks| ticks.per_call),
            runtime,
            settings,
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk<Req>> {
        lock(&self.desk)
    }

    pub(super) fn cells(&self) -> &Cells<Resp> {
        &self.cells
    }

    /// Whether new calls are taken.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// The tick.
    pub(super) fn now(&self) -> u32 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Whether a call that began at tick `began` has had its time.
    pub(super) fn is_overdue(&self, began: u32) -> bool {
        self.now().wrapping_sub(began) > self.ticks_per_call
    }

    /// A timer, on the connection's runtime where the caller has none.
    pub(super) fn sleep(&self, limit: Duration) -> Sleep {
        self.runtime.within(|| sleep(limit))
    }

    /// Begins a call: writes the request if a tag is free, or queues for one and leaves the request where
    /// it is. With the tick at which that was.
    pub(super) fn begin(
        &self,
        request: &mut Option<Req>,
        cx: &mut Context<'_>,
    ) -> Result<(Place, u32), CallError> {
        let now = self.now();
        let mut desk = self.desk();
        let place = self.place(&mut desk, now, cx)?;
        if let Place::Tag(index) = place {
            self.append(desk, index, request.take(), now, cx)?;
        }
        Ok((place, now))
    }

    /// Takes a tag for a request to come, or queues for one.
    pub(super) fn reserve(&self, cx: &Context<'_>) -> Result<Place, CallError> {
        let now = self.now();
        self.place(&mut self.desk(), now, cx)
    }

    fn place(&self, desk: &mut Desk<Req>, now: u32, cx: &Context<'_>) -> Result<Place, CallError> {
        desk.accepts()?;
        if let Some(index) = desk.tags.take() {
            return Ok(Place::Tag(index));
        }
        let max_queued = self.settings.max_queued;
        if desk.tags.waiting() >= max_queued {
            return Err(CallError::QueueFull { max_queued });
        }
        Ok(Place::Queued(desk.tags.queue(cx.waker().clone(), now)))
    }

    /// A call that queued, or reserved, has its tag.
    pub(super) fn resume(
        &self,
        index: u32,
        request: &mut Option<Req>,
        began: u32,
        cx: &mut Context<'_>,
    ) -> Result<(), CallError> {
        let desk = self.desk();
        if let Err(error) = desk.still_serves() {
            self.give_back(desk, index);
            return Err(error);
        }
        self.append(desk, index, request.take(), began, cx)
    }

    fn append<'a>(
        &'a self,
        mut desk: MutexGuard<'a, Desk<Req>>,
        index: u32,
        request: Option<Req>,
        began: u32,
        cx: &mut Context<'_>,
    ) -> Result<(), CallError> {
        let request = request.expect("a call writes its request once");
        let tag = self.cells.begin_call(index, cx.waker().clone(), began);
        let appended = desk.outbox.append(Some(tag), Some(index), request);
        if let Err(error) = appended {
            self.cells.revoke(index);
            self.give_back(desk, index);
            return Err(self.unencoded(error));
        }
        let is_alone = desk.tags.taken() == 1;
        self.see_written(desk, is_alone, cx);
        Ok(())
    }

    /// The codec made nothing of a message. After a panic its state is anyone's guess, and the connection
    /// over.
    fn unencoded(&self, error: Unencoded) -> CallError {
        match error {
            Unencoded::Refused(error) => CallError::Encode(error.into()),
            Unencoded::Panicked => {
                self.end(Lost::Panicked);
                self.lost(Written::No)
            }
        }
    }

    /// Something was appended: sees to it that it is written.
    fn see_written<'a>(
        &'a self,
        mut desk: MutexGuard<'a, Desk<Req>>,
        is_alone: bool,
        cx: &mut Context<'_>,
    ) {
        if is_alone && !desk.outbox.is_asked() {
            drop(desk);
            if let Ok(mut writer) = self.writer.try_lock() {
                // What is left, and an error, are the driver's.
                match self.poll_write(&mut writer, cx) {
                    Poll::Ready(Ok(())) => return,
                    Poll::Ready(Err(error)) => writer.keep(error),
                    Poll::Pending => {}
                }
            }
            desk = self.desk();
        }
        let driver = desk.outbox.ask();
        drop(desk);
        wake(driver);
    }

    /// Writes what is in the outbox.
    pub(super) fn poll_write(
        &self,
        writer: &mut Writer,
        cx: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        let mut took = false;
        let wrote = writer.poll_write(cx, |empty| {
            self.desk().outbox.swap(empty);
            took = true;
        });
        if took {
            self.room.notify_waiters();
        }
        wrote
    }

    /// Appends a message that has no reply. Gives it back if there is no room.
    pub(super) fn send(
        &self,
        message: Req,
        cx: &mut Context<'_>,
    ) -> Result<Result<(), CallError>, Req> {
        let mut desk = self.desk();
        if let Err(error) = desk.accepts() {
            return Ok(Err(error));
        }
        if desk.outbox.len() >= self.settings.max_buffered {
            return Err(message);
        }
        if let Err(error) = desk.outbox.append(None, None, message) {
            drop(desk);
            return Ok(Err(self.unencoded(error)));
        }
        let is_alone = desk.tags.taken() == 0;
        self.see_written(desk, is_alone, cx);
        Ok(Ok(()))
    }

    /// The ping's cell.
    fn ping_index(&self) -> u32 {
        u32::try_from(self.settings.max_in_flight).expect("settings bound the cap")
    }

    /// Appends a request whose reply nobody waits for, unless the last is still without one. The driver's
    /// to call, which then sees it in the buffer.
    pub(super) fn ping(&self, request: Req) -> Result<(), Lost> {
        let mut desk = self.desk();
        if desk.pinged {
            return Ok(());
        }
        desk.pinged = true;
        let index = self.ping_index();
        let tag = self.cells.begin_unwatched(index);
        desk.outbox
            .append(Some(tag), Some(index), request)
            .map_err(|error| match error {
                Unencoded::Refused(error) => Lost::Ping(error.into()),
                Unencoded::Panicked => Lost::Panicked,
            })
    }

    /// The caller of a pending request has its reply, or the end.
    pub(super) fn finish(&self, index: u32) {
        self.give_back(self.desk(), index);
    }

    /// The caller of a pending request leaves.
    pub(super) fn leave(&self, index: u32) {
        let mut desk = self.desk();
        match self.cells.leave(index) {
            Left::Quarantined => {
                desk.tags.abandon();
                self.judge(desk);
            }
            Left::Free(reply) => {
                self.give_back(desk, index);
                drop(reply);
            }
        }
    }

    /// The caller of a queued request leaves.
    pub(super) fn leave_turn(&self, turn: &Turn) {
        let mut desk = self.desk();
        let next = desk.tags.leave(turn);
        let driver = desk.when_drained();
        drop(desk);
        wake(next);
        wake(driver);
    }

    fn give_back(&self, mut desk: MutexGuard<'_, Desk<Req>>, index: u32) {
        let next = desk.tags.give_back(index);
        let driver = desk.when_drained();
        drop(desk);
        wake(next);
        wake(driver);
    }

    /// Replies came to nobody: their tags leave quarantine.
    pub(super) fn release(&self, quarantined: &mut Vec<u32>) {
        let mut next = Vec::new();
        let mut desk = self.desk();
        for index in quarantined.drain(..) {
            if index == self.ping_index() {
                desk.pinged = false;
                continue;
            }
            desk.tags.unabandon();
            next.extend(desk.tags.give_back(index));
        }
        let driver = desk.when_drained();
        drop(desk);
        next.into_iter().for_each(Waker::wake);
        wake(driver);
    }

    /// A reply came: the peer answers.
    pub(super) fn answered(&self) {
        if self.timed_out.load(Ordering::Relaxed) > 0 {
            self.timed_out.store(0, Ordering::Relaxed);
        }
    }

    /// A pending call timed out.
    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether the peer still answers enough; else no new calls.
    fn judge(&self, desk: MutexGuard<'_, Desk<Req>>) {
        let timed_out = self.timed_out.load(Ordering::Relaxed);
        let abandoned = desk.tags.abandoned();
        let settings = &self.settings;
        let is_sick = timed_out >= settings.max_timeouts || abandoned >= settings.max_abandoned;
        if is_sick && matches!(desk.phase, Phase::Open) {
            self.drain(
                desk,
                Lost::Sick {
                    timed_out,
                    abandoned,
                },
            );
        } else {
            let driver = desk.when_drained();
            drop(desk);
            wake(driver);
        }
    }

    /// No new calls from now on; the driver ends the connection when the pending ones have ended. Those that
    /// wait for their turn have it still, unless the peer is sick: then they are better served elsewhere.
    pub(super) fn drain(&self, mut desk: MutexGuard<'_, Desk<Req>>, why: Lost) {
        if !matches!(desk.phase, Phase::Open) {
            return;
        }
        let queued = match why {
            Lost::Sick { .. } => desk.tags.refuse_all(),
            _ => Vec::new(),
        };
        desk.phase = Phase::Draining(why);
        self.is_open.store(false, Ordering::Relaxed);
        let driver = desk.outbox.driver();
        drop(desk);
        queued.into_iter().chain(driver).for_each(Waker::wake);
        self.room.notify_waiters();
    }

    /// Whether what a drain waits for has come to pass: nobody waits for anything, and all is written.
    pub(super) fn is_drained(&self) -> bool {
        // Under both locks, so that nothing is on its way from the one to the other.
        let writer = lock(&self.writer);
        let desk = self.desk();
        desk.is_quiet() && desk.outbox.len() == 0 && writer.is_done()
    }

    /// The connection has ended: everyone learns why, the driver included.
    pub(super) fn end(&self, why: Lost) {
        let mut desk = self.desk();
        if matches!(desk.phase, Phase::Ended(_)) {
            return;
        }
        desk.phase = Phase::Ended(why);
        self.is_open.store(false, Ordering::Relaxed);
        let queued = desk.tags.refuse_all();
        let driver = desk.outbox.driver();
        drop(desk);
        // A cell taken before the phase changed is seen here; none is taken after.
        let pending = self.cells.end();
        queued.into_iter().chain(pending).for_each(Waker::wake);
        wake(driver);
        self.room.notify_waiters();
        self.ended.notify_waiters();
    }

    /// Wakes the calls whose time is over.
    pub(super) fn wake_overdue(&self) {
        let queued = self.desk().tags.overdue(|began| self.is_overdue(began));
        let pending = self.cells.overdue(|began| self.is_overdue(began));
        queued.into_iter().chain(pending).for_each(Waker::wake);
    }

    /// Why a pending call has no reply.
    pub(super) fn lost(&self, written: Written) -> CallError {
        let cause = match &self.desk().phase {
            Phase::Ended(why) | Phase::Draining(why) => why.clone(),
            Phase::Open => Lost::Closed,
        };
        CallError::Lost { cause, written }
    }

    pub(super) fn call_timeout(&self) -> Duration {
        self.settings.call_timeout.unwrap_or_default()
    }
}

impl<Req> Desk<Req> {
    /// Whether a new call may begin.
    fn accepts(&self) -> Result<(), CallError> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Draining(cause) | Phase::Ended(cause) => Err(CallError::Lost {
                cause: cause.clone(),
                written: Written::No,
            }),
        }
    }

    /// Whether a call that queued before may go on.
    fn still_serves(&self) -> Result<(), CallError> {
        match &self.phase {
            Phase::Open | Phase::Draining(_) => Ok(()),
            Phase::Ended(_) => self.accepts(),
        }
    }

    /// Whether nobody waits for anything any more.
    fn is_quiet(&self) -> bool {
        self.tags.taken() == self.tags.abandoned() && self.tags.waiting() == 0
    }

    /// The driver, if this is what the drain waited for.
    fn when_drained(&self) -> Option<Waker> {
        match self.phase {
            Phase::Draining(_) if self.is_quiet() => self.outbox.driver(),
            _ => None,
        }
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
