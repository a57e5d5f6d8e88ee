//! An endpoint whose addresses have changed: its connections that may be to one that is gone end, so that its load moves
//! within a bounded time and no call fails of it (MySqlConnector #1648).
//!
//! A tenth of them each second, idle ones at once and others when they come back; none before a connection to the new
//! addresses is open, nor while dialling those fails: what serves is not given up for what may not. Where there is no room
//! for such a connection, or nobody uses the pool, the first to end makes way for it.
//!
//! To which of its endpoint's addresses a connection is, is not known here. All that were dialled before the change end.

use super::Follower;
use super::known::Known;
use crate::connect::Connect;
use crate::endpoints::{Endpoint, Key};
use crate::kernel::{Arc, EndpointNumber, State};
use crate::lifecycle::set::SetState;
use crate::lifecycle::state::{LifecycleCore, SlotMeta};
use crate::lifecycle::upkeep;
use crate::rt::nanos;
use crate::settings::SECOND;

/// So many steps until all have been told to end.
const STEPS: usize = 10;

/// What becomes of the connections of such an endpoint.
pub(super) struct Moving {
    /// The version of the set that told of the change: those dialled by an earlier one are to end.
    since: u64,
    /// When the next are told.
    step_at: u64,
    /// How many at each step, once the first was taken.
    at_once: Option<usize>,
}

impl Moving {
    /// It moves since this version of the set. Where it did `before`, the next are told when they would have been, however
    /// often it is another address.
    pub(super) fn since(version: u64, before: Option<&Self>) -> Self {
        Self {
            since: version,
            step_at: before.map_or(0, |before| before.step_at),
            at_once: None,
        }
    }
}

impl<C, K, F> Follower<C, K, F>
where
    C: Connect,
    K: Key,
    F: Fn(&Endpoint<K>) -> C + Send + Sync + 'static,
{
    /// Has connections end that may be to addresses which are gone; when more of them are to, if they are.
    pub(super) fn end_outdated(
        &mut self,
        core: &Arc<LifecycleCore<C>>,
        state: &SetState<C>,
    ) -> Option<u64> {
        let now = core.owner.clock.now();
        let mut next = None::<u64>;
        for Known { id, moving, .. } in self.known.values_mut() {
            let Some(step) = moving else {
                continue;
            };
            if step.step_at <= now {
                step.step_at = now.saturating_add(nanos(SECOND));
                if may_end(core, state, id.number) && step.take(core, id.number) {
                    *moving = None;
                    continue;
                }
            }
            next = next.into_iter().chain([step.step_at]).min();
        }
        next
    }
}

impl Moving {
    /// Has some more end. Whether all have been told.
    fn take<C: Connect>(&mut self, core: &Arc<LifecycleCore<C>>, number: EndpointNumber) -> bool {
        let is_outdated = |meta: &SlotMeta| meta.is_before(self.since) && !meta.is_to_end();
        let open = core.slots().filter(|(index, word, meta)| {
            !matches!(word.state(), State::Vacant | State::Opening)
                && core.endpoint_of(*index) == Some(number)
                && is_outdated(meta)
        });
        let outdated: Vec<_> = open.map(|(_, _, meta)| meta).collect();
        if outdated.is_empty() {
            // Unless one is being opened to the old addresses.
            let endpoints = core.endpoints();
            return endpoints.is_none_or(|set| set.record(number).opening() == 0);
        }
        let at_once = outdated.len().div_ceil(STEPS);
        let at_once = *self.at_once.get_or_insert(at_once);
        for meta in outdated.iter().take(at_once) {
            meta.moved();
        }
        // Idle ones are closed by a look.
        upkeep::schedule(core, core.owner.clock.now());
        false
    }
}

/// Whether connections of this endpoint may end now.
fn may_end<C: Connect>(
    core: &LifecycleCore<C>,
    state: &SetState<C>,
    number: EndpointNumber,
) -> bool {
    let is_in_use = {
        let dials = state.dials();
        if dials.outage(number).is_some() {
            return false;
        }
        if !dials.is_moved(number) {
            return true;
        }
        dials.is_in_use
    };
    let Some(endpoints) = core.endpoints() else {
        return false;
    };
    let (demand, record) = (core.demand(), endpoints.record(number));
    let budget = core.owner.budget.as_ref();
    let has_room = demand.occupied < demand.max_size
        && record.has_room(&state.room)
        && budget.is_none_or(|budget| budget.refused_by().is_none());
    // A dial is due, or under way.
    let is_awaited = is_in_use && (has_room || record.opening() > 0);
    !is_awaited
}
