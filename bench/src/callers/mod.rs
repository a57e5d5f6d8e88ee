//! The load on a shared connection: callers that ask one thing after the other for a fixed time.
//!
//! `req_per_s` counts the answers inside the window. Latencies are timed for one call in eight, so that the clock does
//! not become the work, each caller in a memory of its own; a call that is under way when the window closes is
//! finished and its latency counts, so that callers who starve do not vanish from the figures.

pub mod allocations;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::measure::{Failure, Outcome, Sample, percentile};
use crate::processor;

/// What the callers run on.
const WORKERS: usize = 2;
/// Calls between two timed ones of a caller; callers start at different offsets.
const TIMED_EVERY: u64 = 8;
/// Opening a connection, or the last calls, take no longer unless something hangs.
const HUNG: Duration = Duration::from_secs(10);

pub type CallError = Box<dyn Error + Send + Sync>;

/// A caller's handle of the connection all of them share.
pub trait Caller: Clone + Send + 'static {
    /// Asks, waits for the answer and checks that it is the one to this call, whose `number` no other call has.
    fn call(&mut self, number: u64) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// How long the stages of a run take.
#[derive(Debug, Clone, Copy)]
pub struct Lengths {
    pub warm_up: Duration,
    pub window: Duration,
}

impl Lengths {
    /// For clients whose one connection is there from the start.
    pub const SHORT: Self = Self {
        warm_up: Duration::from_millis(100),
        window: Duration::from_millis(400),
    };
}

/// What the measured stage took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub time: Duration,
    /// Of all processors, by this process.
    pub processor: Duration,
}

/// What part of the run it is. Callers look before each call; who conducts the run moves it on by the clock.
#[derive(Default)]
pub struct Stage(AtomicU8);

impl Stage {
    const WARM_UP: u8 = 0;
    const MEASURED: u8 = 1;
    const OVER: u8 = 2;

    pub fn is_warm_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::WARM_UP
    }

    pub fn is_measured(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::MEASURED
    }

    pub fn is_over(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::OVER
    }

    /// Goes through all stages, and says what the measured one took. Blocks the thread, which is no worker.
    pub fn conduct(&self, lengths: Lengths) -> Spent {
        thread::sleep(lengths.warm_up);
        let (begun, used) = (Instant::now(), processor::used());
        self.measure();
        thread::sleep(lengths.window);
        self.end();
        Spent {
            time: begun.elapsed(),
            processor: processor::used().saturating_sub(used),
        }
    }

    /// Begins the measured stage.
    pub fn measure(&self) {
        self.0.store(Self::MEASURED, Ordering::Relaxed);
    }

    /// Ends it.
    pub fn end(&self) {
        self.0.store(Self::OVER, Ordering::Relaxed);
    }
}

/// What a caller saw.
#[derive(Default)]
struct Experience {
    answered: u64,
    latencies: Vec<u64>,
}

/// What the callers of a run saw, and what it took.
pub struct Observed {
    answered: u64,
    /// In order.
    latencies: Vec<u64>,
    spent: Spent,
}

/// Opens the connection and lets so many callers use it at once.
pub fn run<C: Caller>(open: impl Future<Output = Outcome<C>>, callers: usize) -> Outcome<Sample> {
    observe(open, callers, Lengths::SHORT).map(|observed| observed.summary())
}

/// The same, for as long as is asked for.
pub fn observe<C: Caller>(
    open: impl Future<Output = Outcome<C>>,
    callers: usize,
    lengths: Lengths,
) -> Outcome<Observed> {
    let runtime = workers()?;
    let outcome = measure(&runtime, open, callers, lengths);
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

fn measure<C: Caller>(
    runtime: &Runtime,
    open: impl Future<Output = Outcome<C>>,
    callers: usize,
    lengths: Lengths,
) -> Outcome<Observed> {
    let caller = runtime.block_on(within_reason(open))?;
    let stage = Arc::new(Stage::default());
    let running: Vec<_> = (0..callers as u64)
        .map(|id| runtime.spawn(keep_calling(caller.clone(), id, Arc::clone(&stage))))
        .collect();
    let spent = stage.conduct(lengths);
    let mut total = runtime.block_on(within_reason(gather(running)))?;
    total.latencies.sort_unstable();
    Ok(Observed {
        answered: total.answered,
        latencies: total.latencies,
        spent,
    })
}

impl Observed {
    pub fn summary(&self) -> Sample {
        let seconds = self.spent.time.as_secs_f64();
        vec![
            ("req_per_s", self.answered as f64 / seconds),
            ("p50_ns", percentile(&self.latencies, 50)),
            ("p99_ns", percentile(&self.latencies, 99)),
        ]
    }

    /// The processor time of this process for each answer, in ns; the server's is in it where that is no other process.
    pub fn processor_ns_per_answer(&self) -> f64 {
        // Of a run in which nobody was answered it is all of it.
        self.spent.processor.as_nanos() as f64 / self.answered.max(1) as f64
    }
}

/// The threads on which callers and clients run.
pub fn workers() -> Outcome<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))
}

pub async fn within_reason<T>(step: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    tokio::time::timeout(HUNG, step)
        .await
        .unwrap_or_else(|_| Err(Failure::new(format!("hung: not done after {HUNG:?}"))))
}

async fn keep_calling<C: Caller>(mut caller: C, id: u64, stage: Arc<Stage>) -> Outcome<Experience> {
    let mut experience = Experience::default();
    for number in numbers(id) {
        if stage.is_over() {
            break;
        }
        let asked = (number + id).is_multiple_of(TIMED_EVERY).then(Instant::now);
        caller.call(number).await.map_err(failed)?;
        experience.answered += u64::from(stage.is_measured());
        if let Some(asked) = asked
            && !stage.is_warm_up()
        {
            experience.latencies.push(asked.elapsed().as_nanos() as u64);
        }
    }
    Ok(experience)
}

/// The numbers of a caller's calls, which no other caller uses.
pub fn numbers(id: u64) -> impl Iterator<Item = u64> + Send {
    id << 32..(id + 1) << 32
}

/// The failure of a call, of which one ends the run of its subject.
pub fn failed(error: CallError) -> Failure {
    Failure::new(format!("a call failed: {error}"))
}

async fn gather(running: Vec<JoinHandle<Outcome<Experience>>>) -> Outcome<Experience> {
    let mut total = Experience::default();
    for caller in running {
        let one = caller
            .await
            .map_err(|error| Failure::new(format!("a task panicked: {error}")))??;
        total.answered += one.answered;
        total.latencies.extend(one.latencies);
    }
    Ok(total)
}
