//! Which endpoint of a set is dialled next, and when callers learn that none can be reached.
//!
//! - Callers wait for any endpoint. Where a dial is due for them, it is made to a drawn endpoint with the fewest
//!   connections for its share whose last dial did not fail, and of which none hangs; where all of these are full, to a
//!   spare one; and to one that failed and whose gate is open only where there is no other. So a dead endpoint costs its
//!   own dials, no caller's. Those who wait for one endpoint and no other come first
//!   ([`dial_for_aim`](super::dial_for_aim)).
//! - One that is up and not what is wanted is dialled seldom as long as another serves, and soon where none does and callers
//!   wait ([`suitability`](crate::policy::suitability)).
//! - A dial that has taken longer than [`ATTEMPT_DELAY`], or whose endpoint may not serve any more, is not counted on:
//!   another endpoint is dialled beside it, one with connections, if there is any. Else endpoints that come and go faster
//!   than they are dialled would have every dial, for they have the fewest connections.
//! - While the pool is in use, an endpoint that was chosen and lacks a connection, or that failed and has none, is dialled
//!   though nobody waits, at the pace of its back-off: else it would never come to its share, or never come back. Such dials
//!   take half of those that may be under way, and leave callers the rest. So is one that has other addresses now, whatever
//!   connections it has. Where the pool is full, one that has no
//!   connection, or fewer than it should, is made room for.
//! - An error is told to those who wait only where every endpoint that may serve has failed so that it is to be told.

use std::sync::Arc as StdArc;
use std::sync::atomic::Ordering::Relaxed;

use super::dial;
use super::dial_for_aim;
use super::dialer::{Dialer, UnderWay};
use super::set::SetState;
use super::set_dials::SetDials;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::error::ConnectError;
use crate::kernel::{Arc, Demand, EndpointNumber, Endpoints};
use crate::policy::backoff::Gate;
use crate::policy::balance::Picker;
use crate::policy::balance::fewest::{Holdings, fewest};
use crate::policy::growth::{self, Decision, Situation};
use crate::policy::telling::{self, ConnectFailures, Tell};

/// As between the addresses of one host (RFC 8305).
pub(super) const ATTEMPT_DELAY: u64 = 250_000_000;

/// What a dial of a set is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Callers wait, or too few are idle.
    Demand,
    /// The endpoint should have a connection of its own.
    Share,
}

/// Whether the pool may have one more connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PoolRoom {
    None,
    Some,
}

/// In a pool that is full an endpoint that failed is not dialled again before this, for another has to give a connection
/// up for each try.
const PATIENCE_WHEN_FULL: u64 = 5_000_000_000;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Dial(EndpointNumber, Purpose),
    /// An endpoint is to be dialled, and the pool is full.
    MakeRoom(Move),
}

/// A connection of one endpoint is closed so that another endpoint can have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: EndpointNumber,
    pub(super) to: EndpointNumber,
}

/// What is due. `situation` is that of the whole pool, without a gate.
pub(super) fn due<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    set: &SetState<C>,
    demand: &Demand,
    situation: Situation,
    dead_ends: &mut Vec<EndpointNumber>,
) -> Option<Step> {
    let mut dials = set.dials();
    let for_aim = dial_for_aim::due(core, dialer, set, &dials, demand, situation, dead_ends);
    if demand.opening >= situation.max_connecting {
        return None;
    }
    // First: what is opened for those who wait for one endpoint serves all others as well, in the order in which they came.
    if for_aim.is_some() {
        return for_aim;
    }
    let is_full = demand.occupied >= demand.max_size;
    if situation.missing > 0 && !is_full {
        let found = for_demand(core, dialer, set, &mut dials, demand, situation);
        if let Some(number) = found {
            return Some(Step::Dial(number, Purpose::Demand));
        }
    }
    let for_share = dialer.under_way.iter();
    let for_share = for_share.filter(|dial| dial.purpose == Purpose::Share);
    if !dials.is_in_use || for_share.count() >= situation.max_connecting.div_ceil(2) {
        return None;
    }
    let room = match is_full {
        true => PoolRoom::None,
        false => PoolRoom::Some,
    };
    let number = for_share_of_its_own(core, dialer, set, &mut dials, situation.now, room)?;
    Some(match room {
        PoolRoom::None => Step::MakeRoom(room_for(core.endpoints()?, number)?),
        PoolRoom::Some => Step::Dial(number, Purpose::Share),
    })
}

