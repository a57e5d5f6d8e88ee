//! Which endpoint of a set a key belongs to now: the first in the key's own order that is drawn and carries no more than
//! its bounded share ([`bounded_load`](crate::policy::balance::bounded_load)).
//!
//! The order is that of a [table](crate::policy::balance::by_key) of all endpoints in the set, whether they can be reached or
//! not: so an endpoint that comes back has its keys again, and those of no other have moved. The table is made when a key
//! is first asked for, and from then on by the follower whenever the set is another. A thread looks into a copy under a
//! lock that few share with it, for no longer than the look takes; a common lock, or a count of those who read, would be a
//! line that all write.
//!
//! What all endpoints carry together is counted by a look at each, once for as many gets as there are endpoints, and again
//! where a key would have to move on account of an old count: a common count would be a line that every lease writes.

use std::cell::Cell;
use std::mem;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;

use super::listing::Listed;
use super::set::SetState;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::kernel::{Admission, Arc, EndpointNumber, Endpoints, Record};
use crate::policy::balance::Load;
use crate::policy::balance::bounded_load::{Found, Total, first_within};
use crate::policy::balance::by_key::KeyTable;
use crate::rt;
use crate::sync::{Mutex, lock, own_shard};

/// The endpoints by key. Locks: `listing`, then those of the copies, one at a time; no user code runs under them.
#[derive(Default)]
pub(super) struct ByKey {
    /// None before the set is told.
    listing: Mutex<Option<Arc<dyn Listed>>>,
    /// Made under the lock of `listing`, once, of that one.
    copies: OnceLock<Box<[TableCopy; COPIES]>>,
}

/// Threads beyond this many share the others' copies.
const COPIES: usize = 8;

/// In cache lines of its own.
#[repr(align(128))]
struct TableCopy(Mutex<Arc<Table>>);

/// A key's order of endpoints; by default of none.
#[derive(Default)]
struct Table {
    ring: KeyTable,
    /// By place in the ring's list.
    numbers: Vec<EndpointNumber>,
}

impl Table {
    fn new(listing: &dyn Listed) -> Arc<Self> {
        let endpoints = listing.hashed();
        let hashes = endpoints.iter().map(|(_, hash, weight)| (*hash, *weight));
        Arc::new(Self {
            ring: KeyTable::new(&hashes.collect::<Vec<_>>()),
            numbers: endpoints.iter().map(|(id, ..)| id.number).collect(),
        })
    }
}

impl ByKey {
    /// These are the endpoints from now on. Only the follower says so.
    pub(super) fn list(&self, listing: Arc<dyn Listed>) {
        let (before, copies) = {
            let mut current = lock(&self.listing);
            (current.replace(Arc::clone(&listing)), self.copies.get())
        };
        drop(before);
        let Some(copies) = copies else {
            return;
        };
        // Where keys panic as they are hashed, they lead where they led.
        let Ok(table) = rt::calling(|| Table::new(&*listing)) else {
            return;
        };
        for copy in &**copies {
            let before = mem::replace(&mut *lock(&copy.0), Arc::clone(&table));
            drop(before);
        }
    }

    /// The endpoints; none before the set is told.
    pub(super) fn listing(&self) -> Option<Arc<dyn Listed>> {
        lock(&self.listing).clone()
    }

    /// Whether the set has no endpoints, as before it is told.
    pub(super) fn is_empty(&self) -> bool {
        let listing = lock(&self.listing);
        listing.as_ref().is_none_or(|listing| listing.is_empty())
    }

    fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> Option<T> {
        let copies: &[TableCopy; COPIES] = match self.copies.get() {
            Some(copies) => copies,
            None => self.make()?,
        };
        let copy = &copies[own_shard(COPIES)];
        Some(look(&lock(&copy.0)))
    }

