//! The word in which the leases on an active connection are counted while the [roster](super::roster) is out, without
//! the pool's lock: whether it is, how many leases there are, and how many began since. As it is one word, a lease that
//! begins or ends comes before the roster is called in, and is counted there, or after, and takes the lock.

use crate::sync::Ordering::{Acquire, Relaxed, Release};
use crate::sync::{AtomicU32, AtomicU64, AtomicUsize};

pub(super) struct LeaseWord {
    /// A lease ends with Release and begins with Acquire, and is called in with Acquire: a connection that counts its users
    /// by itself never sees more than its capacity.
    word: AtomicU64,
    /// Up to so many leases are given without the lock. This and the capacity are written before the roster goes out.
    limit: AtomicU32,
    /// What the connection had said when the roster went out: while it says the same, it has nothing to tell the state.
    capacity: AtomicUsize,
}

/// The roster is out.
const OUT: u64 = 1 << 63;
/// One lease that began since; 31 bits.
const BEGUN: u64 = 1 << 32;
const MOST_BEGUN: u64 = OUT - BEGUN;
/// Leases there are.
const IN_FLIGHT: u64 = BEGUN - 1;

/// What was counted without the lock.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) in_flight: usize,
    /// Leases that began.
    pub(super) begun: u64,
}

impl LeaseWord {
    pub(super) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            limit: AtomicU32::new(0),
            capacity: AtomicUsize::new(0),
        }
    }

    /// Under the pool's lock: from now on leases are counted here.
    pub(super) fn go_out(&self, in_flight: u32, limit: u32, capacity: usize) {
        self.limit.store(limit, Relaxed);
        self.capacity.store(capacity, Relaxed);
        self.word.store(OUT | u64::from(in_flight), Relaxed);
    }

    /// Under the pool's lock: from now on they are not.
    pub(super) fn call_in(&self) -> Counted {
        let word = self.word.swap(0, Acquire);
        Counted {
            in_flight: (word & IN_FLIGHT) as usize,
            begun: (word & MOST_BEGUN) / BEGUN,
        }
    }

    /// Leases there are while the roster is out, and up to how many are given without the lock.
    #[inline]
    pub(super) fn load(&self) -> (u32, u32) {
        let word = self.word.load(Relaxed);
        ((word & IN_FLIGHT) as u32, self.limit.load(Relaxed))
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.capacity.load(Relaxed)
    }

    /// Counts a lease that begins; false if the roster is not out, or the limit is reached.
    #[inline]
    pub(super) fn begin(&self) -> bool {
        let limit = u64::from(self.limit.load(Relaxed));
        let begun = |word: u64| {
            let is_free = word & OUT != 0 && word & IN_FLIGHT < limit;
            (is_free && word & MOST_BEGUN != MOST_BEGUN).then(|| word + BEGUN + 1)
        };
        self.word.fetch_update(Acquire, Relaxed, begun).is_ok()
    }

    /// Counts a lease that ends on a connection that says this of its capacity; false if the roster is not out, or that
    /// is news.
    #[inline]
    pub(super) fn end(&self, capacity: usize) -> bool {
        let ended = |word: u64| (word & OUT != 0).then(|| word - 1);
        capacity == self.capacity() && self.word.fetch_update(Release, Relaxed, ended).is_ok()
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn leases_are_counted_while_the_roster_is_out_and_not_before_or_after() {
        let word = LeaseWord::new();
        assert!(!word.begin() && !word.end(0));
        word.go_out(2, 4, 5);
        assert!(word.begin() && word.end(5) && word.begin());
        assert_eq!(word.load(), (3, 4));
        let (in_flight, begun) = (3, 2);
        assert_eq!(word.call_in(), Counted { in_flight, begun });
        assert!(!word.begin() && !word.end(5));
    }

    #[test]
    fn no_more_leases_begin_than_the_limit() {
        let word = LeaseWord::new();
        word.go_out(1, 2, 2);
        assert!(word.begin() && !word.begin());
    }

    #[test]
    fn a_lease_that_ends_with_news_of_the_capacity_takes_the_lock() {
        let word = LeaseWord::new();
        word.go_out(1, 2, 2);
        assert!(!word.end(3));
        assert_eq!(word.call_in().in_flight, 1);
    }

    #[test]
    fn the_most_leases_that_can_be_counted_are_and_the_next_takes_the_lock() {
        let word = LeaseWord::new();
        word.go_out(0, 1, 1);
        word.word.fetch_add(MOST_BEGUN - BEGUN, Relaxed);
        assert!(word.begin() && word.end(1) && !word.begin());
        let most = MOST_BEGUN / BEGUN;
        let (in_flight, begun) = (0, most);
        assert_eq!(word.call_in(), Counted { in_flight, begun });
    }
}

/// Under loom, as the kernel: each party is a thread of its own.
#[cfg(all(test, cenote_loom))]
mod models {
    use loom::model;
    use loom::sync::Arc;
    use loom::thread::{JoinHandle, spawn};

    use super::*;

    /// A connection that carries one lease, which has begun, and who uses it by its own count.
    struct Toy {
        leases: LeaseWord,
        users: AtomicUsize,
    }

    impl Toy {
        fn new() -> Arc<Self> {
            let leases = LeaseWord::new();
            leases.go_out(1, 1, 1);
            let users = AtomicUsize::new(1);
            Arc::new(Self { leases, users })
        }

        /// Uses it no more; whether that was counted by the word.
        fn ends(toy: &Arc<Self>) -> JoinHandle<bool> {
            let toy = Arc::clone(toy);
            spawn(move || {
                toy.users.store(0, Relaxed);
                toy.leases.end(1)
            })
        }
    }

    #[test]
    fn a_lease_begins_after_the_use_of_the_one_in_whose_place_it_is() {
        model(|| {
            let toy = Toy::new();
            let holder = Toy::ends(&toy);
            let next = Arc::clone(&toy);
            let next = spawn(move || {
                if next.leases.begin() {
                    assert_eq!(next.users.load(Relaxed), 0);
                }
            });
            next.join().unwrap();
            assert!(holder.join().unwrap());
        });
    }

    #[test]
    fn a_lease_that_ends_is_counted_once_its_use_is_over_or_takes_the_lock() {
        model(|| {
            let toy = Toy::new();
            let holder = Toy::ends(&toy);
            let state = Arc::clone(&toy);
            let state = spawn(move || {
                let is_over = state.leases.call_in().in_flight == 0;
                assert!(!is_over || state.users.load(Relaxed) == 0);
                is_over
            });
            assert_eq!(state.join().unwrap(), holder.join().unwrap());
        });
    }
}
