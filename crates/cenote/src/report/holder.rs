//! Where in the program leases were taken that are out.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// A place in the program, and the leases taken there that are out; those with a label apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The call of `get`.
    pub call_site: &'static Location<'static>,
    /// What their holders [call](crate::Lease::set_label) them.
    pub label: Option<&'static str>,
    /// How many leases.
    pub leases: usize,
    /// For how long the oldest of them has been out, to the turn of the pool's clock.
    pub longest: Duration,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call_site,
            label,
            leases,
            longest,
        } = self;
        let (file, line) = (call_site.file(), call_site.line());
        write!(f, "{leases} ")?;
        if let Some(label) = label {
            write!(f, "for {label:?} ")?;
        }
        write!(f, "at {file}:{line} for up to {longest:.1?}")
    }
}

/// A lease that is out: where it was taken, what it is called, and for how long it has been out.
pub(crate) type Held = (&'static Location<'static>, Option<&'static str>, Duration);

/// The holders of these leases, those with the most first, then those with the oldest.
pub(crate) fn holders(leases: impl IntoIterator<Item = Held>) -> Vec<Holder> {
    let mut holders = HashMap::new();
    for (call_site, label, held_for) in leases {
        let holder = holders.entry((call_site, label)).or_insert(Holder {
            call_site,
            label,
            leases: 0,
            longest: Duration::ZERO,
        });
        holder.leases += 1;
        holder.longest = holder.longest.max(held_for);
    }
    let mut holders: Vec<_> = holders.into_values().collect();
    holders.sort_unstable_by_key(|holder| {
        let site = holder.call_site;
        let most = Reverse((holder.leases, holder.longest));
        (most, site.file(), site.line(), holder.label)
    });
    holders
}
