//! Whether the peer still says anything: the callers that gave up on it, one after the other, since its last byte.
//!
//! A caller gives up when its call times out or is dropped while its reply is due: a time-out of the caller's own
//! around the call drops it. A call that saw bytes come says nothing about the peer's silence, and any byte ends a row;
//! so does each step of a request too large for the line to take at once. All of it is advice: one may be missed under
//! contention.

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

/// What the driver hears of the peer. In cache lines of its own: written at each read.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Heard {
    /// How often bytes came. It wraps around.
    times: AtomicU32,
    /// The peer owes the answer to a ping for long.
    is_suspect: AtomicBool,
}

impl Heard {
    /// How often bytes came, to be compared for equality: if it is the same later, none came between.
    pub(super) fn times(&self) -> u32 {
        self.times.load(Relaxed)
    }

    /// Bytes came, or went in. Whether the peer was suspected till now. The driver's alone to call.
    pub(super) fn bytes(&self) -> bool {
        self.times.store(self.times().wrapping_add(1), Relaxed);
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

/// A row of callers that gave up with no byte between.
#[derive(Default)]
pub(super) struct Row {
    /// What was heard when it began.
    heard: u32,
    /// When the first of them gave up; none before there was any.
    since: Option<Instant>,
    gave_up: u32,
    timed_out: u32,
}

impl Row {
    /// A caller gives up during whose call no byte came; `heard` says what was heard by now.
    pub(super) fn add(&mut self, how: GaveUp, heard: u32) {
        if !self.goes_on(heard) {
            *self = Self {
                heard,
                since: Some(Instant::now()),
                ..Self::default()
            };
        }
        self.gave_up += 1;
        self.timed_out += u32::from(how == GaveUp::TimedOut);
    }

    /// Whether a caller gave up and not a byte came since.
    pub(super) fn goes_on(&self, heard: u32) -> bool {
        self.since.is_some() && self.heard == heard
    }

    /// How many calls timed out in it.
    pub(super) fn timed_out(&self, heard: u32) -> u32 {
        if self.goes_on(heard) {
            self.timed_out
        } else {
            0
        }
    }

    /// Whether callers give up for as long as this. One alone does not tell: it may have asked for what takes long.
    pub(super) fn is_as_long_as(&self, limit: Duration) -> bool {
        let now = Instant::now();
        let is_long = |since| now.saturating_duration_since(since) >= limit;
        self.gave_up > 1 && self.since.is_some_and(is_long)
    }
}
