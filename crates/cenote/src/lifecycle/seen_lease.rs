//! The lease that a look saw last, and since when looks have seen it, in one word: slots have no room for more.

use std::sync::atomic::Ordering::Relaxed;

use crate::sync::AtomicU64;

/// The low 20 bits of the lease's generation, above 44 of a time in milliseconds, which last 500 years. Written by looks
/// alone, of which there is one at a time.
///
/// A slot that is leased a multiple of 2^20 times between two looks is taken for one that has kept its lease; who reads
/// this looks at the lease's own beginning as well.
#[derive(Default)]
pub(crate) struct SeenLease(AtomicU64);

const TIME: u64 = (1 << 44) - 1;
/// As a time: the lease has been reported.
const REPORTED: u64 = TIME;
const MILLISECOND: u64 = 1_000_000;

impl SeenLease {
    /// Since when looks have seen the lease of this generation. `None` at the first look, which is `now`, and once the
    /// lease was [reported](Self::set_reported).
    pub(super) fn since(&self, generation: u64, now: u64) -> Option<u64> {
        let tag = generation << TIME.count_ones();
        let seen = self.0.load(Relaxed);
        if seen & !TIME != tag {
            self.0
                .store(tag | now.div_ceil(MILLISECOND).min(REPORTED - 1), Relaxed);
            return None;
        }
        match seen & TIME {
            REPORTED => None,
            since => Some(since * MILLISECOND),
        }
    }

    pub(super) fn set_reported(&self) {
        self.0.store(self.0.load(Relaxed) | REPORTED, Relaxed);
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    const NOW: u64 = 7_000 * MILLISECOND;

    #[test]
    fn the_first_look_at_a_lease_only_notes_when_it_was() {
        let seen = SeenLease::default();
        assert_eq!(seen.since(5, NOW), None);
        assert_eq!(seen.since(5, 2 * NOW), Some(NOW));
        assert_eq!(seen.since(6, 2 * NOW), None, "another lease");
    }

    #[test]
    fn a_lease_that_was_reported_is_not_seen_again() {
        let seen = SeenLease::default();
        seen.since(5, NOW);
        seen.set_reported();
        assert_eq!(seen.since(5, 2 * NOW), None);
        seen.since(6, 2 * NOW);
        assert_eq!(seen.since(6, 3 * NOW), Some(2 * NOW));
    }
}
