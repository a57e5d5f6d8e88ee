//! What can be said of the connections: as they are now, and since the pool began.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::dial_of_set;
use super::dialer::UnderWay;
use super::state::LifecycleCore;
use crate::budget::BudgetStatus;
use crate::connect::Connect;
use crate::error::{ConnectError, Dialling, GetError, TimedOut};
use crate::kernel::{EndpointNumber, Phase, State};
use crate::report::{Counters, Holder, PoolState, Status};

impl<C: Connect> LifecycleCore<C> {
    pub(crate) fn status(&self) -> Status {
        let (mut idle, mut leased, mut upkeep) = (0, 0, 0);
        for (_, word, _) in self.slots() {
            match word.state() {
                State::Idle => idle += 1,
                State::Leased => leased += 1,
                State::Reserved | State::Closing => upkeep += 1,
                State::Vacant | State::Opening => {}
            }
        }
        let demand = self.demand();
        let max_size = match (self.owner.targets.set(), self.endpoints()) {
            // As many as the endpoints that may serve can have.
            (Some(set), Some(endpoints)) => endpoints
                .len()
                .saturating_mul(set.room.max_size as usize)
                .min(demand.max_size),
            _ => demand.max_size,
        };
        Status {
            state: match demand.phase {
                Phase::Open => PoolState::Open,
                Phase::Paused => PoolState::Paused,
                Phase::Closed => PoolState::Closed,
            },
            max_size,
            size: idle + leased + upkeep,
            idle,
            leased,
            upkeep,
            opening: demand.opening,
            waiters: demand.waiters + demand.aimed,
            sharing: None,
        }
    }

    pub(crate) fn counters(&self) -> Counters {
        let gets = self.all_meta().map(|meta| meta.uses.load(Relaxed)).sum();
        let waited = self.demand().waited;
        self.owner.metrics.counters(gets, waited)
    }

    /// The error of a caller that waited `waited` at this endpoint, or else for any, by a face that looks like `status`.
    pub(crate) fn timed_out(
        &self,
        waited: Duration,
        at: Option<EndpointNumber>,
        status: Status,
        holders: Vec<Holder>,
    ) -> GetError {
        let set = self.owner.targets.set();
        let at = set.zip(at);
        let named = at.and_then(|(set, number)| Some((set, number, set.name(number)?)));
        // Each takes the dialer's lock, or that of the set's dials, and lets it go before the next.
        let (endpoint, connect_error, dialling) = match named {
            Some((set, number, name)) => {
                let error = set
                    .dials()
                    .outage(number)
                    .map(|outage| outage.last_error.clone());
                let dialling = self.dialling(|dial| dial.number == Some(number));
                (Some(name), error, dialling)
            }
            None => (None, self.last_connect_error(), self.dialling(|_| true)),
        };
        GetError::TimedOut(Box::new(TimedOut {
            pool: self.owner.settings.name.clone(),
            endpoint,
            waited,
            status,
            connect_error,
            dialling,
            holders,
            budget: self.refused_by(&status),
        }))
    }

    /// The budget that keeps a pool that looks like `status` from opening one more, if it is not the pool's own size.
    fn refused_by(&self, status: &Status) -> Option<BudgetStatus> {
        if status.size + status.opening >= status.max_size {
            return None;
        }
        self.owner.budget.as_ref()?.refused_by()
    }

    /// Why connects have been failing; `None` since the last that did not, of a set of those to each endpoint.
    pub(crate) fn last_connect_error(&self) -> Option<ConnectError> {
        match self.owner.targets.set() {
            Some(set) => dial_of_set::last_error(set),
            None => self.owner.dialer().last_error(),
        }
    }

    /// Of these dials the one that has been under way for longest.
    pub(super) fn dialling(&self, is_meant: impl Fn(&UnderWay) -> bool) -> Option<Dialling> {
        let life = &self.owner;
        let (began, number) = {
            let dialer = life.dialer();
            let meant = dialer.under_way.iter().filter(|dial| is_meant(dial));
            let oldest = meant.min_by_key(|dial| dial.began)?;
            (oldest.began, oldest.number)
        };
        let of_set = || life.targets.set()?.name(number?);
        let endpoint = match life.targets.one() {
            Some(target) => target.name(),
            None => of_set(),
        };
        let elapsed = life.clock.now().saturating_sub(began) / 1_000_000;
        Some(Dialling {
            elapsed: Duration::from_millis(elapsed),
            endpoint,
        })
    }
}
