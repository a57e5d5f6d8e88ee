//! The endpoints of a set as claims see them: the [record](Record) of each, and which of them may serve.
//!
//! Leases are counted at their endpoints: exactly, by who moves a slot into `Leased` and out of it, at the endpoint that
//! the *slot* is of. What led there, the list of an endpoint's slots and the list of endpoints, is changed under the
//! ledger's lock and read without it: advice, for the slots' words decide. A reader may be late, and find a slot that is
//! another endpoint's by now, or an endpoint that is a new one; then it claims what is idle there, and counts it there.
//! Records never move and are never freed before their pool, so that a late reader reads nothing else.

use std::ptr;

use super::ledger::Phase;
use super::record::Record;
use super::slot::Slot;
use super::state_word::State;
use super::table::{Item, Table};
use super::token::SlotToken;
use super::{Core, Owner};
use crate::sync::{AtomicPtr, AtomicUsize, Ordering, lock};

/// The number of an endpoint in its pool, given again once the endpoint is forgotten.
pub(crate) type EndpointNumber = u32;

/// The endpoints of a pool over a set of them.
pub(crate) struct Endpoints {
    records: Table<Record>,
    /// Those that may serve: first the drawn, then the spare.
    serving: Table<Serving>,
    drawn: AtomicUsize,
    len: AtomicUsize,
}

/// Who is at a place: one of the records, so that a draw looks into one table.
struct Serving(AtomicPtr<Record>);

impl Item for Serving {
    fn at(_: u32) -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

/// Where the policy wants looks to be: at drawn endpoints.
#[derive(Clone, Copy)]
pub(crate) struct Choice<'a> {
    pub(crate) first: &'a Record,
    pub(crate) second: &'a Record,
    /// The place of the second: those after it are looked at next.
    pub(crate) place: usize,
}

impl Endpoints {
    pub(super) fn new() -> Self {
        Self {
            records: Table::new(),
            serving: Table::new(),
            drawn: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
        }
    }

    /// How many the policy draws from.
    #[inline(always)]
    pub(crate) fn drawn(&self) -> usize {
        self.drawn.load(Ordering::Acquire)
    }

    /// How many may serve, those included that do so only where no drawn one can.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// The number of the one at `place`. Places change as endpoints come and go.
    pub(crate) fn number_at(&self, place: usize) -> Option<EndpointNumber> {
        Some(self.record_at(place)?.number)
    }

    /// What is known of the one at `place`.
    #[inline(always)]
    pub(crate) fn record_at(&self, place: usize) -> Option<&Record> {
        // Acquire pairs with the Release of `put`: the record is found as it was made.
        let record = self.serving.get(place)?.0.load(Ordering::Acquire);
        // SAFETY: where something is written it is one of `self.records`, which never move and live as long as `self`;
        // they are changed through shared references only.
        unsafe { record.as_ref() }
    }

    /// What is known of the endpoint with this number.
    #[inline(always)]
    pub(crate) fn record(&self, number: EndpointNumber) -> &Record {
        let record = self.records.get(number as usize);
        record.expect("a number is given with its record")
    }

    /// As [`record`](Self::record), of a number that another pool may have given.
    pub(super) fn find(&self, number: EndpointNumber) -> Option<&Record> {
        self.records.get(number as usize)
    }

    /// Those of all numbers that were ever given, and more.
    #[cfg(all(test, cenote_shuttle))]
    pub(crate) fn all_records(&self) -> impl Iterator<Item = &Record> {
        (0..).map_while(|number| self.records.get(number))
    }

    /// Under the ledger's lock: makes room for one more.
    pub(super) fn grow(&self, number: EndpointNumber) {
        self.records.get_or_grow(number as usize);
        self.serving.get_or_grow(number as usize);
    }

    /// Under the ledger's lock: writes who is at `place`.
    pub(super) fn put(&self, place: usize, number: EndpointNumber) {
        let record = ptr::from_ref(self.record(number)).cast_mut();
        let item = self.serving.get_or_grow(place);
        item.0.store(record, Ordering::Release);
    }

    /// Under the ledger's lock. Release pairs with the readers' Acquire: they find what is below.
    pub(super) fn set_lengths(&self, drawn: usize, len: usize) {
        self.drawn.store(drawn, Ordering::Release);
        self.len.store(len, Ordering::Release);
    }
}

impl<O: Owner> Core<O> {
    /// As [`claim`](Self::claim), of the endpoint that the owner chooses, of another it chooses, or of any that may
    /// serve.
    #[inline(never)]
    pub(super) fn claim_of_set(&self) -> Option<SlotToken<O>> {
        let endpoints = self.endpoints.as_deref()?;
        let Some(Choice {
            first,
            second,
            place,
        }) = O::choose(self, endpoints)
        else {
            return self.claim_from_place(endpoints, 0);
        };
        let token = match self.claim_at(first) {
            Some(token) => token,
            None => match self.claim_at(second) {
                Some(token) => token,
                None => self.claim_from_place(endpoints, place + 1)?,
            },
        };
        self.note_missed(first, &token);
        self.note_missed(second, &token);
        Some(token)
    }

