//! A slot, and the two tokens that own one: [`Opening`] for a dial, [`Held`] for whoever has the
//! connection. Owning a token is what permits access to the slot's cells; tokens are never copied.
//!
//! ## Who may touch what
//! `word` is the lock of the slot. Whoever moved it from `Idle` (or `Vacant`, under the ledger's lock)
//! to a held state owns `anchor` and `entry` until it moves the word back. The move in is `Acquire`, the
//! move out `Release`, so an owner sees all that the previous owner did. The ledger's lock holder may add
//! a notice to a `Leased` word at any time; it changes nothing else of a held slot.
//!
//! ## Why a token needs no lifetime
//! `anchor` keeps the [`Core`] alive from the moment the slot is occupied until it is vacated. Moving the
//! word to `Idle` is the last thing a token does with the slot's memory: another thread may claim, vacate
//! and free it at once.

use std::mem;
use std::ptr::{self, NonNull};

use super::ledger::Idling;
use super::word::{State, Word};
use super::{Core, Owner, hint};
use crate::sync::{Arc, AtomicU32, AtomicU64, Ordering, UnsafeCell};

/// Two lines: processors fetch lines in pairs, and two threads on neighbouring slots must not meet. In
/// declared order, so that what every lease touches shares the first.
#[repr(C, align(128))]
pub(crate) struct Slot<O: Owner> {
    word: AtomicU64,
    anchor: UnsafeCell<Option<Arc<Core<O>>>>,
    notes: O::Notes,
    index: u32,
    /// Its place in the order of idle slots; read and written under the ledger's lock.
    rank: AtomicU32,
    entry: UnsafeCell<Option<O::Entry>>,
}

// SAFETY: the cells are reached only through a token, and there is one token a slot (module docs);
// entries move between threads with the token, hence `Send`; notes are shared, hence `Sync`.
unsafe impl<O: Owner> Sync for Slot<O> {}
// SAFETY: as above; nothing in a slot is tied to a thread.
unsafe impl<O: Owner> Send for Slot<O> {}

impl<O: Owner> Slot<O> {
    pub(super) fn new(index: u32) -> Self {
        Self {
            word: AtomicU64::new(0),
            index,
            rank: AtomicU32::new(0),
            notes: O::Notes::default(),
            anchor: UnsafeCell::new(None),
            entry: UnsafeCell::new(None),
        }
    }

    #[inline(always)]
    pub(super) fn word(&self, order: Ordering) -> Word {
        Word(self.word.load(order))
    }

    #[inline(always)]
    pub(super) fn notes(&self) -> &O::Notes {
        &self.notes
    }

    /// Moves an idle slot to `state`, if its word is still `seen`.
    #[inline(always)]
    pub(super) fn claim_from(&self, seen: Word, state: State) -> Option<Held<O>> {
        debug_assert_eq!(seen.state(), State::Idle);
        let word = seen.next(state);
        // Acquire pairs with the Release of the holder that made the slot idle.
        self.word
            .compare_exchange(seen.0, word.0, Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| Held {
                slot: NonNull::from(self),
                word,
            })
    }

    /// Claims the slot for a user, if it is idle.
    #[inline(always)]
    pub(super) fn claim(&self) -> Option<Held<O>> {
        let seen = self.word(Ordering::Relaxed);
        if seen.state() == State::Idle {
            self.claim_from(seen, State::Leased)
        } else {
            None
        }
    }

