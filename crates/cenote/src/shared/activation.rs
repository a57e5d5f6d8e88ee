//! How connections become active, what they say of themselves while they are, and why they drain.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::active_connection::{ActiveConnection, Ending, Seen};
use super::deferred::Deferred;
use super::state::{Core, State};
use super::upkeep;
use crate::budget::Membership;
use crate::connect::Multiplex;
use crate::kernel::{Admission, EndpointNumber};
use crate::lifecycle::proving;
use crate::lifecycle::state::ConnectionToken;
use crate::policy::sharing;
use crate::report::PoolState;

/// What a connection becomes active for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activation {
    /// One more is to serve, of whichever endpoint.
    Growth,
    /// Its endpoint was chosen while it had none active.
    PassedOver,
}

/// Without the lock.
impl<C: Multiplex> Core<C> {
    /// Makes a connection active.
    pub(super) fn activate(self: &Arc<Self>, token: ConnectionToken<C>, what_for: Activation) {
        let now = self.life.owner.clock.now();
        proving::taken_by_face(&token, now);
        let conn = ActiveConnection::new(self, token);
        let seen = conn.look();
        // New, and not ready yet.
        let warm_until = match conn.info().uses {
            1 if seen.capacity == 0 => now.saturating_add(self.limits.times.warm_for),
            _ => 0,
        };
        let number = conn.endpoint();
        self.locked(|state, deferred| {
            state.flush_cached(deferred);
            let i = state.active.len();
            if !seen.is_open {
                conn.end_as(Ending::ArrivedDead);
            }
            // Looked at under the lock: an eviction, or a change of the set, comes before this, or finds it active.
            let admission = self.admission_now(number);
            let is_wanted = seen.is_open && !conn.is_evicted() && admission != Admission::Barred;
            if state.phase == PoolState::Open && i < state.max_size && is_wanted {
                if let Some(number) = number {
                    state.active.admit(number, admission);
                }
                state.active.push(conn, number, now, warm_until);
                if what_for == Activation::PassedOver {
                    state.active.owe(number);
                }
                let activated = Arc::clone(&state.active.entries()[i].conn);
                self.note(state, deferred, i, seen);
                self.give_up_if_unused(state, deferred, &activated);
                deferred.gone.push(activated);
                state.ensure_upkeep(deferred);
            } else {
                state.draining += 1;
                deferred.gone.push(conn);
            }
        });
        if self.signals.load(Acquire) != seen.signals {
            // The turn that a signal called for meanwhile may not have known of this one.
            upkeep::ask_soon(self);
        }
    }

    /// A connection that was on its way is there, or will not come; true if one more should follow.
    pub(super) fn has_grown(self: &Arc<Self>) -> bool {
        self.locked(|state, deferred| {
            state.growing -= 1;
            let grows = self.wants_growth(state) && !self.growth_waits(state, deferred);
            state.growing += usize::from(grows);
            grows
        })
    }

    /// A connection on its way is not waited for any longer, if it is not wanted any more.
    pub(super) fn gives_up_growth(self: &Arc<Self>) -> bool {
        self.locked(|state, _| {
            let is_excess = self.growth_is_excess(state);
            state.growing -= usize::from(is_excess);
            is_excess
        })
    }

    /// A lease has ended while connections are wanted by other pools under the budget: the connection is closed for one of
    /// them when its last lease ends, if it has served its own pool for its part.
    #[cold]
    pub(super) fn offer(self: &Arc<Self>, conn: &ActiveConnection<C>, budget: &Membership) {
        let own_waiter = self.locked(|state, deferred| {
            // A permit of it may have been cached.
            state.flush_cached(deferred);
            self.give_up_if_unused(state, deferred, conn);
            let is_active = state.phase == PoolState::Open && conn.index().is_some();
            is_active.then(|| state.waitlist.oldest())
        });
        let Some(own_waiter) = own_waiter else {
            return;
        };
        // Those who use it would wait from now on.
        let own_waiter = own_waiter.unwrap_or_else(|| self.life.owner.clock.now());
        if !conn.is_claimed(budget, own_waiter) {
            return;
        }
        conn.end_as(Ending::Claimed);
        self.locked(|state, deferred| {
            if let Some(i) = conn.index() {
                state.start_drain(deferred, i);
                self.dial_if_needed(state, deferred);
            }
        });
    }

