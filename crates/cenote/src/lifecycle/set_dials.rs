//! What a pool over a set of endpoints knows of its dials, endpoint by endpoint. What to do about it is for
//! [`dial_of_set`](super::dial_of_set).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::dialer::Outage;
use crate::kernel::EndpointNumber;
use crate::policy::suitability::Found;
use crate::sync::AtomicBool;

/// Guarded by a lock of its own, which is taken after the dialer's; no user code runs under it.
#[derive(Default)]
pub(crate) struct SetDials {
    /// Those that may serve. The kernel hears of each change after this, endpoint by endpoint; here it is whole.
    serving: BTreeSet<EndpointNumber>,
    /// By number: what failed since the last dial there that did not.
    outages: Vec<Option<Box<Outage>>>,
    /// Those of which something failed, in the order in which their gates open.
    failing: BTreeSet<(u64, EndpointNumber)>,
    /// How many were found unsuitable.
    unsuitable: usize,
    /// Those that were chosen and lacked a connection.
    missed: BTreeSet<EndpointNumber>,
    /// Those that have other addresses now, to none of which a connection was opened since.
    moved: BTreeSet<EndpointNumber>,
    /// Until then no endpoint has room and an open gate, unless [something changes](Self::has_room_again).
    full_until: u64,
    /// That is so without end; written under this lock, and read by callers who queue without it. The kernel's ledger is
    /// taken between a change and either: who reads that it is so has queued before the change looks for waiters.
    is_full: Arc<AtomicBool>,
    /// Leases have begun of late: endpoints that lack a connection are dialled though nobody waits.
    pub(super) is_in_use: bool,
}

impl SetDials {
    pub(super) fn outage(&self, number: EndpointNumber) -> Option<&Outage> {
        self.outages.get(number as usize)?.as_deref()
    }

    /// Those that may serve.
    pub(super) fn serving(&self) -> &BTreeSet<EndpointNumber> {
        &self.serving
    }

    /// The endpoint may serve from now on, or may not. What is missed of one that may not is missed no more; what failed
    /// of it is for [`succeeded`](Self::succeeded).
    pub(super) fn set_serves(&mut self, number: EndpointNumber, serves: bool) {
        if serves == self.serving.contains(&number) {
            return;
        }
        if serves {
            self.serving.insert(number);
        } else {
            self.serving.remove(&number);
            self.missed.remove(&number);
        }
        self.has_room_again();
    }

    /// Changes what is known of the dials to this endpoint that failed in a row; `first` begins them.
    pub(super) fn failed<T>(
        &mut self,
        number: EndpointNumber,
        first: impl FnOnce() -> Outage,
        change: impl FnOnce(&mut Outage) -> T,
    ) -> T {
        let index = number as usize;
        if self.outages.len() <= index {
            self.outages.resize_with(index + 1, || None);
        }
        let outage = self.outages[index].get_or_insert_with(|| Box::new(first()));
        self.failing.remove(&(outage.gate.opens_at(), number));
        self.unsuitable -= usize::from(outage.is_unsuitable());
        let changed = change(outage);
        self.unsuitable += usize::from(outage.is_unsuitable());
        self.failing.insert((outage.gate.opens_at(), number));
        self.has_room_again();
        changed
    }

    /// Whatever failed of the endpoint, it may be dialled by then.
    pub(super) fn open_by(&mut self, number: EndpointNumber, at: u64) {
        let outage = self.outages.get_mut(number as usize);
        let Some(outage) = outage.and_then(Option::as_mut) else {
            return;
        };
        self.failing.remove(&(outage.gate.opens_at(), number));
        outage.gate.open_by(at);
        self.failing.insert((outage.gate.opens_at(), number));
        self.has_room_again();
    }

    /// Callers wait, and no endpoint serves: those that were found unsuitable are looked at again soon.
    pub(super) fn hasten(&mut self, rng: &mut fastrand::Rng) {
        let late = self.late().collect::<Vec<_>>();
        for (found, number) in late {
            self.open_by(number, found.soon(rng));
        }
    }

    /// Those that were found unsuitable, and are to be looked at later than they could be. Where there are none, no other is
    /// looked at.
    pub(super) fn late(&self) -> impl Iterator<Item = (Found, EndpointNumber)> {
        let any = (self.unsuitable > 0).then(|| self.failing());
        any.into_iter().flatten().filter_map(|(opens_at, number)| {
            let outage = self
                .outage(number)
                .filter(|outage| outage.is_unsuitable())?;
            let found = outage.found();
            found.is_late(opens_at).then_some((found, number))
        })
    }

    /// Connecting to this endpoint works. What failed is to be dropped when the lock is let go.
    pub(super) fn succeeded(&mut self, number: EndpointNumber) -> Option<Box<Outage>> {
        self.moved.remove(&number);
        self.failed_elsewhere(number)
    }

    /// What failed of this endpoint says nothing of how it is dialled now. It is to be dropped when the lock is let go.
    pub(super) fn failed_elsewhere(&mut self, number: EndpointNumber) -> Option<Box<Outage>> {
        self.has_room_again();
        let ended = self.outages.get_mut(number as usize)?.take()?;
        self.unsuitable -= usize::from(ended.is_unsuitable());
        self.failing.remove(&(ended.gate.opens_at(), number));
        Some(ended)
    }

    /// The endpoint was chosen, and so the pool is in use, and lacks a connection.
    pub(super) fn missed(&mut self, number: EndpointNumber) {
        self.is_in_use = true;
        // A claim may be late, and the endpoint have left.
        if self.serving.contains(&number) {
            self.missed.insert(number);
        }
    }

