//! `cold_burst`: a thousand requests at once to a server that no connection leads to yet, and that speaks HTTP/2 over TLS.
//!
//! `opened` are the connections that the server accepted, `last_ms` is the time to the last reply, `failed` counts the
//! requests that have none.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::files;
use super::subject::{Asked, Subject};
use super::target::{Protocol, Server};
use crate::callers::{self, Caller, within_reason};
use crate::measure::{Failure, Outcome, Sample};

const TASKS: usize = 1_000;

/// Where a client can be bounded, it may open one connection for each task: that it opens fewer is its own doing.
const CONNECTIONS: usize = TASKS;

pub fn run<S: Subject>(protocol: Protocol) -> Outcome<Sample> {
    files::allow_many().map_err(|error| Failure::new(error.to_string()))?;
    let mut server = Server::start()?;
    let target = server.target(protocol, CONNECTIONS)?;
    let runtime = callers::workers()?;
    let outcome = runtime.block_on(within_reason(async {
        let caller = Asked::<S>::open(target).await?;
        burst(caller).await
    }));
    runtime.shutdown_timeout(Duration::from_secs(1));
    let (took, failed) = outcome?;
    Ok(vec![
        ("opened", server.accepted()? as f64),
        ("last_ms", took.as_secs_f64() * 1e3),
        ("failed", failed as f64),
    ])
}

/// The time to the last reply, and how many requests had none.
async fn burst<C: Caller>(caller: C) -> Outcome<(Duration, usize)> {
    let begun = Instant::now();
    let mut crowd = JoinSet::new();
    for number in 0..TASKS as u64 {
        let mut caller = caller.clone();
        crowd.spawn(async move { caller.call(number).await });
    }
    let mut last_error = None;
    let mut failed = 0;
    while let Some(done) = crowd.join_next().await {
        let done = done.map_err(|error| Failure::new(format!("a task panicked: {error}")))?;
        if let Err(error) = done {
            failed += 1;
            last_error = Some(error);
        }
    }
    match last_error {
        Some(error) if failed == TASKS => Err(callers::failed(error)),
        _ => Ok((begun.elapsed(), failed)),
    }
}
