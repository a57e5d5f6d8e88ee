//! What the callers and the driver of one connection share.
//!
//! A call takes a tag and appends its request in the lane of its thread, and gives the tag back there: threads
//! share nothing but what the driver takes from all lanes. Where a lane has no tag, or must not give any, the call
//! goes through the admission.
//!
//! ## Locks, in the order they are taken
//! - `write_half`: the user's write half. A caller that writes itself only tries it; the driver waits for it.
//! - `admission`: the phase, the tags that no lane caches, and the queue for them.
//! - the lanes: encoders, frames to be written, cached tags; never two at once.
//! - the entries of the pending table, the order of replies and the driver's waker, each with a lock of its
//!   own; none is taken under another of these.
//!
//! User code under locks: the user's write half under the lock of `write_half`, which has nothing else to guard; a
//! codec's encoder under its lane's, for it needs its state to itself, and frames their order. Callers' wakers are
//! cloned, woken and dropped, and replies are dropped, under none; the driver's waker is the runtime's own, and no
//! other gets into the write half.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Duration;

use super::admission::{Admission, Phase};
use super::error::{CallError, Disconnected, Sent};
use super::lane::Lanes;
use super::pending::{Left, PendingTable};
use super::settings::Settings;
use super::silence::{GaveUp, PeerActivity};
use super::tags::{TagWaiter, Tags};
use super::write_half::WriteHalf;
use super::write_signal::WriteSignal;
use crate::rt::{self, Runtime, Sleep};
use crate::sync::{AtomicBool, Mutex, MutexGuard, lock};
use crate::wake::{OwnedNotify, release, wake_all};

pub(super) struct Engine<Req, Resp> {
    pub(super) settings: Settings,
    pub(super) pending: PendingTable<Resp>,
    pub(super) lanes: Lanes<Req>,
    pub(super) admission: Mutex<Admission>,
    pub(super) write_signal: WriteSignal,
    pub(super) write_half: Mutex<WriteHalf>,
    /// A coarse clock: counted up by the driver.
    pub(super) ticks: AtomicU64,
    pub(super) activity: PeerActivity,
    /// How many of the pending requests' callers have left, to be read without a lock.
    abandoned: AtomicUsize,
    /// Whether new calls are taken: the phase, to be read without a lock.
    is_open: AtomicBool,
    /// How many [`Mux`](super::handle::Mux) handles there are; the last to go begins the drain.
    pub(super) handles: AtomicUsize,
    /// Notified when the lanes were taken.
    pub(super) room: OwnedNotify,
    /// Notified when the connection has ended.
    pub(super) ended: OwnedNotify,
    /// After how many ticks a call has had its time; none: never.
    ticks_per_call: Option<u32>,
    runtime: Runtime,
}

impl<Req, Resp> Engine<Req, Resp> {
    pub(super) fn new(
        settings: Settings,
        tag_bits: u32,
        lanes: Lanes<Req>,
        write_half: WriteHalf,
    ) -> Self {
        let cap = settings.max_in_flight;
        let pings = usize::from(settings.ping_after.is_some());
        let ticks = settings.ticks();
        let runtime = Runtime::callers();
        runtime.see();
        let tags = Tags::new(u32::try_from(cap).expect("settings bound the cap"));
        Self {
            pending: PendingTable::new(cap + pings, tag_bits),
            lanes,
            admission: Mutex::new(Admission::new(tags)),
            write_signal: WriteSignal::new(),
            write_half: Mutex::new(write_half),
            ticks: AtomicU64::new(0),
            activity: PeerActivity::default(),
            abandoned: AtomicUsize::new(0),
            is_open: AtomicBool::new(true),
            handles: AtomicUsize::new(1),
            room: OwnedNotify::new(),
            ended: OwnedNotify::new(),
            ticks_per_call: ticks.map(|ticks| ticks.per_call),
            runtime,
            settings,
        }
    }

