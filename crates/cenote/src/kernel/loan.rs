//! A held slot in a user's hands: dropped, it goes back to its owner's care, not out of the pool.

use std::mem::ManuallyDrop;

use super::slot::Held;
use super::{Core, Owner};

/// A [`Held`] whose drop is a return: [`Owner::returned`].
pub(crate) struct Loan<'a, O: Owner> {
    held: ManuallyDrop<Held<O>>,
    /// The pool, where the loan is tied to a handle of it.
    core: Option<&'a Core<O>>,
}

impl<'a, O: Owner> Loan<'a, O> {
    #[inline(always)]
    pub(crate) fn new(held: Held<O>, core: Option<&'a Core<O>>) -> Self {
        Self {
            held: ManuallyDrop::new(held),
            core,
        }
    }

    #[inline(always)]
    pub(crate) fn held(&self) -> &Held<O> {
        &self.held
    }

    #[inline(always)]
    pub(crate) fn held_mut(&mut self) -> &mut Held<O> {
        &mut self.held
    }

    /// Ends the loan without a return.
    pub(crate) fn into_held(self) -> Held<O> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is never dropped, and `self` is consumed.
        unsafe { ManuallyDrop::take(&mut this.held) }
    }
}

impl<O: Owner> Drop for Loan<'_, O> {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: taken once: `drop` runs once, and not after `into_held`.
        O::returned(unsafe { ManuallyDrop::take(&mut self.held) }, self.core);
    }
}