fn for_demand<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    set: &SetState<C>,
    dials: &mut SetDials,
    demand: &Demand,
    situation: Situation,
) -> Option<EndpointNumber> {
    let now = situation.now;
    let has_left = |dial: &UnderWay| {
        let serves = |number| dials.serving().contains(&number);
        !dial.number.is_some_and(serves)
    };
    let counted_on = |dial: &&UnderWay| {
        let has_failed = dial
            .number
            .is_some_and(|number| dials.outage(number).is_some());
        !has_failed && !has_left(dial) && !dial.is_late(now)
    };
    let young = dialer.under_way.iter().filter(counted_on);
    let (opening, oldest) = young.fold((0, u64::MAX), |(count, oldest), dial| {
        (count + 1, oldest.min(dial.began))
    });
    let is_stale =
        |dial: &UnderWay| dial.purpose == Purpose::Demand && (dial.is_late(now) || has_left(dial));
    let trust = match dialer.under_way.iter().any(is_stale) {
        true => Trust::Connected,
        false => Trust::Any,
    };
    let until = match growth::decide(&Situation {
        opening,
        ..situation
    }) {
        Decision::Dial => {
            let is_urgent = demand.waiters > 0 && dials.late().next().is_some();
            if is_urgent && (trust == Trust::Connected || !serves(core, dials)) {
                dials.hasten(&mut dialer.rng);
            }
            let mut picker = Picker::new(dialer.rng.u64(..));
            let hanging = hanging(dialer, now);
            let found = fewest_connections(core, set, dials, now, trust, &hanging, &mut picker);
            if found.is_some() {
                return found;
            }
            dials.full_until()
        }
        Decision::Wait(until) => until,
        // Those under way will do, if they are as fast as others.
        Decision::Enough => oldest.saturating_add(ATTEMPT_DELAY),
    };
    dial::wake_by(core, dialer, until);
    None
}

/// The endpoints to which dials have taken long.
pub(super) fn hanging(dialer: &Dialer, now: u64) -> Vec<EndpointNumber> {
    let late = dialer.under_way.iter().filter(|dial| dial.is_late(now));
    late.filter_map(|dial| dial.number).collect()
}

/// Whether an endpoint has connections, and its last dial did not fail.
fn serves<C: Connect>(core: &LifecycleCore<C>, dials: &SetDials) -> bool {
    let has_connections = |number: &EndpointNumber| {
        let endpoints = core.endpoints();
        endpoints.is_some_and(|endpoints| endpoints.record(*number).open() > 0)
    };
    let has_failed = |number: &EndpointNumber| dials.outage(*number).is_some();
    let mut serving = dials.serving().iter();
    serving.any(|number| !has_failed(number) && has_connections(number))
}

/// Which endpoints come first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Any,
    /// Those that have connections: others have been tried, and are silent or gone.
    Connected,
}

/// How good a choice an endpoint is that may be dialled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rank {
    Connected,
    Drawn,
    Spare,
    /// Its last dial failed: one at a time, until one succeeds.
    Failed,
    /// A dial has taken long: perhaps all do.
    Hanging,
}

