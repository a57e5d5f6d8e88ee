//! A pool's side of its budget: its membership, what a budget asks of it, and what follows once the lock is let go.

use std::sync::{Arc, Weak};

use super::accounts::Key;
use super::{Budget, BudgetStatus, Tree};
use crate::error::SettingsError;
use crate::kernel::StateWord;
use crate::plural::plural;
use crate::policy::budget::{Returning, quantum};
use crate::rt::Instant;
use crate::settings::refuse;
use crate::sync::{AtomicU8, AtomicU64, Ordering::Relaxed};

/// What a budget asks of a pool, under its lock: no more than looks and takes in the kernel.
pub(crate) trait BudgetMember: Send + Sync {
    /// Since when the oldest of the callers waits for whom it could open a connection, on the budget's clock.
    fn oldest_waiter(&self) -> Option<u64>;
    /// The connection that has been idle for longest.
    fn least_recently_used(&self) -> Option<Idle>;
    /// Takes `idle`, if it is still in the same idle period.
    fn reserve(&self, idle: &Idle) -> Option<Close>;
    /// Takes any idle connection; if there is none, every lease comes back to be claimed.
    fn reserve_or_mark(&self) -> Option<Close>;
    /// It may open one more: has it look, on its own runtime.
    fn wake(self: Arc<Self>);
    /// Connections that its face keeps without a use for them are wanted elsewhere: it gives them back soon.
    fn give_up_unused(&self);
}

/// An idle connection.
pub(crate) struct Idle {
    /// On the budget's clock.
    pub(crate) since: u64,
    pub(crate) index: usize,
    pub(crate) word: StateWord,
}

/// Closes a connection that was taken.
pub(crate) type Close = Box<dyn FnOnce() + Send>;

/// What follows once the lock is let go, and with it all other locks.
#[derive(Default)]
#[must_use = "connections are to be closed and pools to be woken"]
pub(crate) struct After {
    pub(super) close: Vec<Close>,
    pub(super) wake: Vec<Arc<dyn BudgetMember>>,
    pub(super) give_up: Vec<Arc<dyn BudgetMember>>,
    /// Perhaps the last references.
    pub(super) looked_at: Vec<Arc<dyn BudgetMember>>,
}

impl After {
    pub(crate) fn run(self) {
        self.close.into_iter().for_each(|close| close());
        self.give_up.iter().for_each(|pool| pool.give_up_unused());
        self.wake.into_iter().for_each(|pool| pool.wake());
    }
}

/// What a pool wants that asks for a permit.
pub(crate) struct Want {
    /// Since when its oldest waiter waits, on the budget's clock.
    pub(crate) oldest: Option<u64>,
    /// Whether it opens another one already.
    pub(crate) is_opening: bool,
}

/// A pool's place under a budget. Dropped with the pool.
pub(crate) struct Membership {
    budget: Budget,
    key: Key,
    standing: Arc<AtomicU8>,
    /// How long its dials take, in nanoseconds.
    dial_time: AtomicU64,
}

/// It waits for no permit.
pub(super) const OUT: u8 = 0;
pub(super) const IN_LINE: u8 = 1;
/// It has a permit that it has not used yet, and is or will be woken.
pub(super) const GRANTED: u8 = 2;

impl Membership {
    /// A pool that has so many connections reserved by its `setting`.
    pub(crate) fn begin(
        budget: &Budget,
        setting: &'static str,
        reserved: usize,
    ) -> Result<Self, SettingsError> {
        let standing = Arc::new(AtomicU8::new(OUT));
        let bound = &budget.bound;
        let mut state = bound.tree.state();
        match state.add_member(&bound.chain, reserved, &standing) {
            Ok(key) => Ok(Self {
                budget: budget.clone(),
                key,
                standing,
                dial_time: AtomicU64::new(0),
            }),
            Err(full) => {
                let tally = state.bound(full);
                let (name, max, others) = (&tally.name, tally.max, tally.sums.reserved);
                let accepted = format!(
                    "with the {others} that other pools of budget {name} reserve these are {}, and it has {}; lower \
                     {setting} or raise the budget",
                    others + reserved,
                    plural(max, "connection")
                );
                drop(state);
                refuse(setting, reserved, &accepted)
            }
        }
    }

