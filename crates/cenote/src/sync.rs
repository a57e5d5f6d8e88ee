//! The locks, atomics and notifications of the kernel and of the pool: the standard library's, or the checker's when
//! models run: loom's for those of the kernel (`--cfg cenote_loom`), shuttle's for those of the pool
//! (`--cfg cenote_shuttle`).

#[cfg(not(any(cenote_loom, cenote_shuttle)))]
mod real {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;
    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    };
    pub(crate) use std::sync::{Mutex, MutexGuard};

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

    /// A small number that this thread keeps; those of threads that asked one after the other follow each other.
    pub(crate) fn thread_number() -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        // A call may be dropped while the thread's locals are being destroyed.
        let own = NUMBER.try_with(|number| {
            if number.get() == usize::MAX {
                number.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            number.get()
        });
        own.unwrap_or(0)
    }
}

#[cfg(cenote_loom)]
mod real {
    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    };
    pub(crate) use loom::sync::{Mutex, MutexGuard};

    pub(crate) fn pause(_rounds: u32) {
        loom::thread::yield_now();
    }

    pub(crate) fn thread_number() -> usize {
        super::number(&format!("{:?}", loom::thread::current().id()))
    }
}

#[cfg(cenote_shuttle)]
mod real {
    pub(crate) use shuttle::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
    };
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};

    pub(crate) fn pause(_rounds: u32) {
        shuttle::thread::yield_now();
    }

    pub(crate) fn thread_number() -> usize {
        super::number(&format!("{:?}", shuttle::thread::current().id()))
    }

    /// Tokio's. Shuttle can't look into it, so before every step is a place where threads may change.
    pub(crate) struct Notify {
        notify: tokio::sync::Notify,
        place: AtomicU8,
    }

    impl Notify {
        pub(crate) fn new() -> Self {
            Self {
                notify: tokio::sync::Notify::new(),
                place: AtomicU8::new(0),
            }
        }

        fn step(&self) -> &tokio::sync::Notify {
            self.place.load(super::Ordering::SeqCst);
            &self.notify
        }

        pub(crate) fn notified(&self) -> tokio::sync::futures::Notified<'_> {
            self.step().notified()
        }

        pub(crate) fn notify_one(&self) {
            self.step().notify_one();
        }

        pub(crate) fn notify_waiters(&self) {
            self.step().notify_waiters();
        }
    }
}

#[cfg(not(cenote_loom))]
mod cell {
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
}

#[cfg(not(cenote_loom))]
pub(crate) use cell::UnsafeCell;
pub(crate) use real::*;
use std::sync::TryLockError;
#[cfg(not(cenote_shuttle))]
pub(crate) use tokio::sync::Notify;

// Counting references is `std`'s business, not what the models are about.
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::Ordering;

/// Which of so many shards is this thread's. Two threads share one where there are more threads.
#[inline]
pub(crate) fn own_shard(shards: usize) -> usize {
    // In 32 bits, of which a remainder takes less time.
    (thread_number() as u32 % shards as u32) as usize
}

/// The number in a checker's name of a thread, the same in each of its runs.
#[cfg(any(cenote_loom, cenote_shuttle))]
fn number(name: &str) -> usize {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("threads are numbered")
}

/// Locks `mutex` whether or not a holder panicked: no user code runs under these locks, or its panics are caught there,
/// so a poisoned lock guards state that is still whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// How often a lock of the whole process is asked for before it is taken to be out of reach for good: for a tenth of a
/// second or more, where the lock's holder was preempted.
const PATIENCE: u32 = 3_000;

/// Locks what belongs to the whole process and is held for some instructions at a time. `None`: it is taken for good, as
/// a forked child may find it, by a thread that it does not have.
pub(crate) fn lock_patiently<T>(
    mutex: &std::sync::Mutex<T>,
) -> Option<std::sync::MutexGuard<'_, T>> {
    for round in 0..PATIENCE {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => pause(round),
        }
    }
    None
}
