//! Which endpoints of a set drain, since when, and which have taken too long over it. The [follower](super::follow) says
//! who drains and tells who is overdue; a status reads it.
//!
//! Nothing else follows from a drain that is overdue. An exclusive lease is its user's until it ends; a shared one is a
//! reference to a connection on which its user makes calls, and what becomes of those that are under way when it is closed,
//! no pool can know.

use std::collections::BTreeMap;
use std::time::Duration;

use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::kernel::EndpointNumber;
use crate::rt::nanos;

/// The endpoints that get no more leases, and whose leases and connections end by themselves.
#[derive(Default)]
pub(super) struct Drains(BTreeMap<EndpointNumber, Drain>);

struct Drain {
    since: u64,
    /// When it is overdue, if it is not yet and ever may be.
    due: Option<u64>,
}

impl Drains {
    /// The endpoint drains at `now`, and is overdue after `timeout`, unless it drained before.
    pub(super) fn begin(&mut self, number: EndpointNumber, now: u64, timeout: Option<Duration>) {
        self.0.entry(number).or_insert_with(|| Drain {
            since: now,
            due: timeout.map(|timeout| now.saturating_add(nanos(timeout))),
        });
    }

    /// The endpoint serves again, or is forgotten.
    pub(super) fn end(&mut self, number: EndpointNumber) {
        self.0.remove(&number);
    }

    pub(super) fn since(&self, number: EndpointNumber) -> Option<u64> {
        Some(self.0.get(&number)?.since)
    }

    /// Those that are overdue by `now`, each once, with the time at which it began to drain.
    pub(super) fn overdue(&mut self, now: u64) -> Vec<(EndpointNumber, u64)> {
        let overdue = self.0.iter_mut().filter_map(|(number, drain)| {
            drain.due.take_if(|due| *due <= now)?;
            Some((*number, drain.since))
        });
        overdue.collect()
    }

    /// When the next is overdue.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.0.values().filter_map(|drain| drain.due).min()
    }
}

/// Leases out on the connections of this endpoint.
pub(super) fn leases_at<C: Connect>(core: &LifecycleCore<C>, number: EndpointNumber) -> usize {
    match (core.owner.face(), core.endpoints()) {
        (Some(face), _) => face.in_flight_at(number),
        (None, Some(endpoints)) => endpoints.record(number).in_flight() as usize,
        (None, None) => 0,
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));

    #[test]
    fn a_drain_is_overdue_once() {
        let mut drains = Drains::default();
        drains.begin(3, SECOND, TIMEOUT);
        drains.begin(3, 9 * SECOND, TIMEOUT);
        assert_eq!(drains.next_due(), Some(31 * SECOND));
        assert_eq!(drains.overdue(31 * SECOND - 1), []);
        assert_eq!(drains.overdue(31 * SECOND), [(3, SECOND)]);
        assert_eq!(drains.overdue(90 * SECOND), []);
        assert_eq!((drains.next_due(), drains.since(3)), (None, Some(SECOND)));
    }

    #[test]
    fn a_drain_that_has_ended_is_not_overdue_and_the_next_begins_anew() {
        let mut drains = Drains::default();
        drains.begin(3, 0, TIMEOUT);
        drains.end(3);
        assert_eq!((drains.next_due(), drains.since(3)), (None, None));
        drains.begin(3, 40 * SECOND, TIMEOUT);
        assert_eq!(drains.overdue(69 * SECOND), []);
    }

    #[test]
    fn without_a_time_out_no_drain_is_ever_overdue() {
        let mut drains = Drains::default();
        drains.begin(3, 0, None);
        assert_eq!((drains.next_due(), drains.since(3)), (None, Some(0)));
        assert_eq!(drains.overdue(u64::MAX), []);
    }
}
