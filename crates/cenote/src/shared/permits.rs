//! Permits, each one lease's share of a connection: asked for, granted or waited for, admitted, given back.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::active_connection::{ActiveConnection, Seen};
use super::deferred::Deferred;
use super::grant::{Grant, PermitWaiter, Refusal};
use super::lease::SharedLease;
use super::roster::Unlisted;
use super::set::Trial;
use super::state::{Core, State};
use crate::connect::Multiplex;
use crate::report::PoolState;
use crate::rt::nanos;
use crate::wake::release;

/// What a caller learns when it asks.
pub(super) enum Answer<C: Multiplex> {
    Granted(Grant<C>),
    Refused(Refusal),
    QueueFull,
    Closed,
}

/// Without the lock.
impl<C: Multiplex> Core<C> {
    /// A permit for a newcomer that has none by the roster, or its place in the waitlist. Upkeep refuses it after `limit`.
    pub(super) fn ask(
        self: &Arc<Self>,
        waker: &Waker,
        limit: Option<Duration>,
        unlisted: Unlisted,
    ) -> Result<Answer<C>, PermitWaiter<C>> {
        if let Some(answer) = self.ask_with(None, &mut None, limit, unlisted) {
            return Ok(answer);
        }
        let mut waiter = PermitWaiter::new(self.life.owner.clock.now());
        let mut own = Some(waker.clone());
        let answer = self.ask_with(Some(&mut waiter), &mut own, limit, Unlisted::Undecided);
        // Of user code too.
        release(own);
        match answer {
            Some(answer) => Ok(answer),
            None => Err(waiter),
        }
    }

    /// What a waiter has learned, or learns now; none while it waits. One whose connection proved dead or full queues
    /// again, before all that came after it.
    pub(super) fn ask_again(
        self: &Arc<Self>,
        waiter: &mut PermitWaiter<C>,
        waker: &Waker,
        limit: Option<Duration>,
    ) -> Option<Answer<C>> {
        let told = |outcome| match outcome {
            Ok(grant) => Answer::Granted(grant),
            Err(refusal) => Answer::Refused(refusal),
        };
        if let Some(outcome) = waiter.outcome() {
            return Some(told(outcome));
        }
        // Under no lock: it is user code.
        let mut own = Some(waker.clone());
        if waiter.is_idle() {
            let answer = self.ask_with(Some(waiter), &mut own, limit, Unlisted::Undecided);
            release(own);
            return answer;
        }
        self.locked(|state, deferred| {
            let renewed = waiter.renew(&mut state.waitlist, own.take()?);
            if renewed.is_ok() {
                // It may have been woken because nobody looks after the pool any more.
                state.ensure_upkeep(deferred);
                self.dial_if_needed(state, deferred);
            }
            deferred.old_waker = renewed.unwrap_or_else(Some);
            waiter.outcome().map(told)
        })
    }

    /// None: it has to wait, and does if it brought a waiter and a waker.
    fn ask_with(
        self: &Arc<Self>,
        mut waiter: Option<&mut PermitWaiter<C>>,
        waker: &mut Option<Waker>,
        limit: Option<Duration>,
        unlisted: Unlisted,
    ) -> Option<Answer<C>> {
        // Of no use to a newcomer that is served at once, which brings no waiter.
        let now = waiter.as_ref().map_or(0, |_| self.life.owner.clock.now());
        let listed = || Some(Some(Answer::Granted(self.listed(unlisted)?)));
        self.locked_unless(listed, |state, deferred| {
            if state.phase == PoolState::Closed {
                return Some(Answer::Closed);
            }
            let waitlist = &mut state.waitlist;
            let (is_new, is_first) = match &mut waiter {
                None => (true, waitlist.len() == 0),
                Some(waiter) => (waiter.arrive(waitlist), waiter.is_first(waitlist)),
            };
            if is_first {
                if let Some(grant) = self.give(state, deferred) {
                    return Some(Answer::Granted(grant));
                }
            }
            if is_new && state.waitlist.len() >= self.limits.max_waiters {
                state.rejected += 1;
                return Some(Answer::QueueFull);
            }
            let waiter = waiter.as_mut()?;
            let deadline = limit.map_or(u64::MAX, |limit| {
                waiter.since().saturating_add(nanos(limit))
            });
            waiter.join(&mut state.waitlist, waker.take()?, deadline);
            if deadline.saturating_sub(self.limits.times.turn) < now {
                // Else a look comes before it, and sees it.
                let at = deferred.look_at.map_or(deadline, |at| at.min(deadline));
                deferred.look_at = Some(at);
            }
            state.waited += u64::from(is_new);
            state.ensure_upkeep(deferred);
            self.dial_if_needed(state, deferred);
            None
        })
    }

