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
    run::<S>(&current_thread(false)?, 1)
}

pub fn two_tasks<S: Subject>() -> Outcome<Sample> {
    let runtime = two_workers()?;
    let sample = run::<S>(&runtime, 2);
    runtime.shutdown_background();
    sample
}

pub fn one_thread<S: BlockingSubject>() -> Outcome<Sample> {
    run_blocking::<S>(1)
}

pub fn two_threads<S: BlockingSubject>() -> Outcome<Sample> {
    run_blocking::<S>(2)
}

/// Each task on a thread of its own: of two workers one may sleep while the other runs both tasks.
fn run<S: Subject>(runtime: &Runtime, tasks: usize) -> Outcome<Sample> {
    let subject = runtime.block_on(async {
        let subject = S::open(&Setup::of_size(IDLE)).await;
        subject.fill(IDLE).await?;
        Outcome::Ok(subject)
    })?;
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
    thread::scope(|scope| {
        let running = (0..threads).map(|lane| {
            let (subject, track) = (subject.clone(), &track);
            scope.spawn(move || blocking_chunks(&subject, track, lane))
        });
        gather(running.collect())
    })
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

fn gather(running: Vec<ScopedJoinHandle<'_, Outcome<Vec<f64>>>>) -> Outcome<Sample> {
    let mut all = Vec::new();
    for thread in running {
        let chunks = thread
            .join()
            .map_err(|_| Failure::new("a thread panicked"))?;
        all.extend(chunks?);
    }
    Ok(vec![("ns", ns(&all)?)])
}
