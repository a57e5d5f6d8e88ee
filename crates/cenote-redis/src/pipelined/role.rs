//! Whether the server of a shared connection is still the one to be asked.
//!
//! A server that says `READONLY` is a replica now: the connection carries what it has to the end and takes no new
//! callers.

use std::sync::atomic::{AtomicBool, Ordering};

/// What a connection's driver tells its callers of their server. Never taken back.
#[derive(Debug, Default)]
pub(super) struct Role {
    is_demoted: AtomicBool,
}

impl Role {
    /// The server is a replica.
    pub(super) fn demote(&self) {
        self.is_demoted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_demoted(&self) -> bool {
        self.is_demoted.load(Ordering::Relaxed)
    }
}
