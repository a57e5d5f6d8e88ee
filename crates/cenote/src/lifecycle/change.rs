//! What changes while connections live: how many there may be, and which are wanted.

use std::sync::atomic::Ordering::Relaxed;

use super::dial;
use super::recycle::{reason, release};
use super::retire::retire;
use super::state::LifecycleCore;
use crate::connect::Connect;
use crate::error::SettingsError;
use crate::kernel::{Arc, IdleSince};

/// Changes `max_size`; refused, nothing is changed. Idle connections that are too many are closed now, others when they
/// come back.
pub(crate) fn resize<C: Connect>(
    core: &Arc<LifecycleCore<C>>,
    max_size: usize,
) -> Result<(), SettingsError> {
    core.owner.settings.check_max_size(max_size)?;
    core.resize(max_size);
    for (token, why) in core.reserve_excess() {
        retire(token, reason(why), None);
    }
    dial::dial_if_needed(core);
    Ok(())
}

/// Has every connection open now closed: idle ones now, others when they come back.
pub(crate) fn evict<C: Connect>(core: &LifecycleCore<C>) {
    let next = core.owner.next_id.load(Relaxed);
    core.owner.evict_below.fetch_max(next, Relaxed);
    for token in core.recall() {
        // Those that came before the bound are seen off there.
        release(token, IdleSince::Before);
    }
}
