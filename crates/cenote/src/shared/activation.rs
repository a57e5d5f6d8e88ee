//! How connections become active, what they say of themselves while they are, and why they drain.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use super::active_connection::{ActiveConnection, Ending, Seen};
use super::deferred::Deferred;
use super::state::{Core, State};
use super::upkeep;
use crate::connect::Multiplex;
use crate::lifecycle::proving;
use crate::lifecycle::state::ConnectionToken;
use crate::policy::sharing;
use crate::report::PoolState;

/// Without the lock.
impl<C: Multiplex> Core<C> {
    /// Makes a connection active; true if one more should follow.
    pub(super) fn activate(self: &Arc<Self>, token: ConnectionToken<C>) -> bool {
        let now = self.life.owner.clock.now();
        proving::taken_by_face(&token, now);
        let conn = ActiveConnection::new(self, token);
        let seen = conn.look();
        // New, and not ready yet.
        let warm_until = match conn.info().uses {
            1 if seen.capacity == 0 => now.saturating_add(self.limits.times.warm_for),
            _ => 0,
        };
        let grows = self.locked(|state, deferred| {
            state.flush_cached(deferred);
            let i = state.active.len();
            if !seen.is_open {
                conn.end_as(Ending::ArrivedDead);
            }
            // Looked at under the lock: an eviction comes before this, or finds it active.
            let is_wanted = seen.is_open && !conn.is_evicted();
            if state.phase == PoolState::Open && i < state.max_size && is_wanted {
                state.active.push(conn, now, warm_until);
                self.note(state, deferred, i, seen);
                state.ensure_upkeep(deferred);
            } else {
                state.draining += 1;
                deferred.gone.push(conn);
            }
            state.is_growing = false;
            state.is_growing = self.wants_growth(state);
            state.is_growing
        });
        if self.signals.load(Acquire) != seen.signals {
            // The turn that a signal called for meanwhile may not have known of this one.
            upkeep::ask_soon(self);
        }
        grows
    }

    /// A holder says that the connection is to serve nobody else, and how it ends.
    pub(super) fn withdraw(self: &Arc<Self>, conn: &ActiveConnection<C>, ending: Ending) {
        conn.end_as(ending);
        self.locked(|state, deferred| {
            if let Some(i) = conn.index() {
                state.start_drain(deferred, i);
                self.replace(state, deferred);
            }
        });
    }
}

/// With the lock held: the state is at hand, and what follows is deferred.
impl<C: Multiplex> Core<C> {
    /// Takes in what the connection at `i` says of itself: serves those who wait from the room it has, or
    /// has it drain.
    pub(super) fn note(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        i: usize,
        seen: Seen,
    ) {
        if !seen.is_open {
            return self.on_lost(state, deferred, i);
        }
        let entry = &state.active.entries()[i];
        if seen.signals >= entry.asked_after {
            if seen.capacity != entry.capacity() {
                // So that others may be cached, at the new one.
                state.flush_cached(deferred);
            }
            state.active.note_capacity(i, seen);
        }
        while state.active.entries()[i].load().has_room() {
            let Some(waiter) = state.waitlist.pop() else {
                break;
            };
            let grant = state.occupy(i);
            deferred.wake(waiter.grant(grant));
        }
        if state.waitlist.len() > 0 {
            self.dial_if_needed(state, deferred);
        }
    }

    /// The connection at `i` is dead: the next may be opened before anybody asks for it, if it was in use.
    fn on_lost(&self, state: &mut State<C>, deferred: &mut Deferred<C>, i: usize) {
        // Cached permits tell whether it was in use, too.
        state.flush_cached(deferred);
        let entry = &state.active.entries()[i];
        if entry.leases == 0 {
            // The gate closes when the connection is gone. The next caller drives growth.
            entry.conn.end_as(Ending::ArrivedDead);
            return state.start_drain(deferred, i);
        }
        let was_in_use = entry.in_flight() > 0 || entry.was_used;
        state.start_drain(deferred, i);
        if was_in_use {
            self.replace(state, deferred);
        }
        self.dial_if_needed(state, deferred);
    }

    /// Sees to growth: whatever may call for one more connection ends here.
    pub(super) fn dial_if_needed(&self, state: &mut State<C>, deferred: &mut Deferred<C>) {
        if self.wants_growth(state) {
            state.grow(deferred);
        }
    }

    /// Has another take the place of a connection in use that goes, if there may be one.
    pub(super) fn replace(&self, state: &mut State<C>, deferred: &mut Deferred<C>) {
        if !state.is_growing
            && state.phase == PoolState::Open
            && state.active.len() < state.max_size
        {
            state.grow(deferred);
        }
    }

    pub(super) fn wants_growth(&self, state: &State<C>) -> bool {
        let waiters = state.waitlist.len();
        !state.is_growing
            && state.phase == PoolState::Open
            // One that is not ready yet is as good as being opened.
            && !state.active.any_warming()
            && sharing::grows(self.bounds(state), waiters, state.active.occupancy())
    }
}
