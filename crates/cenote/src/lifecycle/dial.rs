//! Opening connections: how many now (the policy says), each in a task of its own that no caller's
//! cancellation reaches, and what a success or a failure means for the waiters.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc as StdArc, Weak};
use std::time::Duration;

use super::admit::{Origin, admit};
use super::dialer::{Dialer, Outage, Telling};
use super::recycle::release;
use super::state::{ConnectionToken, Lifecycle, LifecycleCore, PROVEN, Refusal, SlotMeta};
use super::upkeep;
use crate::budget::{After, Want};
use crate::connect::{Connect, FailureKind};
use crate::dial::Dial;
use crate::error::{ConnectError, GetError};
use crate::kernel::{Arc, Demand, IdleSince, Opening, Phase};
use crate::policy::growth::{self, Decision, Situation};
use crate::policy::telling::{self, ConnectFailures, Failing, Tell};
use crate::report::{ConnectionInfo, EventKind, count};
use crate::rt::{self, Failed};
use crate::settings::Settings;
use crate::signals::{Connection, Signalled, Signals};

/// Starts the dials that are due. Called whenever something changed that may call for one: a caller
/// queued, a slot became vacant, a dial ended, the size grew, time passed.
pub(crate) fn dial_if_needed<C: Connect>(core: &Arc<LifecycleCore<C>>) {
    let life = &core.owner;
    if life.runtime.handle().is_none() {
        return;
    }
    let mut openings = Vec::new();
    let mut after = After::default();
    {
        let mut dialer = life.dialer();
        while let Some(opening) = next(core, &mut dialer, &mut after) {
            openings.push(opening);
        }
    }
    after.run();
    for opening in openings {
        upkeep::ensure(core);
        life.runtime.spawn(dial(Attempt {
            opening: Some(opening),
            id: 0,
            began: life.clock.now(),
        }));
    }
}

/// The slot of a dial that is to begin, if one is due and the budget permits it.
fn next<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    dialer: &mut Dialer,
    after: &mut After,
) -> Option<Opening<Lifecycle<C>>> {
    let life = &core.owner;
    let due = due(core, dialer);
    if let Some(budget) = &life.budget {
        let Some(demand) = due else {
            budget.withdraw(after);
            return None;
        };
        let want = Want {
            oldest: demand.oldest.map(|since| life.on_budget_clock(since)),
            is_opening: demand.opening > 0,
        };
        if !budget.ask(&want, after) {
            return None;
        }
    }
    due?;
    let opening = core.open(life.settings.max_connecting);
    match (&opening, &life.budget) {
        (Some(_), _) => dialer.last_dial_at = life.clock.now(),
        (None, Some(budget)) => budget.give_back(after),
        (None, None) => {}
    }
    opening
}

