//! Dials for callers that wait for one endpoint of a set, and for no other ([`aim`](super::aim)).
//!
//! Each such endpoint grows by the same rule as a pool of one, within its own bound and the pool's, those first whose
//! callers came first; where the pool is full, or its budget used up, an endpoint with more for its share gives one up.
//!
//! Nobody waits behind an endpoint that has no connection and cannot be reached: once a dial there has failed, or has taken
//! longer than [`ATTEMPT_DELAY`](dial_of_set::ATTEMPT_DELAY), those who wait there are sent away, to look for another or to hear why not. Nor behind
//! the dials of others: those to endpoints without a connection take half of what may be under way, and once all of them
//! take long, those who wait for one to begin are sent away as well.

use super::dial;
use super::dial_of_set::{self, Move, Purpose, Step};
use super::dialer::{Dialer, UnderWay};
use super::set::SetState;
use super::set_dials::SetDials;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::kernel::{Arc, Demand, EndpointNumber};
use crate::policy::growth::{self, Decision, Situation};

/// What is due for those who wait at endpoints. `situation` is that of the whole pool, without a gate; those who wait at one
/// of `dead_ends` are to be sent away.
pub(super) fn due<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    set: &SetState<C>,
    dials: &SetDials,
    demand: &Demand,
    situation: Situation,
    dead_ends: &mut Vec<EndpointNumber>,
) -> Option<Step> {
    if demand.aimed == 0 {
        dialer.is_held_up = false;
        return None;
    }
    let endpoints = core.endpoints()?;
    let is_held_up = is_held_up(core, dialer, situation.now);
    let was_held_up = std::mem::replace(&mut dialer.is_held_up, is_held_up);
    let is_full = demand.occupied >= demand.max_size;
    // What is being closed makes room already.
    let richest = (is_full && demand.closing == 0)
        .then(|| dial_of_set::richest(endpoints))
        .flatten();
    let mut step = None;
    for (number, waiting) in core.aimed() {
        if dead_ends.contains(&number) {
            continue;
        }
        let record = endpoints.record(number);
        let outage = dials.outage(number);
        if record.open() == 0
            && (outage.is_some() || takes_long(core, dialer, number, situation.now))
        {
            dead_ends.push(number);
            continue;
        }
        // Said once, for who waits for this endpoint and no other waits on.
        if is_held_up && !was_held_up && record.occupied() == 0 {
            dead_ends.push(number);
            continue;
        }
        if step.is_some() || !record.has_room(&set.room) {
            continue;
        }
        let youngest = dialer
            .under_way
            .iter()
            .filter(|dial| dial.number == Some(number));
        let arriving = dialer.arriving_at.iter().filter(|at| **at == number);
        let decision = growth::decide(&Situation {
            missing: waiting.saturating_sub(arriving.count()),
            checking: 0,
            open: record.open() as usize,
            opening: record.opening() as usize,
            max_size: set.room.max_size as usize,
            gate_opens_at: outage.map_or(0, |outage| outage.gate.opens_at()),
            probing: outage.is_some(),
            last_dial_at: youngest.map(|dial| dial.began).max().unwrap_or(0),
            ..situation
        });
        match decision {
            Decision::Dial if !may_dial(core, dialer, number) => {
                let young = dialer.under_way.iter().map(UnderWay::late_at);
                let next = young.filter(|late_at| situation.now < *late_at).min();
                dial::wake_by(core, dialer, next.unwrap_or(u64::MAX));
            }
            Decision::Dial if is_full => {
                let gives = |from: &_| dial_of_set::should_give(endpoints, *from, number);
                let from = richest.filter(gives);
                step = from.map(|from| Step::MakeRoom(Move { from, to: number }));
            }
            Decision::Dial => step = Some(Step::Dial(number, Purpose::Demand)),
            Decision::Wait(until) => dial::wake_by(core, dialer, until),
            Decision::Enough => {}
        }
    }
    step
}

/// The dials under way to endpoints that have no connection, of which it is not known whether they answer; and how many
/// there may be.
fn unsure<'a, C: Connect>(
    core: &LifecycleCore<C>,
    dialer: &'a Dialer,
) -> (impl Iterator<Item = &'a UnderWay>, usize) {
    let endpoints = core.endpoints();
    let is_unsure = move |dial: &&UnderWay| {
        let to = endpoints.zip(dial.number);
        to.is_some_and(|(endpoints, number)| endpoints.record(number).open() == 0)
    };
    let limit = core.owner.settings.max_connecting.div_ceil(2);
    (dialer.under_way.iter().filter(is_unsure), limit)
}

/// Whether another dial to this endpoint may be under way.
fn may_dial<C: Connect>(core: &LifecycleCore<C>, dialer: &Dialer, number: EndpointNumber) -> bool {
    let (unsure, limit) = unsure(core, dialer);
    let is_sure = core
        .endpoints()
        .is_some_and(|endpoints| endpoints.record(number).open() > 0);
    dialer.under_way.len() < core.owner.settings.max_connecting
        && (is_sure || unsure.count() < limit)
}

/// Whether no dial can begin to an endpoint without a connection, for those that are under way take long.
pub(super) fn is_held_up<C: Connect>(core: &LifecycleCore<C>, dialer: &Dialer, now: u64) -> bool {
    let (unsure, limit) = unsure(core, dialer);
    unsure.filter(|dial| dial.is_late(now)).count() >= limit
}

/// Whether a dial to this endpoint has taken long, which is said of each once; of one that may, it is asked again then.
fn takes_long<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    number: EndpointNumber,
    now: u64,
) -> bool {
    let (mut takes_long, mut ask_at) = (false, u64::MAX);
    let dials = dialer.under_way.iter_mut();
    for dial in dials.filter(|dial| dial.number == Some(number) && !dial.is_given_up) {
        match dial.is_late(now) {
            true => (dial.is_given_up, takes_long) = (true, true),
            false => ask_at = ask_at.min(dial.late_at()),
        }
    }
    dial::wake_by(core, dialer, ask_at);
    takes_long
}
