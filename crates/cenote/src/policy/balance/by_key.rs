//! Which endpoint a key belongs to: a ring (D. Karger et al., "Consistent Hashing and Random Trees", 1997) on which a
//! key begins in several places (B. Appleton, M. O'Reilly, "Multi-probe consistent hashing", 2015), made off the
//! hot path whenever the set changes.
//!
//! Each endpoint has points on the ring, as many as its weight says, and each key a few beginnings; the key belongs to
//! the owner of the point that lies nearest behind one of them. What has to hold, and why it is this:
//!
//! - Without an endpoint, its keys move and no others (envoy #22558), each to the next in its own order: how near an
//!   endpoint is to a key depends on the two alone. Exact, which it is not of Maglev's table.
//! - A look-up costs the same for 10 endpoints as for 10,000, which it does not by rendezvous: an index of the ring
//!   says where to begin, and the next point is one or two further.
//! - It depends on the endpoints' hashes and weights alone, not on the order they are listed in (otel-collector
//!   #49585).
//! - Shares are as even as points times beginnings are many: with 48 and 2 the standard deviation is a 12th of the share,
//!   as it is of the 160 points that libketama has, and the table has a third of the size.

use super::key_hash::nth;

/// Points of an endpoint of weight 1, where no weight is greater.
const POINTS: u64 = 48;

/// Beginnings of a key: both halves of a hash.
const BEGINNINGS: usize = 2;

#[derive(Clone, Copy, Debug)]
struct Point {
    /// The upper half of a hash. With 10,000 endpoints some thirty of 480,000 meet another; of those, the owners' hashes
    /// decide.
    at: u32,
    owner: u32,
}

/// The endpoints of a set, by key; by default none.
#[derive(Debug, Default)]
pub(crate) struct KeyTable {
    /// In the order of the ring.
    points: Vec<Point>,
    /// Of as many parts of the ring as there are points, the first point from each one's beginning on.
    index: Vec<u32>,
    /// How many places were listed, and of how many there are points.
    len: usize,
    owners: usize,
}

impl KeyTable {
    /// A table of endpoints, of each the hash of its key and its weight, as the source gives it. Of weight 0 there are
    /// no points, unless all have weight 0: then they are alike.
    pub(crate) fn new(endpoints: &[(u64, u32)]) -> Self {
        let greatest = endpoints.iter().map(|&(_, weight)| weight).max();
        let mut points = Vec::new();
        let mut owners = 0;
        for (&(hash, weight), owner) in endpoints.iter().zip(0..) {
            let count = points_of(weight, greatest.unwrap_or(0));
            owners += usize::from(count > 0);
            points.extend((0..count).map(|index| Point {
                at: (nth(hash, index) >> 32) as u32,
                owner,
            }));
        }
        points.shrink_to_fit();
        points.sort_unstable_by_key(|point| (point.at, endpoints[point.owner as usize].0));
        Self {
            index: index(&points),
            points,
            len: endpoints.len(),
            owners,
        }
    }

    /// All endpoints that have a weight, by their indices in the list that the table was made of, in the key's own
    /// order: if the first is not to be had, the key goes to the second, and to the first when that is back (envoy
    /// #38815).
    pub(crate) fn order(&self, key: u64) -> Order<'_> {
        let hash = nth(key, 0);
        let begins: [u32; BEGINNINGS] = [(hash >> 32) as u32, hash as u32];
        Order {
            table: self,
            walks: begins.map(|begin| Walk::new(self, begin)),
            left: self.owners,
            first: None,
            given: Vec::new(),
        }
    }

    /// The first point from `at` on, or as many as there are points.
    fn first_from(&self, at: u32) -> usize {
        let begin = self.begin_of_part(at);
        let before = self.points[begin..]
            .iter()
            .take_while(|point| point.at < at);
        begin + before.count()
    }

    /// The first point of the part that `at` lies in, or of those behind it.
    fn begin_of_part(&self, at: u32) -> usize {
        let part = part_of(at, self.points.len());
        self.index.get(part).map_or(0, |&first| first as usize)
    }
}

/// How many points an endpoint has, beside others of which the greatest has weight `greatest`.
///
/// Weights are scaled by a power of two, not by their sum or the greatest one: else an endpoint that goes would change
/// the points of all, and with them the owners of keys that were not its own. As it is, only one whose weight alone has
/// the highest bit does.
fn points_of(weight: u32, greatest: u32) -> u64 {
    let Some(octave) = greatest.checked_ilog2() else {
        return POINTS;
    };
    let points = (POINTS * u64::from(weight)) >> octave;
    points.max(u64::from(weight.min(1)))
}

fn index(points: &[Point]) -> Vec<u32> {
    let mut index = Vec::with_capacity(points.len());
    for (point, place) in points.iter().zip(0..) {
        // The part of this point, and those before it that have none.
        while index.len() <= part_of(point.at, points.len()) {
            index.push(place);
        }
    }
    index.resize(points.len(), points.len() as u32);
    index
}

/// Which of `parts` equal parts of the ring `at` lies in.
fn part_of(at: u32, parts: usize) -> usize {
    ((u64::from(at) * parts as u64) >> 32) as usize
}

/// A way along the ring from one of a key's beginnings.
#[derive(Clone, Copy, Debug)]
struct Walk {
    begin: u32,
    next: usize,
    /// How far behind the beginning the next point lies.
    distance: u32,
}

impl Walk {
    fn new(table: &KeyTable, begin: u32) -> Self {
        Self::at(table, begin, table.first_from(begin))
    }

    /// As far as `next`: behind the last point the ring begins anew.
    fn at(table: &KeyTable, begin: u32, next: usize) -> Self {
        let next = if next < table.points.len() { next } else { 0 };
        let at = table.points.get(next).map_or(begin, |point| point.at);
        Self {
            begin,
            next,
            distance: at.wrapping_sub(begin),
        }
    }
}

/// The endpoints in a key's order, each once: the nearest first. It ends (skipper #4138).
#[derive(Debug)]
pub(crate) struct Order<'a> {
    table: &'a KeyTable,
    walks: [Walk; BEGINNINGS],
    /// Endpoints that are still to come.
    left: usize,
    /// The first one, which costs no memory: nearly always it is the only one asked for.
    first: Option<u32>,
    /// Bits of those given, from the second on.
    given: Vec<u64>,
}

impl Order<'_> {
    /// The owner of the nearest point that was not passed yet. Not for long enough that a walk comes around: all owners
    /// are given by then.
    fn pass(&mut self) -> Option<u32> {
        // The first of those that are as near, which depends on the key alone.
        let nearest = self.walks.iter_mut().min_by_key(|walk| walk.distance)?;
        let point = self.table.points.get(nearest.next)?;
        *nearest = Walk::at(self.table, nearest.begin, nearest.next + 1);
        Some(point.owner)
    }

    /// Whether `owner` was not given yet; now it is.
    fn give(&mut self, owner: u32) -> bool {
        let Some(first) = self.first else {
            self.first = Some(owner);
            return true;
        };
        if self.given.is_empty() {
            self.given = vec![0; self.table.len.div_ceil(64)];
            self.mark(first);
        }
        self.mark(owner)
    }

    fn mark(&mut self, owner: u32) -> bool {
        let (word, bit) = (&mut self.given[owner as usize / 64], 1 << (owner % 64));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

impl Iterator for Order<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.left > 0 {
            let owner = self.pass()?;
            if self.give(owner) {
                self.left -= 1;
                return Some(owner as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
