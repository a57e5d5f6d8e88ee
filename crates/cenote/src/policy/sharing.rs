//! How leases share connections: which connection carries the next one, when there should be one more
//! connection, when one fewer, and when an old one goes.
//!
//! Growth and shrinking never chase each other (tower #456): one is added only when every connection is at
//! or above the high-water mark, and one is taken away only when the rest would stay at or below *half* of
//! it. Between the two nothing happens: after a step in one direction the same load never asks for a step
//! back.

use fastrand::Rng;

/// Which connection carries a new lease, of those that have room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// The one with the fewest leases for its capacity. Among more than eight connections, the better of
    /// two taken at random, which does nearly as well and costs the same however many there are.
    #[default]
    LeastLoaded,
    /// One after the other.
    RoundRobin,
    /// The oldest active one: fills one connection before it touches the next, and lets the others be parked.
    FirstAvailable,
}

/// Up to this many, looking at all of them is cheaper than choosing well at random.
pub(crate) const FEW: usize = 8;

/// What a connection carries, and could carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) in_flight: usize,
    pub(crate) capacity: usize,
}

impl Load {
    pub(crate) const NONE: Self = Self {
        in_flight: 0,
        capacity: 0,
    };

    pub(crate) fn has_room(self) -> bool {
        self.in_flight < self.capacity
    }

    /// Whether it carries less than `other`, each measured by its own capacity.
    fn is_lighter(self, other: Self) -> bool {
        let scaled = |a: usize, b: usize| a as u128 * b as u128;
        scaled(self.in_flight, other.capacity) < scaled(other.in_flight, self.capacity)
    }
}

/// Chooses connections for leases.
pub(crate) struct Chooser {
    choice: Choice,
    rng: Rng,
    /// Where round robin goes on.
    next: usize,
}

impl Chooser {
    pub(crate) fn new(choice: Choice, rng: Rng) -> Self {
        Self {
            choice,
            rng,
            next: 0,
        }
    }

    pub(crate) fn choice(&self) -> Choice {
        self.choice
    }

    /// One of `count` connections that has room, if one has.
    pub(crate) fn choose(&mut self, count: usize, load: impl Fn(usize) -> Load) -> Option<usize> {
        let mut next = self.next;
        let chosen = self.choose_from(&mut next, count, load);
        self.next = next;
        chosen
    }

    /// As [`choose`](Self::choose) by load, by a few looks: among many, none if neither of two has room.
    #[inline]
    pub(crate) fn draw(&mut self, count: usize, load: impl Fn(usize) -> Load) -> Option<usize> {
        if count > FEW {
            self.better_of_two(count, load)
        } else {
            lightest(count, load)
        }
    }

    /// One that makes the same choices by other random numbers.
    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.choice, self.rng.fork())
    }

    /// As [`choose`](Self::choose), of some of all connections, among which round robin goes on at `next`.
    pub(crate) fn choose_from(
        &mut self,
        next: &mut usize,
        count: usize,
        load: impl Fn(usize) -> Load,
    ) -> Option<usize> {
        let has_room = |&i: &usize| load(i).has_room();
        match self.choice {
            Choice::FirstAvailable => (0..count).find(has_room),
            Choice::RoundRobin => {
                let start = *next;
                let chosen = (start..count).chain(0..start.min(count)).find(has_room)?;
                *next = chosen + 1;
                Some(chosen)
            }
            Choice::LeastLoaded => {
                if count > FEW {
                    if let Some(chosen) = self.better_of_two(count, &load) {
                        return Some(chosen);
                    }
                }
                lightest(count, load)
            }
        }
    }

    /// None if neither has room; another may.
    fn better_of_two(&mut self, count: usize, load: impl Fn(usize) -> Load) -> Option<usize> {
        let one = self.rng.usize(..count);
        let other = (one + self.rng.usize(1..count)) % count;
        match (load(one).has_room(), load(other).has_room()) {
            (true, true) if load(other).is_lighter(load(one)) => Some(other),
            (true, _) => Some(one),
            (false, true) => Some(other),
            (false, false) => None,
        }
    }
}

/// Of those that have room, the one that carries least.
fn lightest(count: usize, load: impl Fn(usize) -> Load) -> Option<usize> {
    let with_room = (0..count).filter(|&i| load(i).has_room());
    with_room.reduce(|best, i| match load(i).is_lighter(load(best)) {
        true => i,
        false => best,
    })
}

/// The marks that load is measured against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    /// The share of its capacity from which on a connection is busy, above 0 and at most 1.
    pub(crate) high: f64,
}

impl Marks {
    /// From how many leases on a connection of this capacity is busy.
    pub(crate) fn busy_at(self, capacity: usize) -> usize {
        (self.high * capacity as f64).ceil() as usize
    }

