//! The way of a lease that takes no lock: an idle slot is claimed by one compare-and-swap and given back by another.
//! All other ways lead through the ledger, and begin where one of these two is refused.
//!
//! Which slot a thread tries first is the one it gave back last, its *hint*: then the slot's lines are in its
//! processor's cache, and with one slot a thread no two of them meet.

use std::cell::Cell;
use std::mem::{self, ManuallyDrop};
use std::ptr;

use super::slot::Slot;
use super::state_word::{State, StateWord};
use super::token::SlotToken;
use super::{Core, GATE_SET, GATE_SHELF, Owner};
use crate::sync::Ordering;

pub(super) const GATE_SHELF_OF_SET: u64 = GATE_SHELF | GATE_SET;

impl<O: Owner> Core<O> {
    /// An idle connection, if there is one and nobody waits for it. No lock, one compare-and-swap, unless
    /// the shelf is up.
    #[inline(always)]
    pub(crate) fn claim(&self) -> Option<SlotToken<O>> {
        // Acquire: a caller that sees the shelf cleared sees the slots that were freed.
        let gate = self.gate.load(Ordering::Acquire);
        if gate != 0 {
            return self.claim_gated(gate);
        }
        if let Some((slot, seen)) = hint::<O>(self.key) {
            // SAFETY: a hint with this pool's key is one of its slots, and the pool is alive: `self`.
            let slot = unsafe { &*slot };
            // Without a look first: a load of a word just swapped costs as much as the swap.
            let claimed =
                SlotToken::claim_from(slot, seen, State::Leased).or_else(|| SlotToken::claim(slot));
            if claimed.is_some() {
                return claimed;
            }
        }
        self.claim_any()
    }

    /// Out of line, with its arms: among the instructions of [`claim`](Self::claim) they cost a twentieth of a get.
    #[cold]
    #[inline(never)]
    fn claim_gated(&self, gate: u64) -> Option<SlotToken<O>> {
        match gate {
            GATE_SET => self.claim_of_set(),
            GATE_SHELF | GATE_SHELF_OF_SET => self.claim_shelved(),
            _ => None,
        }
    }

    #[cold]
    #[inline(never)]
    pub(super) fn claim_any(&self) -> Option<SlotToken<O>> {
        (0..self.bound()).find_map(|index| SlotToken::claim(self.table.get(index)?))
    }
}

impl<O: Owner> Slot<O> {
    /// Moves an idle slot to `state`, if its word is still `seen`.
    #[inline(always)]
    pub(super) fn claim_from(&self, seen: StateWord, state: State) -> Option<StateWord> {
        debug_assert_eq!(seen.state(), State::Idle);
        let word = seen.next(state);
        // Acquire pairs with the Release of the holder that made the slot idle.
        self.word
            .compare_exchange(seen.0, word.0, Ordering::Acquire, Ordering::Relaxed)
            .ok()
            .map(|_| word)
    }

    /// Claims the slot for a user, if it is free.
    #[inline(always)]
    pub(super) fn claim(&self) -> Option<StateWord> {
        let seen = self.word(Ordering::Relaxed);
        if seen.is_free() {
            self.claim_from(seen, State::Leased)
        } else {
            None
        }
    }
}

impl<O: Owner> SlotToken<O> {
    /// Claims `slot` for a user, if it is free.
    #[inline(always)]
    pub(super) fn claim(slot: &Slot<O>) -> Option<Self> {
        slot.claim().map(|word| Self::new(slot, word))
    }

    /// Moves `slot` to `state`, if it is idle and its word is still `seen`.
    #[inline(always)]
    pub(super) fn claim_from(slot: &Slot<O>, seen: StateWord, state: State) -> Option<Self> {
        let word = slot.claim_from(seen, state);
        word.map(|word| Self::new(slot, word))
    }

    /// Gives the connection back for anyone to claim: one compare-and-swap. Refused if the ledger wants
    /// to see the slot first; then the caller still holds it and goes through [`release`](Self::release).
    #[inline(always)]
    pub(crate) fn release(self) -> Result<(), Self> {
        if !self.word.is_plain_lease() {
            return self.release_counted();
        }
        let slot = self.slot();
        let (key, this) = (self.core().key, ptr::from_ref(slot));
        let idle = self.word.to(State::Idle);
        // Release pairs with the Acquire of the next claim. Fails if the word has changed since the lease
        // began: by a mark, or by `set_state`.
        let released =
            slot.word
                .compare_exchange(self.word.0, idle.0, Ordering::Release, Ordering::Relaxed);
        if released.is_err() {
            return Err(self);
        }
        mem::forget(self);
        set_hint(key, this, idle);
        Ok(())
    }
}