    /// No connection of the endpoint is missed any more.
    pub(super) fn found(&mut self, number: EndpointNumber) {
        self.missed.remove(&number);
    }

    /// The endpoint has other addresses, and [what failed](Self::failed_elsewhere) did so at those of before.
    pub(super) fn has_moved(&mut self, number: EndpointNumber) -> Option<Box<Outage>> {
        self.moved.insert(number);
        self.failed_elsewhere(number)
    }

    /// Whether no connection was opened since the endpoint has other addresses.
    pub(super) fn is_moved(&self, number: EndpointNumber) -> bool {
        self.moved.contains(&number)
    }

    /// Those that may serve to which that applies, and when their gates open.
    pub(super) fn moved(&self) -> impl Iterator<Item = (u64, EndpointNumber)> {
        let opens_at = |number| {
            let outage = self.outage(number);
            outage.map_or(0, |outage| outage.gate.opens_at())
        };
        let moved = self.moved.iter().copied();
        let serving = moved.filter(|number| self.serving.contains(number));
        serving.map(move |number| (opens_at(number), number))
    }

    /// Those of which a connection is missed, and nothing failed.
    pub(super) fn missing(&self) -> impl Iterator<Item = EndpointNumber> {
        let has_failed = |number: &EndpointNumber| self.outage(*number).is_some();
        let missed = self.missed.iter().copied();
        missed.filter(move |number| !has_failed(number))
    }

    /// Those that may serve of which something failed, and when their gates open, the first to open first.
    pub(super) fn failing(&self) -> impl Iterator<Item = (u64, EndpointNumber)> {
        let failing = self.failing.iter().copied();
        failing.filter(|(_, number)| self.serving.contains(number))
    }

    /// Until when no endpoint has room and an open gate.
    pub(super) fn full_until(&self) -> u64 {
        self.full_until
    }

    /// No endpoint has room and an open gate until then.
    pub(super) fn set_full_until(&mut self, until: u64) {
        self.full_until = until;
        self.is_full.store(until == u64::MAX, Relaxed);
    }

    /// Whether no endpoint has room.
    pub(super) fn is_full(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_full)
    }

    /// A connection went, a dial ended, or the set changed: one that had no room may have some.
    pub(super) fn has_room_again(&mut self) {
        self.set_full_until(0);
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;
    use crate::connect::FailureKind;
    use crate::error::ConnectError;
    use crate::settings::Backoff;

    fn outage() -> Outage {
        Outage::new(0, ConnectError::Aborted)
    }

    fn fail(dials: &mut SetDials, number: EndpointNumber, now: u64) {
        let mut rng = fastrand::Rng::with_seed(1);
        dials.failed(number, outage, |outage| {
            outage.gate.failed(now, &Backoff::default(), &mut rng);
        });
    }

    fn serving<const N: usize>(numbers: [EndpointNumber; N]) -> SetDials {
        let mut dials = SetDials::default();
        for number in numbers {
            dials.set_serves(number, true);
        }
        dials
    }

    fn failing(dials: &SetDials) -> Vec<EndpointNumber> {
        dials.failing().map(|(_, number)| number).collect()
    }

    #[test]
    fn what_failed_is_known_by_endpoint_until_one_succeeds_the_first_gate_first() {
        let mut dials = serving([1, 3]);
        fail(&mut dials, 3, 9_000_000_000);
        fail(&mut dials, 1, 1_000_000_000);
        assert_eq!(failing(&dials), [1, 3]);
        fail(&mut dials, 1, 90_000_000_000);
        assert_eq!(failing(&dials), [3, 1]);
        assert!(dials.succeeded(3).is_some() && dials.outage(3).is_none());
        assert_eq!(failing(&dials), [1]);
    }

    #[test]
    fn those_that_lack_a_connection_are_missing_unless_they_failed() {
        let mut dials = serving([2, 5]);
        dials.missed(2);
        dials.missed(5);
        fail(&mut dials, 5, 0);
        assert!(dials.missing().eq([2]));
        dials.succeeded(5);
        assert!(dials.missing().eq([2, 5]));
        dials.found(2);
        assert!(dials.missing().eq([5]));
    }

    #[test]
    fn those_that_were_found_unsuitable_can_be_hastened_and_any_gate_opened() {
        let mut dials = serving([1, 3, 5]);
        for number in [1, 3] {
            dials.failed(number, outage, |outage| {
                outage.kind = FailureKind::Unsuitable;
                outage.gate.failed_until(45_000_000_000);
            });
        }
        fail(&mut dials, 5, 9_000_000_000);
        assert_eq!(failing(&dials), [5, 1, 3]);
        dials.hasten(&mut fastrand::Rng::with_seed(1));
        assert_eq!(failing(&dials)[2], 5);
        assert!(dials.late().next().is_none());
        dials.open_by(5, 0);
        assert_eq!(failing(&dials)[0], 5);
        dials.open_by(7, 0);
        assert_eq!(
            failing(&dials).len(),
            3,
            "of an endpoint that has not failed nothing is known"
        );
    }

    #[test]
    fn of_one_that_may_not_serve_nothing_is_missed_or_failing_whatever_is_heard_of_it_late() {
        let mut dials = serving([1, 2]);
        dials.missed(1);
        dials.set_serves(1, false);
        dials.missed(1);
        fail(&mut dials, 1, 0);
        dials.missed(2);
        assert!(dials.missing().eq([2]) && failing(&dials).is_empty());
        dials.succeeded(1);
        dials.set_serves(1, true);
        assert!(dials.missing().eq([2]) && failing(&dials).is_empty());
    }
}
