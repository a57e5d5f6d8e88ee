//! Permits, each one lease's share of a connection: asked for, granted or waited for, admitted, given back.

use std::sync::Arc;
use std::task::Waker;

use super::active_connection::{ActiveConnection, Seen};
use super::deferred::Deferred;
use super::grant::{Grant, Turn, WaitOutcome};
use super::state::{Core, State, Waiter};
use crate::connect::Multiplex;
use crate::error::GetError;
use crate::report::PoolState;
use crate::wake::release;

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
    /// A permit for the caller whose turn this is, or its turn; a newcomer has none yet. A caller whose connection
    /// proved dead comes again with its old turn, and so before all that came after it.
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
        self.locked(|state, deferred| {
            if let Some(turn @ Turn { number, .. }) = turn {
                match state.outcomes.remove(&number) {
                    Some(WaitOutcome::Granted(grant)) => return Some(Answer::Granted(grant)),
                    Some(WaitOutcome::Refused(error)) => return Some(Answer::Refused(error)),
                    None => {}
                }
                if let Some(own) = state.queue.get_mut(&number) {
                    let own = &mut own.waker;
                    if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
                        deferred.old_waker = std::mem::replace(own, waiter.take()?.waker);
                    }
                    // It may have been woken because nobody looks after the pool any more.
                    state.ensure_upkeep(deferred);
                    self.dial_if_needed(state, deferred);
                    return Some(Answer::Queued(turn));
                }
            }
            if state.phase == PoolState::Closed {
                return Some(Answer::Closed);
            }
            if let Some(grant) = self.give(state, deferred, number) {
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
            state.ensure_upkeep(deferred);
            self.dial_if_needed(state, deferred);
            Some(Answer::Queued(Turn { number, since }))
        })
    }

    /// A permit at once, for the caller with this number or a newcomer, if nobody waits before it.
    pub(super) fn give(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        number: Option<u64>,
    ) -> Option<Grant<C>> {
        let is_before = |first: &u64| number.is_none_or(|number| *first < number);
        if state.queue.keys().next().is_some_and(is_before) {
            return None;
        }
        let mut chosen = state.choose();
        if chosen.is_none() && state.has_cached() {
            state.flush_cached(deferred);
            chosen = state.choose();
        }
        let chosen = chosen?;
        let grant = state.occupy(chosen);
        state.ensure_upkeep(deferred);
        if state.active.len() < state.max_size
            && self.limits.marks.is_high(state.active[chosen].load())
        {
            // Recounted without the cached permits before the load is compared with the mark.
            state.flush_cached(deferred);
        }
        let load = state.active[chosen].load();
        if self.limits.marks.is_high(load) || state.active.len() < self.limits.min_size {
            self.dial_if_needed(state, deferred);
        }
        Some(grant)
    }

    /// A cached permit, as a lease, if this thread has one.
    #[inline]
    pub(super) fn take_cached(self: &Arc<Self>) -> Option<Arc<ActiveConnection<C>>> {
        let (conn, capacity) = self.permit_cache.take()?;
        let seen = conn.look();
        if seen.is_open && seen.capacity == capacity {
            return Some(conn);
        }
        self.undo_seen(&conn, seen);
        None
    }

    /// Lets permits be cached while one connection carries all leases, and will: another is opened only when it is
    /// busy.
    fn allow_cached(&self, state: &mut State<C>) {
        let [entry] = &state.active[..] else {
            return;
        };
        // Nor does anybody wait, if there is room.
        let is_settled = state.phase == PoolState::Open
            && state.upkeep_runs
            && !state.is_growing
            && entry.warm_until == 0
            && (state.max_size == 1
                || self.limits.min_size <= 1 && !self.limits.marks.is_high(entry.load()));
        if is_settled {
            let free = entry.capacity.saturating_sub(entry.in_flight);
            state.allow_cached(free);
        }
    }

    /// Turns a permit into a lease, if the connection can still carry it.
    #[inline]
    pub(super) fn admit(self: &Arc<Self>, grant: Grant<C>) -> Option<Arc<ActiveConnection<C>>> {
        let seen = grant.conn.look();
        if seen.is_open && grant.rank <= seen.capacity {
            return Some(grant.conn);
        }
        self.undo_seen(&grant.conn, seen);
        None
    }

    /// Gives back a permit nobody used.
    pub(super) fn undo(self: &Arc<Self>, grant: &Grant<C>) {
        self.undo_seen(&grant.conn, grant.conn.look());
    }

    fn undo_seen(self: &Arc<Self>, conn: &ActiveConnection<C>, seen: Seen) {
        self.locked(|state, deferred| {
            // The permit may have been a cached one: then it is counted now.
            state.flush_cached(deferred);
            state.gets -= 1;
            if let Some(i) = conn.index() {
                state.active[i].leases -= 1;
            }
            self.vacate(state, deferred, conn, seen);
        });
    }

    /// A lease has ended.
    #[inline]
    pub(super) fn release(mut conn: Arc<ActiveConnection<C>>) {
        let seen = conn.look();
        let shard = seen
            .is_open
            .then(|| conn.core.permit_cache.shard())
            .flatten();
        if let Some(shard) = shard {
            // Not if it drains: it had ceased to be active before permits of another could be cached.
            let is_active = |conn: &Arc<ActiveConnection<C>>| conn.index().is_some();
            match shard.put(conn, seen.capacity, is_active) {
                Ok(()) => return,
                Err(back) => conn = back,
            }
        }
        let core = &conn.core;
        core.locked(|state, deferred| {
            core.vacate(state, deferred, &conn, seen);
            core.allow_cached(state);
        });
    }

    fn vacate(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        conn: &ActiveConnection<C>,
        seen: Seen,
    ) {
        match conn.index() {
            None => state.draining_in_flight -= 1,
            Some(i) => {
                state.in_flight -= 1;
                state.active[i].in_flight -= 1;
                self.note(state, deferred, i, seen);
            }
        }
    }

    /// Leaves the queue. None if that ended the waiting; else what it is told all the same.
    pub(super) fn leave(&self, number: u64) -> Option<WaitOutcome<C>> {
        let mut state = self.state();
        let waiter = state.queue.remove(&number);
        let outcome = state.outcomes.remove(&number);
        // Not before: with a waker may go its whole task.
        drop(state);
        release(waiter.and_then(|waiter| waiter.waker));
        outcome
    }
}

impl<C: Multiplex> State<C> {
    fn choose(&mut self) -> Option<usize> {
        let active = &self.active;
        self.chooser.choose(active.len(), |i| active[i].load())
    }

    /// Counts one more lease on the connection at `i`.
    pub(super) fn occupy(&mut self, i: usize) -> Grant<C> {
        self.gets += 1;
        self.in_flight += 1;
        self.peak = self.peak.max(self.in_flight);
        let entry = &mut self.active[i];
        entry.in_flight += 1;
        entry.leases += 1;
        entry.was_used = true;
        Grant {
            conn: Arc::clone(&entry.conn),
            rank: entry.in_flight,
        }
    }
}
