//! How long things take in a pool: callers' waits, dials, leases.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use super::histogram::{Histogram, Recorder};
use crate::sync::{AtomicU64, Ordering::Relaxed};

/// How long callers waited, connecting took and leases lasted, since the pool began.
///
/// Recording costs the fast way nothing: a get that is served at once is in neither. So
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
    /// How long connections were on lease, all together. An estimate: each turn of upkeep, a second at most, counts those
    /// that are; while the pool rests, with no lease begun for a second, leases are measured as they end. It is right in
    /// the long run, and costs no lease of a busy pool anything.
    ///
    /// Its growth over a minute, divided by the minute, is how many connections were in use on average, by which to size
    /// a pool; divided by the leases of that minute ([`gets`](crate::report::Counters::gets)) it is how long one lasted
    /// (Little's law). Of a shared pool, connections count while they are active.
    pub in_use: Duration,
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            waits,
            connects,
            in_use,
        } = self;
        write!(
            f,
            "waits: {waits}; connects: {connects}; in use: {in_use:.1?}"
        )
    }
}

/// Records a pool's [`Timings`]. A pool that nobody used has none of it.
#[derive(Default)]
pub(crate) struct Stopwatch(OnceLock<Box<Recorders>>);

#[derive(Default)]
struct Recorders {
    waits: Recorder,
    connects: Recorder,
    in_use: AtomicU64,
    /// Until when that was counted, by the pool's clock.
    counted_until: AtomicU64,
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

    /// Leases were counted until now, and lasted so much longer since the last count.
    pub(crate) fn counted(&self, now: u64, nanos: u64) {
        let recorders = self.recorders();
        recorders.counted_until.store(now, Relaxed);
        recorders.in_use.fetch_add(nanos, Relaxed);
    }

    /// Until when leases were counted.
    pub(crate) fn counted_until(&self) -> u64 {
        let recorders = self.0.get();
        recorders.map_or(0, |recorders| recorders.counted_until.load(Relaxed))
    }

    /// A lease that began at `leased_at` ends while nobody counts.
    pub(crate) fn uncounted(&self, leased_at: u64, now: u64) {
        let since = leased_at.max(self.counted_until());
        let recorders = self.recorders();
        recorders
            .in_use
            .fetch_add(now.saturating_sub(since), Relaxed);
    }

    pub(crate) fn timings(&self) -> Timings {
        self.0
            .get()
            .map_or_else(Timings::default, |recorders| Timings {
                waits: recorders.waits.histogram(),
                connects: recorders.connects.histogram(),
                in_use: Duration::from_nanos(recorders.in_use.load(Relaxed)),
            })
    }
}
