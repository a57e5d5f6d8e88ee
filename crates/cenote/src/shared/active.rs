//! The active connections, and what is counted of all of them: who has room, how many are busy, how many are not ready.
//! Counted at each change, so that a decision looks at a few of them, however many there are. Of a set of endpoints, only
//! those count as serving whose endpoint may serve, and is not on trial. Part of the state, under its lock.

mod choose;
mod endpoints;
mod entry;
mod out;
#[cfg(all(test, not(cenote_loom)))]
mod recount;
#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests;

use std::sync::Arc;

use entry::Tally;

use super::active_connection::ActiveConnection;
use super::set::{SharedEndpoint, SharedSet, Trial};
use crate::connect::Multiplex;
use crate::kernel::{Admission, EndpointNumber};
use crate::policy::sharing::{Choice, Chooser, Load, Marks, Occupancy};

pub(super) use entry::ActiveEntry;

pub(super) struct Active<C: Multiplex> {
    /// Each active connection knows its index here. In the order in which they became active where the choice goes by
    /// that; else the last takes the place of one that goes, so that the others need not be told.
    entries: Vec<ActiveEntry<C>>,
    /// The indices of those that may carry one more lease, in no order.
    roomy: Roomy,
    /// The sums of the entries' tallies.
    totals: Tally,
    chooser: Chooser,
    marks: Marks,
    /// What each endpoint carries, if there is a set of them.
    set: Option<SharedSet>,
}

/// By what their endpoints are for: those of spare ones serve where no other can.
#[derive(Default)]
struct Roomy {
    drawn: Vec<usize>,
    spare: Vec<usize>,
}

/// One of the lists of [`Roomy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Drawn,
    Spare,
}

