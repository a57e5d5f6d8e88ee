//! What the kernel asks of the pool, and tells it.

use super::state::{ConnectionToken, Entry, Lifecycle, LifecycleCore, Refusal, SlotMeta};
use super::{dial, recycle, retire, set, spent};
use crate::budget::After;
use crate::connect::Connect;
use crate::kernel::{Arc, Choice, EndpointNumber, Endpoints, Owner};

impl<C: Connect> Owner for Lifecycle<C> {
    type Entry = Entry<C>;
    type SlotMeta = SlotMeta;
    type Refusal = Refusal;

    /// Only a task cut short drops a token with its connection in it.
    fn abort(token: &mut ConnectionToken<C>) {
        retire::abort(token);
    }

    fn is_wanted(core: &LifecycleCore<C>, meta: &SlotMeta) -> bool {
        !core.owner.is_evicted(meta)
    }

    fn must_report(core: &LifecycleCore<C>) -> bool {
        core.owner.contested_budget().is_some()
    }

    /// Before the slot is vacant: a pool with no connections holds no permits.
    fn vacating(core: &LifecycleCore<C>) {
        if let Some(budget) = &core.owner.budget {
            let mut after = After::default();
            budget.give_back(&mut after);
            after.run();
        }
    }

    fn vacated(core: &Arc<LifecycleCore<C>>) {
        core.owner.changed.notify_waiters();
        if let Some(set) = core.owner.targets.set() {
            set.vacated();
        }
        dial::dial_if_needed(core);
        spent::tell_if_spent(core);
    }

    #[inline]
    fn choose<'a>(core: &LifecycleCore<C>, endpoints: &'a Endpoints) -> Option<Choice<'a>> {
        set::choose(core, endpoints)
    }

    fn missed(core: &Arc<LifecycleCore<C>>, number: EndpointNumber) {
        if let Some(set) = core.owner.targets.set() {
            set.dials().missed(number);
        }
        dial::dial_if_needed(core);
    }

    #[inline(always)]
    fn returned(token: ConnectionToken<C>, core: Option<&LifecycleCore<C>>) {
        recycle::recycle(token, core);
    }

    fn sent_away() -> Refusal {
        Refusal::SentAway
    }

    fn return_unclaimed(token: ConnectionToken<C>) {
        recycle::return_to_pool(token);
    }
}
