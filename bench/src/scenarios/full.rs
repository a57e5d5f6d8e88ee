//! `full`: a pool of which all but 8 connections are leased for good, and one, ten or 1,000 users more than are free.
//!
//! Each user leases, yields to the scheduler once and gives back, without end; `per_s_1000_and_1` is leases a second
//! beside 1,000 leased for good, with one user too many. The pool is opened once for all three crowds.
//!
//! All on one thread: with two, one goes on leasing while a user of the other is about to wait, and hides what that
//! costs.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::on_one_thread;
use crate::callers::Stage;
use crate::connector::Setup;
use crate::measure::{Failure, Outcome, Sample};
use crate::subjects::{Subject, refused};

const FREE: usize = 8;
const WARM_UP: Duration = Duration::from_millis(20);
const WINDOW: Duration = Duration::from_millis(100);

/// The name of the rate, and how many users too many.
pub(super) type Crowd = (&'static str, usize);

const BESIDE_1000: [Crowd; 3] = [
    ("per_s_1000_and_1", 1),
    ("per_s_1000_and_10", 10),
    ("per_s_1000_and_1000", 1_000),
];
pub(super) const BESIDE_20000: [Crowd; 3] = [
    ("per_s_20000_and_1", 1),
    ("per_s_20000_and_10", 10),
    ("per_s_20000_and_1000", 1_000),
];

pub fn run<S: Subject>() -> Outcome<Sample> {
    let beside = |leased| Setup::of_size(leased + FREE);
    let mut sample = on_one_thread(rates::<S>(beside(1_000), BESIDE_1000))?;
    sample.extend(on_one_thread(rates::<S>(beside(20_000), BESIDE_20000))?);
    Ok(sample)
}

/// All connections are leased for good but [`FREE`].
pub(super) async fn rates<S: Subject>(setup: Setup, crowds: [Crowd; 3]) -> Outcome<Sample> {
    let leased = setup.max_size - FREE;
    let subject = S::open(&setup.unbounded_queue()).await;
    let mut for_good = Vec::with_capacity(leased);
    for _ in 0..leased {
        for_good.push(subject.get().await.map_err(refused)?);
    }
    subject.fill(FREE).await?;
    let mut sample = Sample::new();
    for (name, extra) in crowds {
        sample.push((name, rate(&subject, FREE + extra).await?));
    }
    drop(for_good);
    Ok(sample)
}

/// Leases a second of so many users.
pub(super) async fn rate<S: Subject>(subject: &S, users: usize) -> Outcome<f64> {
    let stage = Arc::new(Stage::default());
    let running: Vec<_> = (0..users)
        .map(|_| tokio::spawn(keep_leasing(subject.clone(), Arc::clone(&stage))))
        .collect();
    sleep(WARM_UP).await;
    stage.measure();
    let begun = Instant::now();
    sleep(WINDOW).await;
    stage.end();
    let took = begun.elapsed();
    let mut leases = 0;
    for user in running {
        leases += user
            .await
            .map_err(|error| Failure::new(format!("a task panicked: {error}")))??;
    }
    Ok(leases as f64 / took.as_secs_f64())
}

/// Leases within the measured time.
async fn keep_leasing<S: Subject>(subject: S, stage: Arc<Stage>) -> Outcome<u64> {
    let mut leases = 0;
    while !stage.is_over() {
        let lease = subject.get().await.map_err(refused)?;
        tokio::task::yield_now().await;
        drop(black_box(lease));
        leases += u64::from(stage.is_measured());
    }
    Ok(leases)
}
