//! A pool per key: for a tenant, a shard, a host, where only a connection of that one will do.
//!
//! [`Keyed`] makes the pool of a key when that is first asked for, and forgets the key when nothing is left of its pool;
//! [`KeyedBuilder`] has what holds for all keys together. [`KeyedGet`] is a lease on its way, [`KeyHandle`] a handle on the
//! pool of one key, [`KeyedStatus`] all of them at one moment.

// `map` finds the `entry` of a key in one of its parts, each a `shard` under one lock; `hints` has those that threads used
// last; `pools` says what may be under a key, and how it is made; `get`, `handle` and `close` are what users hold. What a
// pool does is its own affair: it knows of its key only whom to tell when nothing is left of it (`lifecycle::spent`).

mod builder;
mod close;
mod entry;
mod few;
mod get;
mod handle;
mod hints;
mod map;
#[cfg(all(test, cenote_shuttle))]
mod models;
mod pools;
mod shard;
mod status;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;

use map::Map;

use crate::error::{GetError, TryGetError};
use crate::lifecycle::close::Close;

pub use builder::KeyedBuilder;
pub use close::KeyedClose;
pub use get::KeyedGet;
pub use handle::KeyHandle;
pub(crate) use pools::set_up;
pub use pools::{IntoPool, KeyedPool};
pub use status::KeyedStatus;

/// A pool per key, each made when its key is first asked for.
///
/// A key is whatever tells one from the other: a tenant's id, a shard's number, host and port and user. Keys are compared
/// whole. A cheap handle: clones share the pools, and dropping the last one closes them. Leases may outlive it.
///
/// ```
/// # use cenote::{Connect, Dial, Verdict};
/// # struct Database(String);
/// # struct Session;
/// # impl Connect for Database {
/// #     type Connection = Session;
/// #     type Error = std::io::Error;
/// #     async fn connect(&self, _: &Dial) -> std::io::Result<Session> { Ok(Session) }
/// #     fn verdict(&self, _: &mut Session) -> Verdict { Verdict::Reuse }
/// # }
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cenote::{Keyed, Pool};
/// use std::time::Duration;
///
/// let tenants = Keyed::builder(|tenant: &String| {
///     Pool::builder(Database(format!("postgres://db/{tenant}")))
///         .max_size(5)
///         .idle_timeout(Duration::from_secs(30))
/// })
/// .name("tenants")
/// .max_total(80) // below what the server permits
/// .build()?;
///
/// let session = tenants.get("acme").await?;
/// # drop(session);
/// # Ok(())
/// # }
/// ```
///
/// # What is bounded
///
/// Each key's pool has bounds of its own, and [`max_total`](KeyedBuilder::max_total) bounds all together. Where that is
/// reached, keys take connections from each other: first the one that has been idle for longest, of whichever key; where
/// none is idle, one that comes back, for the key whose caller has waited longest. So no key waits for ever while another
/// has its connections come and go, as [`Budget`](crate::Budget) says.
///
/// # When a key is forgotten
///
/// When its pool has no connection left, keeps none open, nobody waits or has a [handle](KeyHandle) on it, and the back-off
/// of failed dials is over. So what a key costs is what is open for it. A pool with `min_idle` or `min_size` stays: such
/// keys should be few. Connections end by the pool's own `idle_timeout`, which may well be shorter here than for a pool
/// that is alone.
///
/// # Shared pools
///
/// Where the closure returns the builder of a [`SharedPool`](crate::SharedPool), each key has one of these:
///
/// ```
/// # use cenote::{Keyed, Multiplex, SharedPool};
/// # fn shards<C: Multiplex>(connector: fn(u32) -> C) -> Result<(), Box<dyn std::error::Error>> {
/// let shards = Keyed::builder(move |shard: &u32| SharedPool::builder(connector(*shard))).build()?;
/// # Ok(()) }
/// ```
pub struct Keyed<K, P> {
    map: Arc<Map<K, P>>,
}

