//! A shard for each thread, with a cache of released permits: the next get of the same thread takes one and touches
//! nothing that other threads touch.
//!
//! Permits are cached while one connection carries all leases and nobody waits, so that there is nothing to decide. A
//! cached permit stays counted as taken, and no more are cached than leave the others room. What decides by the number
//! of leases, or counts them, flushes the cache first: after that every permit is in the state, and each that is
//! released goes there, until the state allows some to be cached again.

use std::sync::{Arc, OnceLock};

use crate::permit_cache::{PermitCache, ration};
use crate::sync::{AtomicUsize, Mutex, Ordering, lock, own_shard};

/// `T` is a permit: its holder's share of the connection.
pub(super) struct Shards<T> {
    /// A thread has one of them; two threads share one where there are more threads than shards. Each has a count of
    /// references of its own, for a permit that goes into its shard may be the last reference to the pool. Made when a
    /// thread may first cache permits: most pools are used by few.
    shards: OnceLock<Box<[OwnShard<T>]>>,
    /// How many shards there are to be.
    width: usize,
}

/// The place of a thread's shard.
type OwnShard<T> = OnceLock<Arc<Shard<T>>>;

/// In cache lines of its own. Its lock is taken under the state's, one at a time; nothing is taken under it.
#[repr(align(128))]
pub(super) struct Shard<T> {
    cached: Mutex<Cached<T>>,
    /// How many permits are cached, to be read without the lock; written under it. Only a number, so that no order is
    /// needed.
    count: AtomicUsize,
}

struct Cached<T> {
    /// Frozen once the permits were flushed, so that each released one goes to the state. Frozen and allowed under the
    /// state's lock, too.
    permits: PermitCache<T>,
    /// What the connection had said of its capacity when permits were allowed: while it says the same, it has nothing
    /// to tell the state.
    capacity: usize,
    /// How often one was taken since the last flush.
    takes: u64,
}

impl<T> Default for Shard<T> {
    fn default() -> Self {
        Self {
            cached: Mutex::new(Cached {
                permits: PermitCache::new(0),
                capacity: 0,
                takes: 0,
            }),
            count: AtomicUsize::new(0),
        }
    }
}

/// What was flushed.
pub(super) struct Flushed<T> {
    pub(super) permits: Vec<T>,
    /// Leases that were given from them.
    pub(super) takes: u64,
}

impl<T> Shards<T> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            shards: OnceLock::new(),
            width,
        }
    }

    /// All shards there are by now.
    fn shards(&self) -> impl Iterator<Item = &Arc<Shard<T>>> {
        let shards = self.shards.get().into_iter().flatten();
        shards.filter_map(OnceLock::get)
    }

    fn of_thread(&self) -> Option<&Arc<Shard<T>>> {
        own(self.shards.get()?).get()
    }

    /// Whether this thread has its shard.
    pub(super) fn has_shard(&self) -> bool {
        self.of_thread().is_some()
    }

    /// This thread's shard, to release a permit to, if any may be cached.
    #[inline]
    pub(super) fn shard(&self) -> Option<Arc<Shard<T>>> {
        self.of_thread().cloned()
    }

    /// A cached permit, if this thread's shard has one, and the capacity it was cached at.
    #[inline]
    pub(super) fn take(&self) -> Option<(T, usize)> {
        let shard = self.of_thread()?;
        let mut cached = lock(&shard.cached);
        let permit = cached.permits.take()?;
        shard.count.store(cached.permits.len(), Ordering::Relaxed);
        cached.takes += 1;
        Some((permit, cached.capacity))
    }

    /// How many each shard may cache when `free` permits are free. 0: none.
    pub(super) fn ration(&self, free: usize) -> usize {
        ration(free, self.width)
    }

    /// Lets each shard cache so many, of a connection of this capacity, and this thread have one. The state's lock is
    /// held.
    pub(super) fn allow(&self, most: usize, capacity: usize) {
        let none = || (0..self.width).map(|_| OnceLock::new()).collect();
        own(self.shards.get_or_init(none)).get_or_init(Arc::default);
        for shard in self.shards() {
            let mut cached = lock(&shard.cached);
            cached.permits.allow(most);
            cached.capacity = capacity;
        }
    }

    /// Takes all away, and lets none be cached until some are allowed again. The state's lock is held.
    pub(super) fn flush(&self) -> Flushed<T> {
        let mut flushed = Flushed {
            permits: Vec::new(),
            takes: 0,
        };
        for shard in self.shards() {
            let mut cached = lock(&shard.cached);
            cached.permits.freeze(&mut flushed.permits);
            shard.count.store(0, Ordering::Relaxed);
            flushed.takes += std::mem::take(&mut cached.takes);
        }
        flushed
    }

    /// How many permits are cached; nearly so while they are taken and put.
    pub(super) fn count(&self) -> usize {
        let counts = self.shards().map(|shard| &shard.count);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// This thread's place among the shards.
fn own<S>(shards: &[S]) -> &S {
    &shards[own_shard(shards.len())]
}

impl<T> Shard<T> {
    /// Caches a permit released on a connection of this capacity, if that is allowed. `belongs` says whether it is one
    /// of the connection that has the cached permits, while these can't be flushed.
    #[inline]
    pub(super) fn put(
        &self,
        permit: T,
        capacity: usize,
        belongs: impl FnOnce(&T) -> bool,
    ) -> Result<(), T> {
        let mut cached = lock(&self.cached);
        if cached.capacity != capacity || !belongs(&permit) {
            return Err(permit);
        }
        cached.permits.put(permit)?;
        self.count.store(cached.permits.len(), Ordering::Relaxed);
        Ok(())
    }
}
