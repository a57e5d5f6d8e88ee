//! What a caller is told whose time is up.

use std::time::Duration;

use super::holders::holders;
use crate::connect::Connect;
use crate::error::{GetError, TimedOut};
use crate::lifecycle::state::PoolCore;
use crate::report::{EventKind, count};

/// The error of a caller that waited `waited`; counted, and told.
pub(super) fn timed_out<C: Connect>(core: &PoolCore<C>, waited: Duration) -> GetError {
    let shared = &core.owner;
    count(&shared.metrics.timed_out);
    shared.tell(|| EventKind::TimedOut { waited });
    // Each takes the dialer's lock, and lets it go before the next.
    let connect_error = shared.dialer().last_error();
    let dialling = core.dialling();
    let status = core.status();
    GetError::TimedOut(Box::new(TimedOut {
        pool: shared.settings.name.clone(),
        waited,
        status,
        connect_error,
        dialling,
        holders: holders(core),
        budget: core.refused_by(&status),
    }))
}
