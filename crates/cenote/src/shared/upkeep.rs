//! The background care of the active connections, a look every turn: it asks each how it is, has the dead, the old and
//! the superfluous drain, and parks in the lifecycle what nobody uses. Parked connections are the lifecycle's to check,
//! keep alive and close.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Duration;

use super::active_connection::{ActiveConnection, Seen};
use super::deferred::Deferred;
use super::grant::Refusal;
use super::state::{Core, State};
use crate::connect::Multiplex;
use crate::keeper::{Keeper, Member};
use crate::kernel::EndpointNumber;
use crate::lifecycle::signals::Face;
use crate::lifecycle::take;
use crate::policy::sharing::{self, Bounds, Retirement};
use crate::report::PoolState;
use crate::rt::{self, Instant};

/// Has the pool looked at every turn, as the state says it is.
pub(super) fn start<C: Multiplex>(core: &Arc<Core<C>>) {
    // Where somebody waits already, whose time may be up before a turn is over, at once.
    let first = match core.state().waitlist.len() {
        0 => rt::now() + Duration::from_nanos(core.limits.times.turn),
        _ => rt::now(),
    };
    let is_listed = {
        // A look of this keeper's finds itself named.
        let mut keeper = core.keeper();
        let next = Keeper::schedule_on(&core.life.owner.runtime, core, first);
        let is_listed = next.is_some();
        if let Some(next) = next {
            Keeper::take_over(&mut keeper, next, core);
        }
        is_listed
    };
    if !is_listed {
        return core.locked(State::upkeep_ended);
    }
    let (phase, signals_seen) = {
        let state = core.state();
        (state.phase, state.signals_seen)
    };
    if phase == PoolState::Closed {
        // Closed meanwhile.
        dismiss(core);
    } else if core.signals.load(Acquire) != signals_seen {
        // Signalled while there was no keeper to tell.
        ask_soon(core);
    }
}

/// Has the active connections asked at once, if they are looked after. By a task: the caller is anywhere.
pub(super) fn ask_soon<C: Multiplex>(core: &Arc<Core<C>>) {
    look_at(core, rt::now());
}

/// Has the pool looked at by then, if it is looked after.
pub(super) fn look_at<C: Multiplex>(core: &Arc<Core<C>>, at: Instant) {
    if let Some(keeper) = &*core.keeper() {
        // One that has ended is replaced when the pool is used next.
        let _ = keeper.schedule(core, at);
    }
}

/// Whether the pool is looked after on another runtime than the caller's, or by none.
pub(super) fn is_elsewhere<C: Multiplex>(core: &Core<C>) -> bool {
    let here = |keeper: &Arc<Keeper>| rt::here() == Some(keeper.runtime());
    !core.keeper().as_ref().is_some_and(here)
}

impl<C: Multiplex> Face for Core<C> {
    fn ask_again(self: Arc<Self>) {
        self.signals.fetch_add(1, Release);
        ask_soon(&self);
    }

    fn admission_changed(
        self: Arc<Self>,
        endpoints: &[EndpointNumber],
        on_trial: &[EndpointNumber],
    ) {
        // First: a lease that is given because of it begins after it.
        self.looked_at.store(self.life.owner.clock.now(), Relaxed);
        self.locked(|state, deferred| self.admit_endpoints(state, deferred, endpoints, on_trial));
    }

    fn in_flight_at(&self, endpoint: EndpointNumber) -> usize {
        let mut state = self.state();
        let roster = state.call_in_roster();
        let in_flight = state.active.in_flight_at(endpoint);
        drop(state);
        drop(roster);
        in_flight
    }

    fn leases_from(&self, first: EndpointNumber) -> Vec<u64> {
        let some = first..first.saturating_add(LOOKS_AT_ONCE as EndpointNumber);
        let mut state = self.state();
        let roster = state.call_in_roster();
        let leases = state.active.leases_at(some);
        drop(state);
        drop(roster);
        leases
    }

