//! A key with its pool, and that somebody uses it.

use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Relaxed, Release};
use std::sync::{Arc, Weak};

use super::map::Map;
use super::pools::KeyedPool;
use crate::sync::{AtomicBool, AtomicUsize};

/// A key's pool.
pub(super) struct Entry<K, P> {
    pub(super) key: K,
    pub(super) hash: u64,
    pub(super) pool: P,
    pub(super) id: u64,
    pub(super) map: Weak<Map<K, P>>,
    /// Gets under way, handles, looks. Each begins under the lock of the shard or beside another: so when none is found
    /// under that lock, there is none, and the entry may be taken out.
    pub(super) uses: AtomicUsize,
    /// It is taken out of the map. Set before the [hints](super::hints) are cleared of it, which says why none has it after.
    pub(super) is_out: AtomicBool,
}

/// An entry that is not retired while this is there.
pub(super) struct InUse<K: Send + Sync + 'static, P: KeyedPool> {
    /// None once it was ended [with a lease](Self::end_with_lease).
    entry: Option<Arc<Entry<K, P>>>,
}

impl<K: Send + Sync + 'static, P: KeyedPool> InUse<K, P> {
    /// The lock of the entry's shard is held, or another `InUse` is there.
    pub(super) fn begin(entry: &Arc<Entry<K, P>>) -> Self {
        entry.uses.fetch_add(1, Relaxed);
        Self {
            entry: Some(Arc::clone(entry)),
        }
    }

    fn entry(&self) -> &Arc<Entry<K, P>> {
        let entry = self.entry.as_ref();
        entry.expect("an entry in use is there until that ends")
    }

    /// Ends the use of an entry from whose pool the caller has a lease: when that ends, it is seen whether anything is left.
    pub(super) fn end_with_lease(mut self) -> Arc<Entry<K, P>> {
        let entry = self.entry.take();
        let entry = entry.expect("an entry in use is there until that ends");
        entry.uses.fetch_sub(1, Release);
        entry
    }
}

impl<K: Send + Sync + 'static, P: KeyedPool> Drop for InUse<K, P> {
    fn drop(&mut self) {
        let Some(entry) = &self.entry else {
            return;
        };
        // Release: what was done with it comes before its end. Acquire: where that is seen to here.
        let is_last = entry.uses.fetch_sub(1, AcqRel) == 1;
        if !is_last || entry.is_out.load(Relaxed) || !entry.pool.is_spent() {
            return;
        }
        if let Some(map) = entry.map.upgrade() {
            map.retire(entry.hash, entry.id);
            map.leave();
        }
    }
}

impl<K: Send + Sync + 'static, P: KeyedPool> Clone for InUse<K, P> {
    fn clone(&self) -> Self {
        Self::begin(self.entry())
    }
}

impl<K: Send + Sync + 'static, P: KeyedPool> Deref for InUse<K, P> {
    type Target = Entry<K, P>;

    fn deref(&self) -> &Entry<K, P> {
        self.entry()
    }
}
