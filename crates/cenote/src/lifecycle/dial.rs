//! Opening connections: how many now (the policy says), each in a task of its own that no caller's cancellation reaches.
//! What comes of one is for `failed_dial`, and for `proving` where it succeeds.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, Weak};
use std::time::Duration;

use super::admit::admit;
use super::dial_of_set::{self, Move, Purpose, Step};
use super::dialer::{Dialer, UnderWay};
use super::failed_dial::{self, Failure, Slot};
use super::proving::succeeded;
use super::recycle::release;
use super::retire::retire;
use super::set::SetState;
use super::state::{Entry, Lifecycle, LifecycleCore, Origin, PROVEN};
use super::target::{Target, Targets};
use super::upkeep;
use crate::budget::{After, Membership, Want};
use crate::connect::Connect;
use crate::dial::Dial;
use crate::error::ConnectError;
use crate::kernel::{Admission, Arc, Demand, EndpointNumber, Endpoints, IdleSince, Opening, Phase};
use crate::policy::growth::{self, Decision, Situation};
use crate::report::{CloseReason, ConnectionInfo};
use crate::rt::{self, Failed};
use crate::signals::{Connection, Signalled, Signals};

/// Starts the dials that are due. Called whenever something changed that may call for one: a caller
/// queued, a slot became vacant, a dial ended, the size grew, time passed.
pub(crate) fn dial_if_needed<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    let life = &core.owner;
    if life.runtime.handle().is_none() {
        return;
    }
    let mut attempts = Vec::new();
    let mut after = After::default();
    let mut left_over = LeftOver {
        makes_room: None,
        dead_ends: Vec::new(),
        targets: Vec::new(),
    };
    {
        let mut dialer = life.dialer();
        while let Some(attempt) = next(core, &mut dialer, &mut after, &mut left_over) {
            attempts.push(attempt);
        }
    }
    after.run();
    left_over.see_to(core);
    for attempt in attempts {
        upkeep::ensure(core);
        life.runtime.spawn(dial(attempt));
    }
}

/// As [`dial_if_needed`], for a caller that has queued: in a set that is full, one look says that none is.
pub(crate) fn dial_for_waiter<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    if !core.owner.targets.set().is_some_and(SetState::is_full) {
        dial_if_needed(core);
    }
}

/// What follows once the dialer's lock is let go.
struct LeftOver<C: Connect> {
    /// In a set: there is no room for a connection that should be opened, unless another goes.
    makes_room: Option<Move>,
    /// Endpoints that those who wait there are to look for no longer.
    dead_ends: Vec<EndpointNumber>,
    /// Perhaps the last references: a connector's drop is user code.
    targets: Vec<StdArc<Target<C>>>,
}

impl<C: Connect> LeftOver<C> {
    fn see_to(self, core: &Arc<LifecycleCore<C>>) {
        let _ = rt::calling(|| drop(self.targets));
        for number in self.dead_ends {
            core.send_away(number);
        }
        if let Some(Move { from, to }) = self.makes_room {
            match (core.give_one_up(from, to), core.owner.face()) {
                (Some(token), _) => retire(token, CloseReason::Rebalanced, None),
                (None, Some(face)) => face.give_one_back(from),
                // The next that comes back.
                (None, None) => {}
            }
        }
    }
}

/// A dial that is to begin, if one is due and the budget permits it.
fn next<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    after: &mut After,
    left_over: &mut LeftOver<C>,
) -> Option<Attempt<C>> {
    let life = &core.owner;
    let due = due(core, dialer, left_over);
    if let Some(budget) = &life.budget {
        let Some(Due { demand, .. }) = &due else {
            budget.withdraw(after);
            return None;
        };
        let want = Want {
            oldest: demand
                .oldest
                .map(|since| life.oldest_on_budget_clock(since)),
            is_opening: demand.opening > 0,
        };
        if !budget.ask(&want, after) {
            left_over.makes_room = due.and_then(|due| room_within(core, budget, &due));
            return None;
        }
    }
    let Due {
        number, purpose, ..
    } = due?;
    let Some(Place { opening, target }) = open(core, number, left_over) else {
        if let Some(budget) = &life.budget {
            budget.give_back(after);
        }
        return None;
    };
    let (slot, began) = (opening.index(), life.clock.now());
    dialer.last_dial_at = began;
    dialer.under_way.push(UnderWay {
        slot,
        began,
        number,
        purpose,
        is_given_up: false,
        is_outdated: false,
    });
    Some(Attempt {
        opening: Some(opening),
        target,
        id: 0,
        began,
    })
}

