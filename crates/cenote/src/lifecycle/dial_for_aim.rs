//! Dials for callers that wait for one endpoint of a set, and for no other ([`aim`](super::aim)).
//!
//! Each such endpoint grows by the same rule as a pool of one, within its own bound and the pool's, those first whose
//! callers came first; where the pool is full, or its budget used up, an endpoint with more for its share gives one up. And nobody waits behind an endpoint that has no connection and cannot be
//! reached: once a dial there has failed, or has taken longer than [`ATTEMPT_DELAY`], those who wait there are sent away, to
//! look for another or to hear why not.

use super::dial;
use super::dial_of_set::{self, ATTEMPT_DELAY, Move, Purpose, Step};
use super::dialer::Dialer;
use super::set::SetState;
use super::set_dials::SetDials;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::kernel::{Arc, Demand, EndpointNumber};
use crate::policy::growth::{self, Decision, Situation};

/// What is due for those who wait at endpoints. `situation` is that of the whole pool, without a gate; whoever waits at one
/// of `dead_ends` is to be sent away.
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
        return None;
    }
    let endpoints = core.endpoints()?;
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
        if step.is_some() || !record.has_room(&set.room) {
            continue;
        }
        let youngest = dialer
            .under_way
            .iter()
            .filter(|dial| dial.number == Some(number));
        let decision = growth::decide(&Situation {
            missing: waiting.saturating_sub(dialer.arriving),
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
            Decision::Dial if demand.opening >= situation.max_connecting => {}
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
        let late_at = dial.began.saturating_add(ATTEMPT_DELAY);
        match now >= late_at {
            true => (dial.is_given_up, takes_long) = (true, true),
            false => ask_at = ask_at.min(late_at),
        }
    }
    dial::wake_by(core, dialer, ask_at);
    takes_long
}
