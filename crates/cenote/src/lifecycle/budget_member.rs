//! What the pool does under a budget that others share: what it tells of its connections, and what it does with one
//! that is wanted elsewhere.

use std::sync::atomic::Ordering::Relaxed;

use super::retire::retire;
use super::state::{ConnectionToken, LifecycleCore, SlotMeta};
use super::upkeep;
use crate::budget::{After, BudgetMember, Close, Idle, Membership};
use crate::connect::Connect;
use crate::kernel::{Arc, Phase, State};
use crate::report::CloseReason;

impl<C: Connect> BudgetMember for LifecycleCore<C> {
    fn oldest_waiter(&self) -> Option<u64> {
        let demand = self.demand();
        let since = demand.oldest.filter(|_| demand.phase == Phase::Open);
        since.map(|since| self.owner.oldest_on_budget_clock(since))
    }

    fn least_recently_used(&self) -> Option<Idle> {
        let idle = self
            .slots()
            .filter(|(_, word, _)| word.state() == State::Idle)
            .map(|(index, word, meta)| (meta.idle_since.load(Relaxed), index, word));
        let (since, index, word) = idle.min_by_key(|(since, index, _)| (*since, *index))?;
        Some(Idle {
            since: self.owner.on_budget_clock(since),
            index,
            word,
        })
    }

    fn reserve(&self, idle: &Idle) -> Option<Close> {
        self.reserve(idle.index, idle.word).map(close)
    }

    fn reserve_or_mark(&self) -> Option<Close> {
        self.reserve_or_mark().map(close)
    }

    /// By a look of its keeper: the caller is another pool's, on another runtime perhaps.
    fn wake(self: Arc<Self>) {
        let is_kept = upkeep::schedule(&self, self.owner.clock.now());
        // Closed, or left by its keeper, before it was granted anything, it does not look any more.
        if !is_kept || self.demand().phase == Phase::Closed {
            withdraw(&self);
        }
    }

    fn give_up_unused(&self) {
        if let Some(face) = self.owner.signal_box().face() {
            face.give_up_unused();
        }
    }
}

fn close<C: Connect>(token: ConnectionToken<C>) -> Close {
    Box::new(|| retire(token, CloseReason::Budget, None))
}

/// The connection that comes back, unless it was closed for what the budget has a better use for.
pub(crate) fn offer<C: Connect>(
    core: &LifecycleCore<C>,
    token: ConnectionToken<C>,
) -> Option<ConnectionToken<C>> {
    let Some(budget) = core.owner.contested_budget() else {
        return Some(token);
    };
    let demand = core.demand();
    if demand.phase == Phase::Closed {
        return Some(token);
    }
    let is_claimed = claims(core, budget, token.meta(), core.oldest_waiter());
    if is_claimed {
        retire(token, CloseReason::Budget, None);
        return None;
    }
    Some(token)
}

/// Whether a connection is to be closed for another pool, for which it must be then. `own_waiter`: since when its own pool's
/// oldest caller waits, on the budget's clock.
pub(crate) fn claims<C: Connect>(
    core: &LifecycleCore<C>,
    budget: &Membership,
    meta: &SlotMeta,
    own_waiter: Option<u64>,
) -> bool {
    let opened_at = meta.opened_at.load(Relaxed);
    budget.claims(core.owner.on_budget_clock(opened_at), own_waiter)
}

/// The pool has no use for a permit any more.
pub(crate) fn withdraw<C: Connect>(core: &LifecycleCore<C>) {
    if let Some(budget) = &core.owner.budget {
        let mut after = After::default();
        budget.withdraw(&mut after);
        after.run();
    }
}

/// A connection of the pool may have become idle.
pub(crate) fn idled<C: Connect>(core: &LifecycleCore<C>) {
    if let Some(budget) = core.owner.contested_budget() {
        budget.idled();
    }
}

/// Tells a budget with a bound on idle connections how many there are.
pub(super) fn count_idle<C: Connect>(core: &LifecycleCore<C>) {
    let budget = core.owner.budget.as_ref();
    if let Some(budget) = budget.filter(|budget| budget.bounds_idle()) {
        budget.counted_idle(core.count_idle());
    }
}

/// Whether the pool is to be looked at for that alone: a lease may end unseen, and its connection be one too many.
pub(super) fn is_counted<C: Connect>(core: &LifecycleCore<C>) -> bool {
    let budget = core.owner.budget.as_ref();
    budget.is_some_and(|budget| budget.bounds_idle() && core.demand().occupied > core.count_idle())
}