    /// Under the ledger's lock: claims the slot if it is idle, and if a user holds it makes sure that it
    /// comes back through the ledger. The word itself decides between the two: either the holder's move to
    /// `Idle` came first and is seen here, or the notice came first and that move fails. No wake-up can
    /// fall between.
    pub(super) fn claim_or_notice(&self) -> Option<Held<O>> {
        let mut seen = self.word(Ordering::Relaxed);
        loop {
            match seen.state() {
                State::Idle => {
                    if let Some(held) = self.claim_from(seen, State::Leased) {
                        return Some(held);
                    }
                }
                State::Leased if !seen.noticed() => {
                    let told = seen.with_notice().0;
                    if self
                        .word
                        .compare_exchange(seen.0, told, Ordering::Relaxed, Ordering::Relaxed)
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

    /// Under the ledger's lock, slot vacant: makes it a dial's.
    pub(super) fn occupy(&self, core: &Arc<Core<O>>) -> Opening<O> {
        let word = self.word(Ordering::Relaxed);
        debug_assert_eq!(word.state(), State::Vacant);
        // SAFETY: a vacant slot has no token, and vacant slots change only under the ledger's lock, which
        // the caller holds; this makes the caller the only one here.
        self.anchor
            .with_mut(|anchor| unsafe { *anchor = Some(Arc::clone(core)) });
        let word = word.next(State::Opening);
        self.word.store(word.0, Ordering::Release);
        Opening {
            held: mem::ManuallyDrop::new(Held {
                slot: NonNull::from(self),
                word,
            }),
        }
    }
}

/// The right to a slot's connection: a lease, or the pool itself at work on it.
///
/// Given back with [`Held::release`] or [`Held::settle`]; dropped, it takes the connection with it and
/// leaves the slot vacant: a connection is guilty until its holder says otherwise.
pub(crate) struct Held<O: Owner> {
    slot: NonNull<Slot<O>>,
    /// The slot's word when this token was made. It may have changed since; it is kept because looking at
    /// a word just swapped costs as much as swapping it.
    word: Word,
}

// SAFETY: a token is the exclusive right to `O::Entry`, which is `Send`; the rest of a slot is `Sync`.
unsafe impl<O: Owner> Send for Held<O> {}
// SAFETY: `&Held` gives `&O::Entry` at most, which its user may share only if it is `Sync`.
unsafe impl<O: Owner> Sync for Held<O> where O::Entry: Sync {}

impl<O: Owner> Held<O> {
    #[inline(always)]
    fn slot(&self) -> &Slot<O> {
        // SAFETY: the slot is occupied while a token exists, so its anchor keeps the table alive (module
        // docs), and slots never move.
        unsafe { self.slot.as_ref() }
    }

    /// The pool this slot belongs to.
    #[inline(always)]
    pub(crate) fn core(&self) -> &Arc<Core<O>> {
        // SAFETY: this token owns the cell; it is written only when the slot is occupied and vacated, and
        // vacating consumes the token.
        self.slot()
            .anchor
            .with(|anchor| unsafe { (*anchor).as_ref() })
            .expect("an occupied slot has its anchor")
    }

    #[inline(always)]
    pub(crate) fn notes(&self) -> &O::Notes {
        &self.slot().notes
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
            .expect("a held slot has its entry")
    }

    /// As [`entry`](Self::entry), to change it.
    #[inline(always)]
    pub(crate) fn entry_mut(&mut self) -> &mut O::Entry {
        // SAFETY: this token owns the cell, and `&mut self` forbids any other access meanwhile.
        self.slot()
            .entry
            .with_mut(|entry| unsafe { (*entry).as_mut() })
            .expect("a held slot has its entry")
    }

    /// The pool, the notes and the entry at once; panics as [`entry`](Self::entry).
    #[inline(always)]
    pub(crate) fn parts(&mut self) -> (&Core<O>, &O::Notes, &mut O::Entry) {
        let slot = self.slot();
        // SAFETY: as in `core` and `entry_mut`; the two cells are apart, and `&mut self` guards both.
        let anchor = slot.anchor.with(|anchor| unsafe { (*anchor).as_ref() });
        // SAFETY: as above.
        let entry = slot.entry.with_mut(|entry| unsafe { (*entry).as_mut() });
        let (core, entry) = anchor
            .zip(entry)
            .expect("a held slot has its anchor and its entry");
        (core, self.notes(), entry)
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
        self.mark(State::Reserved);
    }

    /// Stays held, in another state. A notice may be lost here: from these states a slot comes back
    /// through the ledger anyway.
    pub(super) fn mark(&self, state: State) {
        debug_assert!(!matches!(state, State::Idle | State::Leased));
        let slot = self.slot();
        slot.word
            .store(slot.word(Ordering::Relaxed).to(state).0, Ordering::Relaxed);
    }

    /// Gives the connection back for anyone to claim: one compare-and-swap. Refused if the ledger wants
    /// to see the slot first; then the caller still holds it and goes through [`settle`](Self::settle).
    #[inline(always)]
    pub(crate) fn release(self) -> Result<(), Self> {
        if self.word.state() != State::Leased || self.word.noticed() {
            return Err(self);
        }
        let slot = self.slot();
        let (key, this) = (self.core().key, ptr::from_ref(slot));
        let idle = self.word.to(State::Idle);
        // Release pairs with the Acquire of the next claim. Fails if the word has changed since the lease
        // began: by a notice, or by `mark`.
        let released =
            slot.word
                .compare_exchange(self.word.0, idle.0, Ordering::Release, Ordering::Relaxed);
        if released.is_err() {
            return Err(self);
        }
        mem::forget(self);
        hint::set(key, this, idle);
        Ok(())
    }

    pub(super) fn rank(&self) -> u32 {
        self.slot().rank.load(Ordering::Relaxed)
    }

    pub(super) fn set_rank(&self, rank: u32) {
        self.slot().rank.store(rank, Ordering::Relaxed);
    }

    pub(super) fn index(&self) -> u32 {
        self.slot().index
    }

    /// Under the ledger's lock: makes the slot idle. The caller has its own handle of the core.
    pub(super) fn make_idle(self, idling: Idling) {
        let slot = self.slot();
        let idle = slot.word(Ordering::Relaxed).to(State::Idle);
        if idling == Idling::Begins {
            hint::set(self.core().key, slot, idle);
        }
        slot.word.store(idle.0, Ordering::Release);
        mem::forget(self);
    }

    /// Under the ledger's lock: begins the next lease of a slot that passes from hand to hand.
    pub(super) fn pass(&mut self, notice: Notice) {
        let slot = self.slot();
        let next = slot.word(Ordering::Relaxed).next(State::Leased);
        let next = match notice {
            Notice::Wanted => next.with_notice(),
            Notice::None => next,
        };
        slot.word.store(next.0, Ordering::Relaxed);
        self.word = next;
    }

    /// As a pointer for a waiter's cell; [`Held::from_raw`] takes it back.
    pub(super) fn into_raw(self) -> NonNull<Slot<O>> {
        let slot = self.slot;
        mem::forget(self);
        slot
    }

    /// # Safety
    /// `slot` comes from [`Held::into_raw`], once.
    pub(super) unsafe fn from_raw(slot: NonNull<Slot<O>>) -> Self {
        // SAFETY: the token that was made raw kept the slot alive, and this one does again.
        let word = unsafe { slot.as_ref() }.word(Ordering::Relaxed);
        Self { slot, word }
    }
}

impl<O: Owner> Drop for Held<O> {
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
        let core = slot.anchor.with_mut(|anchor| unsafe { (*anchor).take() });
        let core = core.expect("an occupied slot has its anchor");
        let was = slot.word(Ordering::Relaxed);
        core.vacate(slot.index, was.state(), || {
            slot.word
                .store(was.next(State::Vacant).0, Ordering::Release);
        });
        O::vacated(&core);
    }
}

/// Whether a lease begins with its holder told to report.
#[derive(Clone, Copy)]
pub(super) enum Notice {
    None,
    Wanted,
}

/// The right to fill a slot: a dial in flight. Dropped, it leaves the slot vacant.
pub(crate) struct Opening<O: Owner> {
    held: mem::ManuallyDrop<Held<O>>,
}

impl<O: Owner> Opening<O> {
    /// The connection is there: the slot is the pool's to hand out or close.
    pub(crate) fn fill(self, entry: O::Entry) -> Held<O> {
        let mut this = mem::ManuallyDrop::new(self);
        // SAFETY: `this` is forgotten, so the inner token is taken exactly once.
        let held = unsafe { mem::ManuallyDrop::take(&mut this.held) };
        // SAFETY: the token owns the cell.
        held.slot()
            .entry
            .with_mut(|cell| unsafe { *cell = Some(entry) });
        held.core().opened(|| held.reserve());
        held
    }

    pub(crate) fn core(&self) -> &Arc<Core<O>> {
        self.held.core()
    }
}

impl<O: Owner> Drop for Opening<O> {
    fn drop(&mut self) {
        // SAFETY: dropped once, and `fill` forgets `self`. The token's own drop vacates the slot.
        unsafe { mem::ManuallyDrop::drop(&mut self.held) }
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
        assert!(std::mem::offset_of!(Slot<Least>, notes) <= 24);
    }
}
