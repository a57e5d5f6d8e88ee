//! Places on connections: asked for, granted or waited for, admitted, given back.

use std::sync::Arc;
use std::task::Waker;

use super::carrier::{Carrier, Seen};
use super::state::{After, Core, State, Waiter};
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::report::PoolState;
use crate::wake::release;

/// A place on a connection, counted as taken: to be [admitted](Core::admit) or [undone](Core::undo).
#[must_use = "a place neither admitted nor undone is lost"]
pub(super) struct Grant<C: Multiplex> {
    carrier: Arc<Carrier<C>>,
    /// Leases the connection had when this place was given, this one included.
    rank: usize,
}

/// What one who waited is told.
pub(super) enum Told<C: Multiplex> {
    Granted(Grant<C>),
    Refused(GetError),
}

/// A waiter's: its number, by which it comes before all that came later, and since when it waits, by the pool's clock.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) number: u64,
    pub(super) since: u64,
}

/// What a caller learns when it asks.
pub(super) enum Answer<C: Multiplex> {
    Granted(Grant<C>),
    /// It waits.
    Queued(Turn),
    Refused(GetError),
    QueueFull,
    Closed,
}

impl<C: Multiplex> Core<C> {
    /// A place for the caller whose turn this is, or its turn; a newcomer has none yet. A caller whose connection proved
    /// dead comes again with its old turn, and so before all that came after it.
    pub(super) fn ask(self: &Arc<Self>, turn: Option<Turn>, waker: &Waker) -> Answer<C> {
        let asked = self.ask_with(turn, waker, &mut None);
        asked.unwrap_or_else(|| {
            // Under no lock: it is user code.
            let own = waker.clone();
            let since = turn.map_or_else(|| self.life.owner.clock.now(), |turn| turn.since);
            let mut own = Some(Waiter {
                since,
                waker: Some(own),
            });
            let asked = self.ask_with(turn, waker, &mut own);
            asked.expect("it has a waker to leave")
        })
    }

