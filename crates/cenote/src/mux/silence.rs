//! Whether the peer still says anything: the callers that gave up on it, one after the other, since its last byte.
//!
//! A caller gives up when its call times out or is dropped while its reply is due: those who put a time-out of their
//! own around a call drop it. Whoever saw bytes come meanwhile says nothing about the peer's silence, and any byte ends
//! a row. All of it is advice: it may miss one under contention.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// How a caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// By the call's time-out, the mux's or its own.
    TimedOut,
    /// By dropping the call.
    Dropped,
}

#[derive(Default)]
pub(super) struct Silence {
    /// How many gave up in a row, and how many of them timed out. The driver, which every reply passes, writes to them
    /// only if there are any, so that callers keep their copies of the line.
    gave_up: AtomicU32,
    timed_out: AtomicU32,
    /// The tick of the last byte.
    heard_at: AtomicU32,
    /// The peer owes the answer to a ping for long.
    is_suspect: AtomicBool,
}

impl Silence {
    /// Bytes came, at this tick.
    pub(super) fn ends(&self, now: u32) {
        if self.heard_at.load(Relaxed) != now {
            self.heard_at.store(now, Relaxed);
        }
        if self.gave_up.load(Relaxed) > 0 {
            self.gave_up.store(0, Relaxed);
            self.timed_out.store(0, Relaxed);
        }
        if self.is_suspect() {
            self.is_suspect.store(false, Relaxed);
        }
    }

    /// A caller gave up whose call began at this tick. How many there are in the row, if it counts; the first begins
    /// the row.
    pub(super) fn gave_up(&self, how: GaveUp, began: u32) -> Option<u32> {
        // Ticks wrap around: bytes that came after it began are a little ahead of it.
        let ahead = self.heard_at.load(Relaxed).wrapping_sub(began);
        if (1..=u32::MAX / 2).contains(&ahead) {
            return None;
        }
        if how == GaveUp::TimedOut {
            self.timed_out.fetch_add(1, Relaxed);
        }
        Some(self.gave_up.fetch_add(1, Relaxed) + 1)
    }

    /// Whether a caller gave up and not a byte came since.
    pub(super) fn is_doubtful(&self) -> bool {
        self.gave_up.load(Relaxed) > 0
    }

    /// How many time-outs there are in the row.
    pub(super) fn timed_out(&self) -> u32 {
        self.timed_out.load(Relaxed)
    }

    /// The peer owes the answer to a ping for long.
    pub(super) fn suspect(&self) {
        self.is_suspect.store(true, Relaxed);
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Relaxed)
    }
}