    /// An endpoint was chosen, and `token` is what served: perhaps another's, and the chosen one lacks a connection.
    #[inline(always)]
    pub(super) fn note_missed(&self, chosen: &Record, token: &SlotToken<O>) {
        let served = token.slot().record(self).unwrap_or(chosen);
        // Most often it has one idle, and is looked at no further.
        if !chosen.has_idle() && !ptr::eq(chosen, served) && !chosen.is_missed() {
            self.tell_missed(chosen, served, token);
        }
    }

    /// An idle connection of this endpoint.
    #[inline(always)]
    pub(super) fn claim_at(&self, record: &Record) -> Option<SlotToken<O>> {
        if !record.has_idle() {
            return None;
        }
        let last = record.last.load(Ordering::Relaxed) as usize;
        match self.claim_counted(record, last) {
            Some(token) => Some(token),
            None => self.claim_any_at(record),
        }
    }

    /// As [`claim_at`](Self::claim_at), of all its slots.
    #[cold]
    #[inline(never)]
    fn claim_any_at(&self, record: &Record) -> Option<SlotToken<O>> {
        record
            .slots()
            .find_map(|index| self.claim_counted(record, index))
    }

    /// An idle connection of any endpoint that may serve: of the drawn those from `start` on first, of the spare only where
    /// none of them has one.
    #[cold]
    #[inline(never)]
    fn claim_from_place(&self, endpoints: &Endpoints, start: usize) -> Option<SlotToken<O>> {
        let (drawn, len) = (endpoints.drawn(), endpoints.len());
        let start = if start < drawn { start } else { 0 };
        (start..drawn)
            .chain(0..start)
            .chain(drawn..len)
            .find_map(|place| self.claim_at(endpoints.record_at(place)?))
    }

    /// Takes the lock. An idle connection of the endpoint with this number, if nobody waits.
    pub(crate) fn claim_of(&self, number: EndpointNumber) -> Option<SlotToken<O>> {
        let endpoints = self.endpoints.as_deref()?;
        let mut ledger = lock(&self.ledger);
        if ledger.phase != Phase::Open || ledger.waitlist.len() > 0 {
            return None;
        }
        if ledger.shelf.is_up {
            return self.take_shelved_of(&mut ledger, endpoints, number);
        }
        // What it has is free: nothing that may not be leased is.
        self.claim_any_at(endpoints.record(number))
    }

    /// Claims the slot at `index` if it is free, and counts the lease at the endpoint that the slot is of now: most often
    /// the one at which it was listed.
    #[inline(always)]
    fn claim_counted(&self, listed: &Record, index: usize) -> Option<SlotToken<O>> {
        let token = SlotToken::claim(self.table.get(index)?)?;
        let record = token.slot().record(self).unwrap_or(listed);
        record.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(token)
    }

    #[cold]
    #[inline(never)]
    fn tell_missed(&self, chosen: &Record, served: &Record, token: &SlotToken<O>) {
        let lacks = chosen.lacks(served);
        if lacks && chosen.miss() {
            O::missed(token.core(), chosen.number);
        }
    }

    /// Under the ledger's lock: the dial that `slot` is of has become a connection of its endpoint.
    pub(super) fn opened_at_endpoint(&self, slot: &Slot<O>) {
        self.dial_ended_at_endpoint(slot);
        if let Some(record) = slot.record(self) {
            record.list(slot.index);
        }
    }

    /// Under the ledger's lock: the dial that `slot` is of has ended.
    pub(super) fn dial_ended_at_endpoint(&self, slot: &Slot<O>) {
        if let Some(record) = slot.record(self) {
            record.end_dial();
        }
    }

    /// Under the ledger's lock: `slot` is no connection of its endpoint any more.
    pub(super) fn unlist_at_endpoint(&self, slot: &Slot<O>) {
        if let Some(record) = slot.record(self) {
            record.unlist(slot.index);
        }
    }
}

impl<O: Owner> Slot<O> {
    /// The slot goes from one state to another, by the hand of its holder: the lease that begins with that, or ends, is
    /// counted. Before a move to `Idle`, for then the slot is anyone's; after all others.
    pub(super) fn count(&self, core: &Core<O>, from: State, to: State) {
        let (was_leased, is_leased) = (from == State::Leased, to == State::Leased);
        if was_leased == is_leased {
            return;
        }
        let Some(record) = self.record(core) else {
            return;
        };
        if is_leased {
            record.in_flight.fetch_add(1, Ordering::Relaxed);
        } else {
            if to == State::Idle {
                record.last.store(self.index, Ordering::Relaxed);
            }
            record.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// As [`count`](Self::count), of a lease that could not be ended after all.
    pub(super) fn count_again(&self, core: &Core<O>) {
        if let Some(record) = self.record(core) {
            record.in_flight.fetch_add(1, Ordering::Relaxed);
        }
    }
}
