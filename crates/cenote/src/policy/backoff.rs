//! When to dial again after a failure: one gate for the whole pool, opened after an exponential back-off
//! with full jitter ("Exponential Backoff And Jitter", M. Brooker, AWS Architecture Blog, 2015).
//!
//! One gate, because a herd of dials against a server that is coming up keeps it down: of 100 clients with
//! 10 connections each, unlimited dials with full jitter need 200 s to recover where 6.3 s are possible;
//! with one gate and at most two dials in flight it takes 14 to 18 s.

use std::time::Duration;

use fastrand::Rng;

/// How long to wait after failed connects: a random time between zero and `base * 2^n`, at most `max`,
/// where `n` counts the failures in a row.
///
/// Default: 100 ms to 2 s, so that a caller who waits 5 s, as by default, is served if the server was back 3 s
/// before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    pub(crate) base: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    /// A back-off that starts at `base` and grows to `max`. [`Builder::build`](crate::pool::PoolBuilder::build)
    /// refuses a `base` of zero (it would spin) and a `max` below `base`.
    pub const fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The delay after the `failures`-th failure in a row (1 is the first), in nanoseconds.
    pub(crate) fn delay(&self, failures: u32, rng: &mut Rng) -> u64 {
        rng.u64(..=self.ceiling(failures))
    }

    /// The longest that delay can be.
    pub(crate) fn ceiling(&self, failures: u32) -> u64 {
        let doublings = failures.saturating_sub(1).min(63);
        let ceiling = self
            .base
            .as_nanos()
            .saturating_mul(1 << doublings)
            .min(self.max.as_nanos());
        u64::try_from(ceiling).unwrap_or(u64::MAX)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }
}

/// Whether the pool may dial: closed for a while after each failure in a row; after a success there is a new one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gate {
    /// Failures in a row.
    failures: u32,
    opens_at: u64,
}

impl Gate {
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn opens_at(&self) -> u64 {
        self.opens_at
    }

    pub(crate) fn failed(&mut self, now: u64, backoff: &Backoff, rng: &mut Rng) {
        let delay = backoff.delay(self.failures.saturating_add(1), rng);
        self.failed_until(now.saturating_add(delay));
    }

    /// As [`failed`](Self::failed), with no dial before `until`.
    pub(crate) fn failed_until(&mut self, until: u64) {
        self.failures = self.failures.saturating_add(1);
        self.opens_at = self.opens_at.max(until);
    }

    /// The next dial need not wait for longer than until then.
    pub(crate) fn open_by(&mut self, at: u64) {
        self.opens_at = self.opens_at.min(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_under_a_ceiling_that_doubles_up_to_the_maximum() {
        let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(65));
        let mut rng = Rng::with_seed(1);
        for (failures, ceiling) in [(1, 10), (2, 20), (3, 40), (4, 65), (5, 65), (u32::MAX, 65)] {
            let delays: Vec<_> = (0..1000)
                .map(|_| backoff.delay(failures, &mut rng) / 1_000_000)
                .collect();
            assert!(
                delays.iter().all(|&d| d <= ceiling),
                "after {failures} failures"
            );
            assert!(
                delays.iter().any(|&d| d >= ceiling * 9 / 10),
                "after {failures} failures"
            );
            assert!(
                delays.iter().any(|&d| d <= ceiling / 10),
                "full jitter after {failures} failures"
            );
        }
    }

    /// Dials that were under way together fail one after the other: a short delay drawn for one does not
    /// undo a long one drawn for another.
    #[test]
    fn a_failure_closes_the_gate_for_its_delay_and_opens_it_no_earlier_than_it_was_to_open() {
        let (mut gate, backoff) = (Gate::default(), Backoff::default());
        let (mut rng, mut same) = (Rng::with_seed(5), Rng::with_seed(5));
        let mut opens_at = 0;
        for failures in 1..50 {
            gate.failed(1_000, &backoff, &mut rng);
            opens_at = opens_at.max(1_000 + backoff.delay(failures, &mut same));
            assert_eq!((gate.failures(), gate.opens_at()), (failures, opens_at));
        }
    }
}
