//! What the follower knows of one endpoint of its set, and what it thinks of it: whether it is up, ejected or on trial.

use std::net::SocketAddr;
use std::sync::Arc as StdArc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::moving::Moving;
use crate::connect::Connect;
use crate::endpoints::EndpointId;
use crate::lifecycle::health::Health;
use crate::lifecycle::set::SetState;
use crate::policy::accrual::{PROBE_PATIENCE, Standing};
use crate::policy::ejection::Availability;
use crate::rt::nanos;
use crate::settings::SECOND;

/// A trial that a connection outlives is passed after this, where nobody tells how calls end.
const TRIAL: Duration = SECOND;

/// What the follower knows of an endpoint.
pub(super) struct Known {
    pub(super) id: EndpointId,
    pub(super) weight: u32,
    pub(super) priority: u16,
    pub(super) addresses: Box<[SocketAddr]>,
    pub(super) stay: Stay,
    /// There is a connector for it.
    pub(super) is_made: bool,
    /// Since when it has a connection, as far as was seen.
    pub(super) connected_at: Option<u64>,
    pub(super) availability: Availability,
    pub(super) health: StdArc<Health>,
    /// Since when it starts slowly, unless it was there from the beginning.
    pub(super) added_at: Option<u64>,
    /// It has connections that may be to addresses which are gone.
    pub(super) moving: Option<Box<Moving>>,
}

/// Whether an endpoint is in the set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stay {
    Listed,
    Leaves,
}

impl Known {
    /// What is thought of the endpoint now, of which so many connections are open.
    pub(super) fn judge<C: Connect>(
        &mut self,
        state: &SetState<C>,
        open: u32,
        now: u64,
    ) -> Opinion {
        if let Standing::Probation(_) = self.health.standing(now) {
            self.health.begin_trial(now);
        }
        self.connected_at = match open {
            0 => None,
            _ => self.connected_at.or(Some(now)),
        };
        // Where nobody tells how calls end, a connection that lasts has to do.
        let on_trial = self.health.on_trial_since(now).zip(self.connected_at);
        let passes_at =
            on_trial.map(|(began, connected)| began.max(connected).saturating_add(nanos(TRIAL)));
        let is_silent = !state.hears_outcomes.load(Relaxed);
        if is_silent && passes_at.is_some_and(|at| at <= now) {
            self.health.pass_trial(now, &state.accrual);
        }
        match self.health.standing(now) {
            Standing::Up { recovered_at } => Opinion {
                availability: Availability::Up,
                recovered_at,
                until: None,
            },
            Standing::Ejected(ejection) => Opinion::ejected(Some(ejection.until)),
            // It is given another trial at once.
            Standing::Probation(_) => Opinion::ejected(Some(now)),
            Standing::Probing { since, .. } => {
                let passes_at = passes_at.filter(|at| is_silent && *at > now);
                let given_up_at = since.saturating_add(PROBE_PATIENCE);
                Opinion::ejected(passes_at.or(Some(given_up_at)))
            }
        }
    }
}

/// What is thought of an endpoint that can be reached.
pub(super) struct Opinion {
    pub(super) availability: Availability,
    /// Since when it is up, if it was ejected before.
    pub(super) recovered_at: Option<u64>,
    /// When it may be another though nothing happens.
    pub(super) until: Option<u64>,
}

impl Opinion {
    fn ejected(until: Option<u64>) -> Self {
        Self {
            availability: Availability::Ejected,
            recovered_at: None,
            until,
        }
    }
}
