//! How many leases began at each endpoint of a set in the last minute, without a word from those that take them.
//!
//! Leases are counted anyway: slot by slot by who holds the slot, or by a face that has leases of its own, under its lock.
//! What the counts have grown by since the last look is what began meanwhile. They are looked at with every sweep of a
//! pool in use, before it rests, whenever the figures are asked for, and as a connection leaves, for its slot may be
//! another endpoint's next. So a look comes within a turn of each lease, which is when it counts as begun.

use std::sync::atomic::Ordering::Relaxed;

use super::set::SetState;
use super::signals::Face;
use super::state::{ConnectionToken, LifecycleCore};
use crate::connect::Connect;
use crate::kernel::EndpointNumber;

/// A slice of time, for which leases are counted together.
const SLICE: u64 = 5_000_000_000;

/// So many slices are the last minute, the one that has just begun included: from 55 to 60 s.
const SLICES: usize = 12;

/// The leases of the last minute. Guarded by a leaf lock; no user code runs under it.
#[derive(Default)]
pub(super) struct RecentLeases {
    /// What each count was when it was looked at last: by slot; by endpoint where a face counts.
    seen: Vec<u64>,
    /// In turn.
    slices: [Slice; SLICES],
    /// The number of the latest slice, from the clock's beginning on.
    latest: u64,
}

/// What began in a slice of time.
#[derive(Default)]
struct Slice {
    by_endpoint: Vec<u32>,
    /// At all endpoints, those included that were forgotten since.
    all: u64,
}

impl RecentLeases {
    /// The count with this index, of leases that begin at `endpoint`, has come to `count` by `now`.
    fn look(&mut self, index: usize, endpoint: EndpointNumber, count: u64, now: u64) {
        if self.seen.len() <= index {
            self.seen.resize(index + 1, 0);
        }
        let seen = &mut self.seen[index];
        let began = count.saturating_sub(*seen);
        if began == 0 {
            // Another look may have come between the count and this; and of a face's leases some were never used.
            return;
        }
        *seen = count;
        self.advance(now);
        let slice = &mut self.slices[self.latest as usize % SLICES];
        let endpoint = endpoint as usize;
        if slice.by_endpoint.len() <= endpoint {
            slice.by_endpoint.resize(endpoint + 1, 0);
        }
        let its = &mut slice.by_endpoint[endpoint];
        *its = its.saturating_add(u32::try_from(began).unwrap_or(u32::MAX));
        slice.all += began;
    }

    /// Forgets what is older than a minute.
    fn advance(&mut self, now: u64) {
        let latest = now / SLICE;
        let passed = latest.saturating_sub(self.latest);
        for number in (1..=passed.min(SLICES as u64)).map(|i| self.latest + i) {
            let slice = &mut self.slices[number as usize % SLICES];
            slice.by_endpoint.clear();
            slice.all = 0;
        }
        self.latest += passed;
    }

    /// The part of the last minute's leases that began at this endpoint; `None` where none began at any.
    pub(super) fn share(&mut self, endpoint: EndpointNumber, now: u64) -> Option<f64> {
        self.advance(now);
        let of_it = |slice: &Slice| slice.by_endpoint.get(endpoint as usize).copied();
        let its: u64 = self.slices.iter().filter_map(of_it).map(u64::from).sum();
        let all: u64 = self.slices.iter().map(|slice| slice.all).sum();
        (all > 0).then(|| its as f64 / all as f64)
    }

    /// The number is another endpoint's from now on.
    pub(super) fn forget(&mut self, endpoint: EndpointNumber) {
        for slice in &mut self.slices {
            if let Some(its) = slice.by_endpoint.get_mut(endpoint as usize) {
                *its = 0;
            }
        }
    }
}

impl<C: Connect> LifecycleCore<C> {
    /// Counts the leases that have begun since this was done last, if there is a set.
    pub(crate) fn count_recent_leases(&self) {
        let Some(set) = self.owner.targets.set() else {
            return;
        };
        let now = self.owner.clock.now();
        if let Some(face) = self.owner.face() {
            return count_at_face(&*face, set, now);
        }
        let mut recent = set.recent_leases();
        for (index, _, meta) in self.slots() {
            if let Some(number) = self.endpoint_of(index) {
                recent.look(index, number, meta.uses.load(Relaxed), now);
            }
        }
    }
}

/// Some endpoints at a time, for the face counts them under its lock.
fn count_at_face<C: Connect>(face: &dyn Face, set: &SetState<C>, now: u64) {
    let mut number = 0;
    loop {
        let counts = face.leases_from(number);
        if counts.is_empty() {
            return;
        }
        let mut recent = set.recent_leases();
        for count in counts {
            recent.look(number as usize, number, count, now);
            number += 1;
        }
    }
}

/// The connection of `token` is leaving its pool, and its slot may be another endpoint's next.
pub(super) fn count_last_leases<C: Connect>(token: &ConnectionToken<C>) {
    let core = token.core();
    let number = token.entry().target.number();
    let of_set = core.owner.targets.set().zip(number);
    let Some((set, number)) = of_set.filter(|_| core.owner.face().is_none()) else {
        return;
    };
    let (index, now) = (token.index() as usize, core.owner.clock.now());
    let count = token.meta().uses.load(Relaxed);
    set.recent_leases().look(index, number, count, now);
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn shares_are_of_what_each_count_grew_by() {
        let mut recent = RecentLeases::default();
        assert_eq!(recent.share(0, SECOND), None);
        recent.look(7, 0, 30, SECOND);
        recent.look(8, 1, 10, SECOND);
        recent.look(7, 0, 60, 7 * SECOND);
        // A look that comes late.
        recent.look(7, 0, 50, 7 * SECOND);
        recent.look(9, 1, 20, 7 * SECOND);
        assert_eq!(recent.share(0, 8 * SECOND), Some(60.0 / 90.0));
        assert_eq!(recent.share(1, 8 * SECOND), Some(30.0 / 90.0));
        assert_eq!(recent.share(2, 8 * SECOND), Some(0.0));
    }

    #[test]
    fn what_is_older_than_a_minute_counts_no_more_though_nothing_was_looked_at_since() {
        let mut recent = RecentLeases::default();
        recent.look(0, 0, 3, 2 * SECOND);
        recent.look(1, 1, 1, 40 * SECOND);
        assert_eq!(recent.share(0, 57 * SECOND), Some(0.75));
        assert_eq!(recent.share(0, 62 * SECOND), Some(0.0));
        assert_eq!(recent.share(1, 62 * SECOND), Some(1.0));
        assert_eq!(recent.share(1, 500 * SECOND), None);
        recent.look(0, 0, 4, 500 * SECOND);
        assert_eq!(recent.share(0, 500 * SECOND), Some(1.0));
    }

    /// A slot carries connections of one endpoint after the other, and a number is given again.
    #[test]
    fn an_endpoint_that_is_forgotten_leaves_nothing_to_the_next_with_its_number() {
        let mut recent = RecentLeases::default();
        recent.look(0, 0, 8, SECOND);
        recent.look(1, 1, 2, SECOND);
        recent.forget(0);
        assert_eq!(recent.share(0, SECOND), Some(0.0));
        assert_eq!(recent.share(1, SECOND), Some(0.2), "of all that began");
        recent.look(0, 0, 18, SECOND);
        assert_eq!(recent.share(0, SECOND), Some(0.5));
    }
}
