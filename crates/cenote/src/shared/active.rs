//! The active connections, and what is counted of all of them: who has room, how many are busy, how many are not ready.
//! Counted at each change, so that a decision looks at a few of them, however many there are. Part of the state, under
//! its lock.

use std::sync::Arc;

use super::active_connection::{ActiveConnection, Seen};
use crate::connect::Multiplex;
use crate::policy::sharing::{Choice, Chooser, Load, Marks, Occupancy};

pub(super) struct Active<C: Multiplex> {
    /// Each active connection knows its index here. In the order in which they became active where the choice goes by
    /// that; else the last takes the place of one that goes, so that the others need not be told.
    entries: Vec<ActiveEntry<C>>,
    /// The indices of those that have room, in no order.
    roomy: Vec<usize>,
    /// The sums of the entries' tallies.
    totals: Tally,
    chooser: Chooser,
    marks: Marks,
}

/// An active connection, and what it carries.
pub(super) struct ActiveEntry<C: Multiplex> {
    pub(super) conn: Arc<ActiveConnection<C>>,
    /// Cached permits included.
    in_flight: usize,
    /// What the connection said last; it is asked outside the lock.
    capacity: usize,
    /// From so many leases on it is busy.
    busy_at: usize,
    /// Until then a new connection that never had capacity counts as still being opened; 0 once it had.
    warm_until: u64,
    /// Where it is among those that have room, if it has.
    roomy_at: Option<usize>,
    /// After so many signals: what was asked before, and arrives later, is no news.
    pub(super) asked_after: u64,
    /// Leases it has carried.
    pub(super) leases: u64,
    /// Whether it was given a lease since upkeep's last turn, and since when it has none.
    pub(super) was_used: bool,
    pub(super) idle_since: u64,
}

/// What is counted of an entry, or of all of them.
#[derive(Clone, Copy, Default)]
struct Tally {
    in_flight: usize,
    busy: usize,
    warming: usize,
}

