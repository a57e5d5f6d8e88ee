//! The slot table: slots that never move, in segments that double in size and are allocated as the
//! pool grows. A slot's address is good for as long as the table is.

use std::sync::OnceLock;

use super::Owner;
use super::slot::Slot;

/// Slots of the first segment; segment `k` has `FIRST << k`.
const FIRST: usize = 16;
const SEGMENTS: usize = 17;

/// The most slots a pool can have: 16 * (2^17 - 1).
pub(crate) const MAX_SLOTS: usize = FIRST * ((1 << SEGMENTS) - 1);

pub(crate) struct Table<O: Owner> {
    segments: [OnceLock<Box<[Slot<O>]>>; SEGMENTS],
}

impl<O: Owner> Table<O> {
    pub(crate) fn new() -> Self {
        Self {
            segments: [const { OnceLock::new() }; SEGMENTS],
        }
    }

    /// The slot at `index`, if its segment was ever needed.
    #[inline(always)]
    pub(crate) fn slot(&self, index: usize) -> Option<&Slot<O>> {
        #[cfg(all(test, not(cenote_loom)))]
        looks::count();
        let (segment, offset) = entry_index(index);
        self.segments.get(segment)?.get()?.get(offset)
    }

    /// The slot at `index`, its segment allocated if this is the first use.
    pub(crate) fn slot_or_grow(&self, index: usize) -> &Slot<O> {
        let (segment, offset) = entry_index(index);
        let first = FIRST * ((1 << segment) - 1);
        let slots = self.segments[segment].get_or_init(|| {
            (first..first + (FIRST << segment))
                .map(|i| Slot::new(i as u32))
                .collect()
        });
        &slots[offset]
    }
}

#[inline(always)]
fn entry_index(index: usize) -> (usize, usize) {
    let segment = (index / FIRST + 1).ilog2() as usize;
    (segment, index - FIRST * ((1 << segment) - 1))
}

/// How often a thread looks for a slot of a table: what an operation costs beside the words it changes.
#[cfg(all(test, not(cenote_loom)))]
pub(super) mod looks {
    use std::cell::Cell;

    thread_local! {
        static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        LOOKS.set(LOOKS.get() + 1);
    }

    /// The looks of this thread during `act`.
    pub(in crate::kernel) fn during<T>(act: impl FnOnce() -> T) -> (usize, T) {
        let before = LOOKS.get();
        let outcome = act();
        (LOOKS.get() - before, outcome)
    }
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_index_has_one_place_and_segments_follow_each_other() {
        let mut next = (0, 0);
        for index in 0..10_000 {
            assert_eq!(entry_index(index), next, "index {index}");
            next.1 += 1;
            if next.1 == FIRST << next.0 {
                next = (next.0 + 1, 0);
            }
        }
        assert_eq!(
            entry_index(MAX_SLOTS - 1),
            (SEGMENTS - 1, (FIRST << (SEGMENTS - 1)) - 1)
        );
    }
}
