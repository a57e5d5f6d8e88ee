//! A place for one counted reference, which threads take out and put back with a swap each: for what would else be counted
//! up and down in a line that all of them write.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use super::Arc;
use crate::sync::{
    AtomicPtr,
    Ordering::{Acquire, SeqCst},
};

/// One reference, or none. The thread that takes it out has it alone.
///
/// The pointer is null, or from [`Arc::into_raw`] and not given back since. Putting one in releases what was done through it,
/// and taking it out acquires that. A [`replace`](Self::replace) and a [`take_same`](Self::take_same) that misses it are in
/// one order with all else that is sequentially consistent.
pub(crate) struct ArcCell<T> {
    pointer: AtomicPtr<T>,
    /// It is shared and sent as what is in it.
    _holds: PhantomData<Arc<T>>,
}

impl<T> ArcCell<T> {
    pub(crate) fn new() -> Self {
        Self {
            pointer: AtomicPtr::new(ptr::null_mut()),
            _holds: PhantomData,
        }
    }

    #[inline(always)]
    pub(crate) fn take(&self) -> Option<Arc<T>> {
        Self::owned(self.pointer.swap(ptr::null_mut(), Acquire))
    }

    /// Puts it in, and takes out what was there.
    #[inline(always)]
    pub(crate) fn replace(&self, with: Arc<T>) -> Option<Arc<T>> {
        let pointer = Arc::into_raw(with).cast_mut();
        Self::owned(self.pointer.swap(pointer, SeqCst))
    }

    /// Takes it out, if it is a reference to the same as this one.
    pub(crate) fn take_same(&self, same: &Arc<T>) -> Option<Arc<T>> {
        let pointer = Arc::as_ptr(same).cast_mut();
        let taken = self
            .pointer
            .compare_exchange(pointer, ptr::null_mut(), SeqCst, SeqCst);
        Self::owned(taken.ok()?)
    }

    /// The reference that was swapped out.
    #[inline(always)]
    fn owned(pointer: *mut T) -> Option<Arc<T>> {
        if pointer.is_null() {
            return None;
        }
        // SAFETY: it comes from `Arc::into_raw`, as all that is put in does, and each swap that puts null or another in its
        // place is seen by one thread, which alone makes the reference again.
        Some(unsafe { Arc::from_raw(pointer) })
    }
}

impl<T> Drop for ArcCell<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl<T> fmt::Debug for ArcCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArcCell")
    }
}
