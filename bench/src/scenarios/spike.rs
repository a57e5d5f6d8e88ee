//! `spike`: fifty getters at once on a pool that idles with five connections, of which each takes 150 ms to open.
//!
//! A query holds its connection for 2 ms, so the five serve everybody before one more could open; a pool that
//! answers every getter with a dial ends with ten times the connections it needs (HikariCP's spike test). Runs on
//! tokio's paused clock. `connections_open` is counted one second after the last getter is done; a subject that has
//! no `min_idle` begins with five connections all the same. `p99_ns` is of the getters' waits.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::current_thread;
use crate::connector::{Connector, Setup};
use crate::measure::{Failure, Outcome, Sample, percentile};
use crate::subjects::{Subject, refused};

const GETTERS: usize = 50;
const MIN_IDLE: usize = 5;
const CONNECT: Duration = Duration::from_millis(150);
const HOLD: Duration = Duration::from_millis(2);
/// Virtual time for dials on their way, before and after.
const SETTLE: Duration = Duration::from_secs(1);

pub fn run<S: Subject>() -> Outcome<Sample> {
    current_thread(true)?.block_on(spike::<S>())
}

async fn spike<S: Subject>() -> Outcome<Sample> {
    let setup = Setup {
        max_size: GETTERS,
        min_idle: MIN_IDLE,
        connector: Connector {
            delay: CONNECT,
            ..Connector::default()
        },
        ..Setup::default()
    };
    let tally = &setup.connector.tally;
    let subject = S::open(&setup).await;
    sleep(SETTLE).await;
    if tally.open() < MIN_IDLE {
        subject.fill(MIN_IDLE).await?;
        sleep(SETTLE).await;
    }
    let dialled_before = tally.dialled();
    let mut getters = JoinSet::new();
    for _ in 0..GETTERS {
        getters.spawn(query(subject.clone()));
    }
    let mut waits = Vec::with_capacity(GETTERS);
    while let Some(done) = getters.join_next().await {
        let wait = done.map_err(|error| Failure::new(format!("a task panicked: {error}")))?;
        waits.push(wait?);
    }
    sleep(SETTLE).await;
    waits.sort_unstable();
    Ok(vec![
        ("connections_open", tally.open() as f64),
        ("dialled", (tally.dialled() - dialled_before) as f64),
        ("p99_ns", percentile(&waits, 99)),
    ])
}

async fn query<S: Subject>(subject: S) -> Outcome<u64> {
    let asked = Instant::now();
    let lease = subject.get().await.map_err(refused)?;
    let waited = asked.elapsed().as_nanos() as u64;
    sleep(HOLD).await;
    drop(lease);
    Ok(waited)
}