/// What calls for a dial, if one is due.
fn due<C: Connect>(core: &Arc<LifecycleCore<C>>, dialer: &mut Dialer) -> Option<Demand> {
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
    if missing == 0 {
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
    match growth::decide(&situation) {
        Decision::Dial => Some(demand),
        Decision::Wait(until) => {
            if dialer.wake_at.is_none_or(|at| until < at) {
                dialer.wake_at = Some(until);
                upkeep::schedule(core, until);
            }
            None
        }
        Decision::Enough => None,
    }
}

/// A dial under way. Dropped before its end (its runtime was shut down), it counts as failed.
struct Attempt<C: Connect> {
    opening: Option<Opening<Lifecycle<C>>>,
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
    let id = life.next_id.fetch_add(1, Relaxed);
    attempt.began = life.clock.now();
    attempt.id = id;
    life.dialer().under_way.push((id, attempt.began));
    let limit = life.settings.connect_timeout;
    let pool: Weak<dyn Signalled> = Arc::downgrade(&core) as _;
    let signals = Signals::new(pool, Connection { slot, id });
    let dial = Dial::within(limit).signalling(signals);
    let connect = async {
        let mut conn = life
            .connector
            .connect(&dial)
            .await
            .map_err(|error| Failure {
                kind: rt::calling(|| life.connector.classify(&error)).unwrap_or_default(),
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
        Err(failed) => attempt.end_failed(match failed {
            Failed::TimedOut => ConnectError::timed_out(&life.connector, limit).into(),
            Failed::Panicked(panic) => ConnectError::Panicked(panic.into()).into(),
            Failed::Error(failure) => failure,
        }),
    }
}

/// A failed connect, and what it says about the next.
struct Failure {
    error: ConnectError,
    kind: FailureKind,
}

/// What the pool itself finds wrong may pass.
impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self {
            error,
            kind: FailureKind::Transient,
        }
    }
}

impl<C: Connect> Attempt<C> {
    fn succeed(mut self, conn: C::Connection) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let core = Arc::clone(opening.core());
        let took = core.owner.clock.now().saturating_sub(self.began);
        core.owner.metrics.times.connected(took);
        // Dropped after the lock: an error's drop is user code.
        let _ended = {
            let mut dialer = core.owner.dialer();
            dialer.arriving += 1;
            dialer.under_way.retain(|(id, _)| *id != self.id);
            // While new connections prove dead, opening one is no success yet.
            let dial_time = growth::observe_dial(dialer.dial_time, took);
            dialer.dial_time = Some(dial_time);
            if let Some(budget) = &core.owner.budget {
                budget.observe_dial_time(dial_time);
            }
            if core.owner.unproven_since.load(Relaxed) != PROVEN {
                None
            } else {
                dialer.succeeded()
            }
        };
        let took = Duration::from_nanos(took);
        let token = admit(opening, conn, self.id, took, Origin::Dialled);
        release(token, IdleSince::Now);
        core.owner.dialer().arriving -= 1;
        core.owner.changed.notify_waiters();
        dial_if_needed(&core);
    }

    fn end_failed(&mut self, failure: Failure) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let core = Arc::clone(opening.core());
        core.owner
            .dialer()
            .under_way
            .retain(|(id, _)| *id != self.id);
        failed(&core, &failure, self.began, Slot::Opening);
        // Vacates the slot, and drives what comes next.
        drop(opening);
    }
}

/// What the slot of a failed connect still counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Being opened.
    Opening,
    /// Open, for it was dead on arrival.
    Open,
}

/// Closes the gate for a while, tells of it, and ends the waiting of all where the policy says so: then with the
/// number of failures in a row. The dial began, or the connection dead on arrival was opened, at `began`; its `slot` is
/// still occupied.
fn failed<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    Failure { error, kind }: &Failure,
    began: u64,
    slot: Slot,
) -> Option<u32> {
    let life = &core.owner;
    count(&life.metrics.rare().connect_failed);
    let demand = core.demand();
    let (own_open, own_opening) = match slot {
        Slot::Opening => (0, 1),
        Slot::Open => (1, 0),
    };
    let others = |all: usize, own: usize| all.saturating_sub(own);
    let open = others(demand.open(), own_open);
    let is_last_dial = others(demand.opening, own_opening) == 0;
    let while_open = open > 0;
    // The old error is dropped after the lock: its drop is user code.
    let (failures, retry_in, tell, _old_error) = {
        let now = life.clock.now();
        let mut dialer = life.dialer();
        let Dialer {
            outage,
            rng,
            arrived_dead,
            ..
        } = &mut *dialer;
        let outage = outage.get_or_insert_with(|| Box::new(Outage::new(began, error.clone())));
        // Connections that are found dead together, as after a restart, are one failure: those opened before it became
        // known say nothing of a dial made since.
        if slot == Slot::Opening || began >= outage.failed_at {
            outage.gate.failed(now, &life.settings.backoff, rng);
            outage.failed_at = now;
        }
        let old = std::mem::replace(&mut outage.last_error, error.clone());
        let gate = outage.gate;
        if slot == Slot::Open {
            *arrived_dead += 1;
        }
        let failing = Failing {
            now,
            since: outage.since,
            failures: gate.failures(),
            kind: *kind,
            had_connection: life.metrics.opened.load(Relaxed) > *arrived_dead,
        };
        let tell = telling::decide(policy(&life.settings, while_open), &failing);
        if let Tell::At(at) = tell {
            outage.tell_at = Some(Telling { at, while_open });
            upkeep::schedule(core, at);
        }
        let retry_in = Duration::from_nanos(gate.opens_at().saturating_sub(now));
        (gate.failures(), retry_in, tell, old)
    };
    life.tell(|| EventKind::ConnectFailed {
        error,
        failures,
        retry_in,
    });
    let is_told = match tell {
        Tell::AtOnce => true,
        Tell::Now => while_open || is_last_dial,
        Tell::At(_) | Tell::Nothing => false,
    };
    if !is_told {
        return None;
    }
    refuse(core, failures, error);
    Some(failures)
}

