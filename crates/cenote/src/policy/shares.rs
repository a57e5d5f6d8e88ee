//! Which share of the load each endpoint of a set gets: from its weight, its priority level, whether it can be used, and
//! for how long it has been there.
//!
//! - The *levels* come first, in the order of their priorities. A level gets what is left, but no more than 1.4 times the
//!   share of it that can be used: with 72 % of it all, with half of it 70 %. The rest spills over to the next. Where
//!   all levels together cannot carry all at that measure, each gets in proportion. That is Envoy's rule, but for the
//!   share of a level, which is measured in weights, for a heavy endpoint that is gone takes more with it. Facts and
//!   opinions count alike, unless the set is in panic mode ([`ejection`]). Spilling by load is the balancer's.
//! - *Within* a level it goes by weight. Weight 0 drains: no share, whatever the others do; unless all weights are 0, which
//!   nobody can mean (pingora #891), and all are taken for 1.
//! - *Slow start* takes off the weight of an endpoint that is new, or back.
//!
//! All of it takes a few passes over the endpoints; it is for when something changed, not for each call. What comes out does
//! not depend on the order of the endpoints, to the last bit.

use std::collections::BTreeMap;
use std::time::Duration;

use super::balance::MAX_WEIGHT;
use super::ejection::{self, Availability, PanicMode, PanicThreshold};
use crate::rt::nanos;

/// An endpoint, as far as its share depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) weight: u32,
    pub(crate) priority: u16,
    pub(crate) availability: Availability,
    /// Since when it takes calls, if it starts slowly: because it was added, or came back.
    pub(crate) started_at: Option<u64>,
}

/// How an endpoint that is new, or back, comes to its full weight: with caches that are cold and code that is not compiled
/// it would fail under its share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SlowStart {
    /// How long it takes.
    pub(crate) window: Duration,
    /// The weight is multiplied by the share of the window that has passed, to the power of one divided by this: 1 is a
    /// straight line, more is faster at the beginning.
    pub(crate) aggression: f64,
}

/// An endpoint begins with this part of its weight, as in Envoy: with none it would never be called, and never warm (envoy
/// #29259).
const LEAST_RAMP: f64 = 0.1;

/// Shares are made anew so often in the time of a slow start: each time an endpoint's changes by about a twentieth of what
/// it comes to, and however many endpoints start at whatever times, all are seen to together.
const STEPS: u64 = 20;

impl SlowStart {
    /// The part of its weight that an endpoint has.
    fn ramp(&self, now: u64, started_at: u64) -> f64 {
        let (passed, window) = (now.saturating_sub(started_at), nanos(self.window));
        if passed >= window {
            return 1.0;
        }
        // What is no number above 0 would have an endpoint get nothing, or more than its share.
        let exponent = 1.0 / self.aggression.max(f64::MIN_POSITIVE);
        (passed as f64 / window as f64)
            .powf(exponent)
            .max(LEAST_RAMP)
    }

    fn next_step(&self, now: u64) -> u64 {
        let step = (nanos(self.window) / STEPS).max(1);
        (now / step).saturating_add(1).saturating_mul(step)
    }
}

/// What each endpoint gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// In the order of the facts. The greatest is [`MAX_WEIGHT`], and none is 0 but of an endpoint that is to get nothing.
    pub(crate) shares: Vec<u32>,
    /// When they are to be made anew, though nothing happens: a slow start is under way.
    pub(crate) change_at: Option<u64>,
    /// Whether ejected endpoints are used.
    pub(crate) panic: Option<PanicMode>,
}

/// The whole load, and the whole of a weight. Both are divided in integers: floating-point sums would depend on the order,
/// and what is lost in rounding would be left for a level that is to get nothing.
const WHOLE_LOAD: u128 = 1 << 32;
const WHOLE_WEIGHT: u64 = 1 << 16;

/// A level gets up to 7/5 of the share of it that can be used: Envoy's overprovisioning factor of 1.4.
const OVERPROVISIONING: (u128, u128) = (7, 5);

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    /// The weights of all its endpoints, and of those that can be used.
    weight: u128,
    usable: u128,
    /// The latter with slow start, each in parts of [`WHOLE_WEIGHT`].
    effective: u128,
    /// Of [`WHOLE_LOAD`].
    load: u128,
}

impl Level {
    /// As much of the load as it may get, which may be more than there is.
    fn health(&self) -> u128 {
        let (factor, divisor) = OVERPROVISIONING;
        let health = self.usable * factor * WHOLE_LOAD;
        health.div_ceil(self.weight * divisor)
    }

    /// The load of a unit of effective weight.
    fn density(&self) -> f64 {
        self.load as f64 / self.effective as f64
    }
}

/// The shares of all endpoints of a set.
pub(crate) fn shares(
    now: u64,
    facts: &[Facts],
    threshold: PanicThreshold,
    slow_start: Option<&SlowStart>,
) -> Shares {
    let is_weighted = facts.iter().any(|one| one.weight > 0);
    let weight = |one: &Facts| if is_weighted { one.weight } else { 1 };
    let weighty = facts.iter().filter(|one| weight(one) > 0);
    let opinions = weighty.map(|one| (one.priority, one.availability));
    let panic = ejection::decide(threshold, opinions);

    let effective = |one: &Facts| {
        let started_at = slow_start.zip(one.started_at);
        let ramp = started_at.map_or(1.0, |(slow, started_at)| slow.ramp(now, started_at));
        let part = (WHOLE_WEIGHT as f64 * ramp) as u64;
        let usable = if one.availability.is_used(panic) {
            weight(one)
        } else {
            0
        };
        (u64::from(usable), u64::from(usable) * part)
    };
    let weights: Vec<_> = facts.iter().map(effective).collect();

    let mut levels = BTreeMap::<u16, Level>::new();
    for (one, (usable, effective)) in facts.iter().zip(&weights) {
        let level = levels.entry(one.priority).or_default();
        level.weight += u128::from(weight(one));
        level.usable += u128::from(*usable);
        level.effective += u128::from(*effective);
    }
    levels.retain(|_, level| level.usable > 0);
    divide(&mut levels);

    let loads = facts.iter().zip(&weights).map(|(one, (_, effective))| {
        let density = levels.get(&one.priority).map_or(0.0, Level::density);
        *effective as f64 * density
    });
    let greatest = loads.clone().fold(0.0, f64::max);
    let share = |load| match load {
        0.0 => 0,
        load => ((load / greatest * f64::from(MAX_WEIGHT)).round() as u32).max(1),
    };
    let is_starting = |(usable, effective): &(u64, u64)| *effective < usable * WHOLE_WEIGHT;
    let starting = slow_start.filter(|_| weights.iter().any(is_starting));
    Shares {
        shares: loads.map(share).collect(),
        change_at: starting.map(|slow| slow.next_step(now)),
        panic,
    }
}

/// Divides the load among the levels, of which each can carry some: what the first leaves goes to the next. What is left
/// in the end needs no care, for shares are relative.
fn divide(levels: &mut BTreeMap<u16, Level>) {
    let mut left = WHOLE_LOAD;
    for level in levels.values_mut() {
        level.load = level.health().min(left);
        left -= level.load;
    }
}

#[cfg(test)]
mod tests;
