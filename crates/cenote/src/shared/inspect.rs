//! The pool from all sides: what the lifecycle beneath knows of the connections, and who shares them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::state::Core;
use crate::connect::Multiplex;
use crate::registry::Listed;
use crate::report::{ConnectionState, Counters, SharingSettings, Snapshot};

impl<C: Multiplex> Listed for Core<C> {
    fn name(&self) -> &str {
        &self.life.owner.settings.name
    }

    fn snapshot(self: Arc<Self>) -> Snapshot {
        Core::inspect(&self)
    }
}

impl<C: Multiplex> Core<C> {
    pub(crate) fn inspect(self: &Arc<Self>) -> Snapshot {
        let mut snapshot = self.life.inspect(|_, _| ConnectionState::Draining);
        let now = self.life.owner.clock.now();
        let serving: HashMap<_, _> = self.locked(|state, deferred| {
            state.flush_cached(deferred);
            snapshot.status = state.status(snapshot.status);
            snapshot.settings.max_size = state.max_size;
            let oldest = state.waitlist.oldest();
            snapshot.oldest_waiter =
                oldest.map(|since| Duration::from_nanos(now.saturating_sub(since)));
            let active = state.active.entries().iter();
            active
                .map(|entry| {
                    let id = entry.conn.info().id;
                    (id, (entry.in_flight(), entry.capacity()))
                })
                .collect()
        });
        for conn in &mut snapshot.connections {
            if let Some(&(leases, capacity)) = serving.get(&conn.info.id) {
                conn.state = ConnectionState::Shared { leases, capacity };
            }
        }
        snapshot.counters = self.counters();
        let settings = &mut snapshot.settings;
        settings.acquire_timeout = self.limits.acquire_timeout;
        settings.max_waiters = Some(self.limits.max_waiters).filter(|most| *most != usize::MAX);
        // Beneath, only the time while parked is measured.
        let park_after = Duration::from_nanos(self.limits.times.park_after);
        settings.check_after_idle = settings
            .check_after_idle
            .map(|parked| parked + 2 * park_after);
        settings.sharing = Some(SharingSettings {
            choice: self.limits.choice,
            high_water: self.limits.marks.high,
            grow_after: Duration::from_nanos(self.limits.times.grow_after),
            shrink_after: Duration::from_nanos(self.limits.times.shrink_after),
        });
        snapshot
    }

    pub(super) fn counters(self: &Arc<Self>) -> Counters {
        let (gets, waited, timed_out, rejected) = self.locked(|state, deferred| {
            state.flush_cached(deferred);
            (state.gets, state.waited, state.timed_out, state.rejected)
        });
        Counters {
            gets,
            waited,
            timed_out,
            rejected,
            ..self.life.counters()
        }
    }
}
