//! Which slot a thread should try first: the one it gave back last. A hint is only that: a stale one
//! costs one failed look.

use std::cell::Cell;

/// A thread remembers this many pools, by key modulo.
const POOLS: usize = 4;

thread_local! {
    static HINTS: [Cell<u64>; POOLS] = const { [const { Cell::new(u64::MAX) }; POOLS] };
}

/// The slot this thread gave back last to the pool `key`, or the first.
#[inline(always)]
pub(crate) fn get(key: u32) -> usize {
    if cfg!(cenote_loom) {
        return 0;
    }
    let hint = HINTS.with(|hints| hints[key as usize % POOLS].get());
    if (hint >> 32) as u32 == key {
        hint as u32 as usize
    } else {
        0
    }
}

/// Remembers that this thread gave back `index` to the pool `key`.
#[inline(always)]
pub(crate) fn set(key: u32, index: u32) {
    // `try_with`: a lease may be dropped while the thread's locals are being destroyed.
    let _ = HINTS
        .try_with(|hints| hints[key as usize % POOLS].set(u64::from(key) << 32 | u64::from(index)));
}
