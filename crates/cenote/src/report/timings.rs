//! How long things take in a pool: callers' waits, dials, and what leases are used for.

use std::fmt;
use std::sync::OnceLock;

use super::histogram::{Histogram, Recorder};

/// How long callers waited, connecting took and leases lasted, since the pool began.
///
/// Recording waits and dials costs the fast way nothing: a get that is served at once is in neither. So
/// [`gets`](crate::report::Counters::gets) less the count of [`waits`](Self::waits) is how many leases cost no time to speak of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// From a get to its lease, of each that could not be served at once: it queued, or its connection was checked
    /// first. Those that ended without a lease are counted elsewhere, as [`timed_out`](crate::report::Counters::timed_out) and
    /// [`abandoned`](crate::report::Counters::abandoned).
    pub waits: Histogram,
    /// From the beginning of a dial to its connection, the `after_connect` hook included.
    pub connects: Histogram,
    /// From a lease to its return, of a sample: the first lease of each of the pool's places and then every 64th, for the
    /// clock costs as much as the lease. With these, [`gets`](crate::report::Counters::gets) a second times the mean is how
    /// many connections are in use, by Little's law; so it is what to size a pool by. Empty for shared pools. Leases that
    /// end otherwise, such as by [`discard`](crate::Lease::discard), are left out.
    pub uses: Histogram,
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            waits,
            connects,
            uses,
        } = self;
        write!(f, "waits: {waits}; connects: {connects}; uses: {uses}")
    }
}

/// Records a pool's [`Timings`]. A pool that nobody used has none of it.
#[derive(Default)]
pub(crate) struct Stopwatch(OnceLock<Box<Recorders>>);

#[derive(Default)]
struct Recorders {
    waits: Recorder,
    connects: Recorder,
    uses: Recorder,
}

impl Stopwatch {
    fn recorders(&self) -> &Recorders {
        self.0.get_or_init(Box::default)
    }

    pub(crate) fn waited(&self, nanos: u64) {
        self.recorders().waits.record(nanos);
    }

    pub(crate) fn connected(&self, nanos: u64) {
        self.recorders().connects.record(nanos);
    }

    pub(crate) fn used(&self, nanos: u64) {
        self.recorders().uses.record(nanos);
    }

    pub(crate) fn timings(&self) -> Timings {
        self.0
            .get()
            .map_or_else(Timings::default, |recorders| Timings {
                waits: recorders.waits.histogram(),
                connects: recorders.connects.histogram(),
                uses: recorders.uses.histogram(),
            })
    }
}
