//! The two tokens that own a slot: [`Opening`] for a dial, [`SlotToken`] for the holder of the connection. Owning a
//! token is what permits access to the slot's cells; tokens are never copied.
//!
//! ## Why a token needs no lifetime
//! `keep_alive` keeps the [`Core`] alive from the moment the slot is occupied until it is vacated. Moving the word to
//! `Idle` is the last thing a token does with the slot's memory: another thread may claim, vacate and free it at once.

use std::mem;
use std::ptr::NonNull;

use super::slot::{Slot, Wanted};
use super::state_word::{Mark, State, StateWord};
use super::{Core, Owner};
use crate::sync::{Arc, Ordering};

/// Since when a connection that becomes idle counts as idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdleSince {
    /// Since now, after a lease: in the order of idle connections it is the newest.
    Now,
    /// Since before: upkeep had it for a moment, and its rank in that order stays.
    Before,
}

/// The right to a slot's connection: a lease, or the pool itself at work on it.
///
/// Given back with [`release`](Self::release) or, through the ledger, [`Core::release`]; dropped, it takes the
/// connection with it and leaves the slot vacant: a connection is guilty until its holder says otherwise.
pub(crate) struct SlotToken<O: Owner> {
    slot: NonNull<Slot<O>>,
    /// The slot's word when this token was made. It may have changed since; it is kept because looking at
    /// a word just swapped costs as much as swapping it.
    pub(super) word: StateWord,
}

// SAFETY: a token is the exclusive right to `O::Entry`, which is `Send`; the rest of a slot is `Sync`.
unsafe impl<O: Owner> Send for SlotToken<O> {}
// SAFETY: `&SlotToken` gives `&O::Entry` at most, which its user may share only if it is `Sync`.
unsafe impl<O: Owner> Sync for SlotToken<O> where O::Entry: Sync {}

impl<O: Owner> SlotToken<O> {
    /// Under the ledger's lock: as [`Slot::take_marked`].
    pub(super) fn take_marked(core: &Core<O>, slot: &Slot<O>) -> Self {
        let token = Self::new(slot, slot.take_marked());
        slot.count(core, State::Idle, State::Leased);
        token
    }

    /// Under the ledger's lock: as [`Slot::claim_or_mark`], of any idle slot.
    pub(super) fn claim_or_mark(core: &Core<O>, slot: &Slot<O>) -> Option<Self> {
        Self::claim_wanted_or_mark(core, slot, Wanted::AnyIdle)
    }

    /// As [`claim_or_mark`](Self::claim_or_mark), unless the slot is on the shelf or laid aside.
    pub(super) fn claim_free_or_mark(core: &Core<O>, slot: &Slot<O>) -> Option<Self> {
        Self::claim_wanted_or_mark(core, slot, Wanted::Free)
    }

    fn claim_wanted_or_mark(core: &Core<O>, slot: &Slot<O>, wanted: Wanted) -> Option<Self> {
        let token = Self::new(slot, slot.claim_or_mark(wanted)?);
        slot.count(core, State::Idle, State::Leased);
        Some(token)
    }

    /// The token of `slot`, whose word the caller has just moved to `word`.
    #[inline(always)]
    pub(super) fn new(slot: &Slot<O>, word: StateWord) -> Self {
        Self {
            slot: NonNull::from(slot),
            word,
        }
    }

    #[inline(always)]
    pub(super) fn slot(&self) -> &Slot<O> {
        // SAFETY: the slot is occupied while a token exists, so its `keep_alive` keeps the table alive (module
        // docs), and slots never move.
        unsafe { self.slot.as_ref() }
    }

    /// The pool this slot belongs to.
    #[inline(always)]
    pub(crate) fn core(&self) -> &Arc<Core<O>> {
        // SAFETY: this token owns the cell; it is written only when the slot is occupied and vacated, and
        // vacating consumes the token.
        self.slot()
            .keep_alive
            .with(|keep_alive| unsafe { (*keep_alive).as_ref() })
            .expect("an occupied slot has its keep_alive")
    }

    #[inline(always)]
    pub(crate) fn meta(&self) -> &O::SlotMeta {
        &self.slot().meta
    }

    /// The entry.
    ///
    /// # Panics
    /// After [`take`](Self::take): callers take it only on the way to vacating the slot.
    #[inline(always)]
    pub(crate) fn entry(&self) -> &O::Entry {
        // SAFETY: this token owns the cell, and `&self` forbids `entry_mut` and `take` meanwhile.
        self.slot()
            .entry
            .with(|entry| unsafe { (*entry).as_ref() })
            .expect("a token slot has its entry")
    }

    /// As [`entry`](Self::entry), to change it.
    #[inline(always)]
    pub(crate) fn entry_mut(&mut self) -> &mut O::Entry {
        // SAFETY: this token owns the cell, and `&mut self` forbids any other access meanwhile.
        self.slot()
            .entry
            .with_mut(|entry| unsafe { (*entry).as_mut() })
            .expect("a token slot has its entry")
    }

