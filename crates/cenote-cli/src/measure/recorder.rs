//! Where users leave what they measured: one shard for each worker thread, so that they never wait for
//! each other. The locks are for the merge at the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::failure::Failure;
use crate::way::Visit;

/// Collects visits from all users of one run.
pub struct Recorder {
    shards: Box<[Shard]>,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Shard {
    succeeded: AtomicU64,
    failed: AtomicU64,
    details: Mutex<Details>,
}

struct Details {
    latencies: Latencies,
    errors: BTreeMap<String, ErrorCount>,
}

/// Distributions of the two latencies, in nanoseconds, to three digits.
#[derive(Clone)]
pub struct Latencies {
    pub wait: Histogram<u64>,
    pub total: Histogram<u64>,
}

/// Failures of one kind.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ErrorCount {
    pub kind: String,
    pub count: u64,
    /// The first one's message.
    pub example: String,
}

/// Kinds of failures told apart. Servers choose their codes: one that made them up would fill tables and memory.
const MOST_KINDS: usize = 50;

const LONGEST: Duration = Duration::from_secs(3600);

impl Latencies {
    pub fn new() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST.as_nanos() as u64, 3)
                .expect("constant bounds are valid")
        };
        Self {
            wait: histogram(),
            total: histogram(),
        }
    }
}

impl Recorder {
    pub fn new(threads: usize) -> Self {
        let shard = |_| Shard {
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            details: Mutex::new(Details {
                latencies: Latencies::new(),
                errors: BTreeMap::new(),
            }),
        };
        Self {
            shards: (0..threads.max(1)).map(shard).collect(),
        }
    }

    pub fn success(&self, visit: Visit) {
        let shard = self.shard();
        shard.succeeded.fetch_add(1, Ordering::Relaxed);
        let mut details = shard.lock();
        details
            .latencies
            .wait
            .saturating_record(visit.wait.as_nanos() as u64);
        details
            .latencies
            .total
            .saturating_record(visit.total.as_nanos() as u64);
    }

    pub fn failure(&self, failure: Failure) {
        let shard = self.shard();
        shard.failed.fetch_add(1, Ordering::Relaxed);
        let mut details = shard.lock();
        let Failure { mut kind, message } = failure;
        if details.errors.len() >= MOST_KINDS && !details.errors.contains_key(&kind) {
            kind = "others".into();
        }
        let entry = details.errors.entry(kind);
        entry
            .or_insert_with_key(|kind| ErrorCount {
                kind: kind.clone(),
                count: 0,
                example: message,
            })
            .count += 1;
    }

    /// Visits that succeeded, so far.
    pub fn succeeded(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.succeeded.load(Ordering::Relaxed))
            .sum()
    }

    /// Visits that failed, so far.
    pub fn failed(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.failed.load(Ordering::Relaxed))
            .sum()
    }

    /// All shards in one; the errors by falling count.
    pub fn merged(&self) -> (Latencies, Vec<ErrorCount>) {
        let mut latencies = Latencies::new();
        let mut errors: BTreeMap<String, ErrorCount> = BTreeMap::new();
        for shard in &self.shards {
            let details = shard.lock();
            latencies
                .wait
                .add(&details.latencies.wait)
                .expect("bounds are equal");
            latencies
                .total
                .add(&details.latencies.total)
                .expect("bounds are equal");
            for (kind, error) in &details.errors {
                errors
                    .entry(kind.clone())
                    .and_modify(|merged| merged.count += error.count)
                    .or_insert_with(|| error.clone());
            }
        }
        let mut errors: Vec<_> = errors.into_values().collect();
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        (latencies, errors)
    }

    fn shard(&self) -> &Shard {
        &self.shards[thread_number() % self.shards.len()]
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that record are numbered as they come.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    NUMBER.with(|number| {
        number.get().unwrap_or_else(|| {
            let new = NEXT.fetch_add(1, Ordering::Relaxed);
            number.set(Some(new));
            new
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_without_end_are_counted_as_others() {
        let recorder = Recorder::new(1);
        for number in 0..1000 {
            recorder.failure(Failure {
                kind: format!("request: refused by the server ({number})"),
                message: String::new(),
            });
        }
        let (_, errors) = recorder.merged();
        assert_eq!(errors.len(), MOST_KINDS + 1);
        assert_eq!(errors.iter().map(|error| error.count).sum::<u64>(), 1000);
    }

    #[test]
    fn what_threads_record_adds_up() {
        let recorder = Recorder::new(2);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    recorder.success(Visit {
                        wait: Duration::from_millis(1),
                        total: Duration::from_millis(2),
                    });
                    recorder.failure(Failure {
                        kind: "connect: refused".into(),
                        message: "no".into(),
                    });
                });
            }
        });
        recorder.failure(Failure {
            kind: "wait: timed out".into(),
            message: "late".into(),
        });
        let (latencies, errors) = recorder.merged();
        assert_eq!((recorder.succeeded(), recorder.failed()), (3, 4));
        assert_eq!((latencies.wait.len(), latencies.total.len()), (3, 3));
        let counts: Vec<_> = errors.iter().map(|e| (e.kind.as_str(), e.count)).collect();
        assert_eq!(counts, [("connect: refused", 3), ("wait: timed out", 1)]);
    }
}
