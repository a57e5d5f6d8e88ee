//! Permits that were given back, kept by the thread that gave them for its next caller: of the mux's tags in each lane, of
//! the shared pool's permits in each shard. So callers take and give them without the lock that decides who gets what.
//!
//! A cache lies under a lock of its user's, a lane's or a shard's, which is taken anyway: a lock of its own would be one
//! more for each call. Its users promise between them that nobody waits beside a cached permit: before a caller waits,
//! all caches are frozen and their permits are where the waitlist is.

/// At most so many permits are put by at once.
const MOST: usize = 32;

/// The permits that one lane or shard has.
pub(crate) struct PermitCache<T> {
    permits: Vec<T>,
    /// How many there may be. None: it is frozen, and empty.
    most: usize,
}

impl<T> PermitCache<T> {
    /// One that may hold so many.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            permits: Vec::new(),
            most,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.permits.len()
    }

    pub(crate) fn is_frozen(&self) -> bool {
        self.most == 0
    }

    /// A cached permit, if there is one.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<T> {
        self.permits.pop()
    }

    /// Puts a permit in, to be taken next, since what belongs to it is warm in this thread's processor. `Err`: no room.
    #[inline]
    pub(crate) fn put(&mut self, permit: T) -> Result<(), T> {
        if self.permits.len() >= self.most {
            return Err(permit);
        }
        self.permits.push(permit);
        Ok(())
    }

    /// Puts some in that nobody has used.
    pub(crate) fn refill(&mut self, permits: impl Iterator<Item = T>) {
        self.permits.extend(permits);
        debug_assert!(self.permits.len() <= self.most);
    }

    /// Lets it hold so many from now on.
    pub(crate) fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Has it take no more, and puts those it has into `into`.
    pub(crate) fn freeze(&mut self, into: &mut Vec<T>) {
        self.most = 0;
        into.append(&mut self.permits);
    }
}

/// How many permits to put by in one of `shards` caches when `free` are free: the fewer there are, the fewer lie about
/// where nobody may need them. 0: none.
pub(crate) fn ration(free: usize, shards: usize) -> usize {
    (free / (2 * shards)).min(MOST)
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_frozen_until_some_are_allowed_and_takes_no_more_than_that() {
        let mut cache = PermitCache::new(0);
        assert_eq!((cache.is_frozen(), cache.put(1)), (true, Err(1)));
        cache.allow(2);
        assert_eq!(
            [1, 2, 3].map(|permit| cache.put(permit)),
            [Ok(()), Ok(()), Err(3)]
        );
        assert_eq!((cache.take(), cache.len()), (Some(2), 1));
    }

    #[test]
    fn a_frozen_cache_keeps_nothing() {
        let mut cache = PermitCache::new(usize::MAX);
        cache.refill([3].into_iter());
        let mut all = vec![0];
        assert_eq!([1, 2].map(|permit| cache.put(permit)), [Ok(()); 2]);
        cache.freeze(&mut all);
        assert_eq!(
            (all, cache.take(), cache.put(3)),
            (vec![0, 3, 1, 2], None, Err(3))
        );
    }

    /// Half of what is free stays where any thread finds it.
    #[test]
    fn the_caches_together_get_half_of_what_is_free() {
        assert_eq!(
            [0, 7, 8, 80, 10_000].map(|free| ration(free, 4)),
            [0, 0, 1, 10, 32]
        );
    }
}
