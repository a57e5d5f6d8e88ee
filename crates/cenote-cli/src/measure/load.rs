//! The users of one run: tasks that visit again and again until told to stop, and the clock over them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::endpoints::Endpoints;
use super::errors::ErrorCount;
use super::observer::{Observer, Sample};
use super::recorder::{Latencies, Recorder};
use crate::args::Load;
use crate::progress::Progress;
use crate::way::Way;

/// What one run showed.
pub struct Measured {
    /// From the first request until no user was to start another.
    pub elapsed: Duration,
    /// Visits that succeeded within `elapsed`.
    pub requests: u64,
    /// All that succeeded, those included that were under way at the end.
    pub latencies: Latencies,
    /// By falling count.
    pub errors: Vec<ErrorCount>,
    pub opened: u64,
    /// Visits that were still not over a while after the end, and were cut off.
    pub unfinished: usize,
    pub samples: Vec<Sample>,
    /// None where there is one server.
    pub endpoints: Option<Endpoints>,
}

/// Tells users to stop: what cancels the run holds the sender.
pub type Stop = watch::Receiver<bool>;

/// A user whose request failed waits this long: a server that refuses is not hammered.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(10);

/// Visits under way at the end of a run may take this long to finish.
const GRACE: Duration = Duration::from_secs(1);

/// Runs `load` on `way` until its time is over or `cancelled`.
pub async fn measure<W: Way>(
    way: Arc<W>,
    load: Load,
    mut cancelled: Stop,
    progress: Progress,
) -> Measured {
    let threads = tokio::runtime::Handle::current().metrics().num_workers();
    let recorder = Arc::new(Recorder::new(threads));
    let (end, ended) = watch::channel(false);

    let started = Instant::now();
    let observer = Observer::start(way.clone(), recorder.clone(), load.duration, progress);
    let mut users = JoinSet::new();
    for _ in 0..load.users {
        users.spawn(user(
            way.clone(),
            recorder.clone(),
            load.think_time,
            ended.clone(),
        ));
    }
    tokio::select! {
        () = tokio::time::sleep(load.duration) => {}
        // A sender that is gone cancels nothing any more.
        Ok(_) = cancelled.wait_for(|cancelled| *cancelled) => {}
    }
    let elapsed = started.elapsed();
    let requests = recorder.succeeded();
    let (samples, log) = observer.stop();

    end.send_replace(true);
    let all_gone = async { while users.join_next().await.is_some() {} };
    // Those that stay on are counted below.
    let _ = tokio::time::timeout(GRACE, all_gone).await;
    let unfinished = users.len();
    // Before they are cut off: what a pool opens in place of the connections this costs is no part of it.
    let opened = way.opened();
    users.shutdown().await;
    way.close().await;
    let (latencies, errors) = recorder.merged();
    let accounts = recorder.endpoints();
    let is_set = log.last.is_some() || !accounts.is_empty();
    Measured {
        elapsed,
        requests,
        latencies,
        errors,
        opened,
        unfinished,
        samples,
        endpoints: is_set.then_some(Endpoints { accounts, log }),
    }
}

async fn user<W: Way>(way: Arc<W>, recorder: Arc<Recorder>, think_time: Duration, mut ended: Stop) {
    while !*ended.borrow() {
        let failed = match way.visit().await {
            Ok(visit) => {
                recorder.success(visit);
                Duration::ZERO
            }
            Err(failure) => {
                recorder.failure(failure);
                PAUSE_AFTER_FAILURE
            }
        };
        let pause = failed + think_time.mul_f64(0.5 + fastrand::f64());
        if !pause.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
        }
    }
}
