//! What calls and connections have said of an endpoint of a set: its account, kept for as long as the endpoint is in the
//! set, whatever becomes of its addresses.
//!
//! A lease tells the outcome of its calls; a connection that breaks in a user's hands, or fails its check, speaks for
//! itself. Connections that are found dead together, as after a restart, count as one: those opened before the first of
//! them was known say nothing of the endpoint since.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::set::SetState;
use super::state::{ConnectionToken, LifecycleCore};
use crate::connect::Connect;
use crate::kernel::Admission;
use crate::policy::accrual::{Accrual, AccrualSettings, Outcome, Standing};
use crate::policy::balance::Rule;
use crate::policy::balance::peak_ewma::PeakEwma;
use crate::report::CloseReason;
use crate::rt::{self, nanos};
use crate::settings::{MINUTE, SECOND};
use crate::sync::{Mutex, lock};

/// An endpoint's account. A leaf lock; no user code runs under it.
pub(super) struct Health(Mutex<Account>);

struct Account {
    accrual: Accrual,
    /// How long calls take, where they are timed.
    ewma: PeakEwma,
    rng: fastrand::Rng,
    /// When that was last forgotten.
    forgotten_at: Option<u64>,
    /// When a connection last spoke against the endpoint.
    broke_at: Option<u64>,
}

/// As long as it takes what is known of times to fade.
const FORGIVING: u64 = 10_000_000_000;

impl Health {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(Account {
            accrual: Accrual::new(),
            ewma: PeakEwma::default(),
            forgotten_at: None,
            rng: fastrand::Rng::with_seed(seed),
            broke_at: None,
        }))
    }

    pub(super) fn standing(&self, now: u64) -> Standing {
        lock(&self.0).accrual.standing(now)
    }

    /// How long a call is expected to take at `now`, in seconds; 0 while nothing is known.
    pub(super) fn cost(&self, now: u64) -> f32 {
        lock(&self.0).ewma.value(now)
    }

    /// How long a call took, as calls have told it within the last minute.
    pub(super) fn latency(&self, now: u64) -> Option<Duration> {
        lock(&self.0).ewma.last(now, nanos(MINUTE))
    }

    /// The endpoint has lost its last connection, or is back from having been down: how long calls took it before, and how
    /// many failed as it went, says nothing of what is there next. True if that was forgotten, as it is once in
    /// [`FORGIVING`]: an endpoint that ends the connection with each call that fails would be as good as new each time.
    pub(super) fn forget_times(&self, now: u64) -> bool {
        let mut account = lock(&self.0);
        let is_forgiven = account
            .forgotten_at
            .is_none_or(|at| now.saturating_sub(at) >= FORGIVING);
        if is_forgiven {
            account.forgotten_at = Some(now);
            account.ewma = PeakEwma::default();
        }
        is_forgiven
    }

    /// The ejection is over: the next call decides.
    pub(super) fn begin_trial(&self, now: u64) {
        // The next call is the probe; its outcome is known for that by when its lease began.
        let _probe = lock(&self.0).accrual.begin(now);
    }

    /// Since when the next call decides, if it does.
    pub(super) fn on_trial_since(&self, now: u64) -> Option<u64> {
        match self.standing(now) {
            Standing::Probing { since, .. } => Some(since),
            Standing::Up { .. } | Standing::Ejected(_) | Standing::Probation(_) => None,
        }
    }

    /// The endpoint is back, by what can be seen without being told.
    pub(super) fn pass_trial(&self, now: u64, settings: &AccrualSettings) {
        let _standing = lock(&self.0).end(now, Outcome::Ok, now, settings);
    }
}

/// How a call ended.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    /// How long it took, if that is told.
    pub(crate) took: Option<Duration>,
}

/// A call on the connection of `token` ended so, which began with its lease.
pub(crate) fn tell_outcome<C: Connect>(token: &ConnectionToken<C>, ended: Ended) {
    let began = latest(token.core(), token.meta().leased_at.load(Relaxed));
    tell_outcome_since(token, began, ended);
}

/// As [`tell_outcome`], of a call that began at `began`.
pub(crate) fn tell_outcome_since<C: Connect>(token: &ConnectionToken<C>, began: u64, ended: Ended) {
    let core = token.core();
    let Some((set, health)) = account_of(core, token) else {
        return;
    };
    set.hears_outcomes.store(true, Relaxed);
    let now = core.owner.clock.now();
    let (standing, cost) = {
        let mut account = lock(&health.0);
        let standing = account.end(began, ended.outcome, now, &set.accrual);
        (standing, account.observe(set.rule, now, ended))
    };
    note_cost(core, token, cost);
    heed(core, token, set, standing);
}

/// Has the policy see how long a call of the endpoint of `token` is expected to take, if that is another now.
fn note_cost<C: Connect>(core: &LifecycleCore<C>, token: &ConnectionToken<C>, cost: Option<f32>) {
    let number = token.entry().target.number();
    if let Some(((cost, number), endpoints)) = cost.zip(number).zip(core.endpoints()) {
        let record = endpoints.record(number);
        record.cost.store(cost.to_bits(), Relaxed);
    }
}