    pub(super) fn admission(&self) -> MutexGuard<'_, Admission> {
        lock(&self.admission)
    }

    /// Whether new calls are taken.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// The tick.
    pub(super) fn now(&self) -> u64 {
        self.ticks.load(Ordering::Relaxed)
    }

    /// Whether a call that began at tick `began` has had its time.
    pub(super) fn is_overdue(&self, began: u64) -> bool {
        self.now() >= self.deadline(began)
    }

    /// The tick at which a call that began at tick `began` has had its time.
    pub(super) fn deadline(&self, began: u64) -> u64 {
        match self.ticks_per_call {
            Some(ticks) => began + u64::from(ticks) + 1,
            None => u64::MAX,
        }
    }

    /// A timer, by the clock of the connection's runtime where the caller has none.
    pub(super) fn sleep(&self, limit: Duration) -> Sleep {
        self.runtime.within(|| rt::sleep(limit))
    }

    /// How many requests have no reply yet; nearly so while calls begin and end.
    pub(super) fn in_flight(&self) -> usize {
        self.pending_and_queued().0
    }

    /// How many requests have no reply yet, and how many calls are queued.
    pub(super) fn pending_and_queued(&self) -> (usize, usize) {
        let admission = self.admission();
        // Still under the lock: tags that went from the caches to the admission in between would count as pending.
        let cached = self.lanes.cached();
        let pending = admission.tags.taken().saturating_sub(cached);
        (pending, admission.tags.waiting())
    }

    /// Of the pending requests, how many whose callers have left.
    pub(super) fn abandoned(&self) -> usize {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// The caller of a pending request has its reply, or the end.
    pub(super) fn finish(&self, index: u32) {
        let kept = self.lanes.of_thread().cache.put(index);
        if let Err(index) = kept {
            self.return_tag(self.admission(), index);
        }
    }

    /// The caller of a pending request leaves; `activity` is the peer's when the request was made.
    pub(super) fn leave(&self, index: u32, how: GaveUp, activity: u32) {
        let mut admission = self.admission();
        match self.pending.leave(index) {
            Left::Quarantined(waker) => {
                admission.tags.abandon();
                self.count_abandoned(&admission);
                let is_silent = self.gives_up(&mut admission, how, activity);
                self.drain_if_sick(admission, is_silent);
                release(waker);
            }
            Left::Free(reply) => {
                self.return_tag(admission, index);
                drop(reply);
            }
        }
    }

    /// The caller of a queued request leaves. It has seen nothing of the peer; but once all tags are those of callers
    /// that gave up, no other caller can tell how long that has been.
    pub(super) fn leave_queue(&self, waiter: &mut TagWaiter) {
        let mut admission = self.admission();
        let (next, own) = admission.tags.leave(waiter);
        let activity = self.activity.count();
        if admission.give_ups.is_current(activity) && self.is_beyond_limits(&admission, activity) {
            self.drain_if_sick(admission, true);
            wake_all(next);
        } else {
            self.after_return(admission, next);
        }
        release(own);
    }

    pub(super) fn return_tag(&self, mut admission: MutexGuard<'_, Admission>, index: u32) {
        let next = admission.tags.give_back(index);
        self.after_return(admission, next);
    }

    /// A tag or a turn was given back: thaws the caches, wakes the callers that were granted one, ends a drain.
    fn after_return(
        &self,
        mut admission: MutexGuard<'_, Admission>,
        next: impl IntoIterator<Item = Waker>,
    ) {
        admission.thaw(&self.lanes);
        let has_drained = admission.has_drained();
        drop(admission);
        wake_all(next);
        if has_drained {
            self.write_signal.wake_driver();
        }
    }

    fn count_abandoned(&self, admission: &Admission) {
        let abandoned = admission.tags.abandoned();
        self.abandoned.store(abandoned, Ordering::Relaxed);
    }

    /// Replies came whose callers had left: their tags leave quarantine.
    pub(super) fn release_quarantined(&self, quarantined: &mut Vec<u32>) {
        let mut next = Vec::new();
        let mut admission = self.admission();
        let before = admission.tags.abandoned();
        for index in quarantined.drain(..) {
            if index == self.ping_index() {
                admission.is_ping_pending = false;
                continue;
            }
            admission.tags.unabandon();
            next.extend(admission.tags.give_back(index));
        }
        self.count_abandoned(&admission);
        let has_room_again = admission.tags.abandoned() < before;
        self.after_return(admission, next);
        if has_room_again {
            self.settings.signals.ask_again();
        }
    }

    /// A caller gave up: whether the peer has been silent for too long, or to too many.
    fn gives_up(&self, admission: &mut Admission, how: GaveUp, activity_before: u32) -> bool {
        let activity = self.activity.count();
        if activity != activity_before {
            return false;
        }
        admission.give_ups.record(how, activity);
        self.is_beyond_limits(admission, activity)
    }

    /// Whether the streak of callers that gave up, which is current, is too long.
    fn is_beyond_limits(&self, admission: &Admission, activity: u32) -> bool {
        let settings = &self.settings;
        if settings.ping_after.is_some() {
            // The driver sends a ping, and goes by its answer.
            return false;
        }
        let is_long = |limit| admission.give_ups.has_lasted(limit);
        admission.give_ups.timed_out(activity) >= settings.max_timeouts
            || settings.max_silence.is_some_and(is_long)
    }

    /// The peer gave a sign of life: bytes came, or it takes a large request. The driver's to call, as is
    /// [`suspect_peer`](Self::suspect_peer).
    pub(super) fn record_activity(&self) {
        if self.activity.record() {
            let mut admission = self.admission();
            let next = admission.tags.grant();
            self.after_return(admission, next);
            self.settings.signals.ask_again();
        }
    }

    /// The peer owes the answer to a ping for long: until it speaks or the connection ends, new calls wait for their
    /// turn, and what they ask is not sent.
    pub(super) fn suspect_peer(&self) {
        let mut admission = self.admission();
        if !admission.tags.are_withheld() {
            admission.freeze(&self.lanes);
            admission.tags.withhold();
            self.activity.suspect();
            drop(admission);
            self.settings.signals.ask_again();
        }
    }

    /// Whether the peer still answers enough; else no new calls.
    fn drain_if_sick(&self, admission: MutexGuard<'_, Admission>, is_silent: bool) {
        let timed_out = admission.give_ups.timed_out(self.activity.count());
        let abandoned = admission.tags.abandoned();
        let is_sick = is_silent || abandoned >= self.settings.max_abandoned();
        if is_sick && matches!(admission.phase, Phase::Open) {
            self.drain(
                admission,
                Disconnected::Sick {
                    timed_out,
                    abandoned,
                },
            );
        } else {
            self.after_return(admission, None);
        }
    }

    /// No new calls from now on; the driver ends the connection when the pending ones have ended. Queued calls still
    /// get their turn, unless the peer is sick: then they are better served elsewhere.
    pub(super) fn drain(&self, mut admission: MutexGuard<'_, Admission>, why: Disconnected) {
        if !matches!(admission.phase, Phase::Open) {
            return;
        }
        let queued = match why {
            Disconnected::Sick { .. } => Some(admission.tags.refuse_all()),
            _ => None,
        };
        admission.phase = Phase::Draining(why);
        admission.freeze(&self.lanes);
        self.is_open.store(false, Ordering::Relaxed);
        drop(admission);
        self.settings.signals.closed();
        wake_all(queued.into_iter().flatten());
        self.write_signal.wake_driver();
        self.room.notify_waiters();
    }

    /// The connection has ended: all callers and the driver learn why.
    pub(super) fn end(&self, why: Disconnected) {
        let mut admission = self.admission();
        if matches!(admission.phase, Phase::Ended(_)) {
            return;
        }
        let queued = admission.tags.refuse_all();
        admission.phase = Phase::Ended(why);
        admission.freeze(&self.lanes);
        self.is_open.store(false, Ordering::Relaxed);
        drop(admission);
        self.settings.signals.closed();
        // An entry occupied before the caches were frozen is seen here; none is occupied after.
        let pending = self.pending.end();
        wake_all(queued.chain(pending));
        self.write_signal.wake_driver();
        self.room.notify_waiters();
        self.ended.notify_waiters();
    }

    /// Wakes the calls whose time is over.
    pub(super) fn wake_overdue(&self) {
        let Some(limit) = self.ticks_per_call else {
            return;
        };
        let now = self.now();
        let mut admission = self.admission();
        let queued = admission.tags.refuse_due(now);
        self.after_return(admission, queued);
        let is_overdue = |began: u32| (now as u32).wrapping_sub(began) > limit;
        wake_all(self.pending.overdue(is_overdue));
    }

    /// The ping's index in the pending table.
    pub(super) fn ping_index(&self) -> u32 {
        u32::try_from(self.settings.max_in_flight).expect("settings bound the cap")
    }

    /// Why a pending call has no reply.
    pub(super) fn lost(&self, sent: Sent) -> CallError {
        let cause = match &self.admission().phase {
            Phase::Ended(why) | Phase::Draining(why) => why.clone(),
            Phase::Open => Disconnected::Closed,
        };
        CallError::Disconnected { cause, sent }
    }

    pub(super) fn call_timeout(&self) -> Duration {
        self.settings.call_timeout.unwrap_or_default()
    }
}
