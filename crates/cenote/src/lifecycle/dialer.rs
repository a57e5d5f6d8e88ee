//! What a pool knows of its dials and checks: the gate behind failures, what is under way, what is to be told when.
//! Guarded by the dialer's lock; what to do about it is for `dial`.

use super::dial_of_set::{ATTEMPT_DELAY, Purpose};
use crate::connect::FailureKind;
use crate::error::ConnectError;
use crate::kernel::EndpointNumber;
use crate::policy::backoff::Gate;
use crate::policy::lifetime;
use crate::policy::suitability::Found;
use crate::policy::telling::Failing;
use crate::settings::Settings;

/// What the pool knows of its dials.
pub(crate) struct Dialer {
    /// What failed since the last dial that did not. Apart, for most pools have none.
    pub(super) outage: Option<Box<Outage>>,
    /// When the waiters are to be told, if connecting still fails then.
    pub(super) tell_at: Option<Telling>,
    /// Connections that proved dead before anyone could use them.
    pub(super) arrived_dead: u64,
    /// The dials under way. A handful.
    pub(super) under_way: Vec<UnderWay>,
    pub(super) last_dial_at: u64,
    pub(super) dial_time: Option<u64>,
    /// When the pool is to be looked at for dials; it is listed for an earlier time only.
    pub(crate) wake_at: Option<u64>,
    /// Looks found too few idle for long enough: dial until `min_idle` are.
    pub(crate) refill: bool,
    /// No dial could begin to an endpoint without a connection, when callers were last seen to wait for one.
    pub(super) is_held_up: bool,
    /// Dials that have succeeded and whose connections are on their way to waiters. Changed and read under
    /// this lock, as the demand is: no other dial is begun for the same caller in between.
    pub(super) arriving: usize,
    /// The endpoints of a set that these are of.
    pub(super) arriving_at: Vec<EndpointNumber>,
    /// Checks under way for no caller in particular, and when the youngest began;
    /// [`Checking`](super::checking::Checking) counts them.
    pub(super) checking: usize,
    pub(super) checking_since: u64,
    pub(super) rng: fastrand::Rng,
}

/// A dial under way.
pub(super) struct UnderWay {
    /// The slot that its connection will have.
    pub(super) slot: usize,
    pub(super) began: u64,
    /// The endpoint of a set that it is to.
    pub(super) number: Option<EndpointNumber>,
    pub(super) purpose: Purpose,
    /// It has taken so long that those who waited for its endpoint alone were sent away.
    pub(super) is_given_up: bool,
    /// Since it began, something was learned of the endpoint that it may not have met: its failure is no reason to put the
    /// next dial off.
    pub(super) is_outdated: bool,
}

impl UnderWay {
    /// When it has taken long.
    pub(super) fn late_at(&self) -> u64 {
        self.began.saturating_add(ATTEMPT_DELAY)
    }

    pub(super) fn is_late(&self, now: u64) -> bool {
        now >= self.late_at()
    }
}

/// The dials that failed in a row.
pub(super) struct Outage {
    pub(super) gate: Gate,
    pub(super) last_error: ConnectError,
    /// What that says of the next.
    pub(super) kind: FailureKind,
    /// When the first of them began.
    pub(super) since: u64,
    /// When the latest of them failed, and how long it took.
    pub(super) failed_at: u64,
    pub(super) took: u64,
}

impl Outage {
    /// Begins with the dial that began at `since` and failed with `error`.
    pub(super) fn new(since: u64, error: ConnectError) -> Self {
        Self {
            gate: Gate::default(),
            last_error: error,
            kind: FailureKind::default(),
            since,
            failed_at: 0,
            took: 0,
        }
    }

    /// Whether the endpoint is up, and not what is wanted.
    pub(super) fn is_unsuitable(&self) -> bool {
        self.kind == FailureKind::Unsuitable
    }

    /// That it was found unsuitable, the last time that it was dialled.
    pub(super) fn found(&self) -> Found {
        Found {
            at: self.failed_at,
            took: self.took,
        }
    }

    /// The last of them, as it is judged whether to tell.
    pub(super) fn failing(&self, now: u64, had_connection: bool) -> Failing {
        Failing {
            now,
            since: self.since,
            failures: self.gate.failures(),
            kind: self.kind,
            had_connection,
        }
    }
}

/// A failure to be told later.
#[derive(Clone, Copy)]
pub(super) struct Telling {
    pub(super) at: u64,
    /// To the waiters beside open connections, or to those that wait for the first.
    pub(super) while_open: bool,
}

impl Dialer {
    pub(crate) fn new(seed: Option<u64>) -> Self {
        Self {
            outage: None,
            tell_at: None,
            arrived_dead: 0,
            under_way: Vec::new(),
            last_dial_at: 0,
            dial_time: None,
            wake_at: None,
            refill: false,
            is_held_up: false,
            arriving: 0,
            arriving_at: Vec::new(),
            checking: 0,
            checking_since: 0,
            rng: seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
        }
    }

    /// The dial for this slot has ended. Whether it is [outdated](UnderWay::is_outdated).
    pub(super) fn end(&mut self, slot: usize) -> bool {
        let place = self.under_way.iter().position(|dial| dial.slot == slot);
        place.is_some_and(|place| self.under_way.swap_remove(place).is_outdated)
    }

    /// Something was learned of this endpoint that dials under way may not meet.
    pub(super) fn outdate(&mut self, number: EndpointNumber) {
        let dials = self.under_way.iter_mut();
        for dial in dials.filter(|dial| dial.number == Some(number)) {
            dial.is_outdated = true;
        }
    }

    /// Connecting works. What failed before is to be dropped when the lock is let go: an error's drop is user code.
    pub(super) fn succeeded(&mut self) -> Option<Box<Outage>> {
        self.tell_at = None;
        self.outage.take()
    }

    /// Until when no dial begins, and after how many failures.
    pub(crate) fn gate(&self) -> Gate {
        self.outage
            .as_ref()
            .map_or_else(Gate::default, |outage| outage.gate)
    }

    /// When to look whether a failure is due to be told.
    pub(crate) fn tell_at(&self) -> Option<u64> {
        self.tell_at.map(|telling| telling.at)
    }

    pub(crate) fn check_began(&mut self, now: u64) {
        self.checking += 1;
        self.checking_since = now;
    }

    /// Checks under way for no caller in particular.
    pub(crate) fn checking(&self) -> usize {
        self.checking
    }

    pub(crate) fn check_ended(&mut self) {
        self.checking -= 1;
    }

    /// When a connection opened now is at the end of its lifetime.
    pub(crate) fn draw_expiry(&mut self, now: u64, settings: &Settings) -> u64 {
        let Settings {
            max_lifetime,
            lifetime_jitter,
            ..
        } = settings;
        lifetime::expires_at(now, *max_lifetime, *lifetime_jitter, &mut self.rng)
    }

    /// Why connects have been failing; `None` since the last that did not.
    pub(crate) fn last_error(&self) -> Option<ConnectError> {
        self.outage.as_ref().map(|outage| outage.last_error.clone())
    }
}
