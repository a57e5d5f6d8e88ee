//! Those who wait for a connection of one endpoint of a set, and of no other: their *aim*. Under the ledger's lock, which
//! the caller holds unless it says so.
//!
//! Each endpoint that somebody waits at has a waitlist, and all waitlists number their waiters as one: what comes back
//! serves who came first of those who wait for any connection and of those who wait at its endpoint. In a pool that is open:
//!
//! > where somebody waits at an endpoint, that may serve, none of its slots is free or on the shelf, and each that is
//! > leased has its mark.
//!
//! So what comes back there comes through the ledger, and nothing but that: the gate stays as it is, and leases of all
//! other endpoints begin and end without the lock. A look at the endpoint's own slots is all that a waiter there costs.

use std::collections::BTreeMap;
use std::ptr;
use std::task::Waker;

use super::endpoints::{EndpointNumber, Endpoints};
use super::fast_path::GATE_SHELF_OF_SET;
use super::ledger::{GrantedWaiter, Ledger, TokenWaitlist};
use super::record::Record;
use super::state_word::Mark;
use super::token::SlotToken;
use super::waitlist::Waitlist;
use super::{Core, GATE_SET, Owner};
use crate::sync::{Ordering, lock};
use crate::wake::wake_all;

/// The number of the endpoint that is to be, for those who wait until the set has one.
pub(crate) const ANY_TO_COME: EndpointNumber = EndpointNumber::MAX - 1;

/// The waitlists of the endpoints that somebody waits at.
pub(super) struct AimedWaitlists<O: Owner> {
    /// None of them is empty.
    by_number: BTreeMap<EndpointNumber, TokenWaitlist<O>>,
}

impl<O: Owner> AimedWaitlists<O> {
    pub(super) fn new() -> Self {
        Self {
            by_number: BTreeMap::new(),
        }
    }

    /// How many wait at any endpoint.
    pub(super) fn len(&self) -> usize {
        self.by_number.values().map(Waitlist::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// Since when the one waits that came first in its list.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.by_number.values().filter_map(Waitlist::oldest).min()
    }

    /// The endpoints that somebody waits at, and how many do: in the order in which the first of each came.
    fn waiting(&self) -> Vec<(EndpointNumber, usize)> {
        let lists = self.by_number.iter();
        let mut lists: Vec<_> = lists
            .filter(|(number, _)| **number != ANY_TO_COME)
            .collect();
        lists.sort_unstable_by_key(|(_, list)| list.first());
        let waiting = lists.into_iter();
        waiting
            .map(|(number, list)| (*number, list.len()))
            .collect()
    }

    /// The waitlist of this endpoint, if somebody waits there.
    pub(super) fn at(&mut self, number: EndpointNumber) -> Option<&mut TokenWaitlist<O>> {
        self.by_number.get_mut(&number)
    }

    /// The number of the first who waits at this endpoint, and for no other.
    pub(super) fn first_at(&self, number: EndpointNumber) -> Option<u64> {
        self.by_number.get(&number)?.first()
    }

    /// The waitlist of this endpoint, for one who is to wait there.
    fn at_or_new(&mut self, number: EndpointNumber) -> &mut TokenWaitlist<O> {
        self.by_number.entry(number).or_insert_with(Waitlist::new)
    }
}

impl<O: Owner> Ledger<O> {
    /// The number of the first who waits for a connection of this endpoint, or for any.
    pub(super) fn first_for(&self, number: EndpointNumber) -> Option<u64> {
        let firsts = [self.waitlist.first(), self.aimed.first_at(number)];
        firsts.into_iter().flatten().min()
    }

    /// Queues one who waits at this endpoint.
    pub(super) fn join_at(
        &mut self,
        endpoints: &Endpoints,
        number: EndpointNumber,
        join: impl FnOnce(&mut TokenWaitlist<O>),
    ) {
        join(self.aimed.at_or_new(number));
        self.aimed_changed(endpoints, number);
    }

    /// After any change of the waitlist of this endpoint.
    pub(super) fn aimed_changed(&mut self, endpoints: &Endpoints, number: EndpointNumber) {
        let waiting = self.aimed.at(number).map_or(0, |list| list.len());
        if waiting == 0 {
            self.aimed.by_number.remove(&number);
        }
        if number != ANY_TO_COME {
            endpoints.record(number).set_waiting(waiting);
        }
    }

    /// Each waitlist of an endpoint.
    pub(super) fn aimed_each(
        &mut self,
        endpoints: &Endpoints,
        mut each: impl FnMut(&mut TokenWaitlist<O>),
    ) {
        let numbers: Vec<_> = self.aimed.by_number.keys().copied().collect();
        for number in numbers {
            self.aimed.at(number).into_iter().for_each(&mut each);
            self.aimed_changed(endpoints, number);
        }
    }

