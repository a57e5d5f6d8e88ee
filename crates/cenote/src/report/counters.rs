//! What happened since a pool began: counted in [`Metrics`], told as [`Counters`].

use std::fmt;
use std::sync::OnceLock;

use super::close_reason::CloseReason;
use super::timings::Stopwatch;
use crate::plural::plural;
use crate::sync::{AtomicU64, Ordering::Relaxed};

/// Counts of what happens; leases are counted slot by slot.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) opened: AtomicU64,
    pub(crate) checks: AtomicU64,
    pub(crate) times: Stopwatch,
    /// None of a pool to which nothing of it has happened yet.
    rare: OnceLock<Box<Rare>>,
}

/// Counts of what seldom happens.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) timed_out: AtomicU64,
    pub(crate) rejected: AtomicU64,
    pub(crate) abandoned: AtomicU64,
    pub(crate) connect_failed: AtomicU64,
    pub(crate) resets: AtomicU64,
    pub(crate) leaks: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
}

impl Metrics {
    /// To count one of them.
    pub(crate) fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    pub(crate) fn count_closed(&self, reason: CloseReason) {
        count(&self.rare().closed[reason as usize]);
    }

    /// Connects that failed, so far.
    pub(crate) fn connect_failed(&self) -> u64 {
        let rare = self.rare.get();
        rare.map_or(0, |rare| rare.connect_failed.load(Relaxed))
    }

    /// With what is counted elsewhere.
    pub(crate) fn counters(&self, gets: u64, waited: u64) -> Counters {
        let so_far = Counters {
            gets,
            waited,
            opened: self.opened.load(Relaxed),
            checks: self.checks.load(Relaxed),
            ..Counters::default()
        };
        let Some(rare) = self.rare.get() else {
            return so_far;
        };
        Counters {
            timed_out: rare.timed_out.load(Relaxed),
            rejected: rare.rejected.load(Relaxed),
            abandoned: rare.abandoned.load(Relaxed),
            connect_failed: rare.connect_failed.load(Relaxed),
            resets: rare.resets.load(Relaxed),
            leaks: rare.leaks.load(Relaxed),
            closed: std::array::from_fn(|reason| rare.closed[reason].load(Relaxed)),
            ..so_far
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// What happened since the pool began. Exact when nobody is using it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Leases given.
    pub gets: u64,
    /// Times a caller queued: for a connection to come back or to be opened, whether it got one or not.
    pub waited: u64,
    /// Callers that gave up after their time-out.
    pub timed_out: u64,
    /// Callers sent away because `max_waiters` were waiting.
    pub rejected: u64,
    /// Callers that left before they had a lease: they dropped a get that could not be served at once, as a time-out
    /// around it does.
    pub abandoned: u64,
    /// Connections opened.
    pub opened: u64,
    /// Connects that failed, timed out or panicked.
    pub connect_failed: u64,
    /// Checks run: before a lease, or while idle.
    pub checks: u64,
    /// Resets run after a lease.
    pub resets: u64,
    /// Leases reported as held for longer than `leak_threshold`.
    pub leaks: u64,
    pub(crate) closed: [u64; CloseReason::ALL.len()],
}

impl Counters {
    /// Connections the pool closed or gave away.
    pub fn closed(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// Connections closed for `reason`.
    pub fn closed_by(&self, reason: CloseReason) -> u64 {
        self.closed[reason as usize]
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let closed: Vec<_> = CloseReason::ALL
            .iter()
            .map(|&why| (why.as_str(), self.closed_by(why)))
            .collect();
        f.debug_struct("Counters")
            .field("gets", &self.gets)
            .field("waited", &self.waited)
            .field("timed_out", &self.timed_out)
            .field("rejected", &self.rejected)
            .field("abandoned", &self.abandoned)
            .field("opened", &self.opened)
            .field("connect_failed", &self.connect_failed)
            .field("checks", &self.checks)
            .field("resets", &self.resets)
            .field("leaks", &self.leaks)
            .field(
                "closed",
                &closed
                    .into_iter()
                    .filter(|(_, n)| *n > 0)
                    .collect::<Vec<_>>(),
            )
            .finish()
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} waited, {} timed out, {} rejected, {} abandoned; {} opened, {} failed, {}, {}, {}, {} closed",
            plural(self.gets, "lease"),
            plural(self.waited, "caller"),
            self.timed_out,
            self.rejected,
            self.abandoned,
            plural(self.opened, "connection"),
            plural(self.connect_failed, "connect"),
            plural(self.checks, "check"),
            plural(self.resets, "reset"),
            plural(self.leaks, "leak"),
            self.closed(),
        )?;
        let reasons = CloseReason::ALL
            .iter()
            .filter(|why| self.closed_by(**why) > 0);
        for (i, &why) in reasons.enumerate() {
            let colon = if i == 0 { ": " } else { ", " };
            write!(f, "{colon}{} {why}", self.closed_by(why))?;
        }
        Ok(())
    }
}