impl<O: Owner> SlotToken<O> {
    /// As [`release`](Self::release), of a lease that is counted at its endpoint; any other is refused.
    #[inline(never)]
    fn release_counted(self) -> Result<(), Self> {
        if self.word.state() != State::Leased || self.word.is_marked() {
            return Err(self);
        }
        let slot = self.slot();
        // Before the swap: after it the slot is another's, and the pool may be gone.
        slot.count(self.core(), State::Leased, State::Idle);
        let released = slot.word.compare_exchange(
            self.word.0,
            self.word.to(State::Idle).0,
            // As in `release`.
            Ordering::Release,
            Ordering::Relaxed,
        );
        if released.is_err() {
            slot.count_again(self.core());
            return Err(self);
        }
        mem::forget(self);
        Ok(())
    }
}

/// A [`SlotToken`] whose drop is a return: [`Owner::returned`].
pub(crate) struct LeaseToken<'a, O: Owner> {
    token: ManuallyDrop<SlotToken<O>>,
    /// The pool, where the loan is tied to a handle of it.
    core: Option<&'a Core<O>>,
}

impl<'a, O: Owner> LeaseToken<'a, O> {
    #[inline(always)]
    pub(crate) fn new(token: SlotToken<O>, core: Option<&'a Core<O>>) -> Self {
        Self {
            token: ManuallyDrop::new(token),
            core,
        }
    }

    #[inline(always)]
    pub(crate) fn token(&self) -> &SlotToken<O> {
        &self.token
    }

    #[inline(always)]
    pub(crate) fn token_mut(&mut self) -> &mut SlotToken<O> {
        &mut self.token
    }

    /// Ends the loan without a return.
    pub(crate) fn into_token(self) -> SlotToken<O> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is never dropped, and `self` is consumed.
        unsafe { ManuallyDrop::take(&mut this.token) }
    }
}

impl<O: Owner> Drop for LeaseToken<'_, O> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken once: `drop` runs once, and not after `into_token`.
        O::returned(unsafe { ManuallyDrop::take(&mut self.token) }, self.core);
    }
}

/// A thread remembers this many pools, by key modulo.
const POOLS: usize = 4;

/// What a thread remembers of a pool. A hint is only that: a stale one costs one failed look.
struct Hint {
    key: Cell<u64>,
    slot: Cell<*const ()>,
    word: Cell<u64>,
}

thread_local! {
    static HINTS: [Hint; POOLS] = const {
        [const { Hint { key: Cell::new(u64::MAX), slot: Cell::new(ptr::null()), word: Cell::new(0) } }; POOLS]
    };
}

/// The slot this thread gave back last to the pool `key`, and its word then, if the thread remembers.
///
/// Keys are never used twice, so the holder of the pool with this key may follow the pointer: slots never move
/// and live as long as their pool.
#[inline(always)]
fn hint<O: Owner>(key: u64) -> Option<(*const Slot<O>, StateWord)> {
    if cfg!(cenote_loom) {
        return None;
    }
    HINTS.with(|hints| {
        let hint = &hints[key as usize % POOLS];
        (hint.key.get() == key).then(|| (hint.slot.get().cast(), StateWord(hint.word.get())))
    })
}

/// Remembers that this thread gave back `slot` of the pool `key`, leaving it at `word`.
#[inline(always)]
pub(super) fn set_hint<O: Owner>(key: u64, slot: *const Slot<O>, word: StateWord) {
    // `try_with`: a lease may be dropped while the thread's locals are being destroyed.
    let _ = HINTS.try_with(|hints| {
        let hint = &hints[key as usize % POOLS];
        hint.key.set(key);
        hint.slot.set(slot.cast());
        hint.word.set(word.0);
    });
}

#[cfg(all(test, not(cenote_loom)))]
mod tests {
    use super::*;
    use crate::kernel::tests::Least;

    /// Nobody follows it.
    fn slot(address: u64) -> *const Slot<Least> {
        ptr::without_provenance(address as usize)
    }

    #[test]
    fn a_thread_remembers_of_each_of_four_pools_where_it_was_last() {
        let pools = 40..44;
        for key in pools.clone() {
            set_hint(key, slot(1), StateWord(1));
            set_hint(key, slot(key), StateWord(key));
        }
        for key in pools {
            assert_eq!(hint(key), Some((slot(key), StateWord(key))));
        }
    }

    /// The pointer of another pool must never be followed: that pool may be gone.
    #[test]
    fn what_is_remembered_of_one_pool_is_no_hint_for_another() {
        set_hint(40, slot(40), StateWord(40));
        assert_eq!(hint::<Least>(44), None);
        set_hint(44, slot(44), StateWord(44));
        assert_eq!(hint::<Least>(40), None);
    }
}
