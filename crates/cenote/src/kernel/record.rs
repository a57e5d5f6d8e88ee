//! What is known of one endpoint of a set, in one cache line: its leases out, its connections and which slots they are,
//! and what the policy keeps of it.
//!
//! Written as [`endpoints`](super::endpoints) says, read by anyone without a lock: advice, for the slots' words decide.

use std::sync::OnceLock;

use super::Room;
use super::endpoints::EndpointNumber;
use super::table::{Item, Table};
use crate::sync::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, Ordering};

/// Whether an endpoint may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Admission {
    /// The policy chooses from these.
    Drawn,
    /// Where no drawn one has a connection to give.
    Spare,
    /// As drawn, with one connection; what else is idle is kept.
    Trial,
    /// No leases begin, what is idle is kept.
    Aside,
    /// No leases begin, and nothing is kept.
    Barred,
}

impl Admission {
    pub(crate) fn serves(self) -> bool {
        matches!(self, Self::Drawn | Self::Spare | Self::Trial)
    }

    /// Whether the policy may choose it.
    pub(crate) fn is_drawn(self) -> bool {
        matches!(self, Self::Drawn | Self::Trial)
    }
}

/// What claims and the policy know of an endpoint. One line, so that looking at two endpoints costs two.
#[repr(C, align(64))]
pub(crate) struct Record {
    /// Of the endpoint, and of the record for good.
    pub(super) number: EndpointNumber,
    /// Its leases out.
    pub(super) in_flight: AtomicU32,
    /// Its connections, those being opened or closed apart: as many slots are listed.
    open: AtomicU32,
    /// Its slots that are not vacant.
    occupied: AtomicU32,
    /// Those owned by dials; part of `occupied`.
    opening: AtomicU32,
    /// The slot given back last: looked at first.
    pub(super) last: AtomicU32,
    /// Its share of the load, for the policy alone.
    pub(crate) share: AtomicU32,
    /// What a call of it is expected to cost, as bits of an `f32`, for the policy alone.
    pub(crate) cost: AtomicU32,
    /// The owner was told that it was chosen and [lacks](Self::lacks) a connection.
    pub(super) is_missed: AtomicBool,
    /// Its [`Admission`], as a number.
    admission: AtomicU8,
    /// How many wait for one of its connections, and no other; no more than fit.
    waiting: AtomicU16,
    /// Its slots, densely, in no order.
    slots: [Number; INLINE],
    more: OnceLock<Box<Table<Number>>>,
}

/// Slots that a record lists in its own line.
const INLINE: usize = 3;

/// Above all slots there can be.
const NO_SLOT: u32 = u32::MAX;

struct Number(AtomicU32);

impl Item for Number {
    fn at(_: u32) -> Self {
        Self(AtomicU32::new(0))
    }
}

impl Item for Record {
    fn at(number: u32) -> Self {
        Self {
            number,
            in_flight: AtomicU32::new(0),
            open: AtomicU32::new(0),
            occupied: AtomicU32::new(0),
            opening: AtomicU32::new(0),
            last: AtomicU32::new(NO_SLOT),
            share: AtomicU32::new(0),
            cost: AtomicU32::new(0),
            is_missed: AtomicBool::new(false),
            admission: AtomicU8::new(Admission::Barred as u8),
            waiting: AtomicU16::new(0),
            slots: [(); INLINE].map(|()| Number::at(0)),
            more: OnceLock::new(),
        }
    }
}

impl Record {
    /// Under the ledger's lock: another endpoint has the number from now on. Nothing is left of the one before but what a
    /// late reader makes of it.
    pub(super) fn begin(&self) {
        self.share.store(0, Ordering::Relaxed);
        self.cost.store(0, Ordering::Relaxed);
        self.is_missed.store(false, Ordering::Relaxed);
    }

    /// How far it may serve, as of now. For a face that has leases of its own on the connections: it is told of each
    /// change afterwards, and looks again then.
    pub(crate) fn admission(&self) -> Admission {
        match self.admission.load(Ordering::Acquire) {
            admission if admission == Admission::Drawn as u8 => Admission::Drawn,
            admission if admission == Admission::Spare as u8 => Admission::Spare,
            admission if admission == Admission::Trial as u8 => Admission::Trial,
            admission if admission == Admission::Aside as u8 => Admission::Aside,
            _ => Admission::Barred,
        }
    }

    /// Under the ledger's lock.
    pub(super) fn set_admission(&self, admission: Admission) {
        self.admission.store(admission as u8, Ordering::Release);
    }

    /// Whether one of its connections is idle, as of now.
    pub(crate) fn has_idle(&self) -> bool {
        self.in_flight() < self.open()
    }

    /// Of the endpoint.
    #[inline(always)]
    pub(crate) fn number(&self) -> EndpointNumber {
        self.number
    }

    /// Its leases out, as of now.
    #[inline(always)]
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Its connections, as of now.
    #[inline(always)]
    pub(crate) fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Its slots owned by dials, as of now.
    pub(crate) fn opening(&self) -> u32 {
        self.opening.load(Ordering::Relaxed)
    }

    /// Its slots that are not vacant, as of now.
    pub(crate) fn occupied(&self) -> u32 {
        self.occupied.load(Ordering::Relaxed)
    }

