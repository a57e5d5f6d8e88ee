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
//! A pool costs 16 bytes here, up to three times that while the list has room for more, and building or dropping one some
//! instructions under a lock of the whole process, and some more with the logarithm of how many were dropped. The room that
//! a dropped pool leaves is the next one's, and what is behind the last pool that is left goes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    /// None where one is free.
    entries: Vec<Option<Weak<dyn Listed>>>,
    /// Those that are free, the lowest first; and some that are gone.
    free: BinaryHeap<Reverse<u32>>,
}

impl List {
    const fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: BinaryHeap::new(),
        }
    }

    /// `None`: as many as there are numbers for.
    fn add(&mut self, pool: Weak<dyn Listed>) -> Option<u32> {
        while let Some(Reverse(index)) = self.free.pop() {
            // Else it is one of those that are gone: none is added while there are any.
            if let Some(entry @ None) = self.entries.get_mut(index as usize) {
                *entry = Some(pool);
                return Some(index);
            }
        }
        let index = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(Some(pool));
        Some(index)
    }

    fn remove(&mut self, index: u32) {
        self.entries[index as usize] = None;
        self.free.push(Reverse(index));
        let last = self.entries.iter().rposition(Option::is_some);
        self.entries.truncate(last.map_or(0, |last| last + 1));
        self.tidy();
    }

    /// Pools that are gone leave no memory behind: each costs a step or two for it.
    fn tidy(&mut self) {
        let Self { entries, free } = self;
        if free.len() > 2 * entries.len() {
            free.retain(|Reverse(index)| (*index as usize) < entries.len());
        }
        if free.capacity() > 2 * free.len() + ROOM {
            free.shrink_to(free.len() * 3 / 2);
        }
        if entries.capacity() > 2 * entries.len() + ROOM {
            entries.shrink_to(entries.len() * 3 / 2);
        }
    }

    fn pools(&self) -> impl Iterator<Item = Arc<dyn Listed>> {
        self.entries.iter().flatten().filter_map(Weak::upgrade)
    }
}

/// So much more than there is use for is not worth the while.
const ROOM: usize = 64;

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
        assert_eq!(
            size_of::<Option<Weak<dyn Listed>>>(),
            2 * size_of::<usize>()
        );
        assert_eq!(size_of::<std::sync::OnceLock<Registration>>(), 8);
    }

    #[test]
    fn the_first_room_of_a_pool_that_is_gone_is_the_next_one_s() {
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
    fn behind_the_last_pool_that_is_left_nothing_is() {
        let mut list = List::new();
        let stays = add(&mut list, "stays");
        for _ in 0..3 {
            let all: Vec<_> = (0..10_000).map(|_| add(&mut list, "")).collect();
            assert_eq!(names(&list).len(), 10_001);
            for (_, index) in all {
                list.remove(index);
            }
            assert_eq!(names(&list), ["stays"]);
            let room = (list.entries.capacity(), list.free.capacity());
            assert!(room.0 <= 2 * ROOM && room.1 <= 2 * ROOM, "{room:?}");
        }
        list.remove(stays.1);
        assert_eq!(list.entries.len(), 0);
    }

    #[test]
    fn no_pool_has_the_room_of_another_however_they_come_and_go() {
        let mut list = List::new();
        let mut all = Vec::new();
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            // Now many come, now many go.
            match all.len() {
                0 => all.push(add(&mut list, "")),
                len if rng.usize(..200) < len => {
                    let (_, index) = all.swap_remove(rng.usize(..len));
                    list.remove(index);
                }
                _ => all.push(add(&mut list, "")),
            }
            assert_eq!(list.pools().count(), all.len());
        }
    }

    #[test]
    fn a_pool_that_is_being_dropped_is_not_listed() {
        let mut list = List::new();
        let (pool, _) = add(&mut list, "gone");
        drop(pool);
        assert_eq!(names(&list), [""; 0]);
    }
}
