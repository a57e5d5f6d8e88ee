//! An active connection: the shared pool's own token of it, held by everyone who uses it. When the last of them lets
//! go, it goes back to the lifecycle beneath, which judges what becomes of it.

use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::{Arc, OnceLock};

use super::lease_word::LeaseWord;
use super::state::Core;
use crate::budget::Membership;
use crate::connect::Multiplex;
use crate::kernel::EndpointNumber;
use crate::lifecycle::budget_member;
use crate::lifecycle::failed_dial;
use crate::lifecycle::health::{self, Ended};
use crate::lifecycle::recycle::recycle;
use crate::lifecycle::retire::retire;
use crate::lifecycle::state::ConnectionToken;
use crate::lifecycle::target::Target;
use crate::report::{CloseReason, ConnectionInfo, EventKind};
use crate::rt;
use crate::sync::AtomicUsize;

pub(super) struct ActiveConnection<C: Multiplex> {
    pub(super) core: Arc<Core<C>>,
    /// Its leases, while they are counted without the lock.
    pub(super) leases: LeaseWord,
    /// What it was opened to: the token's, at hand without a look into its slot.
    target: Arc<Target<C>>,
    /// `None` only within its drop.
    token: Option<ConnectionToken<C>>,
    /// Its index among the state's active entries, or [`NOT_ACTIVE`]. Written under the pool's lock, and under it
    /// exact.
    index: AtomicUsize,
    /// How it ended, if it is not simply to be given back. The first word counts.
    ending: OnceLock<Ending>,
}

/// The connection is about to be active, or draining.
const NOT_ACTIVE: usize = usize::MAX;

/// What a connection has shown to be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// A holder said it is sick.
    Discarded,
    /// A holder said it is no longer wanted.
    Retired,
    /// It is closed for another pool under the same budget.
    Claimed,
    /// It was dead before anybody used it: as bad as a failed dial, if it was opened a moment ago.
    ArrivedDead,
}

/// What a connection says of itself.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) is_open: bool,
    pub(super) capacity: usize,
    /// After so many signals it was asked.
    pub(super) signals: u64,
}

impl<C: Multiplex> ActiveConnection<C> {
    pub(super) fn new(core: &Arc<Core<C>>, token: ConnectionToken<C>) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(core),
            leases: LeaseWord::new(),
            target: Arc::clone(&token.entry().target),
            token: Some(token),
            index: AtomicUsize::new(NOT_ACTIVE),
            ending: OnceLock::new(),
        })
    }

    #[inline(always)]
    fn token(&self) -> &ConnectionToken<C> {
        self.token
            .as_ref()
            .expect("it has its token until it is dropped")
    }

    #[inline(always)]
    pub(super) fn connection(&self) -> &C::Connection {
        &self.token().entry().conn
    }

    /// Whether the connection has said by itself that it is closed.
    pub(super) fn said_closed(&self) -> bool {
        let shared = &self.core.life.owner;
        shared
            .signal_box()
            .is_closed(self.token().meta().id.load(Relaxed))
    }

    /// Which endpoint of a set it is to.
    pub(super) fn endpoint(&self) -> Option<EndpointNumber> {
        self.target.number()
    }

    pub(super) fn connector(&self) -> &C {
        &self.target.connector
    }

    /// Tells how a call ended that is part of a lease which began after the look at `began`.
    pub(super) fn tell_outcome(&self, began: u64, ended: Ended) {
        health::tell_outcome_since(self.token(), began, ended);
    }

    /// Tells observers what happened on it.
    pub(super) fn tell<'a>(&self, kind: impl FnOnce() -> EventKind<'a>) {
        self.core.life.owner.tell_of(Some(&self.target), kind);
    }

    pub(super) fn info(&self) -> ConnectionInfo {
        let meta = self.token().meta();
        let now = self.core.life.owner.clock.now();
        meta.info(now, meta.leased_at.load(Relaxed))
    }

    /// Whether the connection is older than its lifetime.
    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.token().meta().end_of_life(now).is_some()
    }

    /// Whether the connection was open when all were to be replaced.
    pub(super) fn is_evicted(&self) -> bool {
        let token = self.token();
        token.core().owner.is_evicted(token.meta())
    }

    /// Whether it is to be closed for another pool under the same budget, for which it must be then; while somebody uses it
    /// or waits for it, since `own_waiter` on the pool's clock, once it has served its own pool for long enough.
    pub(super) fn is_claimed(&self, budget: &Membership, own_waiter: u64) -> bool {
        let life = &self.core.life;
        let own_waiter = life.owner.on_budget_clock(own_waiter);
        budget_member::claims(life, budget, self.token().meta(), Some(own_waiter))
    }

    /// Counts the leases it carried; the token is counted as one already.
    pub(super) fn count_uses(&self, leases: u64) {
        self.token().meta().add_uses(leases.saturating_sub(1));
    }

    pub(super) fn index(&self) -> Option<usize> {
        Some(self.index.load(Relaxed)).filter(|&index| index != NOT_ACTIVE)
    }

    /// The pool's lock is held.
    pub(super) fn set_index(&self, index: Option<usize>) {
        self.index.store(index.unwrap_or(NOT_ACTIVE), Relaxed);
    }

    pub(super) fn end_as(&self, ending: Ending) {
        // The first word counts.
        let _ = self.ending.set(ending);
    }

    /// Asks the connector; no lock is held. One that panics speaks of a connection nobody should have.
    #[inline]
    pub(super) fn look(&self) -> Seen {
        // Acquire: asked after the signal is counted, it says what the signal was about.
        let signals = self.core.signals.load(Acquire);
        let connector = &self.target.connector;
        let seen = rt::calling(|| Seen {
            is_open: connector.is_open(self.connection()),
            capacity: connector.capacity(self.connection()),
            signals,
        });
        seen.unwrap_or(Seen {
            is_open: false,
            capacity: 0,
            signals,
        })
    }
}

impl<C: Multiplex> Drop for ActiveConnection<C> {
    fn drop(&mut self) {
        let Some(token) = self.token.take() else {
            return;
        };
        match self.ending.get() {
            None => recycle(token, None),
            Some(Ending::Discarded) => retire(token, CloseReason::Discarded, None),
            Some(Ending::Claimed) => retire(token, CloseReason::Budget, None),
            Some(Ending::Retired) => {
                token.meta().retire();
                recycle(token, None);
            }
            Some(Ending::ArrivedDead) => {
                let now = self.core.life.owner.clock.now();
                // Counted as used once since it became active.
                if failed_dial::is_arrival(token.meta(), now, 1) {
                    failed_dial::dead_on_arrival(&token);
                }
                retire(token, CloseReason::Broken, None);
            }
        }
        self.core.gone();
    }
}
