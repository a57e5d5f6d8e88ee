//! A slot: a state word, the connection behind it, and what is known of that.
//!
//! ## Who may touch what
//! `word` is the lock of the slot. The thread that moved it from `Idle` (or from `Vacant`, under the ledger's lock) to
//! a held state owns `keep_alive` and `entry` until it moves the word back; a [`token`](super::token) stands for that.
//! The move in is `Acquire`, the move out `Release`, so an owner sees all that the previous owner did. The holder of
//! the ledger's lock may mark a `Leased` word at any time; the mark changes nothing else of a held slot.

use std::ptr;

use super::record::Record;
use super::state_word::{Mark, State, StateWord};
use super::table::Item;
use super::{Core, Owner};
use crate::sync::{Arc, AtomicPtr, AtomicU32, AtomicU64, Ordering, UnsafeCell};

/// Two lines: processors fetch lines in pairs, and two threads on neighbouring slots must not meet. In
/// declared order, so that what every lease touches shares the first.
#[repr(C, align(128))]
pub(crate) struct Slot<O: Owner> {
    pub(super) word: AtomicU64,
    /// Keeps the pool alive while the slot is occupied.
    pub(super) keep_alive: UnsafeCell<Option<Arc<Core<O>>>>,
    pub(super) meta: O::SlotMeta,
    pub(super) index: u32,
    /// When it became idle, in the order of idle slots; read and written under the ledger's lock.
    pub(super) rank: AtomicU32,
    /// What is known of its endpoint, in a pool over a set of them: a record of the pool's, none of which ever moves. Null
    /// in a pool of one. Written under the ledger's lock while the slot is vacant.
    record: AtomicPtr<Record>,
    pub(super) entry: UnsafeCell<Option<O::Entry>>,
}

/// Which idle slots are claimed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Those that anyone may claim.
    Free,
    /// Those on the shelf and those laid aside as well.
    AnyIdle,
}

// SAFETY: the cells are reached only through a token, and there is one token a slot (module docs);
// entries move between threads with the token, hence `Send`; metadata is shared, hence `Sync`.
unsafe impl<O: Owner> Sync for Slot<O> {}
// SAFETY: as above; nothing in a slot is tied to a thread.
unsafe impl<O: Owner> Send for Slot<O> {}

impl<O: Owner> Item for Slot<O> {
    fn at(index: u32) -> Self {
        Self {
            word: AtomicU64::new(0),
            keep_alive: UnsafeCell::new(None),
            meta: O::SlotMeta::default(),
            index,
            rank: AtomicU32::new(0),
            record: AtomicPtr::new(ptr::null_mut()),
            entry: UnsafeCell::new(None),
        }
    }
}

impl<O: Owner> Slot<O> {
    #[inline(always)]
    pub(super) fn word(&self, order: Ordering) -> StateWord {
        StateWord(self.word.load(order))
    }

    #[inline(always)]
    pub(super) fn meta(&self) -> &O::SlotMeta {
        &self.meta
    }

    /// What is known of the endpoint that the slot is of, by who holds the slot, or looks at it under the ledger's lock; of
    /// the one that it is or was of, by others.
    #[inline(always)]
    pub(super) fn record<'a>(&self, _: &'a Core<O>) -> Option<&'a Record> {
        let record = self.record.load(Ordering::Relaxed);
        // SAFETY: where it is not null it is one of the records of the pool that the slot is in, which the caller has at
        // hand: they live as long as that, never move, and are changed through shared references only. That it is written
        // entirely is seen by who sees the slot occupied, for the pointer was written before, under the ledger's lock; a
        // look at a slot that was given to nobody yet finds null.
        unsafe { record.as_ref() }
    }

    /// Under the ledger's lock, slot vacant: the next connection is of the endpoint with this record, if there is a set.
    pub(super) fn set_record(&self, record: Option<&Record>) {
        let record = record.map_or(ptr::null_mut(), |record| ptr::from_ref(record).cast_mut());
        // Release, for those who look at the slot without holding it.
        self.record.store(record, Ordering::Release);
    }

    /// Under the ledger's lock: claims the slot if it is idle, and if a user holds it makes sure that it
    /// comes back through the ledger. The word itself decides between the two: either the holder's move to
    /// `Idle` came first and is seen here, or the mark came first and that move fails. No wake-up can
    /// fall between.
    pub(super) fn claim_or_mark(&self, wanted: Wanted) -> Option<StateWord> {
        let mut seen = self.word(Ordering::Relaxed);
        loop {
            match seen.state() {
                State::Idle if wanted == Wanted::AnyIdle || seen.is_free() => {
                    if let Some(word) = self.claim_from(seen, State::Leased) {
                        return Some(word);
                    }
                }
                State::Leased if !seen.is_marked() => {
                    let marked = seen.with(Mark::Yes).0;
                    if self
                        .word
                        .compare_exchange(seen.0, marked, Ordering::Relaxed, Ordering::Relaxed)
                        .is_ok()
                    {
                        return None;
                    }
                }
                _ => return None,
            }
            seen = self.word(Ordering::Relaxed);
        }
    }

    /// Under the ledger's lock, slot idle and marked: moves it to `word`, which only a thread that looks at shelved slots could
    /// forestall, and each of those holds the lock.
    fn leave_shelf(&self, word: impl FnOnce(StateWord) -> StateWord, order: Ordering) -> StateWord {
        let seen = self.word(Ordering::Relaxed);
        debug_assert!(seen.state() == State::Idle && seen.is_marked());
        let word = word(seen);
        self.word.store(word.0, order);
        word
    }

    /// Under the ledger's lock, slot shelved or laid aside: leases it.
    pub(super) fn take_marked(&self) -> StateWord {
        self.leave_shelf(
            |seen| seen.next(State::Leased).with(Mark::Yes),
            Ordering::Relaxed,
        )
    }

    /// Under the ledger's lock, slot shelved: makes it free.
    pub(super) fn unshelve(&self) {
        // Release: a claim takes no lock, and sees by this what the last holder did.
        self.leave_shelf(|seen| seen.to(State::Idle), Ordering::Release);
    }

    /// Under the ledger's lock, slot vacant: makes it a dial's.
    pub(super) fn occupy(&self, core: &Arc<Core<O>>) -> StateWord {
        let word = self.word(Ordering::Relaxed);
        debug_assert_eq!(word.state(), State::Vacant);
        // SAFETY: a vacant slot has no token, and vacant slots change only under the ledger's lock, which
        // the caller holds; this makes the caller the only one here.
        self.keep_alive
            .with_mut(|keep_alive| unsafe { *keep_alive = Some(Arc::clone(core)) });
        let mut word = word.next(State::Opening);
        if core.endpoints.is_some() {
            word = word.counted();
        }
        self.word.store(word.0, Ordering::Release);
        word
    }
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;
    use crate::kernel::tests::Least;

    /// What a lease touches lies in the first line, and two slots never share one.
    #[test]
    fn a_slot_fills_its_lines_alone() {
        assert_eq!(size_of::<Slot<Least>>(), 128);
        assert_eq!(align_of::<Slot<Least>>(), 128);
        assert!(std::mem::offset_of!(Slot<Least>, meta) <= 24);
    }
}
