//! The synchronisation primitives of the kernel: the standard library's, or loom's when models run
//! (`--cfg cenote_loom`). Nothing above the kernel names these.

#[cfg(not(cenote_loom))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
    pub(crate) use std::sync::{Mutex, MutexGuard};

    /// `std`'s cell with loom's closure interface, so that both builds share one text.
    #[derive(Default)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        #[inline(always)]
        pub(crate) fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        #[inline(always)]
        pub(crate) fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }

    /// Between two looks at what another thread is about to write.
    pub(crate) fn pause(rounds: u32) {
        // It was suspended in the middle: let it run, though its priority be lower.
        if rounds > 1_000 {
            std::thread::sleep(std::time::Duration::from_micros(50));
        } else if rounds > 100 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}

#[cfg(cenote_loom)]
mod real {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize};
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn pause(_rounds: u32) {
        loom::thread::yield_now();
    }
}

pub(crate) use real::*;
// Counting references is `std`'s business, not what the models are about.
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;

/// Locks `mutex` whether or not a holder panicked: no user code runs under the kernel's locks, so a
/// poisoned lock guards state that is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
