//! The kernel: a table of slots, a queue of waiters, and the ledger that ties them. No I/O, no clock, no
//! policy; the only `unsafe` of the crate. It promises, whatever threads do:
//!
//! - **Exclusive**: one token ([`SlotToken`]) a slot, and the entry only through it.
//! - **Bound**: slots occupied never exceed `max_size`, but for those still held after a resize down.
//! - **Wake**: never an idle slot beside a waiter while the pool is open and not paused.
//! - **Fair**: waiters are served in arrival order, and newcomers do not pass them.
//! - **Conserved**: however a token or a waiter ends, its slot ends idle, handed on, or vacant.
//!
//! ## How a wake-up cannot be lost
//! Taking and giving back an idle connection is one compare-and-swap on the slot's own word, without a
//! look at anything shared. A waiter that finds nothing idle *marks* every leased slot with a mark
//! (under the ledger's lock); the mark makes the holder's compare-and-swap fail, and it goes through the
//! ledger, which hands the connection to the head of the queue. Mark and release meet on one word, so one
//! of them is first and sees the other: there is no store-then-look pair to order, and no fence. The
//! invariant, re-established before the ledger's lock is let go:
//!
//! > if somebody waits and the pool is not paused, no slot is idle and every leased slot has its mark.
//!
//! ## The shelf
//! Marking is a look at every slot. Where one caller too many comes and goes, each of its waits would begin with one:
//! beside 20,000 leases the pool would do little else. So after a look that found nothing idle the pool has a
//! *shelf*. A connection that comes back to it while nobody waits is idle and *marked*, and a list in the ledger has
//! it: it is *shelved*. Compare-and-swaps of claimers fail on a marked slot; a get takes the lock and the last of the
//! list, and its lease begins with a mark. So, as long as the shelf is up:
//!
//! > no slot is free (idle without a mark), the list has exactly the shelved ones, and every leased slot has its mark.
//!
//! The next caller that finds the shelf empty can wait at once: there is nothing left to mark. The gate tells
//! claimers that the shelf is up; one that has not seen it yet finds no slot free, for the words decide.
//!
//! The shelf is cleared, all shelved slots made free, once as many leases have come back without anybody having waited
//! meanwhile as there are slots. So looking at all slots costs each lease a step or two, whatever callers do, and a
//! pool of ten has its way without locks again after ten leases. Where somebody waits in an open pool, the shelf is up,
//! and empty.
//!
//! A pool that keeps its idle connections in order ([`Order::Listed`]) has its shelf up for good.
//!
//! ## Why a lease holds no counted reference
//! Giving back touches nothing after its compare-and-swap, which is why a lease need not hold a counted
//! reference: the slot's own (`keep_alive`) protects it up to that instant, and afterwards it needs none.
//!
//! ## Locks
//! One: `ledger`. No user code and no waker runs under it. Every gate and bound store happens under it;
//! their readers take them as advice, and the words decide.

mod admission;
mod aimed;
#[cfg(all(test, not(cenote_loom)))]
mod aimed_tests;
mod arc_cell;
mod boxed_waiter;
pub(crate) mod call_site;
mod endpoints;
mod fast_path;
mod ledger;
#[cfg(all(test, cenote_loom))]
pub(crate) mod models;
mod occupancy;
mod phase;
mod record;
#[cfg(all(test, not(cenote_loom)))]
mod set_tests;
mod shelf;
mod shelving;
mod slot;
mod state_word;
mod table;
#[cfg(all(test, not(cenote_loom)))]
mod tests;
mod token;
mod vacant_slots;
mod waiter;
mod waitlist;

pub(crate) use aimed::ANY_TO_COME;
pub(crate) use arc_cell::ArcCell;
pub(crate) use boxed_waiter::BoxedWaiter;
pub(crate) use endpoints::{Choice, EndpointNumber, Endpoints};
pub(crate) use fast_path::LeaseToken;
pub(crate) use ledger::{Excess, JoinOutcome, Phase, Release};
pub(crate) use occupancy::{Demand, Room};
pub(crate) use record::{Admission, Record};
pub(crate) use state_word::{State, StateWord};
pub(crate) use table::MAX_SLOTS;
pub(crate) use token::{IdleSince, Opening, SlotToken};
pub(crate) use waiter::Waiter;
pub(crate) use waitlist::Waitlist;

use ledger::Ledger;
use slot::Slot;
use table::Table;

use crate::sync::{AtomicU64, AtomicUsize, Mutex, Ordering};

pub(crate) use crate::sync::Arc;

