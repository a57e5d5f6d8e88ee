//! Where in the program the leases were taken that are out.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::connect::Connect;
use crate::kernel::State;
use crate::lifecycle::state::{LifecycleCore, SlotMeta};
use crate::report::{self, ConnectionState, Holder};

/// More places than that make no error clearer.
const NAMED: usize = 3;

/// The call sites with the most leases, in the order of their number, then of their age.
pub(crate) fn holders<C: Connect>(core: &LifecycleCore<C>) -> Vec<Holder> {
    let now = core.owner.clock.now();
    let leased = core.slots().filter_map(|(_, word, meta)| {
        // A lease whose holder has not written its metadata yet shows that of the lease before.
        let (State::Leased, Some(site)) = (word.state(), meta.call_site.get()) else {
            return None;
        };
        let held_for = Duration::from_nanos(now.saturating_sub(meta.leased_at.load(Relaxed)));
        Some((site.call_site, site.label, held_for))
    });
    let mut holders = report::holders(leased);
    holders.truncate(NAMED);
    holders
}

/// A connection in its user's hands for so long.
pub(crate) fn leased(meta: &SlotMeta, held_for: Duration) -> ConnectionState {
    match meta.call_site.get() {
        // A lease whose holder has not written its metadata yet shows that of the lease before.
        Some(site) => ConnectionState::Leased {
            held_for,
            call_site: site.call_site,
            label: site.label,
        },
        // The first of its slot.
        None => ConnectionState::Upkeep,
    }
}
