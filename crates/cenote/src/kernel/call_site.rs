//! Where a lease was taken: a `&'static Location` that one thread writes and another may read.

use std::panic::Location;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An atomic, optional `&'static Location<'static>`. Relaxed: it is a remark, it guards nothing.
pub(crate) struct CallSite(AtomicPtr<Location<'static>>);

impl Default for CallSite {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl CallSite {
    #[inline(always)]
    pub(crate) fn set(&self, location: &'static Location<'static>) {
        self.0
            .store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<&'static Location<'static>> {
        let location = self.0.load(Ordering::Relaxed);
        // SAFETY: `set` stores nothing but `&'static` references, and nobody writes through the pointer.
        unsafe { location.as_ref() }
    }
}
