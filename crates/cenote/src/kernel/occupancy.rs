//! Which slots are occupied: opening and vacating them, and taking idle ones for the pool itself.

use super::endpoints::EndpointNumber;
use super::ledger::{Excess, Ledger, Phase};
use super::record::{Admission, Record};
use super::slot::Slot;
use super::state_word::{State, StateWord};
use super::token::{Opening, SlotToken};
use super::{Core, Owner};
use crate::sync::{Arc, Ordering, lock};

/// What the ledger says about supply and demand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Those who wait for any connection.
    pub(crate) waiters: usize,
    /// Those who wait for one of their endpoints.
    pub(crate) aimed: usize,
    /// Since when the first of all waits.
    pub(crate) oldest: Option<u64>,
    pub(crate) occupied: usize,
    pub(crate) opening: usize,
    pub(crate) closing: usize,
    pub(crate) max_size: usize,
    pub(crate) phase: Phase,
    /// How often somebody queued, so far.
    pub(crate) waited: u64,
}

/// What an endpoint of a set may have, beside the bounds of the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) max_size: u32,
    pub(crate) max_opening: u32,
}

impl Demand {
    /// Connections there are, those on their way in or out apart.
    pub(crate) fn open(&self) -> usize {
        self.occupied - self.opening - self.closing
    }
}

impl<O: Owner> Core<O> {
    /// A vacant slot for a dial, unless `max_opening` are in flight or the pool is full or closed.
    pub(crate) fn open(self: &Arc<Self>, max_opening: usize) -> Option<Opening<O>> {
        self.open_within(&mut lock(&self.ledger), max_opening, None)
    }

    /// As [`open`](Self::open), for a dial of this endpoint of a set, within `room` of its own; unless the endpoint is
    /// barred.
    pub(crate) fn open_at(
        self: &Arc<Self>,
        number: EndpointNumber,
        max_opening: usize,
        room: &Room,
    ) -> Option<Opening<O>> {
        let mut ledger = lock(&self.ledger);
        let member = ledger.members.by_number.get(number as usize)?;
        let record = self.endpoints.as_deref()?.record(number);
        if member.admission == Admission::Barred || !record.has_room(room) {
            return None;
        }
        let opening = self.open_within(&mut ledger, max_opening, Some(record))?;
        record.begin_dial();
        Some(opening)
    }

    fn open_within(
        self: &Arc<Self>,
        ledger: &mut Ledger<O>,
        max_opening: usize,
        record: Option<&Record>,
    ) -> Option<Opening<O>> {
        if ledger.phase == Phase::Closed
            || ledger.occupied >= ledger.max_size
            || ledger.opening >= max_opening
        {
            return None;
        }
        let bound = self.bound();
        let index = ledger.vacant.take_lowest(bound).unwrap_or(bound);
        let slot = self.table.get_or_grow(index);
        ledger.occupied += 1;
        ledger.opening += 1;
        // Release pairs with `bound()`'s Acquire: a thread that sees the bound sees the slot.
        self.bound.store(bound.max(index + 1), Ordering::Release);
        slot.set_record(record);
        Some(Opening::occupy(slot, self))
    }

    /// Under the ledger's lock, the only place where slots become vacant or cease to be.
    fn is_vacant(&self, index: usize) -> bool {
        self.table
            .get(index)
            .is_none_or(|slot| slot.word(Ordering::Relaxed).state() == State::Vacant)
    }

    /// The dial of `token` became a connection, which is the pool's for now.
    pub(super) fn opened(&self, token: &SlotToken<O>) {
        let mut ledger = lock(&self.ledger);
        ledger.opening -= 1;
        token.reserve();
        self.opened_at_endpoint(token.slot());
    }

    /// A slot becomes vacant; `change` moves its word.
    pub(super) fn vacate(&self, slot: &Slot<O>, was: State, change: impl FnOnce()) {
        let index = slot.index;
        let mut ledger = lock(&self.ledger);
        if let (Some(member), Some(record)) = (ledger.members.of(self, slot), slot.record(self)) {
            record.vacate();
            match was {
                State::Opening => self.dial_ended_at_endpoint(slot),
                State::Closing => {}
                _ => {
                    member.lose(index);
                    self.unlist_at_endpoint(slot);
                }
            }
        }
        ledger.occupied -= 1;
        match was {
            State::Opening => ledger.opening -= 1,
            State::Closing => ledger.closing -= 1,
            _ => {}
        }
        change();
        let mut bound = self.bound();
        if index as usize + 1 == bound {
            while bound > 0 && self.is_vacant(bound - 1) {
                bound -= 1;
            }
            self.bound.store(bound, Ordering::Release);
        } else {
            ledger.vacant.add(index);
        }
    }

