//! Where in the program the leases were taken that are out.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::connect::Connect;
use crate::kernel::State;
use crate::lifecycle::state::PoolCore;
use crate::report::Holder;

/// More places than that make no error clearer.
const NAMED: usize = 3;

/// The call sites with the most leases, in the order of their number, then of their age.
pub(crate) fn holders<C: Connect>(core: &PoolCore<C>) -> Vec<Holder> {
    let now = core.owner.clock.now();
    let mut sites: HashMap<&'static Location<'static>, Holder> = HashMap::new();
    for (_, word, meta) in core.slots() {
        // A lease whose holder has not written its metadata yet shows that of the lease before.
        let (State::Leased, Some(call_site)) = (word.state(), meta.call_site.get()) else {
            continue;
        };
        let out = Duration::from_nanos(now.saturating_sub(meta.leased_at.load(Relaxed)));
        let holder = sites.entry(call_site).or_insert(Holder {
            call_site,
            leases: 0,
            longest: Duration::ZERO,
        });
        holder.leases += 1;
        holder.longest = holder.longest.max(out);
    }
    let mut holders: Vec<_> = sites.into_values().collect();
    holders.sort_unstable_by_key(|holder| {
        let site = holder.call_site;
        let most = std::cmp::Reverse((holder.leases, holder.longest));
        (most, site.file(), site.line())
    });
    holders.truncate(NAMED);
    holders
}