/// What is known of how long calls take fades with time: has the policy see that, for all endpoints, once a second.
pub(super) fn fade<C: Connect>(core: &LifecycleCore<C>, now: u64) {
    let (Some(set), Some(endpoints)) = (core.owner.targets.set(), core.endpoints()) else {
        return;
    };
    if set.rule != Rule::PeakEwma || now < set.next_fade.load(Relaxed) {
        return;
    }
    set.next_fade.store(now + nanos(SECOND), Relaxed);
    let targets = set.all_targets();
    for member in targets.iter().filter_map(|target| target.member.as_ref()) {
        let cost = member.health.cost(now).to_bits();
        endpoints.record(member.id.number).cost.store(cost, Relaxed);
    }
    // Perhaps the last references: a connector's drop is user code.
    let _ = rt::calling(|| drop(targets));
}

/// An endpoint that is ejected gets no more leases from here on, if that can be said without a look at all of them; the
/// rest is the follower's. Users of an endpoint that fails at once may keep it from running.
fn heed<C: Connect>(
    core: &LifecycleCore<C>,
    token: &ConnectionToken<C>,
    set: &SetState<C>,
    standing: Option<Standing>,
) {
    let Some(standing) = standing else {
        return;
    };
    let number = token.entry().target.number();
    if let (Standing::Ejected(_), Some(number)) = (standing, number) {
        let is_to_go = match core.admission_of(number) {
            Some(Admission::Drawn | Admission::Spare) => set.may_eject(),
            // It counts as ejected already.
            Some(Admission::Trial) => true,
            Some(Admission::Aside | Admission::Barred) | None => false,
        };
        if is_to_go {
            // Of an endpoint aside nothing is to be closed.
            drop(core.admit(number, Admission::Aside));
            if let Some(face) = core.owner.face() {
                face.admission_changed(&[number], &[]);
            }
        }
    }
    set.changed.notify_one();
}

/// The connection of `token` leaves its pool for this reason, which may speak against its endpoint.
pub(super) fn tell_closed<C: Connect>(token: &ConnectionToken<C>, reason: CloseReason) {
    let core = token.core();
    let Some((set, health)) = account_of(core, token) else {
        return;
    };
    let meta = token.meta();
    let now = core.owner.clock.now();
    let number = token.entry().target.number();
    let record = number
        .zip(core.endpoints())
        .map(|(number, endpoints)| endpoints.record(number));
    let left_without = record.filter(|record| record.open() == 0);
    if let Some(record) = left_without.filter(|_| reason == CloseReason::Broken) {
        if health.forget_times(now) {
            record.cost.store(0, Relaxed);
        }
    }
    let is_last = left_without.is_some_and(|record| set.dials().outage(record.number()).is_some());
    // It may have been the one that was let out, or the last of an endpoint that cannot be reached.
    if is_last || health.on_trial_since(now).is_some() {
        set.changed.notify_one();
    }
    if !matches!(reason, CloseReason::Broken | CloseReason::CheckFailed) {
        return;
    }
    let standing = {
        let mut account = lock(&health.0);
        let opened_at = meta.opened_at.load(Relaxed);
        if account
            .broke_at
            .is_some_and(|broke_at| opened_at <= broke_at)
        {
            return;
        }
        account.broke_at = Some(now);
        let began = latest(core, meta.leased_at.load(Relaxed)).max(opened_at);
        account.end(began, Outcome::Failed, now, &set.accrual)
    };
    heed(core, token, set, standing);
}

fn account_of<'a, C: Connect>(
    core: &'a LifecycleCore<C>,
    token: &'a ConnectionToken<C>,
) -> Option<(&'a SetState<C>, &'a Health)> {
    let member = token.entry().target.member.as_ref()?;
    Some((core.owner.targets.set()?, &member.health))
}

/// When a lease may have begun at the latest: it is timed by the coarse clock, which is behind by a turn at most.
fn latest<C: Connect>(core: &LifecycleCore<C>, leased_at: u64) -> u64 {
    leased_at.saturating_add(nanos(core.owner.settings.turn()))
}

impl Account {
    /// A call that began at `began` ended so; the endpoint's standing, if that is another now.
    fn end(
        &mut self,
        began: u64,
        outcome: Outcome,
        now: u64,
        settings: &AccrualSettings,
    ) -> Option<Standing> {
        let call = self.accrual.call_since(began);
        self.accrual
            .end(call, outcome, now, settings, &mut self.rng)
    }

    /// What a call is expected to take from now on, in seconds, if the rule goes by that and this one says anything of it: a
    /// failed one does, however long it took. By other rules what is timed is shown and that is all.
    fn observe(&mut self, rule: Rule, now: u64, ended: Ended) -> Option<f32> {
        let took = match (ended.took, ended.outcome) {
            (Some(took), _) => took,
            _ if rule != Rule::PeakEwma => return None,
            (None, Outcome::Failed | Outcome::Overloaded { .. }) => Duration::ZERO,
            (None, Outcome::Ok | Outcome::Ignore) => return None,
        };
        self.ewma.observe(now, took, ended.outcome);
        (rule == Rule::PeakEwma).then(|| self.ewma.value(now))
    }
}