    /// Whether connections of this capacity would carry the load and be below the high-water mark.
    fn is_carried(self, in_flight: usize, capacity: usize) -> bool {
        (in_flight as f64) < self.high * capacity as f64
    }

    /// Whether they would do so with as much again to spare.
    fn is_light(self, in_flight: usize, capacity: usize) -> bool {
        in_flight as f64 <= self.high / 2.0 * capacity as f64
    }
}

/// How many active connections there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) min_size: usize,
    pub(crate) max_size: usize,
}

/// How busy the active connections are, all together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occupancy {
    /// How many there are; how many of them are busy; how many carry one lease, and how many several at once. Those that are
    /// not ready do not say.
    pub(crate) serving: usize,
    pub(crate) busy: usize,
    pub(crate) exclusive: usize,
    pub(crate) shared: usize,
    /// Leases on them.
    pub(crate) in_flight: usize,
}

impl Occupancy {
    /// Whether each of them, as far as they say, carries one lease: so will the next.
    pub(crate) fn is_exclusive(self) -> bool {
        self.exclusive > 0 && self.shared == 0
    }

    /// Whether one more is opened before anybody waits for it: not where it would be for one caller alone.
    pub(crate) fn grows_ahead(self) -> bool {
        self.shared > 0
    }
}

/// Whether there should be one more active connection: there is none and somebody waits; or all are busy, and somebody
/// waits or soon would; or there are fewer than `min_size`, and more leases than connections.
pub(crate) fn grows(bounds: Bounds, waiters: usize, occupancy: Occupancy) -> bool {
    let Occupancy {
        serving,
        busy,
        in_flight,
        exclusive: _,
        shared: _,
    } = occupancy;
    if serving >= bounds.max_size {
        return false;
    }
    if serving == 0 {
        return waiters > 0;
    }
    let is_due = waiters > 0 || occupancy.grows_ahead();
    (busy == serving && is_due) || (serving < bounds.min_size && in_flight > serving)
}

/// Decides when one connection fewer would do.
#[derive(Debug)]
pub(crate) struct Shrinking {
    /// For how long the load must have been light.
    after: u64,
    light_since: Option<u64>,
}

impl Shrinking {
    pub(crate) fn new(after: u64) -> Self {
        Self {
            after,
            light_since: None,
        }
    }

    /// The connection to be spared now, if one is: the one with the fewest leases. `peak` is the most leases
    /// there were at once since the last look; `may_go` says of a connection whether it could be spared at all.
    pub(crate) fn look(
        &mut self,
        now: u64,
        marks: Marks,
        bounds: Bounds,
        peak: usize,
        loads: &[Load],
        may_go: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let spare = spare(marks, bounds, peak, loads, may_go);
        if spare.is_none() {
            self.light_since = None;
            return None;
        }
        let since = *self.light_since.get_or_insert(now);
        if now.saturating_sub(since) < self.after {
            return None;
        }
        self.light_since = None;
        spare
    }
}

fn spare(
    marks: Marks,
    bounds: Bounds,
    peak: usize,
    loads: &[Load],
    may_go: impl Fn(usize) -> bool,
) -> Option<usize> {
    if loads.len() <= bounds.min_size.max(1) {
        return None;
    }
    let (spare, _) = loads
        .iter()
        .enumerate()
        .filter(|(i, _)| may_go(*i))
        .min_by_key(|(_, load)| (load.in_flight, load.capacity))?;
    marks
        .is_light(peak, capacity_without(spare, loads))
        .then_some(spare)
}

fn capacity_without(index: usize, loads: &[Load]) -> usize {
    loads
        .iter()
        .enumerate()
        .filter(|(i, _)| *i != index)
        .fold(0, |sum, (_, load)| sum.saturating_add(load.capacity))
}

/// What to do with an active connection that is past its lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retirement {
    /// No new leases for it.
    Now,
    /// It serves until another does.
    Replace,
    /// It serves on: nothing could take its place.
    Later,
}

/// Whether the connection at `old` goes: when the others carry the load, or when no other can be opened
/// beside it. Where even then nothing would be left to serve, it stays until those that drain have gone;
/// alone in a pool of one it goes, for else it never would.
pub(crate) fn retire(
    marks: Marks,
    bounds: Bounds,
    old: usize,
    draining: usize,
    loads: &[Load],
) -> Retirement {
    let in_flight = loads.iter().map(|load| load.in_flight).sum();
    if marks.is_carried(in_flight, capacity_without(old, loads)) {
        Retirement::Now
    } else if loads.len() + draining < bounds.max_size {
        Retirement::Replace
    } else if loads.len() > 1 || draining == 0 {
        Retirement::Now
    } else {
        Retirement::Later
    }
}

#[cfg(test)]
mod tests;
