//! `contend_64x8` and `contend_1000x10`: many users of few connections.
//!
//! Every task does the same number of rounds of get, one yield to the scheduler while it holds the lease, drop.
//! `ops_per_s` counts all tasks; waits are timed for one round in sixteen, so that the clock does not become the
//! work; `fairness` is the time of the first task to finish over that of the last, 1 being perfectly fair.
//! The synchronous pools do the same with threads.

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::sync::Barrier;

use super::on_two_workers;
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample, percentile};
use crate::subjects::{BlockingSubject, Subject, refused};

/// Rounds between two timed waits of a task; tasks start at different offsets.
const TIMED_EVERY: usize = 16;
/// One part in so many of the rounds runs first, unmeasured.
const WARM_UP_PART: usize = 10;

struct Load {
    users: usize,
    connections: usize,
    rounds: usize,
}

/// When a task began and ended its rounds, and the waits it timed.
struct Lap {
    begun: Instant,
    ended: Instant,
    waits: Vec<u64>,
}

impl Lap {
    fn start(rounds: usize) -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            ended: now,
            waits: Vec::with_capacity(rounds / TIMED_EVERY + 1),
        }
    }
}

pub fn tasks_64x8<S: Subject>() -> Outcome<Sample> {
    run::<S>(&Load {
        users: 64,
        connections: 8,
        rounds: 3_200,
    })
}

pub fn tasks_1000x10<S: Subject>() -> Outcome<Sample> {
    run::<S>(&Load {
        users: 1_000,
        connections: 10,
        rounds: 200,
    })
}

pub fn threads_64x8<S: BlockingSubject>() -> Outcome<Sample> {
    run_blocking::<S>(&Load {
        users: 64,
        connections: 8,
        rounds: 500,
    })
}

pub fn threads_1000x10<S: BlockingSubject>() -> Outcome<Sample> {
    run_blocking::<S>(&Load {
        users: 1_000,
        connections: 10,
        rounds: 40,
    })
}

fn run<S: Subject>(load: &Load) -> Outcome<Sample> {
    let rounds = load.rounds;
    on_two_workers(async move {
        let subject = S::open(&Setup::of_size(load.connections)).await;
        subject.fill(load.connections).await?;
        let start = Arc::new(Barrier::new(load.users));
        let running: Vec<_> = (0..load.users)
            .map(|user| tokio::spawn(lap(subject.clone(), Arc::clone(&start), user, rounds)))
            .collect();
        let mut laps = Vec::with_capacity(load.users);
        for task in running {
            let lap = task
                .await
                .map_err(|error| Failure::new(format!("a task panicked: {error}")))?;
            laps.push(lap?);
        }
        Ok(summary(&laps, load))
    })
}

async fn lap<S: Subject>(
    subject: S,
    start: Arc<Barrier>,
    user: usize,
    rounds: usize,
) -> Outcome<Lap> {
    for _ in 0..rounds / WARM_UP_PART {
        let lease = subject.get().await.map_err(refused)?;
        tokio::task::yield_now().await;
        drop(black_box(lease));
    }
    start.wait().await;
    let mut lap = Lap::start(rounds);
    for round in 0..rounds {
        let lease = if (round + user).is_multiple_of(TIMED_EVERY) {
            let asked = Instant::now();
            let lease = subject.get().await.map_err(refused)?;
            lap.waits.push(asked.elapsed().as_nanos() as u64);
            lease
        } else {
            subject.get().await.map_err(refused)?
        };
        tokio::task::yield_now().await;
        drop(black_box(lease));
    }
    lap.ended = Instant::now();
    Ok(lap)
}

fn run_blocking<S: BlockingSubject>(load: &Load) -> Outcome<Sample> {
    let subject = S::open(&Setup::of_size(load.connections));
    subject.fill(load.connections)?;
    let start = std::sync::Barrier::new(load.users);
    let laps = thread::scope(|scope| {
        let running: Vec<_> = (0..load.users)
            .map(|user| {
                let (subject, start) = (subject.clone(), &start);
                scope.spawn(move || blocking_lap(&subject, start, user, load.rounds))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .map_err(|_| Failure::new("a thread panicked"))?
            })
            .collect::<Outcome<Vec<Lap>>>()
    })?;
    Ok(summary(&laps, load))
}

fn blocking_lap<S: BlockingSubject>(
    subject: &S,
    start: &std::sync::Barrier,
    user: usize,
    rounds: usize,
) -> Outcome<Lap> {
    start.wait();
    let mut lap = Lap::start(rounds);
    for round in 0..rounds {
        let lease = if (round + user).is_multiple_of(TIMED_EVERY) {
            let asked = Instant::now();
            let lease = subject.get().map_err(refused)?;
            lap.waits.push(asked.elapsed().as_nanos() as u64);
            lease
        } else {
            subject.get().map_err(refused)?
        };
        thread::yield_now();
        drop(black_box(lease));
    }
    lap.ended = Instant::now();
    Ok(lap)
}

fn summary(laps: &[Lap], load: &Load) -> Sample {
    let begun = laps.iter().map(|lap| lap.begun).min();
    let since_start = |at: Option<Instant>| match (begun, at) {
        (Some(begun), Some(at)) => (at - begun).as_secs_f64(),
        _ => 0.0,
    };
    let first = since_start(laps.iter().map(|lap| lap.ended).min());
    let last = since_start(laps.iter().map(|lap| lap.ended).max());
    let mut waits: Vec<u64> = laps
        .iter()
        .flat_map(|lap| lap.waits.iter().copied())
        .collect();
    waits.sort_unstable();
    vec![
        ("ops_per_s", (load.users * load.rounds) as f64 / last),
        ("wait_p50_ns", percentile(&waits, 50)),
        ("wait_p99_ns", percentile(&waits, 99)),
        ("fairness", first / last),
    ]
}
