//! What all runs showed, in the shape that the table, the JSON file and the report share.

mod endpoints;

use std::time::Duration;

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

pub use self::endpoints::{EndpointResult, SetResult, StatusResult};
use crate::args::{Mode, Plan, Setup};
use crate::chaos::Felt;
use crate::format;
use crate::measure::{ErrorCount, Latencies, Measured, Sample};
use crate::shown::Shown;
use crate::verdict::Verdict;

/// Everything that was measured. Its JSON form is versioned by `schema`.
#[derive(Serialize)]
pub struct Results {
    pub schema: u32,
    pub cenote: &'static str,
    /// Without its password.
    pub target: String,
    pub target_kind: &'static str,
    pub users: usize,
    pub duration_s: f64,
    pub request_bytes: usize,
    pub think_time_s: f64,
    pub acquire_timeout_s: f64,
    pub connect_timeout_s: f64,
    /// None: without end.
    pub request_timeout_s: Option<f64>,
    /// Of the chaos, if there was any.
    pub seed: Option<u64>,
    /// Whether Ctrl-C ended it early.
    pub interrupted: bool,
    pub runs: Vec<Run>,
    pub verdict: Verdict,
}

/// One run: a way of connecting under the load.
#[derive(Serialize)]
pub struct Run {
    pub mode: Mode,
    pub pool_size: Option<usize>,
    pub elapsed_s: f64,
    pub requests: u64,
    pub requests_per_s: f64,
    /// None if no request succeeded.
    pub wait_us: Option<Percentiles>,
    /// None if no request succeeded.
    pub total_us: Option<Percentiles>,
    pub connections_opened: u64,
    /// Requests cut off a second after the end.
    pub unfinished: usize,
    pub errors: Vec<ErrorCount>,
    pub samples: Vec<Sample>,
    /// None where there was one server.
    pub endpoints: Option<SetResult>,
    /// What befell the servers, and how that was felt; empty without chaos.
    pub chaos: Vec<Felt>,
    #[serde(skip)]
    pub latencies: Latencies,
}

/// A latency distribution in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Percentiles {
    pub mean: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

impl Percentiles {
    fn of<C: Counter>(nanoseconds: &Histogram<C>) -> Option<Self> {
        if nanoseconds.is_empty() {
            return None;
        }
        let at = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1e3;
        Some(Self {
            mean: nanoseconds.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: at(1.0),
        })
    }
}

impl Results {
    /// `target` is what it is called where it is shown.
    pub fn new(plan: &Plan, target: String) -> Self {
        Self {
            schema: 1,
            cenote: env!("CARGO_PKG_VERSION"),
            target,
            target_kind: plan.address.kind(),
            users: plan.load.users,
            duration_s: plan.load.duration.as_secs_f64(),
            request_bytes: plan.load.request_size,
            think_time_s: plan.load.think_time.as_secs_f64(),
            acquire_timeout_s: plan.acquire_timeout.as_secs_f64(),
            connect_timeout_s: plan.connect_timeout.as_secs_f64(),
            request_timeout_s: plan.request_timeout.map(|limit| limit.as_secs_f64()),
            seed: plan.chaos.as_ref().map(|schedule| schedule.seed),
            interrupted: false,
            runs: Vec::new(),
            verdict: Verdict::default(),
        }
    }

    pub fn no_pool(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.mode == Mode::NoPool)
    }

    /// The exclusive pool that served best, if there was one: the smallest whose rate is as good as the highest.
    pub fn best_pool(&self) -> Option<&Run> {
        const AS_GOOD: f64 = 0.97;
        let highest = self
            .pools()
            .map(|run| run.requests_per_s)
            .fold(0.0, f64::max);
        self.pools()
            .find(|run| run.requests_per_s >= highest * AS_GOOD)
    }

    /// All runs with an exclusive pool, by size.
    pub fn pools(&self) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(|run| run.mode == Mode::Exclusive)
    }

    /// The run in which users shared connections, if there was one.
    pub fn shared(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.mode == Mode::Shared)
    }

    /// Whether several pool sizes were tried.
    pub fn is_sweep(&self) -> bool {
        self.pools().nth(1).is_some()
    }

    /// Whether several sizes were tried and the largest served best: there may be better ones still.
    pub fn best_is_largest(&self) -> bool {
        let largest = self.pools().filter_map(|run| run.pool_size).max();
        self.is_sweep() && self.best_pool().and_then(|run| run.pool_size) == largest
    }

    /// The runs worth comparing side by side: no pool, the best one and the shared one.
    pub fn compared(&self) -> Vec<&Run> {
        let runs = [self.no_pool(), self.best_pool(), self.shared()];
        runs.into_iter().flatten().collect()
    }

    /// What the users did, in one line.
    pub fn load_line(&self) -> String {
        let mut line = format!(
            "{} on {}: {} for {} each",
            format::plural(self.users as u64, "user", "users"),
            self.target,
            requests_of(self.request_bytes),
            format::seconds(self.duration_s),
        );
        if self.think_time_s > 0.0 {
            line.push_str(&format!(
                ", with pauses of {}",
                format::seconds(self.think_time_s)
            ));
        }
        if let Some(seed) = self.seed {
            line.push_str(&format!(", with chaos (--seed {seed})"));
        }
        if self.interrupted {
            line.push_str(" (ended early)");
        }
        line
    }
}

fn requests_of(bytes: usize) -> String {
    format!("requests of {}", format::bytes(bytes))
}

impl Run {
    /// What went wrong is kept as it is `shown`.
    pub fn new(setup: Setup, measured: Measured, shown: &Shown) -> Self {
        let elapsed_s = measured.elapsed.max(Duration::from_micros(1)).as_secs_f64();
        Self {
            mode: setup.mode(),
            pool_size: setup.pool_size(),
            elapsed_s,
            requests: measured.requests,
            requests_per_s: measured.requests as f64 / elapsed_s,
            wait_us: Percentiles::of(&measured.latencies.wait),
            total_us: Percentiles::of(&measured.latencies.total),
            connections_opened: measured.opened,
            unfinished: measured.unfinished,
            errors: measured
                .errors
                .into_iter()
                .map(|error| error.shown(shown))
                .collect(),
            samples: measured.samples,
            endpoints: None,
            chaos: Vec::new(),
            latencies: measured.latencies,
        }
    }

    /// `no pool`, `exclusive pool`, `shared pool`.
    pub fn name(&self) -> &'static str {
        match self.mode {
            Mode::NoPool => "no pool",
            Mode::Exclusive => "exclusive pool",
            Mode::Shared => "shared pool",
        }
    }

    /// With the pool's size.
    pub fn full_name(&self) -> String {
        match self.pool_size {
            Some(size) if self.endpoints.is_some() => format!("{} of {size} each", self.name()),
            Some(size) => format!("{} of {size}", self.name()),
            None => self.name().to_owned(),
        }
    }

    pub fn failed(&self) -> u64 {
        self.errors.iter().map(|error| error.count).sum()
    }

    pub fn error_count(&self, kind: &str) -> u64 {
        self.errors
            .iter()
            .find(|error| error.kind == kind)
            .map_or(0, |error| error.count)
    }
}

/// The kinds of errors in any of `runs`, each once.
pub fn error_kinds<'a>(runs: &[&'a Run]) -> Vec<&'a ErrorCount> {
    let mut kinds: Vec<&ErrorCount> = Vec::new();
    for error in runs.iter().flat_map(|run| &run.errors) {
        if kinds.iter().all(|known| known.kind != error.kind) {
            kinds.push(error);
        }
    }
    kinds
}