impl<C: Multiplex> ActiveEntry<C> {
    pub(super) fn load(&self) -> Load {
        Load {
            in_flight: self.in_flight,
            capacity: self.capacity,
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn is_busy(&self) -> bool {
        self.in_flight >= self.busy_at
    }

    /// Whether it is new and not ready yet: as good as being opened.
    pub(super) fn is_warming(&self) -> bool {
        self.warm_until > 0
    }

    fn tally(&self) -> Tally {
        Tally {
            in_flight: self.in_flight,
            busy: usize::from(self.is_busy()),
            warming: usize::from(self.is_warming()),
        }
    }
}

impl<C: Multiplex> Active<C> {
    pub(super) fn new(chooser: Chooser, marks: Marks) -> Self {
        Self {
            entries: Vec::new(),
            roomy: Vec::new(),
            totals: Tally::default(),
            chooser,
            marks,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[ActiveEntry<C>] {
        &self.entries
    }

    /// What changes no count.
    pub(super) fn entry_mut(&mut self, i: usize) -> &mut ActiveEntry<C> {
        &mut self.entries[i]
    }

    /// The one there is, if there is one alone.
    pub(super) fn only(&self) -> Option<&ActiveEntry<C>> {
        match &self.entries[..] {
            [entry] => Some(entry),
            _ => None,
        }
    }

    /// Leases on all of them, cached permits included.
    pub(super) fn in_flight(&self) -> usize {
        self.totals.in_flight
    }

    /// How busy they are, all together.
    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy {
            serving: self.entries.len(),
            busy: self.totals.busy,
            in_flight: self.totals.in_flight,
        }
    }

    /// Whether one of them is not ready yet.
    pub(super) fn any_warming(&self) -> bool {
        self.totals.warming > 0
    }

    pub(super) fn loads(&self) -> Vec<Load> {
        self.entries.iter().map(ActiveEntry::load).collect()
    }

    /// One more, without leases and as if without capacity until that is [noted](Self::note_capacity).
    pub(super) fn push(&mut self, conn: Arc<ActiveConnection<C>>, now: u64, warm_until: u64) {
        conn.set_index(Some(self.entries.len()));
        let entry = ActiveEntry {
            conn,
            in_flight: 0,
            capacity: 0,
            busy_at: 0,
            warm_until,
            roomy_at: None,
            asked_after: 0,
            leases: 0,
            was_used: false,
            idle_since: now,
        };
        self.totals.add(entry.tally());
        self.entries.push(entry);
    }

    /// Takes out the one at `i`.
    pub(super) fn remove(&mut self, i: usize) -> ActiveEntry<C> {
        self.unlist(i);
        let entry = match self.chooser.choice() {
            Choice::FirstAvailable => self.remove_in_order(i),
            Choice::LeastLoaded | Choice::RoundRobin => self.swap_remove(i),
        };
        self.totals.subtract(entry.tally());
        entry.conn.set_index(None);
        entry
    }

    fn remove_in_order(&mut self, i: usize) -> ActiveEntry<C> {
        let entry = self.entries.remove(i);
        for moved in &self.entries[i..] {
            let index = moved.conn.index().map(|index| index - 1);
            moved.conn.set_index(index);
        }
        for index in self.roomy.iter_mut().filter(|index| **index > i) {
            *index -= 1;
        }
        entry
    }

    fn swap_remove(&mut self, i: usize) -> ActiveEntry<C> {
        let entry = self.entries.swap_remove(i);
        if let Some(moved) = self.entries.get(i) {
            moved.conn.set_index(Some(i));
            if let Some(place) = moved.roomy_at {
                self.roomy[place] = i;
            }
        }
        entry
    }

    /// Which one carries a new lease, of those that have room.
    pub(super) fn choose(&mut self) -> Option<usize> {
        if self.roomy.is_empty() {
            return None;
        }
        let Self {
            entries,
            roomy,
            chooser,
            ..
        } = self;
        match chooser.choice() {
            // Any of them: none is looked at in vain.
            Choice::LeastLoaded => {
                let load = |place: usize| entries[roomy[place]].load();
                chooser
                    .choose(roomy.len(), load)
                    .map(|place| self.roomy[place])
            }
            Choice::RoundRobin | Choice::FirstAvailable => {
                chooser.choose(entries.len(), |i| entries[i].load())
            }
        }
    }

    /// Counts one more lease on the one at `i`; how many it has with that.
    pub(super) fn occupy(&mut self, i: usize) -> usize {
        self.change(i, |entry| {
            entry.in_flight += 1;
            entry.leases += 1;
            entry.was_used = true;
            entry.in_flight
        })
    }

    /// Counts one lease less on the one at `i`.
    pub(super) fn vacate(&mut self, i: usize) {
        self.change(i, |entry| entry.in_flight -= 1);
    }

    /// Counts what was done by the cached permits of the one at `i`: `takes` leases, and so many permits came back.
    pub(super) fn flushed(&mut self, i: usize, permits: usize, takes: u64) {
        self.change(i, |entry| {
            entry.in_flight -= permits;
            entry.leases += takes;
            entry.was_used |= takes > 0;
        });
    }

    /// Takes in what the connection at `i` says of its capacity.
    pub(super) fn note_capacity(&mut self, i: usize, seen: Seen) {
        let marks = self.marks;
        self.change(i, |entry| {
            entry.asked_after = seen.signals;
            if entry.capacity != seen.capacity {
                entry.capacity = seen.capacity;
                entry.busy_at = marks.busy_at(seen.capacity);
            }
            if seen.capacity > 0 {
                entry.warm_until = 0;
            }
        });
    }

    /// No longer waits for the one at `i` to become ready, if it has had the time for it.
    pub(super) fn end_warming(&mut self, i: usize, now: u64) {
        self.change(i, |entry| {
            if now >= entry.warm_until {
                entry.warm_until = 0;
            }
        });
    }

    /// Changes an entry, and keeps the counts.
    #[inline]
    fn change<T>(&mut self, i: usize, change: impl FnOnce(&mut ActiveEntry<C>) -> T) -> T {
        let entry = &mut self.entries[i];
        self.totals.subtract(entry.tally());
        let result = change(entry);
        self.totals.add(entry.tally());
        match (entry.roomy_at, entry.load().has_room()) {
            (None, true) => {
                entry.roomy_at = Some(self.roomy.len());
                self.roomy.push(i);
            }
            (Some(_), false) => self.unlist(i),
            _ => {}
        }
        result
    }

    /// The one at `i` has no room, or goes.
    fn unlist(&mut self, i: usize) {
        let Some(place) = self.entries[i].roomy_at.take() else {
            return;
        };
        self.roomy.swap_remove(place);
        if let Some(&moved) = self.roomy.get(place) {
            self.entries[moved].roomy_at = Some(place);
        }
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.in_flight += other.in_flight;
        self.busy += other.busy;
        self.warming += other.warming;
    }

    fn subtract(&mut self, other: Self) {
        self.in_flight -= other.in_flight;
        self.busy -= other.busy;
        self.warming -= other.warming;
    }
}
