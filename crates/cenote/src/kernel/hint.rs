//! Which slot a thread should try first: the one it gave back last. A hint is only that: a stale one
//! costs one failed look.

use std::cell::Cell;
use std::ptr;

use super::Owner;
use super::slot::Slot;
use super::state_word::StateWord;

/// A thread remembers this many pools, by key modulo.
const POOLS: usize = 4;

/// What a thread remembers of a pool.
struct Hint {
    key: Cell<u64>,
    slot: Cell<*const ()>,
    word: Cell<u64>,
}

thread_local! {
    static HINTS: [Hint; POOLS] = const {
        [const { Hint { key: Cell::new(u64::MAX), slot: Cell::new(ptr::null()), word: Cell::new(0) } }; POOLS]
    };
}

/// The slot this thread gave back last to the pool `key`, and its word then, if the thread remembers.
///
/// Keys are never used twice, so the holder of the pool with this key may follow the pointer: slots never move
/// and live as long as their pool.
#[inline(always)]
pub(super) fn get<O: Owner>(key: u64) -> Option<(*const Slot<O>, StateWord)> {
    if cfg!(cenote_loom) {
        return None;
    }
    HINTS.with(|hints| {
        let hint = &hints[key as usize % POOLS];
        (hint.key.get() == key).then(|| (hint.slot.get().cast(), StateWord(hint.word.get())))
    })
}

/// Remembers that this thread gave back `slot` of the pool `key`, leaving it at `word`.
#[inline(always)]
pub(super) fn set<O: Owner>(key: u64, slot: *const Slot<O>, word: StateWord) {
    // `try_with`: a lease may be dropped while the thread's locals are being destroyed.
    let _ = HINTS.try_with(|hints| {
        let hint = &hints[key as usize % POOLS];
        hint.key.set(key);
        hint.slot.set(slot.cast());
        hint.word.set(word.0);
    });
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;
    use crate::kernel::tests::Least;

    /// Nobody follows it.
    fn slot(address: u64) -> *const Slot<Least> {
        ptr::without_provenance(address as usize)
    }

    #[test]
    fn a_thread_remembers_of_each_of_four_pools_where_it_was_last() {
        let pools = 40..44;
        for key in pools.clone() {
            set(key, slot(1), StateWord(1));
            set(key, slot(key), StateWord(key));
        }
        for key in pools {
            assert_eq!(get(key), Some((slot(key), StateWord(key))));
        }
    }

    /// The pointer of another pool must never be followed: that pool may be gone.
    #[test]
    fn what_is_remembered_of_one_pool_is_no_hint_for_another() {
        set(40, slot(40), StateWord(40));
        assert_eq!(get::<Least>(44), None);
        set(44, slot(44), StateWord(44));
        assert_eq!(get::<Least>(40), None);
    }
}
