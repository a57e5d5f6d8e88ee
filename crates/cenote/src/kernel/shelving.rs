//! Connections go on the shelf and come off it: under the ledger's lock, which the caller holds unless it says so.

use std::ops::Range;

use super::endpoints::{Choice, EndpointNumber, Endpoints};
use super::ledger::{Ledger, Phase};
use super::state_word::{Mark, State};
use super::token::{IdleSince, SlotToken};
use super::{Core, Owner};
use crate::sync::{Ordering, lock};

impl<O: Owner> Core<O> {
    /// As [`claim`](Self::claim), while the shelf is up. Takes the lock.
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
        match self.endpoints {
            Some(_) => self.claim_of_set(),
            None => self.claim_any(),
        }
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
        let claim = |index| SlotToken::claim_free_or_mark(self, self.table.get(index)?);
        let found = slots.find_map(claim);
        if found.is_none() {
            // Every slot has been looked at: none is free, and every leased one has its mark.
            ledger.shelf.is_up = true;
            ledger.shelf.returns = 0;
            self.set_gate(ledger);
        }
        found
    }

    fn take_shelved(&self, ledger: &mut Ledger<O>) -> Option<SlotToken<O>> {
        let of_set = self.endpoints.as_deref();
        if let Some(token) = of_set.and_then(|set| self.take_shelved_of_set(ledger, set)) {
            return Some(token);
        }
        let order = ledger.order;
        let slot = self.table.get(ledger.shelf.take(order)? as usize);
        let slot = slot.expect("a listed slot is in the table");
        Some(SlotToken::take_marked(self, slot))
    }

    /// From the shelf, a connection of an endpoint that the owner chooses; where some are spare, of any drawn one.
    fn take_shelved_of_set(
        &self,
        ledger: &mut Ledger<O>,
        endpoints: &Endpoints,
    ) -> Option<SlotToken<O>> {
        let Choice { first, second, .. } = O::choose(self, endpoints)?;
        let drawn = endpoints.drawn();
        let others = if drawn < endpoints.len() {
            0..drawn
        } else {
            0..0
        };
        let others = others.filter_map(|place| endpoints.number_at(place));
        [first.number(), second.number()]
            .into_iter()
            .chain(others)
            .find_map(|number| self.take_shelved_of(ledger, endpoints, number))
    }

    /// From the shelf, a connection of the endpoint with this number.
    pub(super) fn take_shelved_of(
        &self,
        ledger: &mut Ledger<O>,
        endpoints: &Endpoints,
        number: EndpointNumber,
    ) -> Option<SlotToken<O>> {
        let record = endpoints.record(number);
        if !record.has_idle() {
            return None;
        }
        let member = ledger.members.by_number.get(number as usize)?;
        let slot = record.slots().find_map(|index| {
            let slot = self.table.get(index)?;
            let word = slot.word(Ordering::Relaxed);
            let is_shelved = word.state() == State::Idle && member.may_lease(slot.index);
            is_shelved.then_some(slot)
        })?;
        let token = SlotToken::take_marked(self, slot);
        ledger.shelf.unlist(&token);
        Some(token)
    }

    /// Puts `token`, which serves nobody, on the shelf; and clears that, if enough leases have come back since somebody
    /// last queued.
    pub(super) fn shelve(&self, ledger: &mut Ledger<O>, token: SlotToken<O>, idling: IdleSince) {
        ledger.shelf.list(&token, idling);
        token.make_idle(idling, Mark::Yes);
        if ledger.order.keeps_shelf() || idling == IdleSince::Before {
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
        ledger.shelf.clear(|index| {
            let slot = self.table.get(index as usize);
            slot.expect("a listed slot is in the table").unshelve();
        });
        self.set_gate(ledger);
    }
}