impl<C: Multiplex> Active<C> {
    pub(super) fn new(chooser: Chooser, marks: Marks, set: Option<SharedSet>) -> Self {
        Self {
            set,
            entries: Vec::new(),
            roomy: Roomy::default(),
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

    /// The endpoints, if there is a set of them.
    pub(super) fn set(&self) -> Option<&SharedSet> {
        self.set.as_ref()
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

    /// Leases they could carry, all together.
    pub(super) fn capacity(&self) -> usize {
        let capacities = self.entries.iter().map(ActiveEntry::capacity);
        capacities.fold(0, usize::saturating_add)
    }

    /// How busy they are, all together.
    pub(super) fn occupancy(&self) -> Occupancy {
        Occupancy {
            serving: self.totals.serving,
            busy: self.totals.busy,
            exclusive: self.totals.exclusive,
            shared: self.totals.shared,
            in_flight: self.totals.in_flight,
        }
    }

    /// How many of them are not ready yet.
    pub(super) fn warming(&self) -> usize {
        self.totals.warming
    }

    /// What each carries and could carry: nothing, where it does not count as serving.
    pub(super) fn loads(&self) -> Vec<Load> {
        let load = |(i, entry): (usize, &ActiveEntry<C>)| match self.counts(i) {
            true => entry.load(),
            false => Load::NONE,
        };
        self.entries.iter().enumerate().map(load).collect()
    }

    /// One more, of this endpoint if there is a set, without leases and as if without capacity until that is
    /// [noted](Self::note_capacity).
    pub(super) fn push(
        &mut self,
        conn: Arc<ActiveConnection<C>>,
        number: Option<EndpointNumber>,
        now: u64,
        warm_until: u64,
    ) {
        let i = self.entries.len();
        conn.set_index(Some(i));
        if let (Some(set), Some(number)) = (&mut self.set, number) {
            set.endpoint_mut(number).connections.push(i);
        }
        self.entries.push(ActiveEntry {
            conn,
            in_flight: 0,
            capacity: 0,
            busy_at: 0,
            warm_until,
            number,
            roomy_at: None,
            asked_after: 0,
            leases: 0,
            was_used: false,
            idle_since: now,
        });
        let tally = self.tally(i);
        self.totals.add(tally);
    }

    /// Takes out the one at `i`, which drains.
    pub(super) fn remove(&mut self, i: usize) -> ActiveEntry<C> {
        self.unlist(i);
        let tally = self.tally(i);
        self.totals.subtract(tally);
        let (in_flight, capacity) = self.entries[i].of_endpoint();
        let leases = self.entries[i].leases;
        if let Some(endpoint) = self.endpoint_of(i) {
            // Before another connection has its index.
            endpoint.connections.retain(|index| *index != i);
            endpoint.draining_in_flight += in_flight;
            endpoint.carried += leases;
            endpoint.in_flight -= in_flight;
            endpoint.capacity -= capacity;
        }
        let entry = match self.chooser.choice() {
            Choice::FirstAvailable => self.remove_in_order(i),
            Choice::LeastLoaded | Choice::RoundRobin => self.swap_remove(i),
        };
        entry.conn.set_index(None);
        entry
    }

    fn remove_in_order(&mut self, i: usize) -> ActiveEntry<C> {
        let entry = self.entries.remove(i);
        for place in i..self.entries.len() {
            self.moved(place + 1, place);
        }
        entry
    }

    fn swap_remove(&mut self, i: usize) -> ActiveEntry<C> {
        let entry = self.entries.swap_remove(i);
        if i < self.entries.len() {
            self.moved(self.entries.len(), i);
        }
        entry
    }

    /// What was at `from` is at `to` by now: all that know it by its index are told.
    fn moved(&mut self, from: usize, to: usize) {
        let entry = &self.entries[to];
        entry.conn.set_index(Some(to));
        if let Some((part, place)) = entry.roomy_at {
            self.roomy.part(part)[place] = to;
        }
        if let Some(endpoint) = self.endpoint_of(to) {
            let known = endpoint.connections.iter_mut();
            known
                .filter(|index| **index == from)
                .for_each(|index| *index = to);
        }
    }

    /// Counts one more lease on the one at `i`; how many it has with that, and of which trial of its endpoint it is.
    pub(super) fn occupy(&mut self, i: usize) -> (usize, Option<Trial>) {
        let trial = self.endpoint_of(i).and_then(SharedEndpoint::let_out);
        let rank = self.change(i, |entry| {
            entry.in_flight += 1;
            entry.leases += 1;
            entry.was_used = true;
            entry.in_flight
        });
        (rank, trial)
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
    pub(super) fn note_capacity(&mut self, i: usize, capacity: usize) {
        let busy_at = self.marks.busy_at(capacity);
        self.change(i, |entry| {
            entry.capacity = capacity;
            entry.busy_at = busy_at;
            if capacity > 0 {
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
        // Looked up once: this is on the way of every lease.
        let mut endpoint = match (&mut self.set, entry.number) {
            (Some(set), Some(number)) => Some(set.endpoint_mut(number)),
            _ => None,
        };
        let counts = endpoint.as_ref().is_none_or(|endpoint| endpoint.counts());
        let before = (entry.tally(counts), entry.of_endpoint());
        let result = change(entry);
        let after = (entry.tally(counts), entry.of_endpoint());
        self.totals.subtract(before.0);
        self.totals.add(after.0);
        if let Some(endpoint) = &mut endpoint {
            endpoint.in_flight = endpoint.in_flight - before.1.0 + after.1.0;
            endpoint.capacity = endpoint.capacity - before.1.1 + after.1.1;
        }
        let on_trial = endpoint
            .as_ref()
            .filter(|endpoint| endpoint.admission == Admission::Trial);
        let on_trial = on_trial.and(entry.number);
        let part = entry.roomy_at.map(|(part, _)| part);
        if part != part_of(entry, endpoint.as_deref()) {
            self.relist(i);
        }
        if let Some(number) = on_trial {
            self.relist_on_trial(number);
        }
        result
    }

    fn endpoint_at(&self, i: usize) -> Option<&SharedEndpoint> {
        self.set.as_ref()?.endpoint(self.entries[i].number?)
    }

    /// The endpoint of the one at `i`, if there is a set.
    fn endpoint_of(&mut self, i: usize) -> Option<&mut SharedEndpoint> {
        let number = self.entries[i].number?;
        Some(self.set.as_mut()?.endpoint_mut(number))
    }

    /// Whether the one at `i` counts as serving: by its endpoint, which on trial carries one lease whatever room it has.
    fn counts(&self, i: usize) -> bool {
        self.endpoint_at(i).is_none_or(SharedEndpoint::counts)
    }

    fn tally(&self, i: usize) -> Tally {
        self.entries[i].tally(self.counts(i))
    }

    /// In which part of the list the one at `i` belongs, if in any.
    fn part_of(&self, i: usize) -> Option<Part> {
        let entry = &self.entries[i];
        let of_set = self.set.as_ref().zip(entry.number);
        part_of(entry, of_set.and_then(|(set, number)| set.endpoint(number)))
    }

    /// Has the one at `i` in the list if it belongs there.
    #[inline]
    fn relist(&mut self, i: usize) {
        let belongs = self.part_of(i);
        if self.entries[i].roomy_at.map(|(part, _)| part) == belongs {
            return;
        }
        self.unlist(i);
        if let Some(part) = belongs {
            let list = self.roomy.part(part);
            list.push(i);
            self.entries[i].roomy_at = Some((part, list.len() - 1));
        }
    }

    /// On trial, what one connection of an endpoint carries is said of its others, too.
    fn relist_on_trial(&mut self, number: EndpointNumber) {
        let endpoint = self.set.as_ref().and_then(|set| set.endpoint(number));
        let Some(endpoint) = endpoint.filter(|known| known.admission == Admission::Trial) else {
            return;
        };
        for i in endpoint.connections.clone() {
            self.relist(i);
        }
    }

    /// Takes the one at `i` out of the list.
    fn unlist(&mut self, i: usize) {
        let Some((part, place)) = self.entries[i].roomy_at.take() else {
            return;
        };
        let list = self.roomy.part(part);
        list.swap_remove(place);
        if let Some(&moved) = list.get(place) {
            self.entries[moved].roomy_at = Some((part, place));
        }
    }
}

/// In which part of the list a connection of this endpoint, if there is a set, belongs: in none unless it may carry one more
/// lease.
fn part_of<C: Multiplex>(
    entry: &ActiveEntry<C>,
    endpoint: Option<&SharedEndpoint>,
) -> Option<Part> {
    if !entry.load().has_room() {
        return None;
    }
    let Some(endpoint) = endpoint else {
        return Some(Part::Drawn);
    };
    match endpoint.admission {
        _ if !endpoint.may_lease() => None,
        Admission::Drawn => Some(Part::Drawn),
        _ => Some(Part::Spare),
    }
}

impl Roomy {
    fn part(&mut self, part: Part) -> &mut Vec<usize> {
        match part {
            Part::Drawn => &mut self.drawn,
            Part::Spare => &mut self.spare,
        }
    }
}
