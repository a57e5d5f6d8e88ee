//! How long a call to an endpoint is expected to take: a mean that is weighted by time and sensitive to peaks, as
//! Finagle's and tower's. A slower call counts at once and whole; faster ones count as the time since the last one
//! says. With no calls the expectation fades, so that an endpoint that was slow is tried again.
//!
//! It is for calls that are timed from request to reply. The time for which a lease is held is the user's, not the
//! endpoint's.

use std::time::Duration;

use crate::policy::accrual::Outcome;

/// The time in which the old expectation fades to 1/e (10 s in Finagle, tower's users and linkerd2-proxy).
const DECAY_NANOS: f32 = 10e9;

/// The least that a failed call counts as, however fast it failed: else the endpoint that refuses all draws all
/// (linkerd2-proxy #4537, which has 5 s as well).
const FAILED: Duration = Duration::from_secs(5);

/// The most that a peer's word on when to try again counts as (linkerd2-proxy #4537).
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// The expectation, and as of when.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PeakEwma {
    /// In seconds; 0 before the first call.
    cost: f32,
    at: u64,
}

impl PeakEwma {
    /// A call ended at `now` and took so long.
    pub(crate) fn observe(&mut self, now: u64, took: Duration, outcome: Outcome) {
        let counts_as = match outcome {
            Outcome::Ok => took,
            Outcome::Failed => took.max(FAILED),
            Outcome::Overloaded { retry_after } => {
                let told = retry_after.unwrap_or(FAILED).min(MAX_RETRY_AFTER);
                took.max(FAILED).max(told)
            }
            // By the caller, before there was a reply: says nothing of the endpoint (tower takes it for a fast one).
            Outcome::Ignore => return,
        };
        let sample = counts_as.as_secs_f32();
        let (kept, faded) = (self.kept(now), self.value(now));
        self.cost = if sample >= faded {
            sample
        } else {
            faded + sample * (1.0 - kept)
        };
        self.at = self.at.max(now);
    }

    /// The expectation at `now`, in seconds; 0 while nothing is known.
    pub(crate) fn value(&self, now: u64) -> f32 {
        self.cost * self.kept(now)
    }

    /// The expectation as it was after the last call, if that is not longer ago than `within` nanoseconds.
    pub(crate) fn last(&self, now: u64, within: u64) -> Option<Duration> {
        let is_known = self.cost > 0.0 && now.saturating_sub(self.at) <= within;
        is_known.then(|| Duration::from_secs_f32(self.cost))
    }

    /// What is left at `now` of the last expectation.
    fn kept(&self, now: u64) -> f32 {
        (now.saturating_sub(self.at) as f32 / -DECAY_NANOS).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const MS: Duration = Duration::from_millis(1);
    const FAILS: Outcome = Outcome::Failed;

    fn after(samples: &[(u64, Duration, Outcome)]) -> PeakEwma {
        let mut ewma = PeakEwma::default();
        for &(now, took, outcome) in samples {
            ewma.observe(now, took, outcome);
        }
        ewma
    }

    #[test]
    fn the_last_expectation_is_told_unfaded_for_as_long_as_it_counts_as_news() {
        let known = after(&[(SECOND, 8 * MS, Outcome::Ok)]);
        assert_eq!(known.last(SECOND, SECOND), Some(8 * MS));
        assert_eq!(known.last(2 * SECOND, SECOND), Some(8 * MS));
        assert_eq!(known.last(2 * SECOND + 1, SECOND), None);
        assert_eq!(PeakEwma::default().last(0, SECOND), None);
    }

    #[track_caller]
    fn assert_near(value: f32, expected: f32) {
        assert!((value / expected - 1.0).abs() < 1e-4, "{value}");
    }

    #[test]
    fn before_the_first_call_nothing_is_known() {
        assert_eq!(PeakEwma::default().value(5 * SECOND), 0.0);
    }

    #[test]
    fn a_slower_call_counts_at_once_and_a_faster_one_by_the_time_since() {
        let mut ewma = after(&[
            (SECOND, MS, Outcome::Ok),
            (SECOND + 1, 100 * MS, Outcome::Ok),
        ]);
        assert_near(ewma.value(SECOND + 1), 0.1);
        ewma.observe(11 * SECOND + 1, MS, Outcome::Ok);
        let kept = (-1.0_f32).exp();
        assert_near(
            ewma.value(11 * SECOND + 1),
            0.1 * kept + 0.001 * (1.0 - kept),
        );
    }

    #[test]
    fn calls_that_take_the_same_keep_it_where_it_is() {
        let mut ewma = PeakEwma::default();
        for second in 1..100 {
            ewma.observe(second * SECOND, MS, Outcome::Ok);
            assert_near(ewma.value(second * SECOND), 0.001);
        }
    }

    #[test]
    fn without_calls_it_fades() {
        let ewma = after(&[(SECOND, 50 * MS, Outcome::Ok)]);
        assert_near(ewma.value(11 * SECOND), 0.05 / std::f32::consts::E);
        assert_eq!(ewma.value(u64::MAX), 0.0);
    }

    /// linkerd2-proxy #4537.
    #[test]
    fn a_failed_call_counts_as_a_slow_one_however_fast_it_failed() {
        let told = |secs| Outcome::Overloaded {
            retry_after: Some(Duration::from_secs(secs)),
        };
        for (outcome, took, expected) in [
            (FAILS, MS, 5.0),
            (FAILS, 8_000 * MS, 8.0),
            (told(0), MS, 5.0),
            (told(1), MS, 5.0),
            (told(60), MS, 60.0),
            (told(100_000), MS, 300.0),
        ] {
            let ewma = after(&[(SECOND, took, outcome)]);
            assert_near(ewma.value(SECOND), expected);
        }
    }

    #[test]
    fn a_cancelled_call_does_not_count() {
        let known = [(SECOND, 50 * MS, Outcome::Ok)];
        let cancelled = [known[0], (2 * SECOND, MS, Outcome::Ignore)];
        assert_eq!(after(&cancelled), after(&known));
    }

    /// Threads tell of calls in another order than they ended in.
    #[test]
    fn a_call_told_late_does_not_turn_time_back() {
        let mut ewma = after(&[(20 * SECOND, 50 * MS, Outcome::Ok)]);
        ewma.observe(SECOND, MS, Outcome::Ok);
        assert_near(ewma.value(20 * SECOND), 0.05);
    }
}
