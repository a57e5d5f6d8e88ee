//! The entry that each thread used last, so that the usual get is a comparison of keys more than one without a key: no
//! hash, no look into the map, and no reference that is counted up and down in a line that other threads write.
//!
//! An entry is taken out of its cell while it is used, and put back after; where several threads share a cell, one of them
//! looks into the map.
//!
//! None has an entry for good that is out of the map. Such an entry [is out](Entry::is_out) before the clearings are
//! counted, and that before the cells are cleared; a thread that puts an entry in looks at the count before it asks whether
//! that is out, and again once it is in. If the count is the same, each clearing that is counted later finds the entry; and
//! those counted before it, which may have passed the cell, were seen by asking. All of it is sequentially consistent: it is
//! two writes, each with a look at the other's.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::entry::Entry;
use crate::kernel::ArcCell;
use crate::rt;
use crate::sync::{AtomicU64, own_shard};

/// Threads beyond this many share the others' cells.
const THREADS: usize = 8;

pub(super) struct Hints<K, P> {
    cells: Box<[Cell<K, P>; THREADS]>,
    clearings: AtomicU64,
}

/// Of one thread: in cache lines of its own.
#[repr(align(128))]
struct Cell<K, P>(ArcCell<Entry<K, P>>);

impl<K, P> Hints<K, P> {
    pub(super) fn new() -> Self {
        Self {
            cells: Box::new([(); THREADS].map(|()| Cell(ArcCell::new()))),
            clearings: AtomicU64::new(0),
        }
    }

    #[inline]
    fn own(&self) -> &ArcCell<Entry<K, P>> {
        &self.cells[own_shard(THREADS)].0
    }

    /// Takes what this thread used last.
    #[inline]
    pub(super) fn take(&self) -> Option<Arc<Entry<K, P>>> {
        self.own().take()
    }

    #[inline]
    pub(super) fn put(&self, entry: Arc<Entry<K, P>>) {
        let clearings = self.clearings.load(SeqCst);
        if entry.is_out.load(SeqCst) {
            return forget(entry);
        }
        let cell = self.own();
        if let Some(before) = cell.replace(entry) {
            forget(before);
        }
        if self.clearings.load(SeqCst) != clearings {
            self.put_again();
        }
    }

    /// What was put in may be out by now.
    #[cold]
    fn put_again(&self) {
        if let Some(entry) = self.own().take() {
            self.put(entry);
        }
    }

    /// Clears the cells of an entry that is out, and gives what was in them.
    pub(super) fn clear(&self, entry: &Arc<Entry<K, P>>) -> Vec<Arc<Entry<K, P>>> {
        self.clearings.fetch_add(1, SeqCst);
        let cells = self.cells.iter();
        cells.filter_map(|cell| cell.0.take_same(entry)).collect()
    }
}

/// Drops an entry that was at hand: perhaps the last reference, and of another key than the caller's, which is user code.
#[cold]
pub(super) fn forget<K, P>(entry: Arc<Entry<K, P>>) {
    let _ = rt::calling(|| drop(entry));
}