    /// How many wait for one of its connections and no other, as of now.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed).into()
    }

    /// Its leases out, and those who wait for one here and nowhere else, as of now.
    pub(crate) fn carried(&self) -> u32 {
        self.in_flight().saturating_add(self.waiting())
    }

    /// Under the ledger's lock.
    pub(super) fn set_waiting(&self, waiting: usize) {
        let waiting = u16::try_from(waiting).unwrap_or(u16::MAX);
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Whether one more connection may be opened, as of now.
    pub(crate) fn has_room(&self, room: &Room) -> bool {
        self.occupied() < room.max_size && self.opening() < room.max_opening
    }

    /// Under the ledger's lock: a dial begins.
    pub(super) fn begin_dial(&self) {
        self.occupied.store(self.occupied() + 1, Ordering::Relaxed);
        self.opening.store(self.opening() + 1, Ordering::Relaxed);
    }

    /// Under the ledger's lock: a dial ends.
    pub(super) fn end_dial(&self) {
        self.opening.store(self.opening() - 1, Ordering::Relaxed);
    }

    /// Under the ledger's lock: one of its slots becomes vacant.
    pub(super) fn vacate(&self) {
        self.occupied.store(self.occupied() - 1, Ordering::Relaxed);
    }

    /// Whether it should have one more connection: it has none, or none that is idle though it carries less for its share
    /// than the one that served in its place, whose lease is counted already; or, where calls are timed, though it would
    /// have ended the call sooner even after all that it carries.
    pub(super) fn lacks(&self, served: &Record) -> bool {
        let (in_flight, open) = (self.in_flight(), self.open());
        if in_flight < open {
            return false;
        }
        let share = |record: &Record| u64::from(record.share.load(Ordering::Relaxed));
        let carried = u64::from(served.in_flight().saturating_sub(1));
        // One without a share serves where those that have one do not suffice.
        open == 0
            || share(served) == 0
            || u64::from(in_flight) * share(served) < carried * share(self)
            || self.would_be_sooner(served)
    }

    fn would_be_sooner(&self, served: &Record) -> bool {
        let cost = |record: &Record| f32::from_bits(record.cost.load(Ordering::Relaxed));
        let (own, others) = (cost(self), cost(served));
        own > 0.0 && (self.in_flight() + 1) as f32 * own < served.in_flight() as f32 * others
    }

    fn slot(&self, place: usize) -> Option<&Number> {
        match self.slots.get(place) {
            Some(number) => Some(number),
            None => self.more.get()?.get(place - INLINE),
        }
    }

    /// Its slots. Under the ledger's lock exactly; else one may be missing, or be another's by now.
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> {
        (0..self.open() as usize)
            .map_while(|place| Some(self.slot(place)?.0.load(Ordering::Relaxed) as usize))
    }

    /// Under the ledger's lock: a slot has become a connection of this endpoint.
    pub(super) fn list(&self, slot: u32) {
        let open = self.open();
        let place = open as usize;
        let number = match self.slots.get(place) {
            Some(number) => number,
            None => self
                .more
                .get_or_init(|| Box::new(Table::new()))
                .get_or_grow(place - INLINE),
        };
        number.0.store(slot, Ordering::Relaxed);
        self.open.store(open + 1, Ordering::Relaxed);
        self.is_missed.store(false, Ordering::Relaxed);
    }

    /// Under the ledger's lock: a listed slot is none of its connections any more.
    pub(super) fn unlist(&self, slot: u32) {
        let place = self.slots().position(|listed| listed == slot as usize);
        let last = self.open() - 1;
        let end = |place: usize| self.slot(place).expect("what is listed has its place");
        let moved = end(last as usize).0.load(Ordering::Relaxed);
        let place = place.expect("a connection is listed from when it is open until it closes");
        end(place).0.store(moved, Ordering::Relaxed);
        self.open.store(last, Ordering::Relaxed);
        // Else the first look at this endpoint would be at another's.
        if self.last.load(Ordering::Relaxed) == slot {
            self.last.store(NO_SLOT, Ordering::Relaxed);
        }
    }

    /// The endpoint was chosen and lacks a connection; true if the owner is to be told.
    pub(crate) fn miss(&self) -> bool {
        !self.is_missed() && !self.is_missed.swap(true, Ordering::Relaxed)
    }

    /// The owner was told that the endpoint [lacks](Self::lacks) a connection.
    pub(crate) fn is_missed(&self) -> bool {
        self.is_missed.load(Ordering::Relaxed)
    }

    /// Once told, the owner is not told again before this, or before a connection was opened.
    pub(crate) fn forget_missed(&self) {
        self.is_missed.store(false, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;

    /// Two records share no line, and one takes no second.
    #[test]
    fn a_record_is_a_line() {
        assert_eq!((size_of::<Record>(), align_of::<Record>()), (64, 64));
    }

    #[test]
    fn a_record_lists_any_number_of_slots_densely() {
        let record = Record::at(0);
        (0..20).for_each(|slot| record.list(slot));
        for slot in [19, 3, 0, 11] {
            record.unlist(slot);
        }
        let mut listed: Vec<_> = record.slots().collect();
        listed.sort_unstable();
        let kept = (0..20).filter(|slot| ![19, 3, 0, 11].contains(slot));
        assert!(listed.into_iter().eq(kept));
    }
}