    /// The pool is there.
    pub(crate) fn introduce(&self, pool: Weak<dyn BudgetMember>) {
        self.tree().state().member_mut(self.key).pool = Some(pool);
    }

    fn tree(&self) -> &Tree {
        &self.budget.bound.tree
    }

    /// A time of the pool's on the budget's clock.
    pub(crate) fn at(&self, instant: Instant) -> u64 {
        self.tree().clock.at(instant)
    }

    /// Whether the pool may open one more. If not, it is woken when it may, unless it opens another or nobody waits:
    /// then it asks again.
    pub(crate) fn ask(&self, want: &Want, after: &mut After) -> bool {
        if self.standing.load(Relaxed) == IN_LINE {
            return false;
        }
        let now = self.tree().clock.now();
        self.tree().state().ask(self.key, now, want, after)
    }

    /// As [`ask`](Self::ask), for who does not wait.
    pub(crate) fn take(&self) -> bool {
        let mut after = After::default();
        let is_taken = self.tree().state().take(self.key, &mut after);
        after.run();
        is_taken
    }

    /// Whether a connection is being closed for the pool, which waits for a permit.
    pub(crate) fn is_promised(&self) -> bool {
        self.tree().state().account(self.key).is_promised
    }

    /// The pool has no use for one more. If it may have by now, it asks after this.
    pub(crate) fn withdraw(&self, after: &mut After) {
        if self.standing.load(Relaxed) != OUT {
            self.tree().state().withdraw(self.key, after);
        }
    }

    /// A permit it had is free.
    pub(crate) fn give_back(&self, after: &mut After) {
        self.tree().state().give_back(self.key, after);
    }

    /// Whether connections are wanted elsewhere.
    #[inline]
    pub(crate) fn is_contested(&self) -> bool {
        self.tree().is_contested.load(Relaxed)
    }

    /// While connections are wanted elsewhere: whether one that comes back after it was held since `held_since` is to
    /// be closed. Both times are on the budget's clock.
    pub(crate) fn claims(&self, held_since: u64, own_waiter: Option<u64>) -> bool {
        let mut after = After::default();
        let now = self.tree().clock.now();
        let returning = |other_waiter| Returning {
            now,
            held_since,
            quantum: quantum(self.dial_time.load(Relaxed)),
            own_waiter,
            other_waiter,
        };
        let is_claimed = self.tree().state().claims(self.key, returning, &mut after);
        after.run();
        is_claimed
    }

    /// While connections are wanted elsewhere: one of the pool's may have become idle.
    pub(crate) fn idled(&self) {
        let mut after = After::default();
        self.tree().state().idled(self.key, &mut after);
        after.run();
    }

    /// Whether some bound is on idle connections: then the pool is to [count](Self::counted_idle) its own at each look, and
    /// to have one while it has leases out.
    pub(crate) fn bounds_idle(&self) -> bool {
        self.tree().bounds_idle.load(Relaxed)
    }

    /// So many of its connections are idle.
    pub(crate) fn counted_idle(&self, idle: usize) {
        let mut after = After::default();
        let now = self.tree().clock.now();
        let mut state = self.tree().state();
        state.counted_idle(self.key, idle, now, &mut after);
        drop(state);
        after.run();
    }

    /// Its dials take this long.
    pub(crate) fn observe_dial_time(&self, nanos: u64) {
        self.dial_time.store(nanos, Relaxed);
    }

    pub(crate) fn status(&self) -> BudgetStatus {
        self.budget.status()
    }

    /// The bound that keeps the pool from opening one more, if there is one.
    pub(crate) fn refused_by(&self) -> Option<BudgetStatus> {
        let state = self.tree().state();
        let full = state.full_at(self.key, false)?;
        Some(state.status(full))
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut after = After::default();
        self.tree().state().remove_member(self.key, &mut after);
        after.run();
    }
}
