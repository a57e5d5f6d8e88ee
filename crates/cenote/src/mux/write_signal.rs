//! The callers' request to the driver to write. The first request wakes the driver; until the lanes have been taken,
//! no other is needed.
//!
//! ## Why no frame stays unwritten
//! A caller appends its frame under a lane's lock, and then reads `requested`. That flag is cleared before the lanes
//! are taken. If the caller's lane was taken before the frame was in it, the lane's lock has made the cleared flag
//! visible, and the caller sets it anew; else the frame was taken.
//!
//! A write half wakes only the task that polled it last. A caller that writes polls it with the driver's waker, so that
//! the driver is woken when the connection takes more, and no caller's waker gets into the write half. A caller whose
//! write is left unfinished wakes the driver even if a write is already requested: the rest is the driver's to write.

use std::task::Waker;

use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::wake::wake_all;

pub(super) struct WriteSignal {
    /// A write is requested, and the lanes have not been taken since.
    requested: AtomicBool,
    /// The driver's waker. Stored *before* the driver reads `requested`: earlier requests are seen by that read, later
    /// ones wake the driver. No other lock is taken under its lock. It is the waker of a task of the runtime's, whose
    /// clone is no user code.
    driver: Mutex<Option<Waker>>,
    /// A request was written after the last replies came, or those were several, or went out with others: there is
    /// more than one caller at once, and it pays to let the driver write for all of them. A hint.
    batching: AtomicBool,
    /// The last write had several requests in it. A hint.
    last_was_batch: AtomicBool,
}

impl WriteSignal {
    pub(super) fn new() -> Self {
        Self {
            requested: AtomicBool::new(false),
            driver: Mutex::new(None),
            batching: AtomicBool::new(false),
            last_was_batch: AtomicBool::new(false),
        }
    }

    pub(super) fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Has the driver write.
    pub(super) fn request(&self) {
        if !self.is_requested() && !self.requested.swap(true, Ordering::Relaxed) {
            self.wake_driver();
        }
    }

    /// The lanes are about to be taken.
    pub(super) fn clear(&self) {
        self.requested.store(false, Ordering::Relaxed);
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

    /// Whether the driver is to write for all callers.
    pub(super) fn is_batching(&self) -> bool {
        self.batching.load(Ordering::Relaxed)
    }

    /// So many requests are in one write.
    pub(super) fn note_written(&self, requests: usize) {
        if requests > 0 {
            set(&self.last_was_batch, requests > 1);
            set(&self.batching, true);
        }
    }

    /// So many callers were given a reply at once.
    pub(super) fn note_answered(&self, callers: usize) {
        if callers > 0 {
            let is_batch = callers > 1 || self.last_was_batch.load(Ordering::Relaxed);
            set(&self.batching, is_batch);
        }
    }
}

/// Without a write where nothing changes.
fn set(flag: &AtomicBool, to: bool) {
    if flag.load(Ordering::Relaxed) != to {
        flag.store(to, Ordering::Relaxed);
    }
}
