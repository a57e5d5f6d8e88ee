//! From keys to their pools. A pool is made when its key is first asked for, and forgotten when nothing is left of it
//! and nobody uses it: so keys cost what is open for them, however many there have been.
//!
//! A hash finds the entries that may be a key's, and a comparison of whole keys says which is: two keys with the same hash
//! have two pools. There is one entry of a key at a time: before one is added, its key was compared with those of all
//! others that have its hash.
//!
//! Locks: that of what was closed, then each shard's, one at a time. Under a shard's the locks of a lifecycle may be
//! taken, for whether a pool is spent is asked there, and no user code runs: keys are hashed, compared, made and dropped
//! outside, and pools as well. Those of the hints are leaves.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::panic::Location;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Weak};

use super::entry::{Entry, InUse};
use super::hints::{self, Hints};
use super::pools::{KeyedPool, Observer, Place, Prepared, Spent, set_up};
use super::shard::{Added, Entries, Look};
use crate::budget::Budget;
use crate::error::{BoxError, GetError};
use crate::rt;
use crate::sync::{AtomicBool, AtomicU64, AtomicUsize, Mutex, lock};

/// Makes the pool of a key.
pub(super) type Make<K, P> = Box<dyn Fn(&K, Place) -> Result<Prepared<P>, BoxError> + Send + Sync>;

pub(super) struct Map<K, P> {
    pub(super) name: Arc<str>,
    pub(super) budget: Option<Budget>,
    make: Make<K, P>,
    observers: Arc<[Observer]>,
    hasher: Hashing,
    last_id: AtomicU64,
    shards: Box<[Shard<K, P>]>,
    hints: Hints<K, P>,
    /// What a close took out, for those that close after it to wait for as well.
    closed: Mutex<Vec<Arc<Entry<K, P>>>>,
}

/// Seeded for each map, so that keys of the same hash cannot be made up.
#[cfg(not(cenote_shuttle))]
type Hashing = std::hash::RandomState;
/// A schedule is the same in each of its runs.
#[cfg(cenote_shuttle)]
type Hashing = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// In cache lines of its own.
#[repr(align(128))]
struct Shard<K, P>(Mutex<Entries<K, P>>);

const SHARDS: usize = if cfg!(cenote_shuttle) { 1 } else { 16 };