/// The endpoint that is dialled for callers; those that are `hanging` have dials that take long. If there is none, it is
/// known until when.
fn fewest_connections<C: Connect>(
    core: &LifecycleCore<C>,
    set: &SetState<C>,
    dials: &mut SetDials,
    now: u64,
    trust: Trust,
    hanging: &[EndpointNumber],
    picker: &mut Picker,
) -> Option<EndpointNumber> {
    let endpoints = core.endpoints()?;
    if now < dials.full_until() {
        return None;
    }
    let (drawn, all) = (endpoints.drawn(), endpoints.len());
    // Of many that have no connection the first is dialled: each time another.
    let start = picker.below(all);
    let mut choose = |wanted: Rank| {
        let places = (start..all).chain(0..start);
        let candidates = places.filter_map(|place| {
            let number = endpoints.number_at(place)?;
            let record = endpoints.record(number);
            let outage = dials.outage(number);
            let rank = match outage {
                Some(_) => Rank::Failed,
                None if hanging.contains(&number) => Rank::Hanging,
                None if trust == Trust::Connected && record.open() > 0 => Rank::Connected,
                None if place < drawn => Rank::Drawn,
                None => Rank::Spare,
            };
            let is_probed = rank == Rank::Failed && record.opening() > 0;
            if rank != wanted || is_probed || !record.has_room(&set.room) {
                return None;
            }
            let holdings = Holdings {
                // The two may be of different moments.
                open: record.occupied().saturating_sub(record.opening()),
                opening: record.opening(),
                // Shares say how the load is divided; those that have none now are dialled alike.
                weight: record.share.load(Relaxed).max(1),
                gate_opens_at: outage.map_or(0, |outage| outage.gate.opens_at()),
            };
            Some((place, holdings))
        });
        let place = fewest(now, set.room.max_size, candidates, picker)?;
        endpoints.number_at(place)
    };
    let found = (trust == Trust::Connected)
        .then(|| choose(Rank::Connected))
        .flatten()
        .or_else(|| choose(Rank::Drawn))
        .or_else(|| choose(Rank::Spare))
        .or_else(|| choose(Rank::Failed))
        .or_else(|| choose(Rank::Hanging));
    if found.is_none() {
        let soonest = dials.failing().find(|(opens_at, _)| *opens_at > now);
        let soonest = soonest.map(|(opens_at, _)| opens_at);
        dials.set_full_until(soonest.unwrap_or(u64::MAX));
    }
    found
}

/// An endpoint that should have a connection, or one more, whether or not anybody waits.
fn for_share_of_its_own<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    set: &SetState<C>,
    dials: &mut SetDials,
    now: u64,
    room: PoolRoom,
) -> Option<EndpointNumber> {
    let endpoints = core.endpoints()?;
    let has_idle = |number: &EndpointNumber| {
        let record = endpoints.record(*number);
        record.in_flight() < record.open()
    };
    let found: Vec<_> = dials.missing().filter(has_idle).collect();
    for number in found {
        dials.found(number);
        endpoints.record(number).forget_missed();
    }
    // What is being opened already will do, if it ends well.
    let has_room = |number: &EndpointNumber| {
        let record = endpoints.record(*number);
        record.opening() == 0 && record.has_room(&set.room)
    };
    if let Some(number) = dials.missing().find(has_room) {
        return Some(number);
    }
    if room == PoolRoom::Some {
        let moved = dials.moved().filter(|(_, number)| has_room(number));
        match moved.min() {
            Some((opens_at, number)) if opens_at <= now => return Some(number),
            Some((opens_at, _)) => dial::wake_by(core, dialer, opens_at),
            None => {}
        }
    }
    let is_down = |number: EndpointNumber| {
        let record = endpoints.record(number);
        record.open() == 0 && record.opening() == 0
    };
    let mut down = dials.failing().filter(|(_, number)| is_down(*number));
    let (opens_at, number) = match room {
        PoolRoom::Some => down.next()?,
        PoolRoom::None => down
            .filter_map(|(opens_at, number)| {
                let failed_at = dials.outage(number)?.failed_at;
                let patient = failed_at.saturating_add(PATIENCE_WHEN_FULL);
                Some((opens_at.max(patient), number))
            })
            .min()?,
    };
    if opens_at > now {
        dial::wake_by(core, dialer, opens_at);
        return None;
    }
    Some(number)
}

/// How many connections an endpoint has, and its share.
fn wealth(endpoints: &Endpoints, number: EndpointNumber) -> (u64, u64) {
    let record = endpoints.record(number);
    let share = record.share.load(Relaxed).max(1);
    (record.occupied().into(), share.into())
}

