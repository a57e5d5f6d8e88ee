//! What a failed connect means: for the next dial, which waits at the gate, and for the callers who wait.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::dial_of_set;
use super::dialer::{Dialer, Outage, Telling};
use super::set::SetState;
use super::state::{ConnectionToken, LifecycleCore, Origin, Refusal, SlotMeta};
use super::target::Target;
use super::upkeep;
use crate::connect::{Connect, FailureKind};
use crate::error::{ConnectError, GetError};
use crate::kernel::{Admission, Arc};
use crate::policy::backoff::Gate;
use crate::policy::telling::{self, ConnectFailures, Tell};
use crate::report::{EventKind, count};
use crate::settings::Settings;

/// A failed connect, and what it says about the next.
pub(super) struct Failure {
    pub(super) error: ConnectError,
    pub(super) kind: FailureKind,
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

/// What the slot of a failed connect still counts as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// Being opened; which it is.
    Opening(usize),
    /// Open, for it was dead on arrival.
    Open,
}

/// Closes the gate for a while, tells of it, and ends the waiting of all where the policy says so: then with the
/// number of failures in a row. The dial began, or the connection dead on arrival was opened, at `began`; its `slot` is
/// still occupied.
pub(super) fn failed<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    target: &Target<C>,
    Failure { error, kind }: &Failure,
    began: u64,
    slot: Slot,
) -> Option<u32> {
    let life = &core.owner;
    count(&life.metrics.rare().connect_failed);
    // The old error is dropped after the lock: its drop is user code.
    let (failures, retry_in, is_told, _old_error) = {
        let now = life.clock.now();
        let mut dialer = life.dialer();
        // All by this lock: of dials that fail at the same time one is the last, though the slots of the others are not
        // vacant yet, and none is that fails while another's connection is on its way.
        let open = core.demand().open();
        let (while_open, none_arrives, is_outdated) = match slot {
            Slot::Opening(slot) => {
                let is_outdated = dialer.end(slot);
                (open > 0, dialer.arriving == 0, is_outdated)
            }
            // It may count as arriving itself.
            Slot::Open => (open > 1, true, false),
        };
        let is_last_dial = dialer.under_way.is_empty() && none_arrives;
        let Dialer {
            outage,
            tell_at,
            rng,
            arrived_dead,
            ..
        } = &mut *dialer;
        if slot == Slot::Open {
            *arrived_dead += 1;
        }
        let had_connection = life.metrics.opened.load(Relaxed) > *arrived_dead;
        let policy = policy(&life.settings, while_open);
        let first = || Outage::new(began, error.clone());
        let of_set = life.targets.set().is_some();
        let mut note = |outage: &mut Outage| {
            if outage.is_unsuitable() != (*kind == FailureKind::Unsuitable) {
                // Of a server that does not answer, how often it did and was not wanted says nothing; nor the other way round.
                outage.gate = Gate::default();
            }
            // Connections that are found dead together, as after a restart, are one failure: those opened before it became
            // known say nothing of a dial made since.
            if slot != Slot::Open || began >= outage.failed_at {
                (outage.failed_at, outage.took) = (now, now.saturating_sub(began));
                match kind {
                    FailureKind::Unsuitable if of_set => {
                        outage.gate.failed_until(outage.found().later(rng));
                    }
                    _ => outage.gate.failed(now, &life.settings.backoff, rng),
                }
            }
            if is_outdated {
                outage.gate.open_by(now);
            }
            let old = std::mem::replace(&mut outage.last_error, error.clone());
            outage.kind = *kind;
            let tell = telling::decide(policy, &outage.failing(now, had_connection));
            (outage.gate, old, tell)
        };
        let (gate, old, tell) = match (life.targets.set(), target.number()) {
            (Some(set), Some(number)) => {
                let is_current = set.is_current(target);
                // One that is ejected is dialled again once it has no connection: at its pace.
                let is_aside = core.admission_of(number) == Some(Admission::Aside);
                let mut dials = set.dials();
                if is_current && (is_aside || dials.serving().contains(&number)) {
                    let (gate, old, _) = dials.failed(number, first, note);
                    let tell = dial_of_set::all_tell(&dials, policy, had_connection, now);
                    (gate, old, tell)
                } else {
                    // Of an endpoint that has left, or has other addresses, nothing is concluded.
                    (Gate::default(), error.clone(), Tell::Nothing)
                }
            }
            _ => note(outage.get_or_insert_with(|| Box::new(first()))),
        };
        if let Tell::At(at) = tell {
            *tell_at = Some(Telling { at, while_open });
            upkeep::schedule(core, at);
        }
        let retry_in = Duration::from_nanos(gate.opens_at().saturating_sub(now));
        let is_told = match tell {
            Tell::AtOnce => true,
            Tell::Now => while_open || is_last_dial,
            Tell::At(_) | Tell::Nothing => false,
        };
        (gate.failures().max(1), retry_in, is_told, old)
    };
    if let (Some(set), 1) = (life.targets.set(), failures) {
        // The endpoint may be down from now on.
        set.changed.notify_one();
    }
    life.tell_of(Some(target), || EventKind::ConnectFailed {
        error,
        failures,
        retry_in,
    });
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

/// Ends the waiting of all; of a set, with what failed at each endpoint.
fn refuse<C: Connect>(core: &LifecycleCore<C>, failures: u32, error: &ConnectError) {
    let of_set = core.owner.targets.set();
    let of_set = of_set.and_then(dial_of_set::last_error);
    let error = of_set.as_ref().unwrap_or(error);
    core.refuse_all(|| Refusal::Connect {
        failures,
        error: error.clone(),
    });
}

/// Ends the waiting of all if connecting has failed for as long as the policy permits.
pub(super) fn tell_due<C: Connect>(core: &Arc<LifecycleCore<C>>, now: u64) {
    let life = &core.owner;
    let demand = core.demand();
    let while_open = demand.occupied > demand.opening + demand.closing;
    let (telling, failures, error) = {
        let mut dialer = life.dialer();
        let telling = dialer.tell_at.take_if(|telling| telling.at <= now);
        let Some(telling) = telling else {
            return;
        };
        let had_connection = life.metrics.opened.load(Relaxed) > dialer.arrived_dead;
        let of_set = |set: &SetState<C>| {
            let policy = policy(&life.settings, while_open);
            let dials = set.dials();
            let tell = dial_of_set::all_tell(&dials, policy, had_connection, now);
            let (_, number) = dials.failing().next().filter(|_| tell == Tell::AtOnce)?;
            let outage = dials.outage(number)?;
            Some((outage.gate.failures(), outage.last_error.clone()))
        };
        let of_one = |dialer: &Dialer| {
            let outage = dialer.outage.as_ref()?;
            Some((outage.gate.failures(), outage.last_error.clone()))
        };
        let failing = match life.targets.set() {
            Some(set) => of_set(set),
            None => of_one(&dialer),
        };
        let Some((failures, error)) = failing else {
            return;
        };
        (telling, failures, error)
    };
    // If it has become the other, the next failure tells.
    if telling.while_open == while_open {
        refuse(core, failures, &error);
    }
}

/// Handed from its dial to a caller and looked at within this time, a connection has not been idle; one
/// that was may have died of that, and says nothing about the server.
const ARRIVAL: u64 = 50_000_000;

/// Whether a connection that was found dead arrived like that: it was opened a moment ago, and has had no uses but these.
pub(crate) fn is_arrival(meta: &SlotMeta, found_at: u64, uses: u64) -> bool {
    let age = found_at.saturating_sub(meta.opened_at.load(Relaxed));
    meta.origin() == Origin::Dialled && meta.uses_of_connection() <= uses && age < ARRIVAL
}

/// The connection of `token` proved dead before it was ever leased: a failed connect. The error of the caller it was for,
/// if that is to wait no longer.
pub(crate) fn dead_on_arrival<C: Connect>(token: &ConnectionToken<C>) -> Option<GetError> {
    let core = token.core();
    let opened_at = token.meta().opened_at.load(Relaxed);
    let target = &*token.entry().target;
    target
        .unproven_since
        .fetch_min(core.owner.clock.now(), Relaxed);
    let error = ConnectError::DeadOnArrival;
    let failures = failed(core, target, &error.clone().into(), opened_at, Slot::Open)?;
    Some(GetError::Connect {
        pool: core.owner.settings.name.clone(),
        failures,
        error,
    })
}
