//! What a caller is told whose time is up.

use std::time::Duration;

use super::holders::holders;
use crate::connect::Connect;
use crate::error::GetError;
use crate::kernel::EndpointNumber;
use crate::lifecycle::state::LifecycleCore;
use crate::report::{EventKind, count};

/// The error of a caller that waited `waited` at this endpoint, or else for any; counted, and told.
pub(super) fn timed_out<C: Connect>(
    core: &LifecycleCore<C>,
    waited: Duration,
    at: Option<EndpointNumber>,
) -> GetError {
    let life = &core.owner;
    count(&life.metrics.rare().timed_out);
    life.tell(|| EventKind::TimedOut { waited });
    core.timed_out(waited, at, core.status(), holders(core))
}