    /// The waiter whose turn it is at a connection of this endpoint: the first of those who wait for any, and of those who
    /// wait there.
    pub(super) fn pop_for<'a>(
        &mut self,
        of_set: impl FnOnce() -> Option<(&'a Endpoints, &'a Record)>,
    ) -> Option<GrantedWaiter<O>> {
        if self.aimed.is_empty() {
            return self.waitlist.pop();
        }
        let (endpoints, record) = of_set()?;
        let number = record.number();
        let popped = match (self.aimed.first_at(number), self.waitlist.first()) {
            (Some(own), others) if others.is_none_or(|other| own < other) => {
                self.aimed.at(number)?.pop()
            }
            _ => return self.waitlist.pop(),
        };
        self.aimed_changed(endpoints, number);
        popped
    }
}

impl<O: Owner> Core<O> {
    /// An idle connection of the endpoint with this number, and of no other, if nobody waits for it; none of a number that
    /// was never given here. As [`claim`](Self::claim) it takes no lock unless the shelf is up, and as there one may be
    /// missed that comes back meanwhile.
    pub(crate) fn claim_aimed(&self, number: EndpointNumber) -> Option<SlotToken<O>> {
        let record = self.endpoints.as_deref()?.find(number)?;
        // Acquire: as in `claim`.
        match self.gate.load(Ordering::Acquire) {
            GATE_SET => {}
            GATE_SHELF_OF_SET => return self.claim_of(number),
            _ => return None,
        }
        let token = self.claim_at(record)?;
        let of = token.slot().record(self);
        if of.is_some_and(|of| ptr::eq(of, record)) {
            return Some(token);
        }
        // The list was read late, and the slot is another endpoint's by now.
        O::return_unclaimed(token);
        None
    }

    /// An idle connection of the endpoint with this number; where it has none, of any as [`claim`](Self::claim), and the
    /// owner is told that the endpoint lacks one.
    pub(crate) fn claim_rather(&self, number: EndpointNumber) -> Option<SlotToken<O>> {
        let chosen = self.endpoints.as_deref()?.record(number);
        if let Some(token) = self.claim_aimed(number) {
            return Some(token);
        }
        let token = self.claim()?;
        self.note_missed(chosen, &token);
        Some(token)
    }

    /// An idle connection of this endpoint as a lease; if it has none, each that is leased has its mark afterwards.
    pub(super) fn take_at(
        &self,
        ledger: &mut Ledger<O>,
        endpoints: &Endpoints,
        number: EndpointNumber,
    ) -> Option<SlotToken<O>> {
        if number == ANY_TO_COME {
            return None;
        }
        if ledger.shelf.is_up {
            // Then all leased slots have their marks.
            return self.take_shelved_of(ledger, endpoints, number);
        }
        let mut slots = endpoints.record(number).slots();
        slots.find_map(|index| SlotToken::claim_free_or_mark(self, self.table.get(index)?))
    }

    /// Takes the lock. The endpoints that somebody waits at, and how many do: in the order in which the first of each came.
    pub(crate) fn aimed(&self) -> Vec<(EndpointNumber, usize)> {
        lock(&self.ledger).aimed.waiting()
    }

    /// Takes the lock. Those who wait at this endpoint are to look elsewhere.
    pub(crate) fn send_away(&self, number: EndpointNumber) {
        let Some(endpoints) = self.endpoints.as_deref() else {
            return;
        };
        let wakers = self.send_away_from(&mut lock(&self.ledger), endpoints, number);
        wake_all(wakers.into_iter().flatten());
    }

    /// As [`send_away`](Self::send_away); the wakers are to be woken outside the lock.
    pub(super) fn send_away_from(
        &self,
        ledger: &mut Ledger<O>,
        endpoints: &Endpoints,
        number: EndpointNumber,
    ) -> Vec<Option<Waker>> {
        let waitlist = ledger.aimed.at(number);
        let wakers = waitlist.map(|waitlist| waitlist.refuse_all(O::sent_away));
        ledger.aimed_changed(endpoints, number);
        wakers.unwrap_or_default()
    }

    /// Takes the lock. Whether the set has no endpoints, as at first: only so long may callers wait for
    /// [one to come](ANY_TO_COME).
    pub(crate) fn set_is_empty(&self, is_empty: bool) {
        let Some(endpoints) = self.endpoints.as_deref() else {
            return;
        };
        let wakers = {
            let mut ledger = lock(&self.ledger);
            ledger.members.has_some = !is_empty;
            match is_empty {
                true => Vec::new(),
                false => self.send_away_from(&mut ledger, endpoints, ANY_TO_COME),
            }
        };
        wake_all(wakers.into_iter().flatten());
    }

    /// After a pause: serves those who wait at endpoints, and has all leased slots there marked for those who go on.
    pub(super) fn resume_aimed(&self, ledger: &mut Ledger<O>, wakers: &mut Vec<Option<Waker>>) {
        let Some(endpoints) = self.endpoints.as_deref() else {
            return;
        };
        for (number, waiting) in ledger.aimed.waiting() {
            for _ in 0..waiting {
                let Some(mut token) = self.take_at(ledger, endpoints, number) else {
                    break;
                };
                token.pass(Mark::Yes);
                let popped = ledger.aimed.at(number).and_then(Waitlist::pop);
                let popped = popped.expect("so many wait there");
                ledger.aimed_changed(endpoints, number);
                wakers.push(popped.grant(token.into()));
            }
        }
    }
}
