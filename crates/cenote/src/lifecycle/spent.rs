//! When nothing is left of a pool under a key, so that the key may be forgotten: it has no connection, keeps none open,
//! nobody waits, and the next dial would know nothing of failures that a new pool would not.
//!
//! Told, under no lock, where a slot becomes vacant, where the pool is closed, and where a look finds that nothing else is
//! due; whether the key is in use elsewhere is for the listener to say, and to look again when that use ends.

use super::state::LifecycleCore;
use super::upkeep;
use crate::connect::Connect;
use crate::kernel::{Arc, Phase};
use crate::rt::nanos;

/// Told when nothing is left of a pool.
pub(crate) type OnSpent = Box<dyn Fn() + Send + Sync>;

impl<C: Connect> LifecycleCore<C> {
    /// Whether nothing is left of it.
    pub(crate) fn is_spent(&self) -> bool {
        let at = self.spent_at();
        at.is_some_and(|at| at == 0 || at <= self.owner.clock.now())
    }

    /// When nothing will be left of it but for the memory of failed dials, which a pool made anew would not pace its dials
    /// by; 0 where there is no such memory. `None` while there is more.
    pub(super) fn spent_at(&self) -> Option<u64> {
        let life = &self.owner;
        let demand = self.demand();
        match demand.phase {
            Phase::Closed => return Some(0),
            // Resumed by a handle, which a pool made anew would not know.
            Phase::Paused => return None,
            Phase::Open => {}
        }
        let (_, reserved) = life.settings.reserved();
        if reserved > 0 || demand.occupied > 0 || demand.waiters + demand.aimed > 0 {
            return None;
        }
        let opens_at = match life.targets.set() {
            Some(set) => {
                let dials = set.dials();
                let outages = dials
                    .failing()
                    .filter_map(|(_, number)| dials.outage(number));
                let gates = outages.map(|outage| outage.gate.opens_at());
                gates.max()
            }
            None => {
                let dialer = life.dialer();
                dialer.outage.as_ref().map(|outage| outage.gate.opens_at())
            }
        };
        let forgets_at = |at: u64| at.saturating_add(nanos(life.settings.backoff.max));
        Some(opens_at.map_or(0, forgets_at))
    }
}

/// Tells the listener, if nothing is left of it; or has it looked at when failed dials are forgotten, to tell then.
pub(super) fn tell_if_spent<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    let Some(on_spent) = &core.owner.on_spent else {
        return;
    };
    match core.spent_at() {
        Some(at) if at == 0 || at <= core.owner.clock.now() => on_spent(),
        // Where there is no runtime, the key stays until it is used again.
        Some(at) => _ = upkeep::look_at(core, at),
        None => {}
    }
}
