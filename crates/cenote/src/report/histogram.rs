//! How long something took, in buckets: recorded in a [`Recorder`], told as a [`Histogram`].

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use crate::sync::{AtomicU64, Ordering::Relaxed, thread_number};

/// Buckets with an upper bound.
const BOUNDED: usize = 27;

/// How often something took how long, since the pool began: a count for each bucket, and the sum of all times.
///
/// The upper [bounds](Self::BOUNDS) are inclusive, and each is twice the one before. So what is read from a bucket
/// alone, such as a [quantile](Self::quantile), is right or too long by a factor of less than two; the
/// [sum](Self::sum), and with it the [mean](Self::mean), is exact to the nanosecond.
///
/// Exporters take it as it is. These bounds are those of an exponential histogram of OpenTelemetry's at scale 0, in
/// microseconds; for Prometheus, counts are summed up:
///
/// ```
/// # use cenote::report::Histogram;
/// fn prometheus(name: &str, times: &Histogram) -> String {
///     let (mut text, mut so_far) = (String::new(), 0);
///     for (bound, count) in Histogram::BOUNDS.iter().zip(times.counts()) {
///         so_far += count;
///         text += &format!("{name}_bucket{{le=\"{}\"}} {so_far}\n", bound.as_secs_f64());
///     }
///     let count = times.count();
///     text += &format!("{name}_bucket{{le=\"+Inf\"}} {count}\n");
///     text += &format!("{name}_sum {}\n{name}_count {count}\n", times.sum().as_secs_f64());
///     text
/// }
/// # assert_eq!(prometheus("wait", &Histogram::default()).lines().count(), 30);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDED + 1],
    sum: Duration,
}

impl Histogram {
    /// The upper bounds of all buckets but the last, which has none: 1 µs, 2 µs, 4 µs, and so on to 67.1 s.
    pub const BOUNDS: [Duration; BOUNDED] = {
        let mut bounds = [Duration::ZERO; BOUNDED];
        let mut i = 0;
        while i < BOUNDED {
            bounds[i] = Duration::from_micros(1 << i);
            i += 1;
        }
        bounds
    };

    /// How many fell into each bucket: one count for each of the [bounds](Self::BOUNDS), and one for what took longer.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All times together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The mean time; `None` if there was none.
    pub fn mean(&self) -> Option<Duration> {
        let nanos = self.sum.as_nanos().checked_div(self.count().into())?;
        Some(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }

    /// The time that this share of all took at most, from 0.0 to 1.0: the upper bound of its bucket, or of what took
    /// longer than all bounds the greatest of them. `None` if there was none.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((share.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut so_far = 0;
        let bucket = self.counts.iter().position(|count| {
            so_far += count;
            so_far >= rank
        });
        Some(Self::BOUNDS[bucket.unwrap_or(BOUNDED).min(BOUNDED - 1)])
    }

    fn add(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.sum += Duration::from_nanos(nanos);
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("sum", &self.sum)
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(mean), Some(half), Some(most)) =
            (self.mean(), self.quantile(0.5), self.quantile(0.99))
        else {
            return f.write_str("none");
        };
        let count = self.count();
        write!(
            f,
            "{count}, mean {mean:.1?}, half within {half:.1?}, 99 % within {most:.1?}"
        )
    }
}

/// The bucket of a time: bounds are powers of two of a microsecond.
fn bucket(nanos: u64) -> usize {
    let micros = nanos.div_ceil(1_000).max(1);
    let power = u64::BITS - (micros - 1).leading_zeros();
    (power as usize).min(BOUNDED)
}

/// Records times, from any thread. All relaxed: each count is right, and together they are read as they are.
///
/// The first has a word of its own, so that of ten thousand pools that dialled once, and had one caller wait for that,
/// none has buckets.
#[derive(Default)]
pub(crate) struct Recorder {
    /// One more than its nanoseconds; 0 before there is one.
    first: AtomicU64,
    more: OnceLock<Box<[Buckets; SHARDS]>>,
}

/// Threads count apart: on lines in common, two that hand connections to each other would spend a fifth of their time.
const SHARDS: usize = 4;

