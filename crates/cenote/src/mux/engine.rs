//! What the callers and the driver of one connection share.
//!
//! A call takes a tag and appends its request in the lane of its thread, and gives the tag back there: threads
//! share nothing but what the driver takes from all lanes. Where a lane has no tag, or must not give any, the call
//! goes to the desk.
//!
//! ## Locks, in the order they are taken
//! - `writer`: the write half. A caller that writes itself only tries it; the driver waits for it.
//! - `desk`: the phase, the tags that are in no lane, and the queue for them.
//! - the lanes: encoders, frames to be written, tags in stock; never two at once.
//! - the cells, the turns, the order of replies and the driver's waker, each with a lock of its own; none is taken
//!   under another of these.
//!
//! User code under locks: the write half under the writer's, which is its own; a codec's encoder under its lane's,
//! for it needs its state to itself, and frames their order. Callers' wakers are cloned, woken and dropped, and replies
//! are dropped, under none; the driver's waker is the runtime's own, and no other gets into the write half.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use super::ask::Ask;
use super::cells::{Cells, Left};
use super::desk::{Desk, Phase};
use super::error::{CallError, Disconnected, Sent};
use super::lane::{Lanes, Shut};
use super::settings::Settings;
use super::silence::{GaveUp, Heard};
use super::tags::{Tags, Turn};
use super::writer::Writer;
use crate::rt::{self, Runtime, Sleep};
use crate::sync::{AtomicBool, Mutex, MutexGuard, lock};
use crate::wake::{OwnedNotify, release, wake_all};

pub(super) struct Engine<Req, Resp> {
    pub(super) settings: Settings,
    pub(super) cells: Cells<Resp>,
    pub(super) lanes: Lanes<Req>,
    pub(super) desk: Mutex<Desk>,
    pub(super) ask: Ask,
    pub(super) writer: Mutex<Writer>,
    /// A coarse clock: counted up by the driver. Only compared with itself.
    pub(super) ticks: AtomicU32,
    pub(super) heard: Heard,
    /// How many of the pending requests' callers have left, to be read without a lock.
    abandoned: AtomicUsize,
    /// Whether new calls are taken: the phase, to be read without a lock.
    is_open: AtomicBool,
    /// How many [`Mux`](super::handle::Mux) handles there are; the last to go begins the drain.
    pub(super) handles: AtomicUsize,
    /// Told when the lanes were taken, and when the connection ended.
    pub(super) room: OwnedNotify,
    pub(super) ended: OwnedNotify,
    /// After how many ticks a call has had its time.
    ticks_per_call: u32,
    runtime: Runtime,
}

