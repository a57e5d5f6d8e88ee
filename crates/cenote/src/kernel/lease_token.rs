//! A held slot in a user's hands: dropped, it goes back to its owner's care, not out of the pool.

use std::mem::ManuallyDrop;

use super::token::SlotToken;
use super::{Core, Owner};

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