/// What the kernel asks of the pool built on it. Called with no lock held, unless it says so.
pub(crate) trait Owner: Sized + Send + Sync + 'static {
    /// A connection and what is known of it; reached only through a token.
    type Entry: Send;
    /// What anyone may read of a slot while another holds it.
    type SlotMeta: Default + Send + Sync;
    /// Why a waiter waits in vain.
    type Refusal: Send;

    /// A token is dropped with its entry in it: takes the entry and ends it. Must not panic.
    fn abort(token: &mut SlotToken<Self>);
    /// Whether a connection that comes back may stay. Called under the ledger's lock, so that it cannot be
    /// overtaken by [`Core::recall`]: a look at atomics, no more.
    fn is_wanted(core: &Core<Self>, meta: &Self::SlotMeta) -> bool;
    /// Whether every lease is to come back through the ledger, and so through [`returned`](Self::returned)'s slow way.
    /// Called under the ledger's lock: a look at atomics, no more.
    fn must_report(_core: &Core<Self>) -> bool {
        false
    }
    /// The connection of a slot is gone, and the slot about to be vacant.
    fn vacating(_core: &Core<Self>) {}
    /// A slot became vacant: somebody may want to dial, or wait for the end of the pool.
    fn vacated(core: &Arc<Core<Self>>);
    /// A user gives `token` back; `core` is the pool, if the user had a reference. Must not panic.
    fn returned(token: SlotToken<Self>, core: Option<&Core<Self>>);
    /// Why one waits no longer whose endpoint may not serve any more.
    fn sent_away() -> Self::Refusal;
    /// A waiter left after it had been granted `token`: to be given back.
    fn return_unclaimed(token: SlotToken<Self>);
    /// In a pool over a set of endpoints: which of the drawn a claim looks at. `None` where there is none, and in pools of
    /// one endpoint, which do not ask. On the way of every lease, and under the ledger's lock: no lock, no waiting.
    fn choose<'a>(_core: &Core<Self>, _endpoints: &'a Endpoints) -> Option<Choice<'a>> {
        None
    }
    /// An endpoint was chosen that lacks a connection; another served. Told once, until a connection is opened or
    /// [`forget_missed`](record::Record::forget_missed).
    fn missed(_core: &Arc<Core<Self>>, _number: EndpointNumber) {}
}

/// How idle connections are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// By the thread's hint, then by slot: claims and releases take no lock, unless somebody waited of late.
    Local,
    /// By the owner's choice among the endpoints of a set: claims and releases take no lock, unless somebody waited of
    /// late; then the one that idles for longest.
    Balanced,
    /// By an exact list under the ledger's lock: the shelf.
    Listed {
        /// Which end is taken from.
        newest_first: bool,
        /// The list's bound; beyond it a connection given back is surplus.
        max_idle: usize,
    },
}

impl Order {
    /// Whether idle connections lie on the shelf for good.
    fn keeps_shelf(self) -> bool {
        matches!(self, Self::Listed { .. })
    }
}

/// A pool's heart: `owner` is the pool built on it.
///
/// In declared order. What is written at every hand-over comes first, beside the counts of references, and what is read
/// at every get last: the owner, whose settings no lease looks at, lies between the two, so that they never share a
/// pair of cache lines. Aligned, so that neither end shares a line with other memory. Each of the two on an aligned
/// pair of its own would cost an empty pool another 240 bytes.
#[repr(C, align(64))]
pub(crate) struct Core<O: Owner> {
    ledger: Mutex<Ledger<O>>,
    pub(crate) owner: O,
    key: u64,
    /// Slots at and beyond this were never occupied, or are vacant.
    bound: AtomicUsize,
    /// Non-zero when a claim is not to look at the slots: somebody waits, or the pool is paused or closed, and
    /// it gives up; or the shelf is up, and it goes through the ledger. Written under the ledger's lock.
    gate: AtomicU64,
    table: Table<Slot<O>>,
    /// The endpoints, in a pool over a set of them.
    endpoints: Option<Box<Endpoints>>,
}

// The gate's bits.
const GATE_CLOSED: u64 = 1;
const GATE_PAUSED: u64 = 2;
/// Idle connections lie on the shelf.
const GATE_SHELF: u64 = 4;
/// Somebody waits.
const GATE_WAITERS: u64 = 8;
/// The pool is over a set of endpoints, of which the owner chooses one. Never changes.
const GATE_SET: u64 = 16;

impl<O: Owner> Core<O> {
    pub(crate) fn new(owner: O, max_size: usize, order: Order) -> Arc<Self> {
        // Keys tell pools apart in the threads' hints; 2^64 of them are never used up.
        static KEYS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let key = KEYS.fetch_add(1, Ordering::Relaxed);
        let gate = match order {
            Order::Local => 0,
            Order::Balanced => GATE_SET,
            Order::Listed { .. } => GATE_SHELF,
        };
        let endpoints = (order == Order::Balanced).then(|| Box::new(Endpoints::new()));
        Arc::new(Self {
            ledger: Mutex::new(Ledger::new(max_size, order)),
            owner,
            key,
            bound: AtomicUsize::new(0),
            gate: AtomicU64::new(gate),
            table: Table::new(),
            endpoints,
        })
    }

    fn bound(&self) -> usize {
        self.bound.load(Ordering::Acquire)
    }

    /// What no other pool of the process has.
    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    /// The endpoints, in a pool over a set of them.
    pub(crate) fn endpoints(&self) -> Option<&Endpoints> {
        self.endpoints.as_deref()
    }

    /// Every slot that may be occupied, as it is now.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (usize, StateWord, &O::SlotMeta)> {
        (0..self.bound()).filter_map(|index| {
            let slot = self.table.get(index)?;
            Some((index, slot.word(Ordering::Acquire), slot.meta()))
        })
    }

    /// The slot with this index as it is now, if it ever was occupied.
    pub(crate) fn slot(&self, index: usize) -> Option<(StateWord, &O::SlotMeta)> {
        let slot = self.table.get(index)?;
        Some((slot.word(Ordering::Acquire), slot.meta()))
    }

    /// The number of the endpoint that the slot with this index is of, or was last; none where there is no set.
    pub(crate) fn endpoint_of(&self, index: usize) -> Option<EndpointNumber> {
        Some(self.table.get(index)?.record(self)?.number())
    }

    /// The notes of every slot that ever was, occupied or not.
    pub(crate) fn all_meta(&self) -> impl Iterator<Item = &O::SlotMeta> {
        (0..MAX_SLOTS)
            .map_while(|index| self.table.get(index))
            .map(Slot::meta)
    }
}
