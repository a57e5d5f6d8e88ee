//! The shelf: idle connections that are leased through the ledger, and nowhere else.
//!
//! A pool that keeps its idle connections in order has a shelf for good. One that does not ([`Order::keeps_shelf`]) has it
//! for a while after a caller found nothing idle, so that the next such caller need not look at all slots again
//! (module docs): until as many leases have come back with nobody waiting as there are slots to look at. The one look
//! at all slots when the shelf is set up, and the one at most when it is cleared, are then a step or two for each of
//! those leases. What is done with it, under the ledger's lock, is in [`shelving`](super::shelving).

use std::collections::VecDeque;

use super::token::{IdleSince, SlotToken};
use super::{Order, Owner};

/// Guarded by `Core::ledger`, as part of it.
pub(super) struct Shelf {
    /// Idle connections are put here. Then no slot is free, and every leased slot has its mark.
    pub(super) is_up: bool,
    /// Leases that came back since somebody last queued, or since the shelf is up.
    pub(super) returns: usize,
    /// The rank of the next connection that comes back from a lease.
    pub(super) next_rank: u32,
    /// Exactly the shelved slots, in the order of their ranks, oldest first.
    listed: VecDeque<Listed>,
}

/// A cleared shelf keeps memory for this many.
const SLACK: usize = 64;

/// A place in the order of idle connections.
struct Listed {
    rank: u32,
    index: u32,
}

impl Shelf {
    pub(super) fn new(order: Order) -> Self {
        Self {
            is_up: order.keeps_shelf(),
            returns: 0,
            next_rank: 0,
            listed: VecDeque::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    #[cfg(all(test, not(cenote_loom)))]
    pub(super) fn capacity(&self) -> usize {
        self.listed.capacity()
    }

    /// Lists `token`, whose slot is to be shelved.
    pub(super) fn list<O: Owner>(&mut self, token: &SlotToken<O>, idling: IdleSince) {
        let index = token.index();
        match idling {
            IdleSince::Now => {
                let rank = self.next_rank;
                token.set_rank(rank);
                self.next_rank = rank.wrapping_add(1);
                self.listed.push_back(Listed { rank, index });
            }
            IdleSince::Before => {
                let rank = token.rank();
                self.listed.insert(self.place(rank), Listed { rank, index });
            }
        }
    }

    /// Takes `token`, whose slot was shelved, out of the list.
    pub(super) fn unlist<O: Owner>(&mut self, token: &SlotToken<O>) {
        let index = token.index();
        let is_it = |listed: &Listed| listed.index == index;
        let place = self.place(token.rank());
        if self.listed.get(place).is_some_and(is_it) {
            self.listed.remove(place);
        } else {
            // One older than ranks can tell is not where its rank says.
            self.listed.retain(|listed| !is_it(listed));
        }
    }

    /// The slot to be leased next, in this order.
    pub(super) fn take(&mut self, order: Order) -> Option<u32> {
        let listed = match order {
            Order::Balanced
            | Order::Listed {
                newest_first: false,
                ..
            } => self.listed.pop_front(),
            Order::Local | Order::Listed { .. } => self.listed.pop_back(),
        };
        Some(listed?.index)
    }

    /// Takes all out, and lets go of memory that a cleared shelf need not keep.
    pub(super) fn clear(&mut self, mut each: impl FnMut(u32)) {
        for listed in self.listed.drain(..) {
            each(listed.index);
        }
        if self.listed.capacity() > SLACK {
            self.listed = VecDeque::new();
        }
    }

    /// Forgets all, whose slots are about to be taken.
    pub(super) fn unlist_all(&mut self) {
        self.listed.clear();
    }

    /// Where the list has `rank`, or would have it.
    fn place(&self, rank: u32) -> usize {
        // Ranks wrap around; how long ago one was given does not, but for what idles since before
        // 2^32 returns: that one is placed as if it were young.
        let age = |rank: u32| self.next_rank.wrapping_sub(rank);
        self.listed
            .partition_point(|listed| age(listed.rank) > age(rank))
    }
}
