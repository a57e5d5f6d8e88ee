//! What can be said of the endpoints of a set.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::drains::leases_at;
use super::state::LifecycleCore;
use super::target::Target;
use crate::connect::Connect;
use crate::kernel::{Admission, Endpoints};
use crate::policy::accrual::Standing;
use crate::report::{EndpointCondition, EndpointStatus, SetStatus};

impl<C: Connect> LifecycleCore<C> {
    /// The endpoints as they are now; none where there is no set.
    pub(crate) fn set_status(&self) -> Option<SetStatus> {
        let (set, endpoints) = (self.owner.targets.set()?, self.endpoints()?);
        self.count_recent_leases();
        let targets = set.all_targets();
        let whole: u64 = targets
            .iter()
            .filter_map(|target| share(endpoints, target).map(u64::from))
            .sum();
        let all = targets.iter().filter_map(|target| {
            let mut status = self.endpoint_status(target)?;
            if whole > 0 {
                status.share /= whole as f64;
            }
            Some(status)
        });
        Some(SetStatus {
            discovery: (set.discovery)(),
            is_in_panic: set.is_in_panic.load(Relaxed),
            endpoints: all.collect(),
        })
    }

    /// With its share in numbers of the policy.
    pub(super) fn endpoint_status(&self, target: &Target<C>) -> Option<EndpointStatus> {
        let (set, endpoints) = (self.owner.targets.set()?, self.endpoints()?);
        let member = target.member.as_ref()?;
        let record = endpoints.record(member.id.number);
        let now = self.owner.clock.now();
        let left = |until: u64| Duration::from_nanos(until.saturating_sub(now));
        let (connect_error, down) = {
            let dials = set.dials();
            let outage = dials.outage(member.id.number);
            let down = outage.map(|outage| {
                let retry_in = left(outage.gate.opens_at());
                match outage.is_unsuitable() {
                    true => EndpointCondition::Unsuitable { retry_in },
                    false => EndpointCondition::Down {
                        failures: outage.gate.failures(),
                        retry_in,
                    },
                }
            });
            (outage.map(|outage| outage.last_error.clone()), down)
        };
        let down = down.filter(|_| record.open() == 0);
        let condition = match (self.admission_of(member.id.number)?, down) {
            (Admission::Barred, _) => {
                let since = set.drains().since(member.id.number).unwrap_or(now);
                EndpointCondition::Draining {
                    since: Duration::from_nanos(now.saturating_sub(since)),
                }
            }
            (_, Some(down)) => down,
            (Admission::Drawn, None) => EndpointCondition::Up,
            (Admission::Spare, None) => EndpointCondition::Standby,
            (Admission::Trial, None) => EndpointCondition::OnTrial,
            (Admission::Aside, None) => match member.health.standing(now) {
                // It is about to be let in again.
                Standing::Up { .. } => EndpointCondition::Up,
                Standing::Ejected(ejection)
                | Standing::Probation(ejection)
                | Standing::Probing { ejection, .. } => EndpointCondition::Ejected {
                    left: left(ejection.until),
                    cause: ejection.cause,
                },
            },
        };
        // Under no lock: it may be the last to let go of a connection, which runs user code.
        let in_flight = leases_at(self, member.id.number);
        Some(EndpointStatus {
            id: member.id,
            name: target.name()?,
            condition,
            share: share(endpoints, target)?.into(),
            share_of_last_minute: set.recent_leases().share(member.id.number, now),
            latency: member.health.latency(now),
            in_flight,
            connections: record.open() as usize,
            opening: record.opening() as usize,
            connect_error,
        })
    }
}

fn share<C: Connect>(endpoints: &Endpoints, target: &Target<C>) -> Option<u32> {
    let record = endpoints.record(target.number()?);
    Some(record.share.load(Relaxed))
}