impl<K: Send + Sync + 'static, P: KeyedPool> Map<K, P> {
    pub(super) fn new(
        name: Arc<str>,
        budget: Option<Budget>,
        observers: Arc<[Observer]>,
        make: Make<K, P>,
    ) -> Arc<Self> {
        let shard = || Shard(Mutex::new(Entries::default()));
        Arc::new(Self {
            name,
            budget,
            make,
            observers,
            hasher: Hashing::default(),
            last_id: AtomicU64::new(0),
            shards: (0..SHARDS).map(|_| shard()).collect(),
            hints: Hints::new(),
            closed: Mutex::new(Vec::new()),
        })
    }

    fn hash(&self, key: &(impl Hash + ?Sized)) -> u64 {
        self.hasher.hash_one(key)
    }

    /// The upper bits: the lower ones say where in the shard.
    fn shard(&self, hash: u64) -> &Mutex<Entries<K, P>> {
        &self.shards[(hash >> 32) as usize % SHARDS].0
    }

    /// A lease, if the key's is the pool that this thread used last, and has one at once.
    #[inline]
    pub(super) fn take_hinted<Q>(
        &self,
        key: &Q,
        call_site: &'static Location<'static>,
    ) -> Option<P::Lease>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let entry = self.hints.take()?;
        if entry.key.borrow() != key {
            // This key's takes its place.
            hints::forget(entry);
            return None;
        }
        let lease = entry.pool.take(call_site);
        self.hints.put(entry);
        lease
    }

    /// A lease, if the entry's pool has one at once: this thread is likely to ask for the same key again. The entry, if not.
    pub(super) fn take(
        &self,
        entry: InUse<K, P>,
        call_site: &'static Location<'static>,
    ) -> Result<P::Lease, InUse<K, P>> {
        match entry.pool.take(call_site) {
            Some(lease) => {
                self.hints.put(entry.end_with_lease());
                Ok(lease)
            }
            None => Err(entry),
        }
    }

    /// The key's entry, if there is one.
    pub(super) fn find<Q>(&self, key: &Q) -> Option<InUse<K, P>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hash(key);
        let look = lock(self.shard(hash)).look(hash);
        look.entries.find(|entry| entry.key.borrow() == key)
    }

    /// The key's entry: with a pool made for it, if there is none.
    pub(super) fn entry<Q>(self: &Arc<Self>, key: &Q) -> Result<InUse<K, P>, GetError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.hash(key);
        let mut look = lock(self.shard(hash)).look(hash);
        let mut made = None;
        loop {
            let Look {
                entries,
                additions,
                is_closed,
            } = look;
            if let Some(entry) = entries.find(|entry| entry.key.borrow() == key) {
                return Ok(entry);
            }
            if is_closed {
                // Nor is what is in vain asked of the user's code.
                return Err(self.closed_error());
            }
            let (entry, start) = match made.take() {
                Some(made) => made,
                None => self.make(key, hash)?,
            };
            let added = lock(self.shard(hash)).add(&entry, additions);
            match added {
                Added::InUse(entry) => {
                    start();
                    return Ok(entry);
                }
                Added::NotCompared(again) => {
                    look = again;
                    made = Some((entry, start));
                }
                Added::Closed => return Err(self.closed_error()),
            }
        }
    }

    /// An entry that is in no shard yet, and what starts its pool. All of it may run user code.
    #[cold]
    fn make<Q>(self: &Arc<Self>, key: &Q, hash: u64) -> Result<New<K, P>, GetError>
    where
        Q: ToOwned<Owned = K> + ?Sized,
        K: Borrow<Q>,
    {
        let id = self.last_id.fetch_add(1, Relaxed) + 1;
        let map = Arc::downgrade(self);
        let make = || {
            let key = key.to_owned();
            let on_spent: Weak<Self> = Weak::clone(&map);
            let place = Place {
                name: Arc::clone(&self.name),
                budget: self.budget.clone(),
                observers: Arc::clone(&self.observers),
                on_spent: Spent(Box::new(move || {
                    if let Some(map) = on_spent.upgrade() {
                        map.retire(hash, id);
                        map.leave();
                    }
                })),
            };
            let prepared = (self.make)(&key, place)?;
            Ok((key, prepared))
        };
        let (key, Prepared { pool, start }) = set_up(&self.name, make)?;
        let entry = Entry {
            key,
            hash,
            pool,
            id,
            map,
            uses: AtomicUsize::new(0),
            is_out: AtomicBool::new(false),
        };
        Ok((Arc::new(entry), start))
    }

    /// Takes the entry out, if nothing is left of its pool and nobody uses it.
    pub(super) fn retire(&self, hash: u64, id: u64) {
        let retired = lock(self.shard(hash)).retire(hash, id);
        let Some(entry) = retired else {
            return;
        };
        self.forget(entry);
    }

    /// Drops a reference that may be the last, where users dropped theirs meanwhile: all keys go with it then, and this may
    /// be the end of a lease.
    pub(super) fn leave(self: Arc<Self>) {
        let _ = rt::calling(|| drop(self));
    }

    /// Drops an entry that was taken out.
    fn forget(&self, entry: Arc<Entry<K, P>>) {
        entry.is_out.store(true, SeqCst);
        let hinted = self.hints.clear(&entry);
        let _ = rt::calling(|| drop(hinted));
        // Keys, connectors and hooks go with it.
        let _ = rt::calling(|| drop(entry));
    }

    /// All entries.
    pub(super) fn entries(&self) -> Vec<InUse<K, P>> {
        let shards = self.shards.iter();
        shards.flat_map(|shard| lock(&shard.0).all()).collect()
    }

    pub(super) fn len(&self) -> usize {
        let shards = self.shards.iter();
        shards
            .map(|shard| {
                let entries = lock(&shard.0);
                entries.len()
            })
            .sum()
    }

    /// The key's entry, taken out: the next who asks for the key has another made.
    pub(super) fn remove<Q>(&self, key: &Q) -> Option<InUse<K, P>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.find(key)?;
        let removed = lock(self.shard(entry.hash)).remove(entry.hash, entry.id);
        // Else another was faster.
        self.forget(removed?);
        Some(entry)
    }

    /// Takes all out, and gives them with those that were taken out before; no more are added.
    pub(super) fn close(&self) -> Vec<Arc<Entry<K, P>>> {
        let closed = {
            let mut closed = lock(&self.closed);
            for Shard(shard) in &self.shards {
                closed.extend(lock(shard).close());
            }
            closed.clone()
        };
        for entry in &closed {
            entry.is_out.store(true, SeqCst);
            // Not the last references.
            drop(self.hints.clear(entry));
        }
        closed
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.shards[0].0).is_closed
    }
}

impl<K, P> Map<K, P> {
    pub(super) fn closed_error(&self) -> GetError {
        GetError::Closed {
            pool: Arc::clone(&self.name),
        }
    }
}

type New<K, P> = (Arc<Entry<K, P>>, Box<dyn FnOnce()>);
