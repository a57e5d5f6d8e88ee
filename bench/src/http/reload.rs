//! The `http-reload` run: an nginx that ends each connection after three requests, and reads its settings again each
//! second, which ends those that are idle at that moment; and 64 tasks that ask it meanwhile.
//!
//! `failed` counts the requests that got no reply, or not a whole one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cenote_testkit::NginxServer;
use tokio::task::JoinSet;

use super::reply::BODY;
use super::subject::{Asked, Subject};
use super::target::{Protocol, Target};
use crate::callers::{self, CallError, Caller, within_reason};
use crate::measure::{Failure, Outcome, Sample};

const TASKS: usize = 64;
const RELOADS: u32 = 30;
const BETWEEN: Duration = Duration::from_secs(1);
/// A request that fails is repeated after this, so that errors do not become the load.
const AFTER_ERROR: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Experience {
    answered: u64,
    failed: u64,
    last_error: Option<CallError>,
}

pub fn run<S: Subject>() -> Outcome<Sample> {
    let refused = |error: CallError| Failure::new(format!("nginx: {error}"));
    let body = String::from_utf8_lossy(&BODY).into_owned();
    let site = format!("keepalive_requests 3; location / {{ return 200 '{body}'; }}");
    let server = NginxServer::start(site).map_err(|error| refused(error.into()))?;
    let target = Target {
        addr: server.addr(),
        uri: server
            .url("/")
            .parse()
            .map_err(|error| refused(Box::new(error)))?,
        protocol: Protocol::Http1,
        connections: TASKS,
        certificate: None,
    };
    let runtime = callers::workers()?;
    let caller = runtime.block_on(within_reason(Asked::<S>::open(target)))?;
    let is_over = Arc::new(AtomicBool::new(false));
    let crowd = {
        let _context = runtime.enter();
        let tasks = (0..TASKS).map(|_| keep_asking(caller.clone(), Arc::clone(&is_over)));
        tasks.collect::<JoinSet<_>>()
    };
    let begun = Instant::now();
    let reloaded = reload_again_and_again(&server);
    is_over.store(true, Ordering::Relaxed);
    let took = begun.elapsed();
    let outcome = runtime.block_on(within_reason(gather(crowd)));
    runtime.shutdown_timeout(Duration::from_secs(1));
    reloaded.map_err(refused)?;
    let total = outcome?;
    if let (0, Some(error)) = (total.answered, total.last_error) {
        return Err(callers::failed(error));
    }
    Ok(vec![
        ("req_per_s", total.answered as f64 / took.as_secs_f64()),
        ("failed", total.failed as f64),
    ])
}

fn reload_again_and_again(server: &NginxServer) -> Result<(), CallError> {
    for _ in 0..RELOADS {
        thread::sleep(BETWEEN);
        server.reload()?;
    }
    Ok(())
}

async fn keep_asking<C: Caller>(mut caller: C, is_over: Arc<AtomicBool>) -> Experience {
    let mut experience = Experience::default();
    while !is_over.load(Ordering::Relaxed) {
        match caller.call(experience.answered).await {
            Ok(()) => experience.answered += 1,
            Err(error) => {
                experience.failed += 1;
                experience.last_error = Some(error);
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
    experience
}

async fn gather(crowd: JoinSet<Experience>) -> Outcome<Experience> {
    let mut crowd = crowd;
    let mut total = Experience::default();
    while let Some(done) = crowd.join_next().await {
        let one = done.map_err(|error| Failure::new(format!("a task panicked: {error}")))?;
        total.answered += one.answered;
        total.failed += one.failed;
        total.last_error = one.last_error.or(total.last_error);
    }
    Ok(total)
}
