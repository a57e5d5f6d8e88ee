//! How connections enter service, what they say while they serve, and why they leave it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use super::carrier::{Carrier, Ending, Seen};
use super::places::Told;
use super::state::{After, Core, Seat, State};
use super::upkeep;
use crate::connect::Multiplex;
use crate::lifecycle::dial;
use crate::lifecycle::state::PoolToken;
use crate::policy::sharing;
use crate::report::PoolState;

impl<C: Multiplex> Core<C> {
    /// Takes in what the connection at `i` says of itself: serves those who wait from the room it has, or
    /// takes it out of service.
    pub(super) fn note(&self, state: &mut State<C>, after: &mut After<C>, i: usize, seen: Seen) {
        if !seen.is_open {
            return self.lose(state, after, i);
        }
        if seen.signals >= state.seats[i].asked_after {
            if seen.capacity != state.seats[i].capacity {
                // So that others may be spare, at the new one.
                state.recall_spares(after);
            }
            let seat = &mut state.seats[i];
            seat.asked_after = seen.signals;
            seat.capacity = seen.capacity;
            if seen.capacity > 0 {
                seat.warm_until = 0;
            }
        }
        while state.seats[i].load().has_room() {
            let Some((number, waiter)) = state.queue.pop_first() else {
                break;
            };
            let grant = state.occupy(i);
            state.told.insert(number, Told::Granted(grant));
            after.wake(waiter.waker);
        }
        if !state.queue.is_empty() {
            self.dial_if_needed(state, after);
        }
    }

    /// The connection at `i` is dead: the next may be opened before anybody asks for it, if it was in use.
    fn lose(&self, state: &mut State<C>, after: &mut After<C>, i: usize) {
        // Whether it was in use they tell, too.
        state.recall_spares(after);
        let Seat {
            carrier,
            in_flight,
            leases,
            was_used,
            ..
        } = &state.seats[i];
        if *leases == 0 {
            // The gate closes when the connection is gone. The next caller drives growth.
            carrier.end_as(Ending::ArrivedDead);
            return state.unseat(after, i);
        }
        let was_in_use = *in_flight > 0 || *was_used;
        state.unseat(after, i);
        if was_in_use {
            self.replace(state, after);
        }
        self.dial_if_needed(state, after);
    }

    /// A holder says that the connection is to serve nobody else, and how it ends.
    pub(super) fn condemn(self: &Arc<Self>, carrier: &Carrier<C>, retire: Ending) {
        carrier.end_as(retire);
        self.locked(|state, after| {
            if let Some(i) = carrier.seat() {
                state.unseat(after, i);
                self.replace(state, after);
            }
        });
    }

    /// Sees to growth: whatever may call for one more connection ends here.
    pub(super) fn dial_if_needed(&self, state: &mut State<C>, after: &mut After<C>) {
        if self.wants_growth(state) {
            state.grow(after);
        }
    }

    /// Has another take the place of a connection in use that goes, if there may be one.
    pub(super) fn replace(&self, state: &mut State<C>, after: &mut After<C>) {
        if !state.is_growing && state.phase == PoolState::Open && state.seats.len() < state.max_size
        {
            state.grow(after);
        }
    }

    pub(super) fn wants_growth(&self, state: &State<C>) -> bool {
        let loads = state.seats.iter().map(Seat::load);
        !state.is_growing
            && state.phase == PoolState::Open
            // One that is not ready yet is as good as being opened.
            && state.seats.iter().all(|seat| seat.warm_until == 0)
            && sharing::grows(self.limits.marks, self.bounds(state), state.queue.len(), loads)
    }

    /// Puts a connection into service; true if one more should follow.
    pub(super) fn adopt(self: &Arc<Self>, token: PoolToken<C>) -> bool {
        let now = self.life.owner.clock.now();
        dial::entered_service(&token, now);
        let carrier = Carrier::new(self, token);
        let seen = carrier.look();
        // New, and not ready yet.
        let warm_until = match carrier.info().uses {
            1 if seen.capacity == 0 => now.saturating_add(self.limits.times.warm_for),
            _ => 0,
        };
        let grows = self.locked(|state, after| {
            state.recall_spares(after);
            let i = state.seats.len();
            if !seen.is_open {
                carrier.end_as(Ending::ArrivedDead);
            }
            // Looked at under the lock: an eviction comes before this, or finds it seated.
            let is_wanted = seen.is_open && !carrier.is_evicted();
            if state.phase == PoolState::Open && i < state.max_size && is_wanted {
                carrier.set_seat(Some(i));
                state.seats.push(Seat {
                    carrier,
                    in_flight: 0,
                    capacity: 0,
                    asked_after: 0,
                    warm_until,
                    leases: 0,
                    was_used: false,
                    idle_since: now,
                });
                self.note(state, after, i, seen);
                state.keep(after);
            } else {
                state.draining += 1;
                after.gone.push(carrier);
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
}
