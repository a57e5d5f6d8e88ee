//! The load: users that ask one query after the other for a fixed time.
//!
//! `ops_per_s` counts answers inside the window. The latency of a query is from asking for a connection to having
//! given it back; a query that is under way when the window closes is finished and its latency counts, so that users
//! who starve do not vanish from the figures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::subject::{Subject, Target};
use crate::measure::{Failure, Outcome, Sample, percentile};

const WARM_UP: Duration = Duration::from_millis(300);
const WINDOW: Duration = Duration::from_secs(1);
/// A query that fails is asked again after this, so that errors do not become the load.
const AFTER_ERROR: Duration = Duration::from_millis(10);
/// No pool lets a getter wait longer by default.
const HUNG: Duration = Duration::from_secs(45);

/// Instants that divide the run: before `from` is warm-up, no query begins after `until`.
#[derive(Clone, Copy)]
struct Window {
    from: Instant,
    until: Instant,
}

#[derive(Default)]
struct Experience {
    answered: usize,
    latencies: Vec<u64>,
    errors: usize,
    last_error: Option<String>,
}

pub fn run<S: Subject>(target: &Target, users: usize) -> Outcome<Sample> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("no runtime: {error}")))?;
    let outcome = runtime.block_on(async {
        let subject = S::open(target).await?;
        let total = tokio::time::timeout(HUNG, crowd(&subject, users))
            .await
            .unwrap_or_else(|_| Err(Failure::new(format!("hung: not done after {HUNG:?}"))))?;
        subject.close().await;
        summary(total)
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn crowd<S: Subject>(subject: &S, users: usize) -> Outcome<Experience> {
    let from = Instant::now() + WARM_UP;
    let window = Window {
        from,
        until: from + WINDOW,
    };
    let subject = Arc::new(subject.clone());
    let mut crowd = JoinSet::new();
    for _ in 0..users {
        crowd.spawn(user(Arc::clone(&subject), window));
    }
    let mut total = Experience::default();
    while let Some(done) = crowd.join_next().await {
        let one = done.map_err(|error| Failure::new(format!("a task panicked: {error}")))?;
        total.answered += one.answered;
        total.latencies.extend(one.latencies);
        total.errors += one.errors;
        total.last_error = one.last_error.or(total.last_error);
    }
    Ok(total)
}

async fn user<S: Subject>(subject: Arc<S>, window: Window) -> Experience {
    let mut experience = Experience::default();
    loop {
        let asked = Instant::now();
        if asked >= window.until {
            return experience;
        }
        let answer = subject.select_one().await;
        let now = Instant::now();
        if now < window.from {
            continue;
        }
        match answer {
            Ok(_) => {
                experience.latencies.push((now - asked).as_nanos() as u64);
                experience.answered += usize::from(now < window.until);
            }
            Err(error) => {
                experience.errors += 1;
                experience.last_error = Some(error.to_string());
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

fn summary(mut total: Experience) -> Outcome<Sample> {
    if let (0, Some(error)) = (total.answered, total.last_error) {
        return Err(Failure::new(format!("no query was answered: {error}")));
    }
    total.latencies.sort_unstable();
    Ok(vec![
        ("ops_per_s", total.answered as f64 / WINDOW.as_secs_f64()),
        ("p50_ns", percentile(&total.latencies, 50)),
        ("p99_ns", percentile(&total.latencies, 99)),
        ("errors", total.errors as f64),
    ])
}