impl<Req, Resp> Engine<Req, Resp> {
    pub(super) fn new(
        settings: Settings,
        tag_bits: u32,
        lanes: Lanes<Req>,
        writer: Writer,
    ) -> Self {
        let cap = settings.max_in_flight;
        let pings = usize::from(settings.ping_after.is_some());
        let ticks = settings.ticks();
        let runtime = Runtime::callers();
        runtime.see();
        let tags = Tags::new(u32::try_from(cap).expect("settings bound the cap"));
        Self {
            cells: Cells::new(cap + pings, tag_bits),
            lanes,
            desk: Mutex::new(Desk::new(tags)),
            ask: Ask::new(),
            writer: Mutex::new(writer),
            ticks: AtomicU32::new(0),
            heard: Heard::default(),
            abandoned: AtomicUsize::new(0),
            is_open: AtomicBool::new(true),
            handles: AtomicUsize::new(1),
            room: OwnedNotify::new(),
            ended: OwnedNotify::new(),
            ticks_per_call: ticks.map_or(u32::MAX, |ticks| ticks.per_call),
            runtime,
            settings,
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
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

    /// A timer, by the clock of the connection's runtime where the caller has none.
    pub(super) fn sleep(&self, limit: Duration) -> Sleep {
        self.runtime.within(|| rt::sleep(limit))
    }

    /// How many requests have no reply yet; nearly so while calls begin and end.
    pub(super) fn in_flight(&self) -> usize {
        self.pending_and_queued().0
    }

    /// And how many calls wait for their turn.
    pub(super) fn pending_and_queued(&self) -> (usize, usize) {
        let desk = self.desk();
        // Still under the lock: those that went from the stocks to the desk in between would count as pending.
        let stocked = self.lanes.stocked();
        let pending = desk.tags.taken().saturating_sub(stocked);
        (pending, desk.tags.waiting())
    }

    /// Of those, how many whose callers have left.
    pub(super) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// The caller of a pending request has its reply, or the end.
    pub(super) fn finish(&self, index: u32) {
        let kept = self.lanes.of_thread().stock.put(index);
        if let Err(Shut) = kept {
            self.give_back(self.desk(), index);
        }
    }

    /// The caller of a pending request leaves; `heard` says what was heard of the peer when the request was made.
    pub(super) fn leave(&self, index: u32, how: GaveUp, heard: u32) {
        let mut desk = self.desk();
        match self.cells.leave(index) {
            Left::Quarantined(waker) => {
                desk.tags.abandon();
                self.count_abandoned(&desk);
                let is_silent = self.is_silent(&mut desk, how, heard);
                self.judge(desk, is_silent);
                release(waker);
            }
            Left::Free(reply) => {
                self.give_back(desk, index);
                drop(reply);
            }
        }
    }

    /// The caller of a queued request leaves. It has seen nothing of the peer; but once all tags are those of callers
    /// that gave up, nobody else can tell how long that has been.
    pub(super) fn leave_turn(&self, turn: &Turn) {
        let mut desk = self.desk();
        let (next, own) = desk.tags.leave(turn);
        let heard = self.heard.times();
        if desk.row.goes_on(heard) && self.is_beyond_limits(&desk, heard) {
            self.judge(desk, true);
            wake_all(next);
        } else {
            self.after(desk, next);
        }
        release(own);
    }

    pub(super) fn give_back(&self, mut desk: MutexGuard<'_, Desk>, index: u32) {
        let next = desk.tags.give_back(index);
        self.after(desk, next);
    }

    /// A tag or a turn was given back: what follows from it.
    fn after(&self, mut desk: MutexGuard<'_, Desk>, next: impl IntoIterator<Item = Waker>) {
        desk.reopen(&self.lanes);
        let has_drained = desk.has_drained();
        drop(desk);
        wake_all(next);
        if has_drained {
            self.ask.wake_driver();
        }
    }

    fn count_abandoned(&self, desk: &Desk) {
        let abandoned = desk.tags.abandoned();
        self.abandoned.store(abandoned, Ordering::Relaxed);
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
        self.count_abandoned(&desk);
        self.after(desk, next);
    }

    /// A caller gave up: whether the peer has said nothing for too long, or to too many.
    fn is_silent(&self, desk: &mut Desk, how: GaveUp, heard_before: u32) -> bool {
        let heard = self.heard.times();
        if heard != heard_before {
            return false;
        }
        desk.row.add(how, heard);
        self.is_beyond_limits(desk, heard)
    }

    /// Whether the row of callers that gave up, which goes on, is too long.
    fn is_beyond_limits(&self, desk: &Desk, heard: u32) -> bool {
        let settings = &self.settings;
        if settings.ping_after.is_some() {
            // The driver sends one, and goes by its answer.
            return false;
        }
        let is_long = |limit| desk.row.is_as_long_as(limit);
        desk.row.timed_out(heard) >= settings.max_timeouts
            || settings.max_silence.is_some_and(is_long)
    }

    /// The peer gave a sign of life: bytes came, or a large request goes in. The driver's to call, as is
    /// [`suspects`](Self::suspects).
    pub(super) fn hears(&self) {
        if self.heard.bytes() {
            let mut desk = self.desk();
            let next = desk.tags.grant();
            self.after(desk, next);
        }
    }

    /// The peer owes the answer to a ping for long: until it speaks or the connection ends, new calls wait for their
    /// turn, and what they ask is not sent.
    pub(super) fn suspects(&self) {
        let mut desk = self.desk();
        if !desk.tags.are_withheld() {
            desk.shut(&self.lanes);
            desk.tags.withhold();
            self.heard.suspect();
        }
    }

    /// Whether the peer still answers enough; else no new calls.
    fn judge(&self, desk: MutexGuard<'_, Desk>, is_silent: bool) {
        let timed_out = desk.row.timed_out(self.heard.times());
        let abandoned = desk.tags.abandoned();
        let is_sick = is_silent || abandoned >= self.settings.max_abandoned();
        if is_sick && matches!(desk.phase, Phase::Open) {
            self.drain(
                desk,
                Disconnected::Sick {
                    timed_out,
                    abandoned,
                },
            );
        } else {
            self.after(desk, None);
        }
    }

    /// No new calls from now on; the driver ends the connection when the pending ones have ended. Those that
    /// wait for their turn have it still, unless the peer is sick: then they are better served elsewhere.
    pub(super) fn drain(&self, mut desk: MutexGuard<'_, Desk>, why: Disconnected) {
        if !matches!(desk.phase, Phase::Open) {
            return;
        }
        let queued = match why {
            Disconnected::Sick { .. } => desk.tags.refuse_all(),
            _ => Vec::new(),
        };
        desk.phase = Phase::Draining(why);
        desk.shut(&self.lanes);
        self.is_open.store(false, Ordering::Relaxed);
        drop(desk);
        wake_all(queued);
        self.ask.wake_driver();
        self.room.notify_waiters();
    }

    /// The connection has ended: everyone learns why, the driver included.
    pub(super) fn end(&self, why: Disconnected) {
        let mut desk = self.desk();
        if matches!(desk.phase, Phase::Ended(_)) {
            return;
        }
        let queued = desk.tags.refuse_all();
        desk.phase = Phase::Ended(why);
        desk.shut(&self.lanes);
        self.is_open.store(false, Ordering::Relaxed);
        drop(desk);
        // A cell taken before the stocks were shut is seen here; none is taken after.
        let pending = self.cells.end();
        wake_all(queued.into_iter().chain(pending));
        self.ask.wake_driver();
        self.room.notify_waiters();
        self.ended.notify_waiters();
    }

    /// Wakes the calls whose time is over.
    pub(super) fn wake_overdue(&self) {
        let queued = self.desk().tags.overdue(|began| self.is_overdue(began));
        let pending = self.cells.overdue(|began| self.is_overdue(began));
        wake_all(queued.into_iter().chain(pending));
    }

    /// Why a pending call has no reply.
    pub(super) fn lost(&self, sent: Sent) -> CallError {
        let cause = match &self.desk().phase {
            Phase::Ended(why) | Phase::Draining(why) => why.clone(),
            Phase::Open => Disconnected::Closed,
        };
        CallError::Disconnected { cause, sent }
    }

    pub(super) fn call_timeout(&self) -> Duration {
        self.settings.call_timeout.unwrap_or_default()
    }
}
