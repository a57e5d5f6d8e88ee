//! Tables of things that never move, slots above all: in segments that grow in size and are allocated as the table
//! grows. An address in it is good for as long as the table is.
//!
//! The first segments have room for 1, 3 and 12, for most pools are small, and connections lie in their slots; each after
//! them has as much as all before: 16, 32, and so on. So a table has at most four times the room that was ever
//! needed, and an index at and above 16 says its segment by its highest bit.

use std::sync::OnceLock;

const SEGMENTS: usize = 20;
/// The segments of the first 16.
const FIRST: usize = 3;

/// The most slots a pool can have: 2^21, or 2,097,152.
pub(crate) const MAX_SLOTS: usize = first_of(SEGMENTS);

/// What a table can be of.
pub(crate) trait Item {
    /// What is at `index` before anything was done with it.
    fn at(index: u32) -> Self;
}

pub(crate) struct Table<T> {
    first: [Segment<T>; FIRST],
    /// The other segments, listed apart: of ten thousand pools most never need any.
    later: OnceLock<Box<[Segment<T>; SEGMENTS - FIRST]>>,
}

/// What it has, once any of it is needed.
type Segment<T> = OnceLock<Box<[T]>>;

impl<T: Item> Table<T> {
    pub(crate) fn new() -> Self {
        Self {
            first: [const { OnceLock::new() }; FIRST],
            later: OnceLock::new(),
        }
    }

    /// What is at `index`, if its segment was ever needed.
    #[inline(always)]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        #[cfg(all(test, not(cenote_loom)))]
        looks::count();
        let (segment, offset) = place(index);
        let segment = match segment {
            0..FIRST => &self.first[segment],
            _ => self.later.get()?.get(segment - FIRST)?,
        };
        segment.get()?.get(offset)
    }

    /// What is at `index`, its segment allocated if this is the first use.
    pub(crate) fn get_or_grow(&self, index: usize) -> &T {
        let (segment, offset) = place(index);
        let indices = first_of(segment)..first_of(segment + 1);
        let segment = match segment {
            0..FIRST => &self.first[segment],
            _ => {
                let later = || Box::new([const { OnceLock::new() }; SEGMENTS - FIRST]);
                &self.later.get_or_init(later)[segment - FIRST]
            }
        };
        let items = segment.get_or_init(|| indices.map(|i| T::at(i as u32)).collect());
        &items[offset]
    }
}

/// The index that a segment begins with.
const fn first_of(segment: usize) -> usize {
    match segment {
        0 => 0,
        1 => 1,
        2 => 4,
        _ => 2 << segment,
    }
}

/// What [`first_of`] says, to be looked up: of any index, for there are some beyond all tables.
const FIRST_OF: [usize; usize::BITS as usize - 1] = {
    let mut indices = [0; usize::BITS as usize - 1];
    let mut segment = 0;
    while segment < indices.len() {
        indices[segment] = first_of(segment);
        segment += 1;
    }
    indices
};

/// The segment that has `index`, and where in it that is. Without a branch: of a few endpoints one is drawn at random, and
/// a processor that guesses its segment is wrong every other time.
#[inline(always)]
fn place(index: usize) -> (usize, usize) {
    let later = (index | 15).ilog2() as usize - 3;
    let segment = usize::from(index >= 1) + usize::from(index >= 4) + later;
    (segment, index - FIRST_OF[segment])
}

/// How often a thread looks into a table: what an operation costs beside the words it changes.
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
    use crate::kernel::slot::Slot;
    use crate::kernel::tests::Least;

    #[test]
    fn every_index_has_one_place_and_segments_follow_each_other() {
        let mut next = (0, 0);
        for index in 0..100_000 {
            assert_eq!(place(index), next, "index {index}");
            next.1 += 1;
            if next.1 == first_of(next.0 + 1) - first_of(next.0) {
                next = (next.0 + 1, 0);
            }
        }
        assert_eq!(place(MAX_SLOTS - 1), (SEGMENTS - 1, MAX_SLOTS / 2 - 1));
    }

    #[test]
    fn what_is_beyond_all_tables_is_in_none() {
        let table = Table::<Slot<Least>>::new();
        table.get_or_grow(MAX_SLOTS / 64);
        for index in [MAX_SLOTS, u32::MAX as usize, usize::MAX] {
            assert!(table.get(index).is_none(), "index {index}");
        }
    }

    #[test]
    fn a_table_has_at_most_four_times_the_slots_that_were_needed() {
        let table = Table::<Slot<Least>>::new();
        let mut slots = Vec::new();
        for index in [0, 1, 4, 16, 32, 64] {
            table.get_or_grow(index);
            slots.push((0..1_000).map_while(|index| table.get(index)).count());
        }
        assert_eq!(slots, [1, 4, 16, 32, 64, 128]);
    }

    #[test]
    fn each_slot_knows_its_index() {
        let table = Table::<Slot<Least>>::new();
        for index in 0..130 {
            assert_eq!(table.get_or_grow(index).index as usize, index);
        }
    }
}
