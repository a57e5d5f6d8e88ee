//! The entry that each thread used last, so that the usual get is a comparison of keys more than one without a key: no
//! hash, no look into the map, and no reference that is counted up and down in a line that other threads write.
//!
//! An entry is taken out of its cell while it is used, and put back after: no lock is held meanwhile, and where several
//! threads share a cell, one of them looks into the map. Locks: each cell's, a leaf.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::entry::Entry;
use crate::rt;
use crate::sync::{Mutex, lock, own_shard};

/// Threads beyond this many share the others' cells.
const THREADS: usize = 8;

pub(super) struct Hints<K, P>(Box<[Cell<K, P>; THREADS]>);

/// Of one thread: in cache lines of its own.
#[repr(align(128))]
struct Cell<K, P>(Mutex<Option<Arc<Entry<K, P>>>>);

impl<K, P> Hints<K, P> {
    pub(super) fn new() -> Self {
        Self(Box::new([(); THREADS].map(|()| Cell(Mutex::new(None)))))
    }

    #[inline]
    fn own(&self) -> &Mutex<Option<Arc<Entry<K, P>>>> {
        &self.0[own_shard(THREADS)].0
    }

    /// Takes what this thread used last.
    #[inline]
    pub(super) fn take(&self) -> Option<Arc<Entry<K, P>>> {
        lock(self.own()).take()
    }

    #[inline]
    pub(super) fn put(&self, entry: Arc<Entry<K, P>>) {
        let mut cell = lock(self.own());
        // Under the lock: an entry that is taken out of the map says so before the cells are cleared of it.
        let before = match entry.is_out.load(Relaxed) {
            false => cell.replace(entry),
            true => Some(entry),
        };
        drop(cell);
        if let Some(before) = before {
            forget(before);
        }
    }

    /// Clears the cells of an entry that is out, and gives what was in them.
    pub(super) fn clear(&self, entry: &Arc<Entry<K, P>>) -> Vec<Arc<Entry<K, P>>> {
        let cells = self.0.iter();
        cells
            .filter_map(|cell| lock(&cell.0).take_if(|hinted| Arc::ptr_eq(hinted, entry)))
            .collect()
    }
}

/// Drops an entry that was at hand: perhaps the last reference, and of another key than the caller's, which is user code.
pub(super) fn forget<K, P>(entry: Arc<Entry<K, P>>) {
    let _ = rt::calling(|| drop(entry));
}
