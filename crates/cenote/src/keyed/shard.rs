//! The entries of some hashes, as they are under one lock. Nothing here runs user code: what is taken out, or turns out to be
//! another key's, is dropped by those who have let go of the lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use super::entry::{Entry, InUse};
use super::few::Few;
use super::pools::KeyedPool;

pub(super) struct Entries<K, P> {
    by_hash: HashMap<u64, SameHash<K, P>, BuildHasherDefault<AsItIs>>,
    /// How many entries were ever added.
    additions: u64,
    /// No entry is added any more.
    pub(super) is_closed: bool,
}

type SameHash<K, P> = Few<Arc<Entry<K, P>>>;

/// The entries of one hash.
pub(super) struct Look<K: Send + Sync + 'static, P: KeyedPool> {
    pub(super) entries: Few<InUse<K, P>>,
    /// How many were ever added to the shard.
    pub(super) additions: u64,
    /// No entry is added any more.
    pub(super) is_closed: bool,
}

/// What became of an entry to be added.
pub(super) enum Added<K: Send + Sync + 'static, P: KeyedPool> {
    InUse(InUse<K, P>),
    /// There are others of its hash, and some may have been added since the look.
    NotCompared(Look<K, P>),
    Closed,
}

impl<K, P> Default for Entries<K, P> {
    fn default() -> Self {
        Self {
            by_hash: HashMap::default(),
            additions: 0,
            is_closed: false,
        }
    }
}

impl<K: Send + Sync + 'static, P: KeyedPool> Entries<K, P> {
    pub(super) fn len(&self) -> usize {
        self.by_hash.values().map(Few::len).sum()
    }

    /// Takes all out; no more are added.
    pub(super) fn close(&mut self) -> Vec<Arc<Entry<K, P>>> {
        self.is_closed = true;
        std::mem::take(&mut self.by_hash)
            .into_values()
            .flatten()
            .collect()
    }

    pub(super) fn look(&self, hash: u64) -> Look<K, P> {
        let entries = self.by_hash.get(&hash).into_iter().flat_map(Few::iter);
        Look {
            entries: entries.map(InUse::begin).collect(),
            additions: self.additions,
            is_closed: self.is_closed,
        }
    }

    pub(super) fn all(&self) -> Vec<InUse<K, P>> {
        let entries = self.by_hash.values().flat_map(Few::iter);
        entries.map(InUse::begin).collect()
    }

    /// Adds an entry that was compared with all of its hash after so many additions.
    pub(super) fn add(&mut self, entry: &Arc<Entry<K, P>>, additions: u64) -> Added<K, P> {
        if self.is_closed {
            return Added::Closed;
        }
        let has_others = self.by_hash.contains_key(&entry.hash);
        if has_others && additions != self.additions {
            return Added::NotCompared(self.look(entry.hash));
        }
        let same_hash = self.by_hash.entry(entry.hash).or_default();
        same_hash.push(Arc::clone(entry));
        self.additions += 1;
        Added::InUse(InUse::begin(entry))
    }

    /// Takes the entry out, if nothing is left of its pool and nobody uses it.
    pub(super) fn retire(&mut self, hash: u64, id: u64) -> Option<Arc<Entry<K, P>>> {
        let same_hash = self.by_hash.get(&hash)?;
        let entry = same_hash.iter().find(|entry| entry.id == id)?;
        // Acquire: what was done by those who used it comes before its end.
        let is_over = entry.uses.load(Acquire) == 0 && entry.pool.is_spent();
        if is_over { self.remove(hash, id) } else { None }
    }

    pub(super) fn remove(&mut self, hash: u64, id: u64) -> Option<Arc<Entry<K, P>>> {
        let same_hash = self.by_hash.get_mut(&hash)?;
        let removed = same_hash.remove(|entry| entry.id == id);
        if same_hash.len() == 0 {
            self.by_hash.remove(&hash);
            // Keys that are gone leave no memory behind.
            let keys = self.by_hash.len();
            if self.by_hash.capacity() > 2 * keys + 16 {
                self.by_hash.shrink_to(keys * 3 / 2);
            }
        }
        removed
    }
}

/// Of numbers that are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers of 64 bits are keys of a shard");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