    fn give_up_unused(self: Arc<Self>) {
        ask_soon(&self);
    }

    fn give_one_back(self: Arc<Self>, endpoint: EndpointNumber) {
        self.locked(|state, deferred| self.give_up_at(state, deferred, endpoint));
    }
}

/// Ends the looks: the pool is closed.
pub(super) fn dismiss<C: Multiplex>(core: &Arc<Core<C>>) {
    if let Some(keeper) = &*core.keeper() {
        keeper.dismiss(core);
    }
}

impl<C: Multiplex> Member for Core<C> {
    fn look(self: Arc<Self>, keeper: &Arc<Keeper>) -> Option<Instant> {
        if !self.is_kept_by(keeper) {
            // A signal had listed it there as another took over.
            return None;
        }
        match self.turn() {
            Next::Turn { deadline } => {
                let turn = rt::now() + Duration::from_nanos(self.limits.times.turn);
                let deadline = deadline.map(|at| self.life.owner.clock.instant(at));
                Some(deadline.map_or(turn, |deadline| deadline.min(turn)))
            }
            Next::End => None,
        }
    }

    /// Those who wait on other runtimes are to see to the next keeper.
    fn abandoned(self: Arc<Self>, keeper: &Arc<Keeper>) {
        if !self.is_kept_by(keeper) {
            return;
        }
        self.locked(|state, deferred| {
            state.upkeep_ended(deferred);
            state.wake_waiters(deferred);
        });
    }
}

/// Whether upkeep is needed any more.
#[derive(PartialEq, Eq)]
enum Next {
    /// It is, in a turn or when the time of a waiter is over.
    Turn {
        deadline: Option<u64>,
    },
    End,
}

/// An active connection and what was found out about it outside the lock.
struct Look<C: Multiplex> {
    conn: Arc<ActiveConnection<C>>,
    seen: Seen,
    is_old: bool,
}

/// Of so many connections is taken in what they say, or of so many endpoints what they carried, before the lock is let go:
/// for microseconds, however many there are.
const LOOKS_AT_ONCE: usize = 128;

/// Without the lock.
impl<C: Multiplex> Core<C> {
    /// Whether `keeper` looks after the pool, and no other has taken over.
    fn is_kept_by(&self, keeper: &Arc<Keeper>) -> bool {
        let own = self.keeper();
        own.as_ref().is_some_and(|own| Arc::ptr_eq(own, keeper))
    }

    fn turn(self: &Arc<Self>) -> Next {
        let now = self.life.owner.clock.now();
        self.looked_at.store(now, Relaxed);
        let signals = self.signals.load(Acquire);
        let conns: Vec<_> = {
            let state = self.state();
            let active = state.active.entries().iter();
            active.map(|entry| Arc::clone(&entry.conn)).collect()
        };
        let looks: Vec<_> = conns
            .into_iter()
            .map(|conn| {
                let mut seen = conn.look();
                seen.is_open &= !conn.said_closed();
                Look {
                    seen,
                    is_old: conn.is_expired(now),
                    conn,
                }
            })
            .collect();
        self.locked(|state, deferred| {
            state.signals_seen = signals;
            state.flush_cached(deferred);
        });
        let mut is_used = false;
        for some in looks.chunks(LOOKS_AT_ONCE) {
            self.locked(|state, deferred| {
                state.flush_cached(deferred);
                for Look { conn, seen, .. } in some {
                    if let Some(i) = conn.index() {
                        self.note(state, deferred, i, *seen);
                    }
                    // Unless it was lost.
                    if let Some(i) = conn.index() {
                        is_used |= state.active.entries()[i].was_used;
                        self.park(state, deferred, i, now);
                    }
                }
            });
        }
        if is_used {
            take::in_use(&self.life);
        }
        self.life.count_recent_leases();
        self.locked(|state, deferred| {
            state.flush_cached(deferred);
            self.retire(state, deferred, &looks);
            self.shrink(state, deferred, now);
            state.peak = state.active.in_flight();
            let (wakers, deadline) = state.waitlist.refuse_due(now, || Refusal::TimedOut);
            deferred.wakers.extend(wakers.into_iter().flatten());
            self.dial_if_needed(state, deferred);
            if state.active.is_empty() && state.waitlist.len() == 0 {
                // Under the lock: a caller that comes after this starts another.
                state.upkeep_runs = false;
                state.waitlist.shrink();
                return Next::End;
            }
            Next::Turn { deadline }
        })
    }
}

