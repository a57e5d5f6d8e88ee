//! `get_drop_1` and `get_drop_2`: the price of a get and a drop when connections are idle.
//!
//! One task on a runtime of one thread, or two tasks at once, each on a thread of its own; each with a handle of its
//! own, as users clone pools. The value is the nanoseconds one operation takes the task that does it.

use std::hint::black_box;
use std::thread::{self, ScopedJoinHandle};

use tokio::runtime::Runtime;

use super::stopwatch::{OPS_PER_CHUNK, Track, ns};
use super::{current_thread, two_workers, within_reason};
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample};
use crate::subjects::{BlockingSubject, Subject, refused};

const IDLE: usize = 10;

pub fn one_task<S: Subject>() -> Outcome<Sample> {
    run::<S>(1)
}

pub fn two_tasks<S: Subject>() -> Outcome<Sample> {
    run::<S>(2)
}

pub fn one_thread<S: BlockingSubject>() -> Outcome<Sample> {
    run_blocking::<S>(1)
}

pub fn two_threads<S: BlockingSubject>() -> Outcome<Sample> {
    run_blocking::<S>(2)
}

fn run<S: Subject>(tasks: usize) -> Outcome<Sample> {
    Ok(vec![("ns", ns_per_op::<S>(&Setup::of_size(IDLE), tasks)?)])
}

/// What an operation takes one of so many tasks, once all the connections are open.
pub(super) fn ns_per_op<S: Subject>(setup: &Setup, tasks: usize) -> Outcome<f64> {
    if tasks == 1 {
        return measure::<S>(&current_thread(false)?, setup, tasks);
    }
    let runtime = two_workers()?;
    let ns = measure::<S>(&runtime, setup, tasks);
    runtime.shutdown_background();
    ns
}

/// Each task on a thread of its own: of two workers one may sleep while the other runs both tasks.
fn measure<S: Subject>(runtime: &Runtime, setup: &Setup, tasks: usize) -> Outcome<f64> {
    let subject = runtime.block_on(within_reason(async {
        let subject = S::open(setup).await;
        subject.fill(setup.max_size).await?;
        Outcome::Ok(subject)
    }))?;
    let track = Track::of(tasks);
    thread::scope(|scope| {
        let running = (0..tasks).map(|lane| {
            let task = chunks(subject.clone(), &track, lane);
            scope.spawn(|| runtime.block_on(within_reason(task)))
        });
        gather(running.collect())
    })
}

async fn chunks<S: Subject>(subject: S, track: &Track, lane: usize) -> Outcome<Vec<f64>> {
    let mut stopwatch = track.start(lane);
    while stopwatch.next_chunk() {
        for _ in 0..OPS_PER_CHUNK {
            let lease = black_box(&subject).get().await.map_err(refused)?;
            drop(black_box(lease));
        }
    }
    Ok(stopwatch.finish())
}

fn run_blocking<S: BlockingSubject>(threads: usize) -> Outcome<Sample> {
    let subject = S::open(&Setup::of_size(IDLE));
    subject.fill(IDLE)?;
    let track = Track::of(threads);
    let ns = thread::scope(|scope| {
        let running = (0..threads).map(|lane| {
            let (subject, track) = (subject.clone(), &track);
            scope.spawn(move || blocking_chunks(&subject, track, lane))
        });
        gather(running.collect())
    });
    Ok(vec![("ns", ns?)])
}

fn blocking_chunks<S: BlockingSubject>(
    subject: &S,
    track: &Track,
    lane: usize,
) -> Outcome<Vec<f64>> {
    let mut stopwatch = track.start(lane);
    while stopwatch.next_chunk() {
        for _ in 0..OPS_PER_CHUNK {
            let lease = black_box(subject).get().map_err(refused)?;
            drop(black_box(lease));
        }
    }
    Ok(stopwatch.finish())
}

fn gather(running: Vec<ScopedJoinHandle<'_, Outcome<Vec<f64>>>>) -> Outcome<f64> {
    let mut all = Vec::new();
    for thread in running {
        let chunks = thread
            .join()
            .map_err(|_| Failure::new("a thread panicked"))?;
        all.extend(chunks?);
    }
    ns(&all)
}