/// The budget permits no other connection. It has those of other pools closed that are idle, and none of this one, which
/// could lease it: but not to callers who wait for another endpoint and no other.
fn room_within<C: Connect>(
    core: &LifecycleCore<C>,
    budget: &Membership,
    Due { demand, number, .. }: &Due,
) -> Option<Move> {
    let (endpoints, number) = (core.endpoints()?, (*number)?);
    let is_aimed_at = endpoints.record(number).waiting() > 0;
    let comes = demand.opening + demand.closing > 0 || budget.is_promised();
    (is_aimed_at && !comes)
        .then(|| dial_of_set::room_for(endpoints, number))
        .flatten()
}

/// A vacant slot, and what is dialled for it.
struct Place<C: Connect> {
    opening: Opening<Lifecycle<C>>,
    target: StdArc<Target<C>>,
}

fn open<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    number: Option<EndpointNumber>,
    left_over: &mut LeftOver<C>,
) -> Option<Place<C>> {
    let life = &core.owner;
    let max_connecting = life.settings.max_connecting;
    let (opening, target) = match (&life.targets, number) {
        (Targets::One(target), _) => (core.open(max_connecting)?, StdArc::clone(target)),
        (Targets::Set(set), number) => {
            let number = number?;
            // First: an opening that is dropped here would take the dialer's lock, which is held.
            let target = set.target(number)?;
            let Some(opening) = core.open_at(number, max_connecting, &set.room) else {
                left_over.targets.push(target);
                return None;
            };
            set.dials().found(number);
            (opening, target)
        }
    };
    Some(Place { opening, target })
}

/// A dial that is due.
struct Due {
    demand: Demand,
    /// The endpoint of a set that is to be dialled.
    number: Option<EndpointNumber>,
    purpose: Purpose,
}

/// What calls for a dial, if one is due.
fn due<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    left_over: &mut LeftOver<C>,
) -> Option<Due> {
    let life = &core.owner;
    let demand = core.demand();
    if demand.phase != Phase::Open {
        return None;
    }
    let mut missing = demand.waiters.saturating_sub(dialer.arriving);
    if dialer.refill {
        let short = core.shortage(&demand);
        dialer.refill = short > 0;
        missing = missing.max(short);
    }
    let set = life.targets.set();
    if missing == 0 && set.is_none() {
        return None;
    }
    let now = life.clock.now();
    let gate = dialer.gate();
    let situation = Situation {
        now,
        missing,
        checking: dialer.checking,
        checking_since: dialer.checking_since,
        open: demand.occupied - demand.opening,
        opening: demand.opening,
        max_size: demand.max_size,
        max_connecting: life.settings.max_connecting,
        gate_opens_at: gate.opens_at(),
        probing: gate.failures() > 0,
        last_dial_at: dialer.last_dial_at,
        dial_time: dialer.dial_time,
    };
    let (number, purpose) = match set {
        Some(set) => {
            let dead_ends = &mut left_over.dead_ends;
            match dial_of_set::due(core, dialer, set, &demand, situation, dead_ends)? {
                Step::Dial(number, purpose) => (Some(number), purpose),
                Step::MakeRoom(moved) => {
                    left_over.makes_room = Some(moved);
                    return None;
                }
            }
        }
        None => match growth::decide(&situation) {
            Decision::Dial => (None, Purpose::Demand),
            Decision::Wait(until) => {
                wake_by(core, dialer, until);
                return None;
            }
            Decision::Enough => return None,
        },
    };
    Some(Due {
        demand,
        number,
        purpose,
    })
}

/// Has the pool looked at for dials by then; never for the end of time.
pub(super) fn wake_by<C: Connect>(core: &Arc<LifecycleCore<C>>, dialer: &mut Dialer, until: u64) {
    if until != u64::MAX && dialer.wake_at.is_none_or(|at| until < at) {
        dialer.wake_at = Some(until);
        upkeep::schedule(core, until);
    }
}

/// A dial under way. Dropped before its end (its runtime was shut down), it counts as failed.
struct Attempt<C: Connect> {
    opening: Option<Opening<Lifecycle<C>>>,
    target: StdArc<Target<C>>,
    /// The number its connection will have, once it has begun.
    id: u64,
    began: u64,
}

