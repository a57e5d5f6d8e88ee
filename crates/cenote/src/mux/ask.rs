//! How the driver is asked to write. The first to ask wakes it; until somebody has taken what was appended, nobody
//! need ask again.
//!
//! ## Why no request stays unwritten
//! A caller appends its request under a lane's lock, and then looks whether the driver is asked. `asked` is cleared
//! before the lanes are taken. So if the lane was taken before the request was in it, the lane's lock has brought
//! the cleared flag with it, and the caller asks anew; else the request was taken.
//!
//! A write half wakes only the task that polled it last. A caller that writes polls it with the driver's waker, so that
//! the driver is woken when there is room, and no caller's waker gets into the line. A caller that found no room wakes
//! the driver all the same, asked or not: what is left is the driver's to write.

use std::task::Waker;

use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::wake::wake_all;

pub(super) struct Ask {
    asked: AtomicBool,
    /// The driver. Set before it looks whether it is asked, so that it sees who asked before, and is woken by who
    /// asks after. No other lock is taken under its lock. It is the waker of a task of the runtime's, whose clone is no
    /// user code.
    driver: Mutex<Option<Waker>>,
    /// A request was written after the last replies came, or those were several, or went out with others: there is
    /// more than one caller at once, and it pays to let the driver write for all of them. Advice.
    crowded: AtomicBool,
    /// The last requests that were written went out together. Advice.
    together: AtomicBool,
}

impl Ask {
    pub(super) fn new() -> Self {
        Self {
            asked: AtomicBool::new(false),
            driver: Mutex::new(None),
            crowded: AtomicBool::new(false),
            together: AtomicBool::new(false),
        }
    }

    /// Whether the driver is asked and nobody has taken the lanes since.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Asks the driver to write.
    pub(super) fn ask(&self) {
        if !self.is_asked() && !self.asked.swap(true, Ordering::Relaxed) {
            self.wake_driver();
        }
    }

    /// The lanes are about to be taken.
    pub(super) fn clear(&self) {
        self.asked.store(false, Ordering::Relaxed);
    }

    /// There is something for the driver to look at.
    pub(super) fn wake_driver(&self) {
        wake_all(self.driver());
    }

    /// The driver's waker, once it has run.
    pub(super) fn driver(&self) -> Option<Waker> {
        lock(&self.driver).clone()
    }

    pub(super) fn set_driver(&self, waker: &Waker) {
        match &mut *lock(&self.driver) {
            Some(driver) => driver.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.crowded.load(Ordering::Relaxed)
    }

    /// So many requests were taken to be written.
    pub(super) fn taken(&self, requests: usize) {
        if requests > 0 {
            set(&self.together, requests > 1);
            set(&self.crowded, true);
        }
    }

    /// So many callers were given a reply.
    pub(super) fn answered(&self, callers: usize) {
        if callers > 0 {
            set(
                &self.crowded,
                callers > 1 || self.together.load(Ordering::Relaxed),
            );
        }
    }
}

/// Without a write where nothing changes.
fn set(flag: &AtomicBool, to: bool) {
    if flag.load(Ordering::Relaxed) != to {
        flag.store(to, Ordering::Relaxed);
    }
}