    /// A holder says that the connection is to serve nobody else, and how it ends.
    pub(super) fn withdraw(self: &Arc<Self>, conn: &ActiveConnection<C>, ending: Ending) {
        conn.end_as(ending);
        self.locked(|state, deferred| {
            if let Some(i) = conn.index() {
                let is_shared = state.active.entries()[i].is_shared();
                state.start_drain(deferred, i);
                if is_shared {
                    self.replace(state, deferred);
                }
                self.dial_if_needed(state, deferred);
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
                state.active.note_capacity(i, seen.capacity);
            }
            state.active.entry_mut(i).asked_after = seen.signals;
        }
        self.serve(state, deferred);
        self.note_room(state);
    }

    /// How far the endpoint with this number may serve, as of now; where there is no set, all the way.
    fn admission_now(&self, number: Option<EndpointNumber>) -> Admission {
        let of_set = number.zip(self.life.endpoints());
        of_set.map_or(Admission::Drawn, |(number, endpoints)| {
            endpoints.record(number).admission()
        })
    }

    /// Serves those who wait from the room there is.
    pub(super) fn serve(&self, state: &mut State<C>, deferred: &mut Deferred<C>) {
        while state.waitlist.len() > 0 {
            let Some(i) = state.active.choose(self.life.endpoints()).index else {
                return self.dial_if_needed(state, deferred);
            };
            let Some(waiter) = state.waitlist.pop() else {
                return;
            };
            let grant = state.occupy(i);
            deferred.wake(waiter.grant(grant));
        }
    }

    /// Endpoints of the set may serve otherwise than before, or are on another trial: what is barred drains, and what
    /// serves again serves those who wait.
    pub(super) fn admit_endpoints(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        numbers: &[EndpointNumber],
        on_trial: &[EndpointNumber],
    ) {
        let Some(endpoints) = self.life.endpoints() else {
            return;
        };
        for number in numbers {
            let admission = endpoints.record(*number).admission();
            state.active.admit(*number, admission);
            if admission != Admission::Barred {
                continue;
            }
            while let Some(i) = state.active.first_at(*number) {
                state.start_drain(deferred, i);
            }
        }
        for number in on_trial {
            state.active.begin_trial(*number);
        }
        self.serve(state, deferred);
    }

    /// Has a connection of this endpoint drain, for another endpoint.
    pub(super) fn give_up_at(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        number: EndpointNumber,
    ) {
        if let Some(i) = state.active.to_give_up_at(number) {
            state.start_drain(deferred, i);
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
        // One that served one caller alone is replaced when the next asks.
        let is_missed = entry.is_shared() && (entry.in_flight() > 0 || entry.was_used);
        state.start_drain(deferred, i);
        if is_missed {
            self.replace(state, deferred);
        }
        self.dial_if_needed(state, deferred);
    }

    /// Sees to growth: whatever may call for one more connection ends here.
    pub(super) fn dial_if_needed(&self, state: &mut State<C>, deferred: &mut Deferred<C>) {
        while self.wants_growth(state) && !self.growth_waits(state, deferred) {
            state.grow(deferred);
        }
    }

    /// Has another take the place of a connection in use that goes, if there may be one.
    pub(super) fn replace(&self, state: &mut State<C>, deferred: &mut Deferred<C>) {
        if state.active.set().is_some() {
            // Its endpoint lacks it when it is chosen next, if it is one that can be reached.
            return self.dial_if_needed(state, deferred);
        }
        if state.growing == 0
            && state.phase == PoolState::Open
            && state.active.len() < state.max_size
        {
            state.grow(deferred);
        }
    }

    /// Has another take the place of the one at `i`, which serves until then.
    pub(super) fn replace_at(&self, state: &mut State<C>, deferred: &mut Deferred<C>, i: usize) {
        match state.active.entries()[i].conn.endpoint() {
            Some(number) if !deferred.lacking.contains(&number) => deferred.lacking.push(number),
            Some(_) => {}
            None => self.replace(state, deferred),
        }
    }

    /// How many connections may be on their way: one, so that what it brings is known before the next; but where each carries
    /// one lease, one for each caller, and of a set, while nothing serves, one to each endpoint that callers could be served
    /// by.
    fn growth_at_once(&self, state: &State<C>) -> usize {
        let endpoints = self.life.endpoints();
        match endpoints.filter(|_| state.active.occupancy().serving == 0) {
            Some(endpoints) => endpoints
                .drawn()
                .min(state.waitlist.len())
                .clamp(1, self.limits.max_growing),
            None if state.active.occupancy().is_exclusive() => {
                state.waitlist.len().clamp(1, self.limits.max_growing)
            }
            None => 1,
        }
    }

    /// Gives a connection back that nobody uses, if it may be wanted elsewhere.
    #[inline]
    pub(super) fn give_up_if_unused(
        &self,
        state: &mut State<C>,
        deferred: &mut Deferred<C>,
        conn: &ActiveConnection<C>,
    ) {
        if self.life.owner.contested_budget().is_none() {
            return;
        }
        let unused = conn.index().filter(|&i| {
            let entry = &state.active.entries()[i];
            entry.in_flight() == 0 && entry.capacity() > 0
        });
        if let Some(i) = unused {
            state.start_drain(deferred, i);
        }
    }

    /// So many, of those on their way and those that are not ready yet, are as good as being opened: of a set, one to each
    /// endpoint, so that none that never becomes ready keeps the others from having one.
    fn coming_at_once(&self) -> usize {
        let endpoints = self.life.endpoints();
        endpoints.map_or(1, |endpoints| endpoints.drawn().max(1))
    }

    /// Whether the connections have not been busy for long enough yet to open one more, which is looked at again when they
    /// have. Only where each carries many: one more for a caller alone is opened at once.
    fn growth_waits(&self, state: &mut State<C>, deferred: &mut Deferred<C>) -> bool {
        let grow_after = self.limits.times.grow_after;
        let occupancy = state.active.occupancy();
        if grow_after == 0 || !occupancy.grows_ahead() || occupancy.serving < self.limits.min_size {
            return false;
        }
        let now = self.life.owner.clock.now();
        let due = state
            .busy_since
            .get_or_insert(now)
            .saturating_add(grow_after);
        if due <= now {
            return false;
        }
        let at = deferred.look_at.map_or(due, |at| at.min(due));
        deferred.look_at = Some(at);
        true
    }

    /// The connections may not be busy any more.
    #[inline]
    fn note_room(&self, state: &mut State<C>) {
        if state.busy_since.is_some() {
            let waiters = state.waitlist.len();
            if !sharing::grows(self.bounds(state), waiters, state.active.occupancy()) {
                state.busy_since = None;
            }
        }
    }

    /// Who waits, or how much growth is under way, may have changed. Where there is a budget, it goes by the age of the oldest
    /// waiter. True if growth under way is to look whether it is wanted any more.
    #[inline]
    pub(super) fn note_demand(&self, state: &State<C>) -> bool {
        let owner = &self.life.owner;
        if owner.budget.is_some() {
            let oldest = state.waitlist.oldest().unwrap_or(u64::MAX);
            owner.oldest_waiter_of_face.store(oldest, Relaxed);
        }
        self.growth_is_excess(state)
    }

    /// Whether more connections are on their way than are wanted any more: of those for one caller each, there are fewer
    /// callers who wait.
    fn growth_is_excess(&self, state: &State<C>) -> bool {
        state.growing > state.waitlist.len()
            && self.life.endpoints().is_none()
            && state.active.occupancy().is_exclusive()
            && state.active.len() >= self.limits.min_size
    }

    pub(super) fn wants_growth(&self, state: &State<C>) -> bool {
        let waiters = state.waitlist.len();
        let warming = state.active.warming();
        state.growing < self.growth_at_once(state)
            && (warming == 0 || state.growing + warming < self.coming_at_once())
            && state.phase == PoolState::Open
            && state.active.len() + state.growing < state.max_size
            && sharing::grows(self.bounds(state), waiters, state.active.occupancy())
    }
}