    /// None: it has to wait, and there is no waiter to leave.
    fn ask_with(
        self: &Arc<Self>,
        turn: Option<Turn>,
        waker: &Waker,
        waiter: &mut Option<Waiter>,
    ) -> Option<Answer<C>> {
        let number = turn.map(|turn| turn.number);
        self.locked(|state, after| {
            if let Some(turn @ Turn { number, .. }) = turn {
                match state.told.remove(&number) {
                    Some(Told::Granted(grant)) => return Some(Answer::Granted(grant)),
                    Some(Told::Refused(error)) => return Some(Answer::Refused(error)),
                    None => {}
                }
                if let Some(own) = state.queue.get_mut(&number) {
                    let own = &mut own.waker;
                    if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
                        after.old_waker = std::mem::replace(own, waiter.take()?.waker);
                    }
                    // It may have been woken because nobody looks after the pool any more.
                    state.keep(after);
                    self.dial_if_needed(state, after);
                    return Some(Answer::Queued(turn));
                }
            }
            if state.phase == PoolState::Closed {
                return Some(Answer::Closed);
            }
            if let Some(grant) = self.give(state, after, number) {
                return Some(Answer::Granted(grant));
            }
            if number.is_none() && state.queue.len() >= self.limits.max_waiters {
                state.rejected += 1;
                return Some(Answer::QueueFull);
            }
            let waiter = waiter.take()?;
            let number = number.unwrap_or_else(|| {
                state.waited += 1;
                state.next_number += 1;
                state.next_number
            });
            let since = waiter.since;
            state.queue.insert(number, waiter);
            state.keep(after);
            self.dial_if_needed(state, after);
            Some(Answer::Queued(Turn { number, since }))
        })
    }

    /// A place at once, for the caller with this number or a newcomer, if nobody waits before it.
    pub(super) fn give(
        &self,
        state: &mut State<C>,
        after: &mut After<C>,
        number: Option<u64>,
    ) -> Option<Grant<C>> {
        let is_before = |first: &u64| number.is_none_or(|number| *first < number);
        if state.queue.keys().next().is_some_and(is_before) {
            return None;
        }
        let mut chosen = state.choose();
        if chosen.is_none() && state.has_spares() {
            state.recall_spares(after);
            chosen = state.choose();
        }
        let chosen = chosen?;
        let grant = state.occupy(chosen);
        state.keep(after);
        if state.seats.len() < state.max_size
            && self.limits.marks.is_high(state.seats[chosen].load())
        {
            // By the places that are taken.
            state.recall_spares(after);
        }
        let load = state.seats[chosen].load();
        if self.limits.marks.is_high(load) || state.seats.len() < self.limits.min_size {
            self.dial_if_needed(state, after);
        }
        Some(grant)
    }

    /// A spare place, as a lease, if this thread has one.
    #[inline]
    pub(super) fn take_spare(self: &Arc<Self>) -> Option<Arc<Carrier<C>>> {
        let (carrier, capacity) = self.spares.take()?;
        let seen = carrier.look();
        if seen.is_open && seen.capacity == capacity {
            return Some(carrier);
        }
        self.undo_seen(&carrier, seen);
        None
    }

    /// Lets places be spare while one connection carries all leases, and will: another is opened only when it is busy.
    fn allow_spares(&self, state: &mut State<C>) {
        let [seat] = &state.seats[..] else {
            return;
        };
        // Nor does anybody wait, if there is room.
        let is_settled = state.phase == PoolState::Open
            && state.is_kept
            && !state.is_growing
            && seat.warm_until == 0
            && (state.max_size == 1
                || self.limits.min_size <= 1 && !self.limits.marks.is_high(seat.load()));
        if is_settled {
            let free = seat.capacity.saturating_sub(seat.in_flight);
            state.allow_spares(free);
        }
    }

    /// Turns a place into a lease, if the connection can still carry it.
    #[inline]
    pub(super) fn admit(self: &Arc<Self>, grant: Grant<C>) -> Option<Arc<Carrier<C>>> {
        let seen = grant.carrier.look();
        if seen.is_open && grant.rank <= seen.capacity {
            return Some(grant.carrier);
        }
        self.undo_seen(&grant.carrier, seen);
        None
    }

    /// Gives back a place nobody used.
    pub(super) fn undo(self: &Arc<Self>, grant: &Grant<C>) {
        self.undo_seen(&grant.carrier, grant.carrier.look());
    }

    fn undo_seen(self: &Arc<Self>, carrier: &Carrier<C>, seen: Seen) {
        self.locked(|state, after| {
            // It may have been one of them: then it is counted now.
            state.recall_spares(after);
            state.gets -= 1;
            if let Some(i) = carrier.seat() {
                state.seats[i].leases -= 1;
            }
            self.vacate(state, after, carrier, seen);
        });
    }

    /// A lease has ended.
    #[inline]
    pub(super) fn release(mut carrier: Arc<Carrier<C>>) {
        let seen = carrier.look();
        let lane = seen.is_open.then(|| carrier.core.spares.lane()).flatten();
        if let Some(lane) = lane {
            // Not if it drains: it had left its seat before others could be spare.
            let is_seated = |carrier: &Arc<Carrier<C>>| carrier.seat().is_some();
            match lane.keep(carrier, seen.capacity, is_seated) {
                Ok(()) => return,
                Err(unkept) => carrier = unkept,
            }
        }
        let core = &carrier.core;
        core.locked(|state, after| {
            core.vacate(state, after, &carrier, seen);
            core.allow_spares(state);
        });
    }

    fn vacate(&self, state: &mut State<C>, after: &mut After<C>, carrier: &Carrier<C>, seen: Seen) {
        match carrier.seat() {
            None => state.draining_in_flight -= 1,
            Some(i) => {
                state.in_flight -= 1;
                state.seats[i].in_flight -= 1;
                self.note(state, after, i, seen);
            }
        }
    }

    /// Leaves the queue. None if that ended the waiting; else what it is told all the same.
    pub(super) fn leave(&self, number: u64) -> Option<Told<C>> {
        let mut state = self.state();
        let waiter = state.queue.remove(&number);
        let told = state.told.remove(&number);
        // Not before: with a waker may go its whole task.
        drop(state);
        release(waiter.and_then(|waiter| waiter.waker));
        told
    }
}

impl<C: Multiplex> State<C> {
    fn choose(&mut self) -> Option<usize> {
        let seats = &self.seats;
        self.chooser.choose(seats.len(), |i| seats[i].load())
    }

    /// Counts one more lease on the connection at `i`.
    pub(super) fn occupy(&mut self, i: usize) -> Grant<C> {
        self.gets += 1;
        self.in_flight += 1;
        self.peak = self.peak.max(self.in_flight);
        let seat = &mut self.seats[i];
        seat.in_flight += 1;
        seat.leases += 1;
        seat.was_used = true;
        Grant {
            carrier: Arc::clone(&seat.carrier),
            rank: seat.in_flight,
        }
    }
}