/// What is to be told to whom.
fn policy(settings: &Settings, while_open: bool) -> ConnectFailures {
    match while_open {
        true => settings.connect_failures_while_open,
        false => settings.connect_failures,
    }
}

fn refuse<C: Connect>(core: &LifecycleCore<C>, failures: u32, error: &ConnectError) {
    core.refuse_all(|| Refusal::Connect {
        failures,
        error: error.clone(),
    });
}

/// Ends the waiting of all if connecting has failed for as long as the policy permits.
pub(crate) fn tell_due<C: Connect>(core: &Arc<LifecycleCore<C>>, now: u64) {
    let life = &core.owner;
    let demand = core.demand();
    let while_open = demand.occupied > demand.opening + demand.closing;
    let (telling, failures, error) = {
        let mut dialer = life.dialer();
        let Some(outage) = &mut dialer.outage else {
            return;
        };
        let telling = outage.tell_at.take_if(|telling| telling.at <= now);
        (telling, outage.gate.failures(), outage.last_error.clone())
    };
    // If it has become the other, the next failure tells.
    if telling.is_some_and(|telling| telling.while_open == while_open) {
        refuse(core, failures, &error);
    }
}

/// A connection opened at `opened_at` proved dead before it was ever leased: a failed connect. The error of the caller
/// it was for, if that is to wait no longer.
pub(crate) fn dead_on_arrival<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    opened_at: u64,
) -> Option<GetError> {
    core.owner
        .unproven_since
        .fetch_min(core.owner.clock.now(), Relaxed);
    let error = ConnectError::DeadOnArrival;
    let failures = failed(core, &error.clone().into(), opened_at, Slot::Open)?;
    Some(GetError::Connect {
        pool: core.owner.settings.name.clone(),
        failures,
        error,
    })
}

/// Whether a connection proves that new ones can be trusted: opened since they were suspect, and leased.
#[inline]
pub(crate) fn proves(unproven_since: u64, meta: &SlotMeta) -> bool {
    meta.opened_at.load(Relaxed) > unproven_since
        && meta.is_dialled.load(Relaxed)
        && meta.uses.load(Relaxed) > meta.uses_before.load(Relaxed)
}

/// A face takes a connection for many users: what that proves is noted.
pub(crate) fn taken_by_face<C: Connect>(token: &ConnectionToken<C>, now: u64) {
    let core = token.core();
    token.meta().taken(now);
    if proves(core.owner.unproven_since.load(Relaxed), token.meta()) {
        set_proven(core);
    }
}

/// A new connection was leased after all.
#[cold]
pub(crate) fn set_proven<C: Connect>(core: &LifecycleCore<C>) {
    let _ended = {
        let mut dialer = core.owner.dialer();
        core.owner.unproven_since.store(PROVEN, Relaxed);
        dialer.succeeded()
    };
}

impl<C: Connect> Drop for Attempt<C> {
    fn drop(&mut self) {
        self.end_failed(ConnectError::Aborted.into());
    }
}
