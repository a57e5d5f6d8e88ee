//! The entries that threads used last, so that the usual get is a hash and a comparison more than one without a key: no
//! look into the map, and no reference that is counted up and down in a line that other threads write.
//!
//! An entry is taken out of its cell while it is used, and put back after: no lock is held meanwhile, and where several
//! threads share a cell, one of them looks into the map. Locks: each cell's, a leaf.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::map::Entry;
use crate::rt;
use crate::sync::{Mutex, lock, own_shard};

/// Threads beyond this many share the others' cells.
const THREADS: usize = 8;

/// Entries that a thread has at hand, by their hashes.
const ENTRIES: usize = 4;

pub(super) struct Hints<K, P>(Box<[Cells<K, P>; THREADS]>);

/// Of one thread: in cache lines of its own.
#[repr(align(128))]
struct Cells<K, P>([Cell<K, P>; ENTRIES]);

type Cell<K, P> = Mutex<Option<Arc<Entry<K, P>>>>;

impl<K, P> Hints<K, P> {
    pub(super) fn new() -> Self {
        let cells = || Cells([(); ENTRIES].map(|()| Mutex::new(None)));
        Self(Box::new([(); THREADS].map(|()| cells())))
    }

    #[inline]
    fn cell(&self, hash: u64) -> &Cell<K, P> {
        let Cells(cells) = &self.0[own_shard(THREADS)];
        &cells[hash as usize % ENTRIES]
    }

    /// Takes what this thread has at hand, perhaps of this hash.
    #[inline]
    pub(super) fn take(&self, hash: u64) -> Option<Arc<Entry<K, P>>> {
        lock(self.cell(hash)).take()
    }

    #[inline]
    pub(super) fn put(&self, entry: Arc<Entry<K, P>>) {
        let mut cell = lock(self.cell(entry.hash));
        // Under the lock: an entry that is taken out of the map says so before the cells are cleared of it.
        let before = match entry.is_out.load(Relaxed) {
            false => cell.replace(entry),
            true => Some(entry),
        };
        drop(cell);
        if let Some(before) = before {
            // Perhaps the last reference, and of another key than the caller's.
            let _ = rt::calling(|| drop(before));
        }
    }

    /// Clears the cells of an entry that is out, and gives what was in them.
    pub(super) fn clear(&self, entry: &Arc<Entry<K, P>>) -> Vec<Arc<Entry<K, P>>> {
        let mut cleared = Vec::new();
        for Cells(cells) in &*self.0 {
            let mut cell = lock(&cells[entry.hash as usize % ENTRIES]);
            cleared.extend(cell.take_if(|hinted| Arc::ptr_eq(hinted, entry)));
        }
        cleared
    }
}
