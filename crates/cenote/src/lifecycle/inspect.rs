//! All that is known of the connections, and of what is done for them.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::dial_of_set;
use super::state::{LifecycleCore, SlotMeta};
use super::target::Target;
use crate::connect::Connect;
use crate::kernel::{State, StateWord};
use crate::report::{ConnectionSnapshot, ConnectionState, PoolSettings, Snapshot, Timings};

impl<C: Connect> LifecycleCore<C> {
    /// What a connection in a user's hands is said to be, is for the face to say: `leased` does, by its slot's metadata
    /// and for how long it has been held.
    pub(crate) fn inspect(
        &self,
        leased: impl Fn(&SlotMeta, Duration) -> ConnectionState,
    ) -> Snapshot {
        let life = &self.owner;
        let now = life.clock.now();
        let since = |then: u64| Duration::from_nanos(now.saturating_sub(then));
        let connect_error = self.last_connect_error();
        let gate = match life.targets.set() {
            Some(set) => dial_of_set::first_gate(&set.dials()),
            None => life.dialer().gate(),
        };
        let demand = self.demand();
        Snapshot {
            pool: life.settings.name.clone(),
            endpoint: life.targets.one().and_then(Target::name),
            status: self.status(),
            connections: self
                .slots()
                .filter_map(|(_, word, meta)| connection(word, meta, now, &leased))
                .collect(),
            oldest_waiter: demand.oldest.map(since),
            connect_error,
            connect_failures: gate.failures(),
            retry_in: gate
                .opens_at()
                .checked_sub(now)
                .filter(|nanos| *nanos > 0)
                .map(Duration::from_nanos),
            dialling: self.dialling(|_| true),
            endpoints: self.set_status(),
            budget: life.budget.as_ref().map(|budget| budget.status()),
            counters: self.counters(),
            timings: self.timings(),
            settings: PoolSettings::new(&life.settings, demand.max_size),
        }
    }

    pub(crate) fn timings(&self) -> Timings {
        self.owner.metrics.times.timings()
    }
}

fn connection(
    word: StateWord,
    meta: &SlotMeta,
    now: u64,
    leased: impl Fn(&SlotMeta, Duration) -> ConnectionState,
) -> Option<ConnectionSnapshot> {
    let leased_at = meta.leased_at.load(Relaxed);
    let (state, taken_at) = match word.state() {
        State::Vacant | State::Opening => return None,
        State::Idle => (ConnectionState::Idle, now),
        State::Reserved | State::Closing => (ConnectionState::Upkeep, now),
        State::Leased => {
            let held_for = Duration::from_nanos(now.saturating_sub(leased_at));
            (leased(meta, held_for), leased_at)
        }
    };
    let info = meta.info(now, taken_at);
    Some(ConnectionSnapshot { info, state })
}