    /// A cached permit, as a lease, if this thread has one.
    #[inline]
    pub(super) fn take_cached(self: &Arc<Self>) -> Option<Arc<ActiveConnection<C>>> {
        let (conn, capacity) = self.shards.take()?;
        let seen = conn.look();
        if seen.is_open && seen.capacity == capacity {
            return Some(conn);
        }
        self.undo_seen(&conn, None, seen);
        None
    }

    /// A lease without the lock, if the roster is out and a connection that it draws has room.
    #[inline]
    pub(super) fn take_listed(self: &Arc<Self>) -> Result<SharedLease<C>, Unlisted> {
        let (conn, capacity) = self.views.begin(self.life.endpoints())?;
        let seen = conn.look();
        if seen.is_open && seen.capacity == capacity {
            return Ok(SharedLease::new(conn, None));
        }
        self.undo_seen(&conn, None, seen);
        Err(Unlisted::Undecided)
    }

    /// A permit by the roster, which is out, for a caller that found it was not.
    pub(super) fn listed(&self, unlisted: Unlisted) -> Option<Grant<C>> {
        if unlisted == Unlisted::Undecided {
            return None;
        }
        let (conn, capacity) = self.views.begin(self.life.endpoints()).ok()?;
        Some(Grant {
            conn,
            // One of those that it carries.
            rank: capacity,
            trial: None,
        })
    }

    /// Turns a permit into a lease, if the connection can still carry it.
    #[inline]
    pub(super) fn admit(self: &Arc<Self>, grant: Grant<C>) -> Option<SharedLease<C>> {
        let seen = grant.conn.look();
        if seen.is_open && grant.rank <= seen.capacity {
            return Some(SharedLease::new(grant.conn, grant.trial));
        }
        self.undo_seen(&grant.conn, grant.trial, seen);
        None
    }

    /// Gives back a permit nobody used.
    pub(super) fn undo(self: &Arc<Self>, grant: &Grant<C>) {
        self.undo_seen(&grant.conn, grant.trial, grant.conn.look());
    }

    fn undo_seen(self: &Arc<Self>, conn: &ActiveConnection<C>, trial: Option<Trial>, seen: Seen) {
        self.locked(|state, deferred| {
            // The permit may have been a cached one: then it is counted now.
            state.flush_cached(deferred);
            state.gets -= 1;
            if let Some(i) = conn.index() {
                state.active.entry_mut(i).leases -= 1;
            }
            self.vacate(state, deferred, conn, trial, seen);
        });
    }

    /// A lease has ended, that of `trial` if its endpoint was on one.
    #[inline]
    pub(super) fn release(conn: Arc<ActiveConnection<C>>, trial: Option<Trial>) {
        if conn.core.life.owner.contested_budget().is_none() {
            return Self::end_lease(conn, trial);
        }
        let offered = Arc::clone(&conn);
        Self::end_lease(conn, trial);
        if let Some(budget) = offered.core.life.owner.contested_budget() {
            offered.core.offer(&offered, budget);
        }
    }

    #[inline]
    fn end_lease(mut conn: Arc<ActiveConnection<C>>, trial: Option<Trial>) {
        let seen = conn.look();
        let is_listed = trial.is_none() && seen.is_open;
        if is_listed && conn.leases.end(seen.capacity) {
            return conn.core.views.ended();
        }
        let shard = seen.is_open.then(|| conn.core.shards.shard()).flatten();
        if let Some(shard) = shard {
            // Not if it drains: it had ceased to be active before permits of another could be cached.
            let is_active = |conn: &Arc<ActiveConnection<C>>| conn.index().is_some();
            match shard.put(conn, seen.capacity, is_active) {
                Ok(()) => return,
                Err(back) => conn = back,
            }
        }
        let core = &conn.core;
        let listed = || (is_listed && conn.leases.end(seen.capacity)).then(|| core.views.ended());
        core.locked_unless(listed, |state, deferred| {
            core.vacate(state, deferred, &conn, trial, seen);
            core.allow_cached(state);
            core.hand_out_roster(state);
        });
    }

