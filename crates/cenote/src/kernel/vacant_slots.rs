//! The list of vacant slots, part of the ledger and under its lock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The vacant slots below the bound, the lowest first: so connections stay together, and the bound can fall. Opening
/// and vacating cost the logarithm of their number.
#[derive(Default)]
pub(super) struct VacantSlots {
    /// The bound falls past slots that stay in here. They are the highest, and the bound does not rise before one of
    /// them would be taken: then there are no others, and all are dropped. So each index is in here once at most.
    indices: BinaryHeap<Reverse<u32>>,
}

impl VacantSlots {
    pub(super) fn add(&mut self, index: u32) {
        self.indices.push(Reverse(index));
    }

    /// Takes the lowest below `bound`, unless all slots below are occupied.
    pub(super) fn take_lowest(&mut self, bound: usize) -> Option<usize> {
        let Reverse(index) = self.indices.pop()?;
        let index = index as usize;
        if index >= bound {
            self.indices.clear();
            return None;
        }
        Some(index)
    }
}
