//! The pool from all sides.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::connect::Connect;
use crate::error::endpoint;
use crate::kernel::{State, StateWord};
use crate::lifecycle::state::{PoolCore, SlotMeta};
use crate::report::{ConnectionSnapshot, ConnectionState, PoolSettings, Snapshot, Timings};

impl<C: Connect> PoolCore<C> {
    pub(crate) fn inspect(&self) -> Snapshot {
        let shared = &self.owner;
        let now = shared.clock.now();
        let since = |then: u64| Duration::from_nanos(now.saturating_sub(then));
        let (connect_error, gate) = {
            let dialer = shared.dialer();
            (dialer.last_error(), dialer.gate())
        };
        let demand = self.demand();
        Snapshot {
            pool: shared.settings.name.clone(),
            endpoint: endpoint(&shared.connector),
            status: self.status(),
            connections: self
                .slots()
                .filter_map(|(_, word, meta)| connection(word, meta, now))
                .collect(),
            oldest_waiter: demand.oldest.map(since),
            connect_error,
            connect_failures: gate.failures(),
            retry_in: gate
                .opens_at()
                .checked_sub(now)
                .filter(|nanos| *nanos > 0)
                .map(Duration::from_nanos),
            dialling: self.dialling(),
            budget: shared.budget.as_ref().map(|budget| budget.status()),
            counters: self.counters(),
            timings: self.timings(),
            settings: PoolSettings::new(&shared.settings, demand.max_size),
        }
    }

    pub(crate) fn timings(&self) -> Timings {
        self.owner.metrics.times.timings()
    }
}

fn connection(word: StateWord, meta: &SlotMeta, now: u64) -> Option<ConnectionSnapshot> {
    let leased_at = meta.leased_at.load(Relaxed);
    let (state, taken_at) = match word.state() {
        State::Vacant | State::Opening => return None,
        State::Idle => (ConnectionState::Idle, now),
        State::Reserved | State::Closing => (ConnectionState::Upkeep, now),
        State::Leased => match meta.call_site.get() {
            // A lease whose holder has not written its metadata yet shows that of the lease before.
            Some(site) => (
                ConnectionState::Leased {
                    held_for: Duration::from_nanos(now.saturating_sub(leased_at)),
                    call_site: site.call_site,
                    label: site.label,
                },
                leased_at,
            ),
            // The first of its slot.
            None => (ConnectionState::Upkeep, now),
        },
    };
    let info = meta.info(now, taken_at);
    Some(ConnectionSnapshot { info, state })
}
