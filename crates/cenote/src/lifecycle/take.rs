//! How a face comes by a connection: an idle one that is fresh, one that is checked first, or the next there is.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use super::checking::Checking;
use super::dial;
use super::health;
use super::pre_lease_check::{PreLeaseCheck, Rejected};
use super::recycle::release;
use super::state::{ConnectionToken, Lifecycle, LifecycleCore, Refusal};
use super::upkeep::{self, Upkeep};
use crate::connect::Connect;
use crate::error::GetError;
use crate::kernel::{Arc, EndpointNumber, IdleSince, JoinOutcome, Owner, Waiter};

/// An idle connection that is fresh, and by when. The check of each other it finds begins in the background; where
/// nothing can be checked, there is none.
pub(crate) fn fresh<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Option<(ConnectionToken<C>, u64)> {
    // Checked only afterwards: one whose check is over at once would be found again, stale where the pool rests.
    let mut stale = Vec::new();
    let fresh = loop {
        match idle(core) {
            Some(Idle::Fresh(token, now)) => break Some((token, now)),
            Some(Idle::Stale(token)) => stale.push(token),
            None => break None,
        }
    };
    for token in stale {
        drop(PreLeaseCheck::start(token));
    }
    fresh
}

/// A face gives leases on connections it has taken before: endpoints that lack one are dialled though nobody waits.
pub(crate) fn in_use<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    if let Some(set) = core.owner.targets.set() {
        set.dials().is_in_use = true;
        dial::dial_if_needed(core);
        health::fade(core, core.owner.clock.now());
    }
}

/// Whether the endpoint with this number has an idle connection, or by its own bound may have one more, as of now. Takes
/// no lock.
pub(crate) fn has_room_at<C: Connect>(core: &LifecycleCore<C>, number: EndpointNumber) -> bool {
    let Some((set, endpoints)) = core.owner.targets.set().zip(core.endpoints()) else {
        return false;
    };
    let record = endpoints.record(number);
    record.has_idle() || record.has_room(&set.room)
}

/// An idle connection of the endpoint with this number; if it has none, nor one that is being checked, it is dialled.
pub(crate) fn of_endpoint<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    number: EndpointNumber,
) -> Option<Idle<C>> {
    if let Some(token) = core.claim_of(number) {
        return judge(core, token);
    }
    let record = core.endpoints()?.record(number);
    if !record.has_idle() && record.miss() {
        Lifecycle::missed(core, number);
    }
    None
}

/// Checks a connection that no caller waits for; growth counts it as coming meanwhile.
pub(crate) async fn checked_meanwhile<C: Connect>(
    core: Arc<LifecycleCore<C>>,
    token: ConnectionToken<C>,
) -> Option<ConnectionToken<C>> {
    let _checking = Checking::begin(&core);
    check(token).await.ok()
}

/// As [`fresh`], for a caller that may wait: what must be checked is checked here.
pub(crate) async fn checked<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
) -> Option<(ConnectionToken<C>, u64)> {
    loop {
        let token = match idle(core)? {
            Idle::Fresh(token, now) => return Some((token, now)),
            Idle::Stale(token) => token,
        };
        match check(token).await {
            Ok(token) => return Some((token, core.owner.clock.now())),
            Err(Rejected::Closed) => {}
            Err(Rejected::Fatal(_)) => return None,
        }
    }
}

/// An idle connection, claimed.
pub(crate) enum Idle<C: Connect> {
    Fresh(ConnectionToken<C>, u64),
    /// To be checked before it is leased.
    Stale(ConnectionToken<C>),
}

fn idle<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Option<Idle<C>> {
    judge(core, core.claim()?)
}

fn judge<C: Connect>(core: &Arc<LifecycleCore<C>>, token: ConnectionToken<C>) -> Option<Idle<C>> {
    if let Some(now) = core.owner.fresh_at(&token) {
        return Some(Idle::Fresh(token, now));
    }
    if upkeep::ensure(core) == Upkeep::Impossible {
        // Nothing can be checked here.
        release(token, IdleSince::Before);
        return None;
    }
    // The pool may have rested, and its clock stood: now the clock tells.
    Some(match core.owner.fresh_at(&token) {
        Some(now) => Idle::Fresh(token, now),
        None => Idle::Stale(token),
    })
}

async fn check<C: Connect>(token: ConnectionToken<C>) -> Result<ConnectionToken<C>, Rejected> {
    let mut check = PreLeaseCheck::start(token);
    poll_fn(|cx| check.poll(cx)).await
}

/// The next connection there is, for a face that waits for one at a time, without end: an idle one, checked first where
/// that is due, or the first that comes back or is opened.
///
/// Dropping the future leaves the waitlist and loses nothing.
pub(crate) async fn next<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
) -> Result<ConnectionToken<C>, GetError> {
    let mut waiter = pin!(Waiter::new(core, core.owner.clock.now()));
    loop {
        let mut is_queued = false;
        let token = poll_fn(|cx| poll_queue(core, waiter.as_mut(), &mut is_queued, cx)).await?;
        if core.owner.fresh_at(&token).is_some() {
            return Ok(token);
        }
        match check(token).await {
            Ok(token) => return Ok(token),
            // It was this waiter's turn, and it still is.
            Err(Rejected::Closed) => {}
            Err(Rejected::Fatal(error)) => return Err(error),
        }
    }
}

fn poll_queue<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    waiter: Pin<&mut Waiter<'_, Lifecycle<C>>>,
    is_queued: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<Result<ConnectionToken<C>, GetError>> {
    let life = &core.owner;
    let waiter = waiter.as_ref();
    let refused = |why| match why {
        Refusal::Connect { failures, error } => GetError::Connect {
            pool: life.settings.name.clone(),
            failures,
            error,
        },
        // It waits without end, and for any.
        Refusal::Closed | Refusal::TimedOut | Refusal::SentAway => life.closed_error(),
    };
    let mut may_grow = false;
    if !std::mem::replace(is_queued, true) {
        match waiter.join(cx.waker(), u64::MAX, usize::MAX) {
            JoinOutcome::Granted(token) => return Poll::Ready(Ok(token)),
            JoinOutcome::Queued { may_grow: may, .. } => may_grow = may,
            JoinOutcome::Full | JoinOutcome::Closed | JoinOutcome::SentAway => {
                return Poll::Ready(Err(life.closed_error()));
            }
        }
    } else if let Poll::Ready(outcome) = waiter.poll(cx) {
        return Poll::Ready(outcome.map_err(refused));
    }
    // After queueing, and whenever it is woken for nothing else: an upkeep that ends wakes the waiters.
    if upkeep::ensure(core) == Upkeep::Impossible {
        let outcome = waiter.leave().map(|outcome| outcome.map_err(refused));
        return Poll::Ready(outcome.unwrap_or_else(|| Err(life.no_runtime())));
    }
    if may_grow {
        dial::dial_for_waiter(core);
    }
    // If it was served by now, it was woken as well.
    Poll::Pending
}