    /// For the first that looks. None before the set is told. Where its keys panic as they are hashed, they lead nowhere.
    #[cold]
    fn make(&self) -> Option<&[TableCopy; COPIES]> {
        loop {
            let listing = self.listing()?;
            let table = rt::calling(|| Table::new(&*listing)).unwrap_or_default();
            let current = lock(&self.listing);
            // Else it was another meanwhile: who says so looks for copies under the same lock.
            if current
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, &listing))
            {
                let copy = || TableCopy(Mutex::new(Arc::clone(&table)));
                let copies = self
                    .copies
                    .get_or_init(|| Box::new([(); COPIES].map(|()| copy())));
                return Some(copies);
            }
        }
    }
}

/// The endpoint that the key with this hash belongs to, of those drawn that can be had; `None` where there is none.
pub(super) fn choose<C: Connect>(
    core: &LifecycleCore<C>,
    set: &SetState<C>,
    key: u64,
    can_be_had: impl Fn(&Record) -> bool,
) -> Option<EndpointNumber> {
    let endpoints = core.endpoints()?;
    let chosen = set.by_key.look(|table| {
        let load = |place: usize| {
            let record = endpoints.record(table.numbers[place]);
            let is_drawn = match record.admission() {
                Admission::Drawn => true,
                // One call at a time decides.
                Admission::Trial => record.carried() == 0,
                Admission::Spare | Admission::Aside | Admission::Barred => false,
            };
            (is_drawn && can_be_had(record)).then(|| load(record))
        };
        let find = |total| first_within(total, table.ring.order(key), load);
        let (total, age) = total(core.key(), endpoints);
        let found = find(total)?;
        let found = match found {
            Found { is_moved: true, .. } if age == Age::Old => find(count(core.key(), endpoints))?,
            _ => found,
        };
        Some(table.numbers[found.place])
    });
    chosen.flatten()
}

fn load(record: &Record) -> Load {
    Load {
        in_flight: record.carried(),
        open: record.open(),
        weight: record.share.load(Relaxed),
        cost: 0.0,
    }
}

/// What a thread has counted, and for how many gets it has used that.
#[derive(Clone, Copy)]
struct Counted {
    pool: u64,
    total: Total,
    /// How many endpoints were counted: with others it is void.
    drawn: usize,
    gets: usize,
}

/// How good a count is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Few gets have gone by.
    New,
    Old,
}

/// A count is used for so many gets at least: with few endpoints another costs little more than the look at its age.
const GETS: usize = 32;

/// It is new for an eighth of them: so a get that moves on account of what is counted costs eight looks at most.
const NEW: usize = 8;

/// A thread has counts of this many pools at a time, by key modulo. With more, some are counted anew now and then.
const POOLS: usize = 16;

thread_local! {
    static COUNTED: [Cell<Option<Counted>>; POOLS] = const { [const { Cell::new(None) }; POOLS] };
}

/// What all drawn endpoints carry, counted not long ago.
fn total(pool: u64, endpoints: &Endpoints) -> (Total, Age) {
    let known = COUNTED.try_with(|counted| {
        let cell = &counted[pool as usize % POOLS];
        let counted = cell
            .get()
            .filter(|counted| (counted.pool, counted.drawn) == (pool, endpoints.drawn()))?;
        let gets = counted.gets + 1;
        cell.set(Some(Counted { gets, ..counted }));
        let limit = GETS.max(endpoints.drawn());
        let age = match gets < limit / NEW {
            true => Age::New,
            false => Age::Old,
        };
        (gets < limit).then_some((counted.total, age))
    });
    // Where the thread's locals are gone, all are counted each time.
    known
        .ok()
        .flatten()
        .unwrap_or_else(|| (count(pool, endpoints), Age::New))
}

#[cold]
fn count(pool: u64, endpoints: &Endpoints) -> Total {
    let drawn = endpoints.drawn();
    let records = (0..drawn).filter_map(|place| endpoints.record_at(place));
    let total = records.map(load).fold(Total::default(), Total::with);
    let counted = Counted {
        pool,
        total,
        drawn,
        gets: 0,
    };
    let _ = COUNTED.try_with(|all| all[pool as usize % POOLS].set(Some(counted)));
    total
}
