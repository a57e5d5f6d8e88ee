//! Which endpoint of a set is dialled next, and when callers learn that none can be reached.
//!
//! - Callers wait for any endpoint. Where a dial is due for them, it is made to a drawn endpoint with the fewest
//!   connections for its share whose last dial did not fail; where all of these are full, to a spare one; and to one that
//!   failed and whose gate is open only where there is no other. So a dead endpoint costs its own dials, no caller's.
//! - A dial that has taken longer than [`ATTEMPT_DELAY`] is not counted on any more: another endpoint is dialled beside it.
//! - While the pool is in use, an endpoint without a connection that was chosen, or failed, is dialled though nobody
//!   waits, at the pace of its back-off: else it would never have its share, or never come back.
//! - An error is told to those who wait only where every endpoint that may serve has failed so that it is to be told.

use std::sync::Arc as StdArc;
use std::sync::atomic::Ordering::Relaxed;

use super::dialer::Dialer;
use super::set::SetState;
use super::set_dials::SetDials;
use super::state::LifecycleCore;
use super::{dial, target};
use crate::connect::Connect;
use crate::error::ConnectError;
use crate::kernel::{Arc, Demand, EndpointNumber, Endpoints};
use crate::policy::balance::Picker;
use crate::policy::balance::fewest::{Holdings, fewest};
use crate::policy::growth::{self, Decision, Situation};
use crate::policy::telling::{self, ConnectFailures, Tell};

/// As between the addresses of one host (RFC 8305).
const ATTEMPT_DELAY: u64 = 250_000_000;

/// The endpoint that is to be dialled now, if one is. `situation` is that of the whole pool, without a gate.
pub(super) fn due<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    set: &SetState<C>,
    demand: &Demand,
    situation: Situation,
) -> Option<EndpointNumber> {
    let Situation { now, missing, .. } = situation;
    if demand.opening >= situation.max_connecting || demand.occupied >= demand.max_size {
        return None;
    }
    let mut dials = set.dials();
    if missing > 0 {
        let counted_on = |dial: &&super::dialer::UnderWay| {
            let has_failed = dial
                .number
                .is_some_and(|number| dials.outage(number).is_some());
            !has_failed && now < dial.began.saturating_add(ATTEMPT_DELAY)
        };
        let young: Vec<_> = dialer.under_way.iter().filter(counted_on).collect();
        let oldest = young.iter().map(|dial| dial.began).min();
        match growth::decide(&Situation {
            opening: young.len(),
            ..situation
        }) {
            Decision::Dial => {
                let mut picker = Picker::new(dialer.rng.u64(..));
                let found = for_a_caller(core, set, &mut dials, now, &mut picker);
                if found.is_some() {
                    return found;
                }
                dial::wake_by(core, dialer, dials.full_until);
            }
            Decision::Wait(until) => dial::wake_by(core, dialer, until),
            // Those under way will do, if they are as fast as others.
            Decision::Enough => {
                if let Some(began) = oldest {
                    dial::wake_by(core, dialer, began.saturating_add(ATTEMPT_DELAY));
                }
            }
        }
    }
    if !dials.is_in_use {
        return None;
    }
    let endpoints = core.endpoints()?;
    let has_none = |number| endpoints.record(number).open() == 0;
    let mut soonest = u64::MAX;
    let found = dials.wanted(has_none).into_iter().find(|number| {
        let outage = dials.outage(*number);
        let gate_opens_at = outage.map_or(0, |outage| outage.gate.opens_at());
        if endpoints.record(*number).opening() > 0 {
            return false;
        }
        soonest = soonest.min(gate_opens_at);
        gate_opens_at <= now
    });
    if found.is_none() {
        dial::wake_by(core, dialer, soonest);
    }
    found
}

