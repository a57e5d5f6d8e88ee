//! A connection in service: the shared pool's own lease on it, held by everyone who uses it. When the last of
//! them lets go, the lease goes back to the exclusive pool beneath, which judges what becomes of it.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

use super::state::Core;
use crate::connect::Multiplex;
use crate::pool::OwnedLease;
use crate::rt;
use crate::sync::AtomicUsize;

pub(super) struct Carrier<C: Multiplex> {
    pub(super) core: Arc<Core<C>>,
    /// `None` only within its drop.
    lease: Option<OwnedLease<C>>,
    /// Its seat among those in service, or [`NO_SEAT`]. Written under the pool's lock, and under it exact.
    seat: AtomicUsize,
    /// How its time in service ended, if it is not simply to be given back. The first word counts.
    retire: OnceLock<Ending>,
}

/// It is not in service: about to be, or draining.
const NO_SEAT: usize = usize::MAX;

/// What a connection has shown to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// A holder said it is sick.
    Discarded,
    /// A holder said it is no longer wanted.
    Retired,
    /// It was dead before anybody used it.
    ArrivedDead,
}

/// What a connection says of itself.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) is_open: bool,
    pub(super) capacity: usize,
}

impl<C: Multiplex> Carrier<C> {
    pub(super) fn new(core: &Arc<Core<C>>, lease: OwnedLease<C>) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(core),
            lease: Some(lease),
            seat: AtomicUsize::new(NO_SEAT),
            retire: OnceLock::new(),
        })
    }

    pub(super) fn lease(&self) -> &OwnedLease<C> {
        self.lease
            .as_ref()
            .expect("a carrier has its lease until it is dropped")
    }

    pub(super) fn seat(&self) -> Option<usize> {
        Some(self.seat.load(Relaxed)).filter(|&seat| seat != NO_SEAT)
    }

    /// The pool's lock is held.
    pub(super) fn set_seat(&self, seat: Option<usize>) {
        self.seat.store(seat.unwrap_or(NO_SEAT), Relaxed);
    }

    pub(super) fn end_as(&self, retire: Ending) {
        // The first word counts.
        let _ = self.retire.set(retire);
    }

    /// Asks the connector; no lock is held. One that panics speaks of a connection nobody should have.
    #[inline]
    pub(super) fn look(&self) -> Seen {
        let connector = self.core.exclusive.connector();
        let seen = rt::calling(|| Seen {
            is_open: connector.is_open(self.lease()),
            capacity: connector.capacity(self.lease()),
        });
        seen.unwrap_or(Seen {
            is_open: false,
            capacity: 0,
        })
    }
}

impl<C: Multiplex> Drop for Carrier<C> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        match self.retire.get() {
            None => drop(lease),
            Some(Ending::Discarded) => OwnedLease::discard(lease),
            Some(Ending::Retired) => {
                OwnedLease::retire(&lease);
                drop(lease);
            }
            Some(Ending::ArrivedDead) => OwnedLease::arrived_dead(lease),
        }
        self.core.gone();
    }
}
