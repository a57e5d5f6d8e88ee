//! How many calls there were in the last while, and how many of them failed: exact counts in ten buckets of equal time.
//!
//! The buckets lie on a grid of the clock, so the window is between nine and ten of them long. A call whose time is before
//! the youngest bucket, as of a thread that was late with its report, counts in that one.

use super::Outcome;

/// As linkerd has it: a window loses a tenth of itself at a time.
const BUCKETS: usize = 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) calls: u64,
    pub(super) failed: u64,
}

/// A tenth of a window: in half as many bits, for each endpoint has ten.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    calls: u32,
    failed: u32,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// The bucket of a step of the clock is at the step modulo the number of buckets.
    buckets: [Bucket; BUCKETS],
    /// The youngest of these steps.
    step: u64,
}

impl Window {
    /// A call has ended; the window is `length` nanoseconds long.
    pub(super) fn count(&mut self, now: u64, length: u64, outcome: Outcome) {
        let step = now / (length / BUCKETS as u64).max(1);
        // A step that was skipped leaves an empty bucket; a gap as long as the window, or longer, leaves all of them empty.
        let skipped = step.saturating_sub(self.step).min(BUCKETS as u64);
        for back in 0..skipped {
            *self.bucket(step - back) = Bucket::default();
        }
        self.step = self.step.max(step);
        let bucket = self.bucket(self.step);
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failed = bucket
            .failed
            .saturating_add((outcome != Outcome::Ok).into());
    }

    /// Of the window that ends with the last call counted.
    pub(super) fn tally(&self) -> Tally {
        self.buckets
            .iter()
            .fold(Tally::default(), |sum, bucket| Tally {
                calls: sum.calls + u64::from(bucket.calls),
                failed: sum.failed + u64::from(bucket.failed),
            })
    }

    fn bucket(&mut self, step: u64) -> &mut Bucket {
        &mut self.buckets[(step % BUCKETS as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;

    use super::*;

    const LENGTH: u64 = 1_000;

    #[test]
    fn the_window_counts_what_a_list_of_all_calls_counts() {
        let mut rng = Rng::with_seed(11);
        let (mut window, mut calls, mut now) = (Window::default(), Vec::new(), 0);
        for _ in 0..20_000 {
            now += match rng.u32(..100) {
                0 => rng.u64(..3 * LENGTH),
                1..10 => rng.u64(..LENGTH / 5),
                _ => rng.u64(..5),
            };
            let outcome = rng.choice([Outcome::Ok, Outcome::Failed]).unwrap();
            window.count(now, LENGTH, outcome);
            calls.push((now, outcome));
            let step = |time: u64| time / (LENGTH / 10);
            let recent = || {
                let calls = calls.iter().rev();
                calls.take_while(|(time, _)| step(*time) + 10 > step(now))
            };
            let expected = Tally {
                calls: recent().count() as u64,
                failed: recent().filter(|(_, end)| *end == Outcome::Failed).count() as u64,
            };
            assert_eq!(window.tally(), expected, "at {now}");
        }
    }

    /// linkerd2-proxy, `idle_gap_beyond_u32_steps_does_not_wedge_window`: a number of steps that was cut to 32 bits made
    /// a long gap look like none.
    #[test]
    fn after_a_gap_of_any_length_the_window_is_cold() {
        let one = Tally {
            calls: 1,
            failed: 1,
        };
        for gap in [10, 11, 1 << 16, 1 << 32, (1 << 32) + 1, u64::MAX / 100 - 1] {
            let mut window = Window::default();
            for _ in 0..9 {
                window.count(50, LENGTH, Outcome::Failed);
            }
            for later in 1..10 {
                let now = (gap * 100).saturating_add(50);
                window.count(now, LENGTH, Outcome::Failed);
                let expected = Tally {
                    calls: later,
                    failed: later,
                };
                assert_eq!(window.tally(), expected, "after {gap} steps");
            }
        }
        let mut window = Window::default();
        window.count(50, 0, Outcome::Failed);
        window.count(u64::MAX, 0, Outcome::Failed);
        assert_eq!(window.tally(), one, "the shortest steps there are");
    }

    #[test]
    fn a_report_that_comes_late_counts_as_of_now() {
        let mut window = Window::default();
        window.count(5_000, LENGTH, Outcome::Ok);
        window.count(4_000, LENGTH, Outcome::Failed);
        window.count(0, LENGTH, Outcome::Failed);
        window.count(5_900, LENGTH, Outcome::Ok);
        assert_eq!(
            window.tally(),
            Tally {
                calls: 4,
                failed: 2
            }
        );
        window.count(6_000, LENGTH, Outcome::Ok);
        assert_eq!(
            window.tally(),
            Tally {
                calls: 2,
                failed: 0
            }
        );
    }
}