/// With the lock held: the state is at hand, and what follows is deferred.
impl<C: Multiplex> Core<C> {
    /// Parks the connection at `i` if nobody has used it for a while, or nobody does while it is wanted elsewhere, and no
    /// longer waits for it if it is never ready.
    fn park(&self, state: &mut State<C>, deferred: &mut Deferred<C>, i: usize, now: u64) {
        // One that is not ready is waited for as long as anybody waits, and as it takes a new one to become so.
        state.active.end_warming(i, now);
        let entry = state.active.entry_mut(i);
        let is_awaited = entry.is_warming() || state.waitlist.len() > 0 && entry.capacity() == 0;
        let is_contested = self.life.owner.contested_budget().is_some();
        let was_used = std::mem::take(&mut entry.was_used) && !is_contested;
        if was_used || entry.in_flight() > 0 || is_awaited {
            entry.idle_since = now;
        } else if now.saturating_sub(entry.idle_since) >= self.limits.times.park_after
            || is_contested
        {
            state.start_drain(deferred, i);
        }
    }

    /// One old connection a turn, so that the others can take its load over.
    fn retire(&self, state: &mut State<C>, deferred: &mut Deferred<C>, looks: &[Look<C>]) {
        let old = looks.iter().filter(|look| look.is_old);
        let mut old: Vec<_> = old.filter_map(|look| look.conn.index()).collect();
        old.sort_unstable();
        if state.active.set().is_none() {
            old.truncate(1);
        }
        // Of a set, all: one whose endpoint cannot be dialled keeps no other from being replaced.
        for i in old {
            match self.retirement(state, i) {
                Retirement::Now => {
                    state.start_drain(deferred, i);
                    return self.dial_if_needed(state, deferred);
                }
                Retirement::Replace => self.replace_at(state, deferred, i),
                Retirement::Later => {}
            }
        }
    }

    /// What to do with the old connection at `i`. Of a set, one of the same endpoint is to take its place; where there is
    /// no room for that, the others take its load, as they would if it died.
    fn retirement(&self, state: &State<C>, i: usize) -> Retirement {
        let (marks, bounds, draining) = (self.limits.marks, self.bounds(state), state.draining);
        let active = &state.active;
        let Some(number) = active.entries()[i].conn.endpoint() else {
            return sharing::retire(marks, bounds, i, draining, &active.loads());
        };
        let is_full = active.len() + draining >= bounds.max_size;
        if !is_full && take::has_room_at(&self.life, number) {
            if let Some((loads, place)) = active.loads_at_endpoint_of(i) {
                let max_size = loads.len() + 1;
                return sharing::retire(marks, Bounds { max_size, ..bounds }, place, 0, &loads);
            }
        }
        let max_size = active.len();
        sharing::retire(
            marks,
            Bounds { max_size, ..bounds },
            i,
            draining,
            &active.loads(),
        )
    }

    fn shrink(&self, state: &mut State<C>, deferred: &mut Deferred<C>, now: u64) {
        let bounds = self.bounds(state);
        let (marks, peak, loads) = (self.limits.marks, state.peak, state.active.loads());
        let active = &state.active;
        // Of a set, each endpoint that serves keeps one: else it would be lacking it when it is chosen next.
        let may_go = |i: usize| active.is_spare(i);
        let spare = state
            .shrinking
            .look(now, marks, bounds, peak, &loads, may_go);
        if let Some(spare) = spare {
            state.start_drain(deferred, spare);
        }
    }
}
