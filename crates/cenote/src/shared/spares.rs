//! Places that came free a moment ago, kept where they came free: the next caller of the same thread takes one and
//! touches nothing that other threads touch.
//!
//! There are some while one connection carries all leases and nobody waits, so that there is nothing to decide. A spare
//! place stays counted as taken, and no more are kept than leave the others room. What decides by the number of leases,
//! or counts them, recalls these places first: after that every place is in the state, and each that comes free goes
//! there, until the state allows some again.

use std::sync::{Arc, OnceLock};

use crate::sync::{AtomicUsize, Mutex, Ordering, lock, thread_number};

/// At most so many in each lane.
const MOST: usize = 32;

/// `T` is a place: its holder's share of the connection.
pub(super) struct Spares<T> {
    /// A thread has one of them; two share one where there are more threads than lanes. Each has a count of its own, so
    /// that a place may go into its lane that leads there by itself.
    /// Made when spare places are first allowed: a pool that nobody uses has none.
    lanes: OnceLock<Box<[Arc<Lane<T>>]>>,
    /// How many lanes there are to be.
    width: usize,
}

/// In cache lines of its own. Its lock is taken under the state's, one at a time; nothing is taken under it.
#[repr(align(128))]
pub(super) struct Lane<T> {
    kept: Mutex<Kept<T>>,
    /// How many places are kept, to be read without the lock; written under it. Only a number, so that no order is
    /// needed.
    count: AtomicUsize,
}

struct Kept<T> {
    places: Vec<T>,
    /// How many there may be: none, so that those who give back go to the state, once they were recalled. Changed under
    /// the state's lock, too.
    most: usize,
    /// What the connection had said of its capacity when they were allowed: while it says the same, it has nothing to
    /// tell the state.
    capacity: usize,
    /// How often one was taken since the last recall.
    takes: u64,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                places: Vec::new(),
                most: 0,
                capacity: 0,
                takes: 0,
            }),
            count: AtomicUsize::new(0),
        }
    }
}

/// What was recalled.
pub(super) struct Recalled<T> {
    pub(super) places: Vec<T>,
    /// Leases that were given from them.
    pub(super) takes: u64,
}

impl<T> Spares<T> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            lanes: OnceLock::new(),
            width,
        }
    }

    /// All lanes there are by now.
    fn lanes(&self) -> &[Arc<Lane<T>>] {
        self.lanes.get().map_or(&[], |lanes| lanes)
    }

    fn of_thread(&self) -> Option<&Arc<Lane<T>>> {
        let lanes = self.lanes.get()?;
        // In 32 bits, of which a remainder takes less time.
        Some(&lanes[(thread_number() as u32 % lanes.len() as u32) as usize])
    }

    /// This thread's lane, to give a place to, if any may be.
    #[inline]
    pub(super) fn lane(&self) -> Option<Arc<Lane<T>>> {
        self.of_thread().cloned()
    }

    /// A spare place, if this thread's lane has one, and the capacity it was kept at.
    #[inline]
    pub(super) fn take(&self) -> Option<(T, usize)> {
        let lane = self.of_thread()?;
        let mut kept = lock(&lane.kept);
        let place = kept.places.pop()?;
        lane.count.store(kept.places.len(), Ordering::Relaxed);
        kept.takes += 1;
        Some((place, kept.capacity))
    }

    /// How many each lane may keep when `free` places are free: the fewer there are, the fewer lie about. 0: none.
    pub(super) fn ration(&self, free: usize) -> usize {
        (free / (2 * self.width)).min(MOST)
    }

    /// Lets each lane keep so many, of a connection of this capacity. The state's lock is held.
    pub(super) fn allow(&self, most: usize, capacity: usize) {
        let made = || (0..self.width).map(|_| Arc::default()).collect();
        for lane in self.lanes.get_or_init(made) {
            let mut kept = lock(&lane.kept);
            kept.most = most;
            kept.capacity = capacity;
        }
    }

    /// Takes all away, and lets none be kept until some are allowed again. The state's lock is held.
    pub(super) fn recall(&self) -> Recalled<T> {
        let mut recalled = Recalled {
            places: Vec::new(),
            takes: 0,
        };
        for lane in self.lanes() {
            let mut kept = lock(&lane.kept);
            kept.most = 0;
            recalled.places.append(&mut kept.places);
            lane.count.store(0, Ordering::Relaxed);
            recalled.takes += std::mem::take(&mut kept.takes);
        }
        recalled
    }

    /// How many places are spare; nearly so while they are taken and kept.
    pub(super) fn count(&self) -> usize {
        let counts = self.lanes().iter().map(|lane| &lane.count);
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl<T> Lane<T> {
    /// Keeps a place that came free on a connection of this capacity, if it may. `belongs` says whether it is one of
    /// the connection that has the spare places, while these can't be recalled.
    #[inline]
    pub(super) fn keep(
        &self,
        place: T,
        capacity: usize,
        belongs: impl FnOnce(&T) -> bool,
    ) -> Result<(), T> {
        let mut kept = lock(&self.kept);
        if kept.places.len() < kept.most && kept.capacity == capacity && belongs(&place) {
            kept.places.push(place);
            self.count.store(kept.places.len(), Ordering::Relaxed);
            return Ok(());
        }
        Err(place)
    }
}
