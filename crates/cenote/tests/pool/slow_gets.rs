//! Gets that take long are told of, each once, however they end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::Pool;
use cenote::report::{EventKind, GetOutcome};

use crate::server::{Act, Server, ms, pass, secs};

/// For how long slow gets waited, the lines they were called on, and how they ended.
type Slow = Arc<Mutex<Vec<(Duration, u32, GetOutcome)>>>;

/// A pool of one connection that tells of gets slower than 100 ms.
fn watched(server: &Server) -> (Pool<Server>, Slow) {
    let slow = Slow::default();
    let told = slow.clone();
    let pool = server
        .builder()
        .max_size(1)
        .slow_get(ms(100))
        .on_event(move |event| {
            if let EventKind::SlowGet {
                waited,
                call_site,
                outcome,
                ..
            } = event.kind
            {
                assert_eq!(call_site.file(), file!());
                told.lock()
                    .unwrap()
                    .push((waited, call_site.line(), outcome));
            }
        })
        .build()
        .unwrap();
    (pool, slow)
}

fn take(slow: &Slow) -> Vec<(Duration, u32, GetOutcome)> {
    std::mem::take(&mut slow.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_get_that_waited_for_longer_than_the_threshold_is_told_of_with_its_call_site() {
    let server = Server::default();
    let (pool, slow) = watched(&server);
    let held = pool.get().await.unwrap();
    let line = line!() + 1;
    let (lease, ()) = tokio::join!(pool.get(), async {
        pass(ms(100)).await;
        drop(held);
    });
    drop(lease.unwrap());
    assert_eq!(take(&slow), [(ms(100), line, GetOutcome::Leased)]);
}

#[tokio::test(start_paused = true)]
async fn quick_gets_are_not_told_of() {
    let server = Server::default();
    let (pool, slow) = watched(&server);
    let held = pool.get().await.unwrap();
    let (lease, ()) = tokio::join!(pool.get(), async {
        pass(ms(99)).await;
        drop(held);
    });
    drop(lease.unwrap());
    drop(pool.get().await.unwrap());
    assert_eq!(take(&slow), []);
}

#[tokio::test(start_paused = true)]
async fn a_get_whose_time_is_up_was_slow() {
    let server = Server::default();
    let (pool, slow) = watched(&server);
    let _held = pool.get().await.unwrap();
    pool.get().timeout(ms(300)).await.unwrap_err();
    let line = line!() - 1;
    assert_eq!(take(&slow), [(ms(300), line, GetOutcome::Failed)]);
}

/// A time-out of the caller's own around the get is the most common of all, and no pool hears of it but by this.
#[tokio::test(start_paused = true)]
async fn a_get_that_is_dropped_after_a_long_wait_was_slow_and_is_counted() {
    let server = Server::default();
    let (pool, slow) = watched(&server);
    let held = pool.get().await.unwrap();
    tokio::time::timeout(ms(250), pool.get()).await.unwrap_err();
    let line = line!() - 1;
    assert_eq!(take(&slow), [(ms(250), line, GetOutcome::Abandoned)]);
    tokio::time::timeout(ms(50), pool.get()).await.unwrap_err();
    assert_eq!(take(&slow), []);
    let counters = pool.counters();
    assert_eq!((counters.abandoned, counters.timed_out), (2, 0));
    drop(held);
    drop(pool.get());
    assert_eq!(
        pool.counters().abandoned,
        2,
        "one never polled waited for nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_before_a_lease_makes_a_slow_get() {
    let server = Server::default();
    let (pool, slow) = watched(&server);
    drop(pool.get().await.unwrap());
    pass(secs(60)).await;
    server.plan(|plan| plan.check = Act::Slow);
    drop(pool.get().await.unwrap());
    assert_eq!(take(&slow).len(), 1);
    assert_eq!(pool.counters().waited, 1, "only the first queued");
}

#[tokio::test(start_paused = true)]
async fn without_a_threshold_no_get_is_slow() {
    let server = Server::default();
    let slow = Slow::default();
    let told = slow.clone();
    let builder = server.builder().max_size(1).slow_get(None);
    let pool = builder
        .on_event(move |event| {
            if let EventKind::SlowGet { waited, .. } = event.kind {
                told.lock().unwrap().push((waited, 0, GetOutcome::Leased));
            }
        })
        .build()
        .unwrap();
    let _held = pool.get().await.unwrap();
    pool.get().await.unwrap_err();
    assert_eq!(take(&slow), []);
}