    /// Takes an idle slot for the pool itself, if it is still in the idle period that `seen` was read in.
    pub(crate) fn reserve(&self, index: usize, seen: StateWord) -> Option<SlotToken<O>> {
        let slot = self.table.get(index)?;
        if seen.state() != State::Idle {
            return None;
        }
        if seen.is_free() {
            return SlotToken::claim_from(slot, seen, State::Reserved);
        }
        let mut ledger = lock(&self.ledger);
        // In the same idle period the shelf may have been cleared.
        let word = slot.word(Ordering::Relaxed);
        if word.state() != State::Idle || word.generation() != seen.generation() {
            return None;
        }
        let token = SlotToken::claim_from(slot, word, State::Reserved)?;
        if !word.is_free() && !ledger.members.unlist_aside(token.index()) {
            ledger.shelf.unlist(&token);
        }
        Some(token)
    }

    /// The idle slots the pool should not have, to be closed: it is closed, or over its size. Those that are missing
    /// are leased, and have their marks.
    pub(crate) fn reserve_excess(&self) -> Vec<(SlotToken<O>, Excess)> {
        let mut ledger = lock(&self.ledger);
        let mut slots = 0..self.bound();
        let mut excess = Vec::new();
        loop {
            let why = match ledger.phase {
                Phase::Closed => Excess::Closed,
                _ if ledger.over_size() => Excess::OverSize,
                _ => return excess,
            };
            let aside = ledger.members.take_aside();
            let aside = aside.and_then(|index| self.table.get(index as usize));
            let token = match aside {
                Some(slot) => Some(SlotToken::take_marked(self, slot)),
                None => self.take_idle(&mut ledger, &mut slots),
            };
            let Some(token) = token else {
                return excess;
            };
            self.close_soon(&mut ledger, &token);
            excess.push((token, why));
        }
    }

    /// Takes an idle slot for the pool itself; with none, every lease has its mark afterwards.
    pub(crate) fn reserve_or_mark(&self) -> Option<SlotToken<O>> {
        let mut ledger = lock(&self.ledger);
        let mut slots = 0..self.bound();
        let token = self.take_idle(&mut ledger, &mut slots)?;
        token.reserve();
        Some(token)
    }

    /// `token` is on its way out: it no longer counts as a connection the pool has, though its slot stays
    /// occupied until the token is dropped.
    pub(crate) fn mark_closing(&self, token: &SlotToken<O>) {
        let mut ledger = lock(&self.ledger);
        if token.state() != State::Closing {
            self.close_soon(&mut ledger, token);
        }
    }

    /// Takes every idle slot for the pool itself, and makes every lease now out come back through the
    /// ledger: no connection slips between the two.
    pub(crate) fn recall(&self) -> Vec<SlotToken<O>> {
        let mut ledger = lock(&self.ledger);
        ledger.shelf.unlist_all();
        ledger.members.unlist_all_aside();
        let slots = (0..self.bound()).filter_map(|index| self.table.get(index));
        let claim = |slot| SlotToken::claim_or_mark(self, slot);
        let idle: Vec<_> = slots.filter_map(claim).collect();
        idle.iter().for_each(SlotToken::reserve);
        idle
    }

    pub(crate) fn demand(&self) -> Demand {
        let ledger = lock(&self.ledger);
        Demand {
            waiters: ledger.waitlist.len(),
            aimed: ledger.aimed.len(),
            oldest: [ledger.waitlist.oldest(), ledger.aimed.oldest()]
                .into_iter()
                .flatten()
                .min(),
            occupied: ledger.occupied,
            opening: ledger.opening,
            closing: ledger.closing,
            max_size: ledger.max_size,
            phase: ledger.phase,
            waited: ledger.waited,
        }
    }
}
