//! Whether the server of a shared connection is still the one to be asked.
//!
//! A server that says `READONLY` is a replica now: the connection carries what it has to the end and takes no new
//! callers.

use std::sync::atomic::{AtomicBool, Ordering};

use cenote::Signals;

use crate::mastership::Term;

/// What a connection's driver tells its callers of their server. Never taken back.
#[derive(Debug, Default)]
pub(super) struct Role {
    is_demoted: AtomicBool,
    signals: Signals,
    /// Where the server must be a master.
    term: Option<Term>,
}

impl Role {
    /// Of a connection that tells its pool by `signals`, and is opened to a master where it has a `term`.
    pub(super) fn new(signals: Signals, term: Option<Term>) -> Self {
        Self {
            is_demoted: AtomicBool::new(false),
            signals,
            term,
        }
    }

    /// The server is a replica.
    pub(super) fn demote(&self) {
        if !self.is_demoted.swap(true, Ordering::Relaxed) {
            if let Some(term) = &self.term {
                term.end();
            }
            self.signals.closed();
        }
    }

    pub(super) fn is_demoted(&self) -> bool {
        self.is_demoted.load(Ordering::Relaxed) || self.term.as_ref().is_some_and(Term::is_over)
    }
}