    /// The pool, the notes and the entry at once; panics as [`entry`](Self::entry).
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&Core<O>, &O::SlotMeta, &mut O::Entry) {
        let slot = self.slot();
        // SAFETY: as in `core` and `entry_mut`; the two cells are apart, and `&mut self` guards both.
        let keep_alive = slot
            .keep_alive
            .with(|keep_alive| unsafe { (*keep_alive).as_ref() });
        // SAFETY: as above.
        let entry = slot.entry.with_mut(|entry| unsafe { (*entry).as_mut() });
        let (core, entry) = keep_alive
            .zip(entry)
            .expect("a token slot has its keep_alive and its entry");
        (core, self.meta(), entry)
    }

    /// Takes the entry out; the slot stays held (and counted) until the token is dropped.
    pub(crate) fn take(&mut self) -> Option<O::Entry> {
        // SAFETY: as in `entry_mut`.
        self.slot()
            .entry
            .with_mut(|entry| unsafe { (*entry).take() })
    }

    pub(super) fn state(&self) -> State {
        self.slot().word(Ordering::Relaxed).state()
    }

    /// The pool itself takes over from the user: the slot no longer counts as leased.
    pub(crate) fn reserve(&self) {
        self.set_state(State::Reserved);
    }

    /// Stays held, in another state. A mark may be lost here: from these states a slot comes back
    /// through the ledger anyway.
    pub(super) fn set_state(&self, state: State) {
        debug_assert!(!matches!(state, State::Idle | State::Leased));
        let slot = self.slot();
        let was = slot.word(Ordering::Relaxed);
        slot.word.store(was.to(state).0, Ordering::Relaxed);
        slot.count(self.core(), was.state(), state);
    }

    pub(super) fn rank(&self) -> u32 {
        self.slot().rank.load(Ordering::Relaxed)
    }

    pub(super) fn set_rank(&self, rank: u32) {
        self.slot().rank.store(rank, Ordering::Relaxed);
    }

    pub(crate) fn index(&self) -> u32 {
        self.slot().index
    }

    /// Under the ledger's lock: begins the next lease of a slot that passes from hand to hand.
    pub(super) fn pass(&mut self, mark: Mark) {
        let slot = self.slot();
        let was = slot.word(Ordering::Relaxed);
        let next = was.next(State::Leased).with(mark);
        slot.word.store(next.0, Ordering::Relaxed);
        slot.count(self.core(), was.state(), State::Leased);
        self.word = next;
    }
}

/// A token on its way to a waiter, without its word: that is looked at where the token arrives. Lost on the way, the
/// slot stays leased for ever; a waiter takes what it was granted whatever becomes of it.
pub(crate) struct GrantedToken<O: Owner> {
    slot: NonNull<Slot<O>>,
}

// SAFETY: as of a `SlotToken`.
unsafe impl<O: Owner> Send for GrantedToken<O> {}

impl<O: Owner> From<SlotToken<O>> for GrantedToken<O> {
    fn from(token: SlotToken<O>) -> Self {
        let slot = token.slot;
        mem::forget(token);
        Self { slot }
    }
}

impl<O: Owner> From<GrantedToken<O>> for SlotToken<O> {
    fn from(GrantedToken { slot }: GrantedToken<O>) -> Self {
        // SAFETY: the token that was granted kept the slot alive, and this one does again.
        let word = unsafe { slot.as_ref() }.word(Ordering::Relaxed);
        Self { slot, word }
    }
}

impl<O: Owner> Drop for SlotToken<O> {
    fn drop(&mut self) {
        // Ended before its slot is vacant: a connection counts for as long as it exists.
        // SAFETY: as in `entry`.
        let is_filled = self
            .slot()
            .entry
            .with(|entry| unsafe { (*entry).is_some() });
        if is_filled {
            O::abort(self);
        }
        let slot = self.slot();
        // SAFETY: this token owns the cell and is at its end.
        let core = slot
            .keep_alive
            .with_mut(|keep_alive| unsafe { (*keep_alive).take() });
        let core = core.expect("an occupied slot has its keep_alive");
        O::vacating(&core);
        let was = slot.word(Ordering::Relaxed);
        slot.count(&core, was.state(), State::Vacant);
        core.vacate(slot, was.state(), || {
            slot.word
                .store(was.next(State::Vacant).0, Ordering::Release);
        });
        O::vacated(&core);
    }
}

/// The right to fill a slot: a dial in flight. Dropped, it leaves the slot vacant.
pub(crate) struct Opening<O: Owner> {
    token: mem::ManuallyDrop<SlotToken<O>>,
}

impl<O: Owner> Opening<O> {
    /// Under the ledger's lock, `slot` vacant: makes it a dial's.
    pub(super) fn occupy(slot: &Slot<O>, core: &Arc<Core<O>>) -> Self {
        let word = slot.occupy(core);
        Self {
            token: mem::ManuallyDrop::new(SlotToken::new(slot, word)),
        }
    }

    /// The connection is there: the slot is the pool's to hand out or close.
    pub(crate) fn fill(self, entry: O::Entry) -> SlotToken<O> {
        let mut this = mem::ManuallyDrop::new(self);
        // SAFETY: `this` is forgotten, so the inner token is taken exactly once.
        let token = unsafe { mem::ManuallyDrop::take(&mut this.token) };
        // SAFETY: the token owns the cell.
        token
            .slot()
            .entry
            .with_mut(|cell| unsafe { *cell = Some(entry) });
        token.core().opened(&token);
        token
    }

    /// Which slot it is.
    pub(crate) fn index(&self) -> usize {
        self.token.index() as usize
    }

    pub(crate) fn core(&self) -> &Arc<Core<O>> {
        self.token.core()
    }
}

impl<O: Owner> Drop for Opening<O> {
    fn drop(&mut self) {
        // SAFETY: dropped once, and `fill` forgets `self`. The token's own drop vacates the slot.
        unsafe { mem::ManuallyDrop::drop(&mut self.token) }
    }
}