impl<K: fmt::Debug + Send + Sync + 'static, P: KeyedPool> Keyed<K, P> {
    /// Sets up a pool for each key, as `make` says: it returns a connector, or the builder of a pool, or a [`Result`] of one
    /// of these; see [`IntoPool`]. A name that it sets does not count, and a budget that it sets is an
    /// [error](GetError::Setup) where there is one for all keys.
    ///
    /// It is called when a key is asked for that has no pool, by the caller that asks; perhaps by two at the same time, of
    /// whose pools one is dropped. So it should do no more than put the settings together. A panic in it is that caller's
    /// error as well.
    ///
    /// Keys are shown, by their `Debug`, in the names of their pools, and so in errors and events: no secrets belong in
    /// them.
    pub fn builder<B: IntoPool<Pool = P>>(
        make: impl Fn(&K) -> B + Send + Sync + 'static,
    ) -> KeyedBuilder<K, P> {
        KeyedBuilder::new(make)
    }

    /// Leases a connection of the key's pool: an idle one at once, else the first that comes free or is opened, in arrival
    /// order. Where the key has no pool, one is made.
    ///
    /// Waits for the `acquire_timeout` of the key's pool at most, or [`KeyedGet::timeout`]. Dropping the future leaves the
    /// queue and loses nothing. The lease is owned: it has no tie to this handle.
    ///
    /// # Errors
    /// As [`Pool::get`](crate::Pool::get) or [`SharedPool::get`](crate::SharedPool::get);
    /// [`Setup`](GetError::Setup): the key's pool cannot be made; [`Closed`](GetError::Closed): all are closed.
    ///
    /// # Panics
    /// Where the key's `Hash` or `Eq` does.
    #[inline]
    #[track_caller]
    pub fn get<'a, Q>(&'a self, key: &'a Q) -> KeyedGet<'a, Q, K, P>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        KeyedGet::new(&self.map, key, Location::caller())
    }

    /// Leases an idle connection of the key's pool, or says why not; never waits, and makes no pool.
    ///
    /// # Errors
    /// [`NoneIdle`](TryGetError::NoneIdle): the key has no pool, or that has no connection that is idle and need not be
    /// checked first. [`Closed`](TryGetError::Closed): all are closed.
    ///
    /// # Panics
    /// Where the key's `Hash` or `Eq` does.
    #[track_caller]
    pub fn try_get<Q>(&self, key: &Q) -> Result<P::Lease, TryGetError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (map, call_site) = (&self.map, Location::caller());
        if let Some(lease) = map.take_hinted(key, call_site) {
            return Ok(lease);
        }
        let entry = map.find(key);
        let lease = entry.and_then(|entry| map.take(entry, call_site).ok());
        lease.ok_or_else(|| match map.is_closed() {
            true => TryGetError::Closed,
            false => TryGetError::NoneIdle,
        })
    }

    /// A handle on the key's pool, which is made if there is none: for a user that has one key for long, and for whatever
    /// else a pool can do.
    ///
    /// # Errors
    /// [`Setup`](GetError::Setup): the key's pool cannot be made; [`Closed`](GetError::Closed): all are closed.
    ///
    /// # Panics
    /// Where the key's `Hash` or `Eq` does.
    pub fn pool<Q>(&self, key: &Q) -> Result<KeyHandle<K, P>, GetError>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let entry = self.map.entry(key)?;
        Ok(KeyHandle { entry })
    }

    /// A handle on the key's pool, if it has one.
    ///
    /// # Panics
    /// Where the key's `Hash` or `Eq` does.
    pub fn find<Q>(&self, key: &Q) -> Option<KeyHandle<K, P>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.map.find(key)?;
        Some(KeyHandle { entry })
    }

    /// Handles on all pools that there are now, in no order. While they are there, none of their keys is forgotten.
    pub fn pools(&self) -> Vec<KeyHandle<K, P>> {
        let entries = self.map.entries().into_iter();
        entries.map(|entry| KeyHandle { entry }).collect()
    }

    /// How many keys have a pool.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether no key has a pool.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All pools as they are now. Looks at every connection of each: for people, not for every request.
    pub fn status(&self) -> KeyedStatus {
        let budget = self.map.budget.as_ref().map(crate::Budget::status);
        let all = KeyedStatus::new(Arc::clone(&self.map.name), budget);
        let entries = self.map.entries().into_iter();
        entries.fold(all, |all, entry| all.with(&entry.pool.status()))
    }

    /// The name of them all; the pool of each has the key in its name.
    pub fn name(&self) -> &str {
        &self.map.name
    }

    /// Replaces every connection of every key, without disturbing those who use one, as
    /// [`Pool::evict`](crate::Pool::evict) does. Those of one key: by the handle that
    /// [`find`](Self::find) gives.
    pub fn evict(&self) {
        for entry in self.map.entries() {
            entry.pool.evict();
        }
    }

    /// Closes the key's pool, and forgets the key: callers that wait there get [`Closed`](GetError::Closed), and the next
    /// that asks for the key has a pool made anew. None where it has no pool.
    ///
    /// # Panics
    /// Where the key's `Hash` or `Eq` does.
    pub fn remove<Q>(&self, key: &Q) -> Option<Close>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let removed = self.map.remove(key)?;
        Some(removed.pool.close())
    }

    /// Closes all pools, at once, and makes no more: callers that wait get [`Closed`](GetError::Closed), idle connections
    /// end now, leased ones when they come back. Await the result to wait for that, [`KeyedClose::timeout`] at most. Called
    /// once more, it waits for the same.
    pub fn close(&self) -> KeyedClose {
        let closed = self.map.close().into_iter();
        KeyedClose::new(closed.map(|entry| entry.pool.close()).collect())
    }

    /// Whether all are closed.
    pub fn is_closed(&self) -> bool {
        self.map.is_closed()
    }
}

impl<K, P> Clone for Keyed<K, P> {
    fn clone(&self) -> Self {
        Self {
            map: Arc::clone(&self.map),
        }
    }
}

impl<K: fmt::Debug + Send + Sync + 'static, P: KeyedPool> fmt::Debug for Keyed<K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyed").field(&self.status()).finish()
    }
}
