//! Whether the server of a shared connection is still the one to be asked.
//!
//! A server that says `READONLY` is a replica now: the connection carries what it has to the end and takes no new
//! callers.

use std::sync::atomic::{AtomicBool, Ordering};

use cenote::Signals;

/// What a connection's driver tells its callers of their server. Never taken back.
#[derive(Debug, Default)]
pub(super) struct Role {
    is_demoted: AtomicBool,
    signals: Signals,
}

impl Role {
    /// Of a connection that tells its pool by `signals`.
    pub(super) fn new(signals: Signals) -> Self {
        Self {
            is_demoted: AtomicBool::new(false),
            signals,
        }
    }

    /// The server is a replica.
    pub(super) fn demote(&self) {
        if !self.is_demoted.swap(true, Ordering::Relaxed) {
            self.signals.closed();
        }
    }

    pub(super) fn is_demoted(&self) -> bool {
        self.is_demoted.load(Ordering::Relaxed)
    }
}
