//! Whose turn it is, of many that take turns all over the place. Each task counts for itself, and begins somewhere else.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[derive(Default)]
pub struct Turn(AtomicU32);

impl Turn {
    pub fn next(&self) -> u32 {
        // One task has it.
        let turn = self.0.load(Relaxed).wrapping_add(1);
        self.0.store(turn, Relaxed);
        // Multiples of 2^32 over the golden ratio: far apart, so that no two in a row are neighbours.
        turn.wrapping_mul(0x9e37_79b9)
    }

    /// A place among so many.
    pub fn next_of(&self, count: usize) -> usize {
        self.next() as usize % count
    }
}

impl Clone for Turn {
    fn clone(&self) -> Self {
        Self(AtomicU32::new(self.next()))
    }
}
