//! Where users leave what they measured: one shard for each worker thread, so that they never wait for
//! each other. The locks are for the merge at the end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::endpoints::{Account, Latency, latency};
use super::errors::{ErrorCount, Errors};
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
    errors: Errors,
    /// By name, of those that visits are known to have been to.
    endpoints: BTreeMap<String, Account>,
}

/// Distributions of the two latencies, in nanoseconds, to three digits.
#[derive(Clone)]
pub struct Latencies {
    pub wait: Histogram<u64>,
    pub total: Histogram<u64>,
}

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
                errors: Errors::default(),
                endpoints: BTreeMap::new(),
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
        if let Some(endpoint) = visit.endpoint {
            let request = visit.total.saturating_sub(visit.wait);
            details
                .endpoint(endpoint)
                .success(request.as_nanos() as u64);
        }
    }

    pub fn failure(&self, failure: Failure) {
        let shard = self.shard();
        shard.failed.fetch_add(1, Ordering::Relaxed);
        let mut details = shard.lock();
        let Failure {
            kind,
            message,
            endpoint,
        } = failure;
        details.errors.count(&kind, &message);
        if let Some(endpoint) = endpoint {
            details.endpoint(endpoint).failure(&kind, &message);
        }
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
        let mut errors = Errors::default();
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
            errors.merge(&details.errors);
        }
        (latencies, errors.by_count())
    }

    /// What was seen of each endpoint, all shards in one.
    pub fn endpoints(&self) -> BTreeMap<String, Account> {
        let mut endpoints: BTreeMap<String, Account> = BTreeMap::new();
        for shard in &self.shards {
            for (name, account) in &shard.lock().endpoints {
                endpoints.entry(name.clone()).or_default().merge(account);
            }
        }
        endpoints
    }

    /// How long each endpoint took since this was last asked.
    pub fn take_recent(&self) -> BTreeMap<String, Latency> {
        let mut recent: BTreeMap<String, Latency> = BTreeMap::new();
        for shard in &self.shards {
            for (name, account) in &mut shard.lock().endpoints {
                account.take_recent(recent.entry(name.clone()).or_insert_with(latency));
            }
        }
        recent
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

impl Details {
    fn endpoint(&mut self, name: String) -> &mut Account {
        self.endpoints.entry(name).or_default()
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
    fn what_threads_record_adds_up() {
        let recorder = Recorder::new(2);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    recorder.success(Visit {
                        wait: Duration::from_millis(1),
                        total: Duration::from_millis(2),
                        endpoint: Some("a:1".into()),
                    });
                    recorder.failure(Failure {
                        kind: "connect: refused".into(),
                        message: "no".into(),
                        endpoint: Some("b:2".into()),
                    });
                });
            }
        });
        recorder.failure(Failure {
            kind: "wait: timed out".into(),
            message: "late".into(),
            endpoint: None,
        });
        let (latencies, errors) = recorder.merged();
        assert_eq!((recorder.succeeded(), recorder.failed()), (3, 4));
        assert_eq!((latencies.wait.len(), latencies.total.len()), (3, 3));
        let counts: Vec<_> = errors.iter().map(|e| (e.kind.as_str(), e.count)).collect();
        assert_eq!(counts, [("connect: refused", 3), ("wait: timed out", 1)]);
        let endpoints = recorder.endpoints();
        let seen = endpoints.values().map(|account| {
            (
                account.requests.len(),
                account.errors().iter().map(|e| e.count).sum(),
            )
        });
        assert_eq!(seen.collect::<Vec<(u64, u64)>>(), [(3, 0), (0, 3)]);
    }

    #[test]
    fn what_is_recent_is_taken_once() {
        let recorder = Recorder::new(1);
        let taken = || recorder.take_recent()["a:1"].len();
        for _ in 0..2 {
            recorder.success(Visit {
                wait: Duration::ZERO,
                total: Duration::from_millis(2),
                endpoint: Some("a:1".into()),
            });
            assert_eq!(taken(), 1);
        }
        assert_eq!(taken(), 0);
    }
}