#[derive(Default)]
#[repr(align(128))]
struct Buckets {
    counts: [AtomicU64; BOUNDED + 1],
    sum: AtomicU64,
}

impl Recorder {
    pub(crate) fn record(&self, nanos: u64) {
        let first = nanos.saturating_add(1);
        let is_first = self.first.load(Relaxed) == 0
            && self
                .first
                .compare_exchange(0, first, Relaxed, Relaxed)
                .is_ok();
        if is_first {
            return;
        }
        let shards = self.more.get_or_init(Box::default);
        let buckets = &shards[thread_number() % SHARDS];
        buckets.counts[bucket(nanos)].fetch_add(1, Relaxed);
        buckets.sum.fetch_add(nanos, Relaxed);
    }

    pub(crate) fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        if let Some(first) = self.first.load(Relaxed).checked_sub(1) {
            histogram.add(first);
        }
        for buckets in self.more.get().into_iter().flat_map(|shards| &**shards) {
            for (count, recorded) in histogram.counts.iter_mut().zip(&buckets.counts) {
                *count += recorded.load(Relaxed);
            }
            histogram.sum += Duration::from_nanos(buckets.sum.load(Relaxed));
        }
        histogram
    }
}

#[cfg(all(test, not(cenote_loom), not(cenote_shuttle)))]
mod tests {
    use super::*;

    fn recorded(nanos: impl IntoIterator<Item = u64>) -> Histogram {
        let recorder = Recorder::default();
        nanos.into_iter().for_each(|nanos| recorder.record(nanos));
        recorder.histogram()
    }

    #[test]
    fn a_time_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (i, bound) in Histogram::BOUNDS.into_iter().enumerate() {
            let bound = u64::try_from(bound.as_nanos()).unwrap();
            assert_eq!((bucket(bound), bucket(bound + 1)), (i, i + 1), "{bound}");
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BOUNDED));
    }

    #[test]
    fn every_time_counts_once_the_first_like_all_others() {
        let histogram = recorded([0, 1_000, 1_001, 3_000, u64::MAX / 2]);
        assert_eq!(histogram.counts()[..3], [2, 1, 1]);
        assert_eq!((histogram.counts()[BOUNDED], histogram.count()), (1, 5));
        assert_eq!(
            histogram.sum(),
            Duration::from_nanos(5_001 + u64::MAX / 2),
            "exactly"
        );
    }

    #[test]
    fn times_of_all_threads_count() {
        let recorder = Recorder::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..100).for_each(|_| recorder.record(3_000)));
            }
        });
        let histogram = recorder.histogram();
        assert_eq!(histogram.count(), 200 * SHARDS as u64);
        assert_eq!(histogram.mean(), Some(Duration::from_micros(3)));
    }

    #[test]
    fn a_quantile_is_right_or_too_long_by_less_than_twice() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut times: Vec<u64> = (0..10_000).map(|_| 1_000 << rng.u32(..20)).collect();
        times.iter_mut().for_each(|time| *time += rng.u64(..*time));
        let histogram = recorded(times.iter().copied());
        times.sort_unstable();
        for share in [0.001, 0.5, 0.9, 0.99, 1.0] {
            let exact = times[(share * 10_000.0) as usize - 1] as f64;
            let told = histogram.quantile(share).unwrap().as_nanos() as f64;
            assert!(
                (1.0..2.0).contains(&(told / exact)),
                "{share}: {told} for {exact}"
            );
        }
    }

    #[test]
    fn of_no_times_there_is_neither_mean_nor_quantile() {
        let none = Recorder::default().histogram();
        assert_eq!((none.mean(), none.quantile(0.5)), (None, None));
        assert_eq!(none.to_string(), "none");
    }

    /// One dial, one caller that waited for it: the memory of one word.
    #[test]
    fn one_time_takes_no_buckets() {
        let recorder = Recorder::default();
        recorder.record(5);
        assert!(recorder.more.get().is_none());
        assert_eq!(size_of::<Recorder>(), 24);
    }
}
