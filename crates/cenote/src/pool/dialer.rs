//! What a pool knows of its dials and checks: the gate behind failures, what is under way, what is to be told when.
//! Guarded by the dialer's lock; what to do about it is for `dial`.

use crate::error::ConnectError;
use crate::policy::backoff::Gate;
use crate::policy::lifetime;
use crate::settings::Settings;

/// What the pool knows of its dials.
pub(crate) struct Dialer {
    pub(super) gate: Gate,
    pub(super) last_error: Option<ConnectError>,
    /// When the first of the dials that failed in a row began.
    pub(super) failing_since: Option<u64>,
    /// When the waiters are to be told, if connecting still fails then.
    pub(super) tell_at: Option<Telling>,
    /// Connections that proved dead before anyone could use them.
    pub(super) arrived_dead: u64,
    /// The dials under way, by their connections' numbers, and when each began. A handful.
    pub(super) under_way: Vec<(u64, u64)>,
    pub(super) last_dial_at: u64,
    pub(super) dial_time: Option<u64>,
    /// When the pool is to be looked at for dials; it is listed for an earlier time only.
    pub(crate) wake_at: Option<u64>,
    /// Looks found too few idle for long enough: dial until `min_idle` are.
    pub(crate) refill: bool,
    /// Dials that have succeeded and whose connections are on their way to waiters. Changed and read under
    /// this lock, as the demand is: no other dial is begun for the same caller in between.
    pub(super) arriving: usize,
    /// Checks under way for no caller in particular, and when the youngest began;
    /// [`Checking`](super::checking::Checking) counts them.
    pub(super) checking: usize,
    pub(super) checking_since: u64,
    pub(super) rng: fastrand::Rng,
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
            gate: Gate::default(),
            last_error: None,
            failing_since: None,
            tell_at: None,
            arrived_dead: 0,
            under_way: Vec::new(),
            last_dial_at: 0,
            dial_time: None,
            wake_at: None,
            refill: false,
            arriving: 0,
            checking: 0,
            checking_since: 0,
            rng: seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
        }
    }

    /// Connecting works. The error that was the last, to be dropped when the lock is let go: its drop is user code.
    pub(super) fn succeeded(&mut self) -> Option<ConnectError> {
        self.gate.succeeded();
        self.failing_since = None;
        self.tell_at = None;
        self.last_error.take()
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
        self.last_error.clone()
    }
}
