//! All pools of the process, for what looks at each of them: a page for the person on call, an exporter of metrics.
//!
//! Every [`Pool`](crate::Pool), [`SharedPool`](crate::SharedPool) and [`blocking::Pool`](crate::blocking::Pool) is
//! listed from its build until the last of its handles and leases is gone. The registry keeps no pool alive: its
//! references are weak.
//!
//! ```
//! # use cenote::{Connect, Pool};
//! # fn f<C: Connect>(connector: C) -> Result<(), cenote::error::SettingsError> {
//! let orders = Pool::builder(connector).name("orders").build()?;
//! for pool in cenote::registry::pools() {
//!     println!("{}", pool.inspect());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A pool costs 24 bytes here, up to 40 while the list has room for more, and building or dropping one some
//! instructions under a lock of the whole process, however many there are. The room that a dropped pool leaves is the
//! next one's; with the last pool goes the list.

use std::fmt;
use std::sync::{Arc, Mutex, Weak};

use crate::report::Snapshot;
use crate::sync::lock_patiently;

/// What is listed.
pub(crate) trait Listed: Send + Sync + 'static {
    fn name(&self) -> &str;
    fn snapshot(self: Arc<Self>) -> Snapshot;
}

/// All pools that are there now, roughly in the order in which they were built. Pools may have the same name: it is
/// "unnamed" where none was given.
pub fn pools() -> Vec<RegisteredPool> {
    let list = lock_patiently(&POOLS);
    let pools = list.iter().flat_map(|list| list.pools());
    pools.map(|pool| RegisteredPool { pool }).collect()
}

/// A pool of whatever kind, as the registry lists it. It may be looked at and no more, and does not keep it open: when
/// the pool's own handles are gone, the pool is closed.
#[derive(Clone)]
pub struct RegisteredPool {
    pool: Arc<dyn Listed>,
}

impl RegisteredPool {
    /// The pool's name.
    pub fn name(&self) -> &str {
        self.pool.name()
    }

    /// The pool from all sides; see [`Pool::inspect`](crate::Pool::inspect).
    pub fn inspect(&self) -> Snapshot {
        Arc::clone(&self.pool).snapshot()
    }
}

impl fmt::Debug for RegisteredPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegisteredPool").field(&self.name()).finish()
    }
}

/// A leaf lock: no pool is called, and none dropped, under it.
static POOLS: Mutex<List> = Mutex::new(List::new());

/// A pool's entry, until this is dropped with the pool.
pub(crate) struct Registration(u32);

impl Registration {
    /// Lists a pool. `None`: the lock is taken for good, in a forked child.
    pub(crate) fn of(pool: Weak<dyn Listed>) -> Option<Self> {
        lock_patiently(&POOLS)?.add(pool).map(Self)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(mut list) = lock_patiently(&POOLS) {
            list.remove(self.0);
        }
    }
}

/// Entries that never move, so that a pool knows its own by a number.
struct List {
    entries: Vec<Entry>,
    /// The first entry that is free, or [`NONE`].
    free: u32,
    /// Those that are not.
    listed: usize,
}

enum Entry {
    Pool(Weak<dyn Listed>),
    /// Free; after it comes this one.
    Free(u32),
}

const NONE: u32 = u32::MAX;

impl List {
    const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: NONE,
            listed: 0,
        }
    }

    /// `None`: as many as there are numbers for.
    fn add(&mut self, pool: Weak<dyn Listed>) -> Option<u32> {
        let index = match self.entries.get(self.free as usize) {
            Some(&Entry::Free(next)) => {
                let index = std::mem::replace(&mut self.free, next);
                self.entries[index as usize] = Entry::Pool(pool);
                index
            }
            _ => {
                let index = u32::try_from(self.entries.len()).ok();
                let index = index.filter(|index| *index != NONE)?;
                self.entries.push(Entry::Pool(pool));
                index
            }
        };
        self.listed += 1;
        Some(index)
    }

    fn remove(&mut self, index: u32) {
        let free = Entry::Free(std::mem::replace(&mut self.free, index));
        self.entries[index as usize] = free;
        self.listed -= 1;
        if self.listed == 0 {
            *self = Self::new();
        }
    }

    fn pools(&self) -> impl Iterator<Item = Arc<dyn Listed>> {
        self.entries.iter().filter_map(|entry| match entry {
            Entry::Pool(pool) => pool.upgrade(),
            Entry::Free(_) => None,
        })
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    struct Named(&'static str);

    impl Listed for Named {
        fn name(&self) -> &str {
            self.0
        }

        fn snapshot(self: Arc<Self>) -> Snapshot {
            unreachable!("nobody looks")
        }
    }

    fn add(list: &mut List, name: &'static str) -> (Arc<dyn Listed>, u32) {
        let pool: Arc<dyn Listed> = Arc::new(Named(name));
        let index = list.add(Arc::downgrade(&pool)).expect("there is room");
        (pool, index)
    }

    fn names(list: &List) -> Vec<String> {
        list.pools().map(|pool| pool.name().to_owned()).collect()
    }

    #[test]
    fn an_entry_takes_two_words_and_a_number() {
        assert_eq!(size_of::<Entry>(), 2 * size_of::<usize>());
        assert_eq!(size_of::<std::sync::OnceLock<Registration>>(), 8);
    }

    #[test]
    fn the_room_of_a_pool_that_is_gone_is_the_next_one_s() {
        let mut list = List::new();
        let mut all: Vec<_> = ["a", "b", "c"].map(|name| add(&mut list, name)).into();
        for gone in [1, 0] {
            list.remove(all.remove(gone).1);
        }
        assert_eq!(names(&list), ["c"]);
        all.extend(["d", "e", "f"].map(|name| add(&mut list, name)));
        assert_eq!(names(&list), ["d", "e", "c", "f"]);
        assert_eq!(list.entries.len(), 4);
    }

    #[test]
    fn with_the_last_pool_goes_the_list() {
        let mut list = List::new();
        let all: Vec<_> = (0..1_000).map(|_| add(&mut list, "")).collect();
        for (_, index) in all {
            list.remove(index);
        }
        assert_eq!((list.entries.capacity(), list.free), (0, NONE));
    }

    #[test]
    fn a_pool_that_is_being_dropped_is_not_listed() {
        let mut list = List::new();
        let (pool, _) = add(&mut list, "gone");
        drop(pool);
        assert_eq!(names(&list), [""; 0]);
    }
}