    /// Leaves the waitlist. None if that ended the waiting; else what it is told all the same.
    pub(super) fn leave(&self, waiter: &mut PermitWaiter<C>) -> Option<Result<Grant<C>, Refusal>> {
        let (left, growth_is_excess) = {
            let mut state = self.state();
            let left = waiter.leave(&mut state.waitlist);
            (left, self.note_demand(&state))
        };
        if growth_is_excess {
            self.growth.notify_waiters();
        }
        match left {
            Ok(waker) => {
                // Not under the lock: with a waker may go its whole task.
                release(waker);
                None
            }
            Err(()) => waiter.outcome(),
        }
    }
}

/// With the lock held: the state is at hand, and what follows is deferred.
impl<C: Multiplex> Core<C> {
    /// A permit at once. The caller has seen to it that nobody waits before the one it is for.
    pub(super) fn give(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
    ) -> Option<Grant<C>> {
        let endpoints = self.life.endpoints();
        let mut found = state.active.choose(endpoints);
        if found.index.is_none() && state.has_cached() {
            state.flush_cached(deferred);
            found = state.active.choose(endpoints);
        }
        deferred.lacking.extend(found.lacking);
        let chosen = found.index?;
        let grant = state.occupy(chosen);
        state.ensure_upkeep(deferred);
        let is_busy = |state: &State<C>| state.active.entries()[chosen].is_busy();
        if state.active.len() < state.max_size && is_busy(state) {
            // Recounted without the cached permits before the load is compared with the mark.
            state.flush_cached(deferred);
        }
        if is_busy(state) || state.active.len() < self.limits.min_size {
            self.dial_if_needed(state, deferred);
        }
        Some(grant)
    }

    /// Lets permits be cached while one connection carries all leases, and will: another is opened only when it is
    /// busy.
    fn allow_cached(&self, state: &mut State<C>) {
        let Some(entry) = state.active.only() else {
            return;
        };
        // Nor does anybody wait, if there is room.
        let is_settled = state.phase == PoolState::Open
            && state.active.set().is_none()
            && state.upkeep_runs
            && state.growing == 0
            && !entry.is_warming()
            && (state.max_size == 1 || self.limits.min_size <= 1 && !entry.is_busy());
        if is_settled {
            let free = entry.capacity().saturating_sub(entry.in_flight());
            state.allow_cached(free);
        }
    }

    /// Has leases begin and end without the lock while all connections together have room, and none of them comes near
    /// to being busy.
    fn hand_out_roster(&self, state: &mut State<C>) {
        let len = state.active.len();
        let is_settled = state.phase == PoolState::Open
            && len > 1
            && state.has_earned_roster()
            && state.upkeep_runs
            && state.active.warming() == 0
            && len >= self.limits.min_size
            && state.waitlist.len() == 0;
        if is_settled {
            state.hand_out_roster(self.limits.min_size, self.life.endpoints());
        }
    }

    fn vacate(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        conn: &ActiveConnection<C>,
        trial: Option<Trial>,
        seen: Seen,
    ) {
        if let Some((number, trial)) = conn.endpoint().zip(trial) {
            state.active.end_trial(number, trial);
        }
        match conn.index() {
            None => {
                state.draining_in_flight -= 1;
                state.active.vacate_draining(conn);
                if trial.is_some() {
                    // Its endpoint may have room on another connection.
                    self.serve(state, deferred);
                }
            }
            Some(i) => {
                state.active.vacate(i);
                self.note(state, deferred, i, seen);
                self.give_up_if_unused(state, deferred, conn);
            }
        }
    }
}

impl<C: Multiplex> State<C> {
    /// Counts one more lease on the connection at `i`.
    pub(super) fn occupy(&mut self, i: usize) -> Grant<C> {
        self.gets += 1;
        let (rank, trial) = self.active.occupy(i);
        self.peak = self.peak.max(self.active.in_flight());
        Grant {
            conn: Arc::clone(&self.active.entries()[i].conn),
            rank,
            trial,
        }
    }
}
