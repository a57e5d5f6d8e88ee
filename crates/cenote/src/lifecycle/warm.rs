//! Opening what `min_idle` and `min_size` promise before anybody asks for it, and saying why not.

use std::pin::pin;
use std::time::Duration;

use super::state::LifecycleCore;
use super::{dial, dial_of_set, upkeep};
use crate::connect::Connect;
use crate::error::GetError;
use crate::kernel::{Arc, Phase};
use crate::rt;

/// Opens connections until as many are open and idle as the settings say, for `limit` at most. When that is up, the
/// error is the face's.
pub(crate) async fn warm<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    limit: Option<Duration>,
    timed_out: impl FnOnce(Duration) -> GetError,
) -> Result<(), GetError> {
    let life = &core.owner;
    let began = life.clock.now();
    if upkeep::ensure(core) == upkeep::Upkeep::Impossible {
        return Err(life.no_runtime());
    }
    let Some(limit) = limit else {
        return fill(core).await;
    };
    let filled = rt::timeout(limit, fill(core)).await;
    filled.unwrap_or_else(|_| {
        let waited = life.clock.now().saturating_sub(began);
        Err(timed_out(Duration::from_nanos(waited)))
    })
}

async fn fill<C: Connect>(core: &Arc<LifecycleCore<C>>) -> Result<(), GetError> {
    let life = &core.owner;
    let failed_before = life.metrics.connect_failed();
    loop {
        let mut changed = pin!(life.changed.notified());
        // From here on: what changes while this looks is told.
        changed.as_mut().enable();
        let demand = core.demand();
        if demand.phase == Phase::Closed {
            return Err(life.closed_error());
        }
        if core.shortage(&demand) == 0 {
            return Ok(());
        }
        let failures = life.metrics.connect_failed() - failed_before;
        let last_error = core.last_connect_error().filter(|_| {
            let set = life.targets.set();
            set.is_none_or(|set| dial_of_set::is_out_of_reach(&set.dials()))
        });
        if let (1.., Some(error)) = (failures, last_error) {
            return Err(GetError::Connect {
                pool: life.settings.name.clone(),
                failures: u32::try_from(failures).unwrap_or(u32::MAX),
                error,
            });
        }
        life.dialer().refill = true;
        dial::dial_if_needed(core);
        changed.await;
    }
}
