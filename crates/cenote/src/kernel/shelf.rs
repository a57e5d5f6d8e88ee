//! The shelf: idle connections that are leased through the ledger, and nowhere else.
//!
//! A pool that keeps its idle connections in order has a shelf for good. One that does not ([`Order::Local`]) has it
//! for a while after a caller found nothing idle, so that the next such caller need not look at all slots again
//! (module docs): until as many leases have come back with nobody waiting as there are slots to look at. The one look
//! at all slots when the shelf is set up, and the one at most when it is cleared, are then a step or two for each of
//! those leases.

use std::collections::VecDeque;
use std::ops::Range;

use super::ledger::{Ledger, Phase};
use super::state_word::Mark;
use super::token::{IdleSince, SlotToken};
use super::{Core, Order, Owner};
use crate::sync::lock;

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
            is_up: order != Order::Local,
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
    fn list<O: Owner>(&mut self, token: &SlotToken<O>, idling: IdleSince) {
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

impl<O: Owner> Core<O> {
    /// As [`claim`](Self::claim), while the shelf is up.
    pub(super) fn claim_shelved(&self) -> Option<SlotToken<O>> {
        {
            let mut ledger = lock(&self.ledger);
            if ledger.phase != Phase::Open || ledger.waitlist.len() > 0 {
                return None;
            }
            if ledger.shelf.is_up {
                return self.take_shelved(&mut ledger);
            }
        }
        // It was cleared since the gate was read.
        self.claim_any()
    }

    /// Claims an idle slot as a lease; if there is none, the shelf is up afterwards, and empty. `slots` are those to be
    /// looked at, all at first; passed again while the lock is held, those that were not.
    pub(super) fn take_idle(
        &self,
        ledger: &mut Ledger<O>,
        slots: &mut Range<usize>,
    ) -> Option<SlotToken<O>> {
        if ledger.shelf.is_up {
            return self.take_shelved(ledger);
        }
        let found = slots.find_map(|index| SlotToken::claim_or_mark(self.table.slot(index)?));
        if found.is_none() {
            // Every slot has been looked at: none is free, and every leased one has its mark.
            ledger.shelf.is_up = true;
            ledger.shelf.returns = 0;
            self.set_gate(ledger);
        }
        found
    }

    fn take_shelved(&self, ledger: &mut Ledger<O>) -> Option<SlotToken<O>> {
        let listed = match ledger.order {
            Order::Listed {
                newest_first: false,
                ..
            } => ledger.shelf.listed.pop_front(),
            _ => ledger.shelf.listed.pop_back(),
        };
        let slot = self.table.slot(listed?.index as usize);
        Some(SlotToken::take_shelved(
            slot.expect("a listed slot is in the table"),
        ))
    }

    /// Puts `token`, which serves nobody, on the shelf; and clears that, if enough leases have come back since somebody
    /// last queued.
    pub(super) fn shelve(&self, ledger: &mut Ledger<O>, token: SlotToken<O>, idling: IdleSince) {
        ledger.shelf.list(&token, idling);
        token.make_idle(idling, Mark::Yes);
        if ledger.order != Order::Local || idling == IdleSince::Before {
            return;
        }
        ledger.shelf.returns += 1;
        if ledger.shelf.returns >= self.bound() {
            self.clear_shelf(ledger);
        }
    }

    /// Makes all shelved slots free for anyone to claim.
    fn clear_shelf(&self, ledger: &mut Ledger<O>) {
        ledger.shelf.is_up = false;
        for listed in ledger.shelf.listed.drain(..) {
            let slot = self.table.slot(listed.index as usize);
            slot.expect("a listed slot is in the table").unshelve();
        }
        if ledger.shelf.listed.capacity() > SLACK {
            ledger.shelf.listed = VecDeque::new();
        }
        self.set_gate(ledger);
    }
}