async fn dial<C: Connect>(mut attempt: Attempt<C>) {
    let Some(opening) = &attempt.opening else {
        return;
    };
    let (core, slot) = (Arc::clone(opening.core()), opening.index());
    let life = &core.owner;
    // Not before: what is evicted is what was opened before, or is being opened.
    let id = life.next_id.fetch_add(1, Relaxed);
    attempt.id = id;
    // Of its own, for the attempt moves on before it is over.
    let target = StdArc::clone(&attempt.target);
    let connector = &target.connector;
    let limit = life.settings.connect_timeout;
    let pool: Weak<dyn Signalled> = Arc::downgrade(&core) as _;
    let signals = Signals::new(pool, Connection { slot, id });
    let dial = Dial::within(limit).signalling(signals);
    let connect = async {
        let mut conn = connector.connect(&dial).await.map_err(|error| Failure {
            kind: rt::calling(|| connector.classify(&error)).unwrap_or_default(),
            error: ConnectError::Failed(StdArc::new(error)),
        })?;
        let info = ConnectionInfo {
            id,
            ..ConnectionInfo::default()
        };
        let introduced = life.hooks.after_connect.run(&mut conn, &info).await;
        introduced.map_err(|error| Failure::from(ConnectError::Hook(error.into())))?;
        Ok(conn)
    };
    match rt::guarded(limit, connect).await {
        Ok(conn) => attempt.succeed(conn),
        Err(failed) => attempt.end_failed(&match failed {
            Failed::TimedOut => ConnectError::timed_out(target.name(), limit).into(),
            Failed::Panicked(panic) => ConnectError::Panicked(panic.into()).into(),
            Failed::Error(failure) => failure,
        }),
    }
}

impl<C: Connect> Attempt<C> {
    fn succeed(mut self, conn: C::Connection) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let (core, slot) = (Arc::clone(opening.core()), opening.index());
        let took = core.owner.clock.now().saturating_sub(self.began);
        core.owner.metrics.times.connected(took);
        let target = StdArc::clone(&self.target);
        // Dropped after the lock: an error's drop is user code.
        let _ended = {
            let mut dialer = core.owner.dialer();
            dialer.arriving += 1;
            dialer.arriving_at.extend(target.number());
            dialer.end(slot);
            // While new connections prove dead, opening one is no success yet.
            let dial_time = growth::observe_dial(dialer.dial_time, took);
            dialer.dial_time = Some(dial_time);
            if let Some(budget) = &core.owner.budget {
                budget.observe_dial_time(dial_time);
            }
            if target.unproven_since.load(Relaxed) != PROVEN {
                core.owner.told_of_dial(&target);
                None
            } else {
                succeeded(&core.owner, &mut dialer, &target)
            }
        };
        let took = Duration::from_nanos(took);
        let entry = Entry { conn, target };
        let token = admit(opening, entry, self.id, took, Origin::Dialled);
        release(token, IdleSince::Now);
        if let Some(set) = core.owner.targets.set() {
            // Only now the dial does not count as one any more.
            set.dials().has_room_again();
            let is_on_trial = |(number, endpoints): (EndpointNumber, &Endpoints)| {
                endpoints.record(number).admission() == Admission::Trial
            };
            if self
                .target
                .number()
                .zip(core.endpoints())
                .is_some_and(is_on_trial)
            {
                // That it lasts may be all there is to be judged by.
                set.changed.notify_one();
            }
        }
        {
            let mut dialer = core.owner.dialer();
            dialer.arriving -= 1;
            let arrived = |at: &EndpointNumber| self.target.number() == Some(*at);
            if let Some(place) = dialer.arriving_at.iter().position(arrived) {
                dialer.arriving_at.swap_remove(place);
            }
        }
        core.owner.changed.notify_waiters();
        dial_if_needed(&core);
    }

    fn end_failed(&mut self, failure: &Failure) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let core = Arc::clone(opening.core());
        let target = &self.target;
        if let (Some(endpoints), Some(number)) = (core.endpoints(), target.number()) {
            // It may be missed again.
            endpoints.record(number).forget_missed();
        }
        failed_dial::failed(
            &core,
            target,
            failure,
            self.began,
            Slot::Opening(opening.index()),
        );
        // Vacates the slot, and drives what comes next.
        drop(opening);
    }
}

impl<C: Connect> Drop for Attempt<C> {
    fn drop(&mut self) {
        self.end_failed(&ConnectError::Aborted.into());
    }
}
