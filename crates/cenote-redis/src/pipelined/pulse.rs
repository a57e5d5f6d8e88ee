//! Whether the server of a shared connection is suspected to be gone, or is no longer the one to be asked.
//!
//! A `PING` that has no answer is a suspicion long before it is a proof. Until bytes come, the connection carries what
//! it has and takes no more, so that those who come meanwhile are served by another. A server that says `READONLY` is
//! a replica now: the connection carries what it has to the end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What a connection's callers and its driver know of its server.
#[derive(Debug)]
pub(super) struct Pulse {
    began: Instant,
    /// When the PING without an answer was sent: in milliseconds since then, from 1 on; 0 when there is none.
    pinged: AtomicU64,
    demoted: AtomicBool,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            pinged: AtomicU64::new(0),
            demoted: AtomicBool::new(false),
        }
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A PING goes out.
    pub(super) fn pinged(&self) {
        self.pinged.store(self.now() + 1, Ordering::Relaxed);
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        // Nearly always: no line of cache changes hands.
        if self.pinged.load(Ordering::Relaxed) != 0 {
            self.pinged.store(0, Ordering::Relaxed);
        }
    }

    /// The server is a replica.
    pub(super) fn demote(&self) {
        self.demoted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_demoted(&self) -> bool {
        self.demoted.load(Ordering::Relaxed)
    }

    /// Whether a PING is without an answer for so long.
    pub(super) fn is_missed_for(&self, limit: Duration) -> bool {
        match self.pinged.load(Ordering::Relaxed) {
            0 => false,
            pinged => {
                let silent = self.now().saturating_sub(pinged - 1);
                Duration::from_millis(silent) >= limit
            }
        }
    }
}
