//! Whether the peer is silent: the callers that gave up on it, one after the other, since its last byte.
//!
//! A caller gives up when its call times out or is dropped while its reply is due: a time-out of the caller's own
//! around the call drops it. A call during which bytes came says nothing about the peer's silence, and any byte ends a
//! streak of give-ups; so does each step of a request too large for the connection to take at once. All of it is a
//! hint: a give-up may be missed under contention.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// How a caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GaveUp {
    /// By the call's time-out, the mux's or its own.
    TimedOut,
    /// By dropping the call.
    Dropped,
}

/// What the driver saw the peer do. In cache lines of its own: written at each read.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct PeerActivity {
    /// How often bytes came. It wraps around.
    count: AtomicU32,
    /// The peer owes the answer to a ping for long.
    is_suspect: AtomicBool,
}

impl PeerActivity {
    /// How often bytes came, to be compared for equality: if it is the same later, none came between.
    pub(super) fn count(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Bytes came, or the peer took some. Whether the peer was suspected till now. The driver's alone to call.
    pub(super) fn record(&self) -> bool {
        self.count.store(self.count().wrapping_add(1), Relaxed);
        let was_suspect = self.is_suspect();
        if was_suspect {
            self.is_suspect.store(false, Relaxed);
        }
        was_suspect
    }

    /// The peer owes the answer to a ping for long.
    pub(super) fn suspect(&self) {
        self.is_suspect.store(true, Relaxed);
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.is_suspect.load(Relaxed)
    }
}

/// A streak of callers that gave up with no byte from the peer in between.
#[derive(Default)]
pub(super) struct GiveUps {
    /// The peer's activity when the streak began.
    activity: u32,
    /// When the first of them gave up; none before there was any.
    since: Option<Instant>,
    callers: u32,
    timed_out: u32,
}

impl GiveUps {
    /// A caller gives up during whose call no byte came; `activity` is the peer's by now.
    pub(super) fn record(&mut self, how: GaveUp, activity: u32) {
        if !self.is_current(activity) {
            *self = Self {
                activity,
                since: Some(Instant::now()),
                ..Self::default()
            };
        }
        self.callers += 1;
        self.timed_out += u32::from(how == GaveUp::TimedOut);
    }

    /// Whether a caller gave up and not a byte came since.
    pub(super) fn is_current(&self, activity: u32) -> bool {
        self.since.is_some() && self.activity == activity
    }

    /// How many calls timed out in the streak.
    pub(super) fn timed_out(&self, activity: u32) -> u32 {
        if self.is_current(activity) {
            self.timed_out
        } else {
            0
        }
    }

    /// Whether the streak has lasted for `limit`. One caller alone does not tell: its request may be one that takes
    /// long.
    pub(super) fn has_lasted(&self, limit: Duration) -> bool {
        let now = Instant::now();
        let is_long = |since| now.saturating_duration_since(since) >= limit;
        self.callers > 1 && self.since.is_some_and(is_long)
    }
}
