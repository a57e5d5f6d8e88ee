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
use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::ops::Deref;
use std::panic::Location;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Arc, Weak};

use super::hints::{self, Hints};
use super::pools::{Place, Pooled, Prepared, Spent, set_up};
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
type Hashing = BuildHasherDefault<std::hash::DefaultHasher>;

/// By hash. In cache lines of its own.
#[repr(align(128))]
struct Shard<K, P>(Mutex<Entries<K, P>>);

struct Entries<K, P> {
    by_hash: HashMap<u64, SameHash<K, P>, BuildHasherDefault<AsItIs>>,
    /// How many entries were ever added.
    additions: u64,
    /// No entry is added any more.
    is_closed: bool,
}

type SameHash<K, P> = Few<Arc<Entry<K, P>>>;

/// A key's pool.
pub(super) struct Entry<K, P> {
    pub(super) key: K,
    pub(super) hash: u64,
    pub(super) pool: P,
    id: u64,
    map: Weak<Map<K, P>>,
    /// Gets under way, handles, looks. Each begins under the lock of the shard or beside another: so when none is found
    /// under that lock, there is none, and the entry may be taken out.
    uses: AtomicUsize,
    /// It is taken out. Set before the hints are cleared of it, and read under the lock of each: so none has it after.
    pub(super) is_out: AtomicBool,
}

/// An entry that is not retired while this is there.
pub(super) struct InUse<K: Send + Sync + 'static, P: Pooled> {
    /// None once it was ended [with a lease](Self::end_with_lease).
    entry: Option<Arc<Entry<K, P>>>,
}

const SHARDS: usize = if cfg!(cenote_shuttle) { 1 } else { 16 };

impl<K: Send + Sync + 'static, P: Pooled> Map<K, P> {
    pub(super) fn new(name: Arc<str>, budget: Option<Budget>, make: Make<K, P>) -> Arc<Self> {
        let shard = || {
            Shard(Mutex::new(Entries {
                by_hash: HashMap::default(),
                additions: 0,
                is_closed: false,
            }))
        };
        Arc::new(Self {
            name,
            budget,
            make,
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
            let Look { entries, additions } = look;
            if let Some(entry) = entries.find(|entry| entry.key.borrow() == key) {
                return Ok(entry);
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
    fn retire(&self, hash: u64, id: u64) {
        let retired = lock(self.shard(hash)).retire(hash, id);
        let Some(entry) = retired else {
            return;
        };
        self.forget(entry);
    }

    /// Drops a reference that may be the last, where users dropped theirs meanwhile: all keys go with it then, and this may
    /// be the end of a lease.
    fn leave(self: Arc<Self>) {
        let _ = rt::calling(|| drop(self));
    }

    /// Drops an entry that was taken out.
    fn forget(&self, entry: Arc<Entry<K, P>>) {
        entry.is_out.store(true, Release);
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
                entries.by_hash.values().map(Few::len).sum::<usize>()
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
                let mut entries = lock(shard);
                entries.is_closed = true;
                let buckets = std::mem::take(&mut entries.by_hash);
                drop(entries);
                closed.extend(buckets.into_values().flatten());
            }
            closed.clone()
        };
        for entry in &closed {
            entry.is_out.store(true, Release);
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

/// The entries of one hash.
struct Look<K: Send + Sync + 'static, P: Pooled> {
    entries: Few<InUse<K, P>>,
    /// How many were ever added to the shard.
    additions: u64,
}

/// What became of an entry to be added.
enum Added<K: Send + Sync + 'static, P: Pooled> {
    InUse(InUse<K, P>),
    /// There are others of its hash, and some may have been added since the look.
    NotCompared(Look<K, P>),
    Closed,
}

impl<K: Send + Sync + 'static, P: Pooled> Entries<K, P> {
    fn look(&self, hash: u64) -> Look<K, P> {
        let entries = self.by_hash.get(&hash).into_iter().flat_map(Few::iter);
        Look {
            entries: entries.map(InUse::begin).collect(),
            additions: self.additions,
        }
    }

    fn all(&self) -> Vec<InUse<K, P>> {
        let entries = self.by_hash.values().flat_map(Few::iter);
        entries.map(InUse::begin).collect()
    }

    /// Adds an entry that was compared with all of its hash after so many additions.
    fn add(&mut self, entry: &Arc<Entry<K, P>>, additions: u64) -> Added<K, P> {
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
    fn retire(&mut self, hash: u64, id: u64) -> Option<Arc<Entry<K, P>>> {
        let same_hash = self.by_hash.get(&hash)?;
        let entry = same_hash.iter().find(|entry| entry.id == id)?;
        // Acquire: what was done by those who used it comes before its end.
        let is_over = entry.uses.load(Acquire) == 0 && entry.pool.is_spent();
        if is_over { self.remove(hash, id) } else { None }
    }

    fn remove(&mut self, hash: u64, id: u64) -> Option<Arc<Entry<K, P>>> {
        let same_hash = self.by_hash.get_mut(&hash)?;
        let removed = same_hash.remove(|entry| entry.id == id);
        if same_hash.len() == 0 {
            self.by_hash.remove(&hash);
            // Keys that are gone leave no memory behind.
            if self.by_hash.capacity() > 4 * self.by_hash.len() + 16 {
                self.by_hash.shrink_to(2 * self.by_hash.len());
            }
        }
        removed
    }
}

impl<K: Send + Sync + 'static, P: Pooled> InUse<K, P> {
    /// The lock of the entry's shard is held, or another `InUse` is there.
    fn begin(entry: &Arc<Entry<K, P>>) -> Self {
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
    fn end_with_lease(mut self) -> Arc<Entry<K, P>> {
        let entry = self.entry.take();
        let entry = entry.expect("an entry in use is there until that ends");
        entry.uses.fetch_sub(1, Release);
        entry
    }
}

impl<K: Send + Sync + 'static, P: Pooled> Drop for InUse<K, P> {
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

impl<K: Send + Sync + 'static, P: Pooled> Clone for InUse<K, P> {
    fn clone(&self) -> Self {
        Self::begin(self.entry())
    }
}

impl<K: Send + Sync + 'static, P: Pooled> Deref for InUse<K, P> {
    type Target = Entry<K, P>;

    fn deref(&self) -> &Entry<K, P> {
        self.entry()
    }
}

/// What is nearly always one.
struct Few<T> {
    first: Option<T>,
    others: Vec<T>,
}

impl<T> Few<T> {
    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.others)
    }

    fn push(&mut self, one: T) {
        match self.first {
            None => self.first = Some(one),
            Some(_) => self.others.push(one),
        }
    }

    fn remove(&mut self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        match self.first.take_if(|first| is_it(first)) {
            Some(first) => {
                self.first = self.others.pop();
                Some(first)
            }
            None => {
                let place = self.others.iter().position(is_it)?;
                Some(self.others.swap_remove(place))
            }
        }
    }

    fn find(self, is_it: impl Fn(&T) -> bool) -> Option<T> {
        self.into_iter().find(is_it)
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self {
            first: None,
            others: Vec::new(),
        }
    }
}

impl<T> FromIterator<T> for Few<T> {
    fn from_iter<I: IntoIterator<Item = T>>(all: I) -> Self {
        let mut all = all.into_iter();
        Self {
            first: all.next(),
            others: all.collect(),
        }
    }
}

impl<T> IntoIterator for Few<T> {
    type Item = T;
    type IntoIter = std::iter::Chain<std::option::IntoIter<T>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().chain(self.others)
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