/// The endpoint with the most connections for its share; of those with as many one of which one is idle.
pub(super) fn richest(endpoints: &Endpoints) -> Option<EndpointNumber> {
    let more = |one: &EndpointNumber, other: &EndpointNumber| {
        let ((held, share), (others, other_share)) =
            (wealth(endpoints, *one), wealth(endpoints, *other));
        let has_idle = |number: &EndpointNumber| endpoints.record(*number).has_idle();
        let by_share = (held * other_share).cmp(&(others * share));
        by_share.then_with(|| has_idle(one).cmp(&has_idle(other)))
    };
    let all = (0..endpoints.len()).filter_map(|place| endpoints.number_at(place));
    all.max_by(more)
}

/// Whether the [richest](self::richest) endpoint has so many connections that the one with `number` should have one of
/// them.
pub(super) fn should_give(
    endpoints: &Endpoints,
    richest: EndpointNumber,
    number: EndpointNumber,
) -> bool {
    let (held, share) = wealth(endpoints, richest);
    let (own, own_share) = wealth(endpoints, number);
    let is_fairer = own == 0 || held * own_share > (own + 1) * share;
    // Callers who wait for one endpoint and no other have another one's last.
    let may_be_last = own == 0 && held > 0 && endpoints.record(number).waiting() > 0;
    richest != number && is_fairer && (held > 1 || may_be_last)
}

/// Which endpoint gives a connection up for the one with `number`, if one should.
pub(super) fn room_for(endpoints: &Endpoints, number: EndpointNumber) -> Option<Move> {
    let from = richest(endpoints)?;
    should_give(endpoints, from, number).then_some(Move { from, to: number })
}

/// Whether every endpoint that may serve has failed so that those who wait are to be told now, and if not, when to look
/// again.
pub(super) fn all_tell(
    dials: &SetDials,
    policy: ConnectFailures,
    had_connection: bool,
    now: u64,
) -> Tell {
    let mut look_at = None;
    for number in dials.serving() {
        let Some(outage) = dials.outage(*number) else {
            return Tell::Nothing;
        };
        match telling::decide(policy, &outage.failing(now, had_connection)) {
            Tell::AtOnce | Tell::Now => {}
            Tell::At(at) => look_at = look_at.max(Some(at)),
            Tell::Nothing => return Tell::Nothing,
        }
    }
    match look_at {
        Some(at) => Tell::At(at),
        // Nothing has failed: nothing is there.
        None if dials.serving().is_empty() => Tell::Nothing,
        None => Tell::AtOnce,
    }
}

/// Whether no endpoint can be reached, or there is none.
pub(super) fn is_out_of_reach(dials: &SetDials) -> bool {
    let has_failed = |number: &EndpointNumber| dials.outage(*number).is_some();
    dials.serving().iter().all(has_failed)
}

/// Where no endpoint can be reached, the gate that opens first; else one that is open.
pub(super) fn first_gate(dials: &SetDials) -> Gate {
    if !is_out_of_reach(dials) {
        return Gate::default();
    }
    let first = dials.failing().next();
    let outage = first.and_then(|(_, number)| dials.outage(number));
    outage.map_or_else(Gate::default, |outage| outage.gate)
}

/// An error names so many endpoints at most.
const NAMED: usize = 8;

/// Why no endpoint can be reached, or some can't.
pub(super) fn last_error<C: Connect>(set: &SetState<C>) -> Option<ConnectError> {
    if set.dials().serving().is_empty() {
        return Some(ConnectError::NoEndpoint {
            discovery: (set.discovery)().to_string().into(),
        });
    }
    let (failed, others) = {
        let dials = set.dials();
        let is_out_of_reach = is_out_of_reach(&dials);
        // Beside one that can be reached, those that are not what is wanted are no failures.
        let mut failing = dials.failing().filter_map(|(_, number)| {
            let outage = dials.outage(number)?;
            (is_out_of_reach || !outage.is_unsuitable()).then_some((number, outage))
        });
        let named = failing.by_ref().take(NAMED);
        let named = named.map(|(number, outage)| (number, outage.last_error.clone()));
        (named.collect::<Vec<_>>(), failing.count())
    };
    // Names are asked for out of the lock: they are user code.
    let named = failed.into_iter().map(|(number, error)| {
        let name = set.name(number);
        (name.unwrap_or_else(|| StdArc::from("an endpoint")), error)
    });
    let failed: StdArc<[_]> = named.collect();
    (!failed.is_empty()).then_some(ConnectError::Endpoints { failed, others })
}