/// The endpoint that is dialled for callers who wait. If there is none, it is known until when.
fn for_a_caller<C: Connect>(
    core: &LifecycleCore<C>,
    set: &SetState<C>,
    dials: &mut SetDials,
    now: u64,
    picker: &mut Picker,
) -> Option<EndpointNumber> {
    let endpoints = core.endpoints()?;
    if now < dials.full_until {
        return None;
    }
    let (drawn, all) = (endpoints.drawn(), endpoints.len());
    let room = set.room;
    let mut choose = |places: std::ops::Range<usize>, failed: Failed| {
        let candidates = places.filter_map(|place| {
            let number = endpoints.number_at(place)?;
            let record = endpoints.record(number);
            let outage = dials.outage(number);
            let opening = record.opening();
            let may_be = match failed {
                Failed::No => outage.is_none() && opening < room.max_opening,
                // One at a time, until one succeeds.
                Failed::Yes => outage.is_some() && opening == 0,
            };
            let holdings = Holdings {
                open: record.open(),
                opening,
                weight: record.share.load(Relaxed),
                gate_opens_at: outage.map_or(0, |outage| outage.gate.opens_at()),
            };
            may_be.then_some((place, holdings))
        });
        let place = fewest(now, room.max_size, candidates, picker)?;
        endpoints.number_at(place)
    };
    let found = choose(0..drawn, Failed::No)
        .or_else(|| choose(drawn..all, Failed::No))
        .or_else(|| choose(0..all, Failed::Yes));
    if found.is_none() {
        let gates = dials
            .failing()
            .iter()
            .filter_map(|number| dials.outage(*number));
        let soonest = gates
            .map(|outage| outage.gate.opens_at())
            .filter(|at| *at > now);
        dials.full_until = soonest.min().unwrap_or(u64::MAX);
    }
    found
}

/// Whether the last dial of an endpoint failed.
#[derive(Clone, Copy)]
enum Failed {
    No,
    Yes,
}

/// Whether every endpoint that may serve has failed so that those who wait are to be told now, and if not, when to look
/// again.
pub(super) fn all_tell(
    endpoints: &Endpoints,
    dials: &SetDials,
    policy: ConnectFailures,
    had_connection: bool,
    now: u64,
) -> Tell {
    let mut look_at = 0;
    for place in 0..endpoints.len() {
        let Some(number) = endpoints.number_at(place) else {
            continue;
        };
        let Some(outage) = dials.outage(number) else {
            return Tell::Nothing;
        };
        match telling::decide(policy, &outage.failing(now, had_connection)) {
            Tell::AtOnce | Tell::Now => {}
            Tell::At(at) => look_at = at.max(look_at),
            Tell::Nothing => return Tell::Nothing,
        }
    }
    match look_at {
        0 => Tell::Now,
        at => Tell::At(at),
    }
}

/// An error names so many endpoints at most.
const NAMED: usize = 8;

/// Why no endpoint can be reached, or some can't.
pub(super) fn last_error<C: Connect>(
    core: &LifecycleCore<C>,
    set: &SetState<C>,
) -> Option<ConnectError> {
    if core.endpoints()?.len() == 0 {
        return Some(ConnectError::NoEndpoint {
            discovery: (set.discovery)().to_string().into(),
        });
    }
    let (failed, others) = {
        let dials = set.dials();
        let failing = dials.failing();
        let failed = failing.iter().take(NAMED).filter_map(|number| {
            let outage = dials.outage(*number)?;
            Some((*number, outage.last_error.clone()))
        });
        (
            failed.collect::<Vec<_>>(),
            failing.len().saturating_sub(NAMED),
        )
    };
    // Names are asked for out of the lock: they are user code.
    let named = failed.into_iter().map(|(number, error)| {
        let target = set.target(number);
        let name = target.and_then(|target| target::Target::name(&target));
        (name.unwrap_or_else(|| StdArc::from("an endpoint")), error)
    });
    let failed: StdArc<[_]> = named.collect();
    (!failed.is_empty()).then_some(ConnectError::Endpoints { failed, others })
}
