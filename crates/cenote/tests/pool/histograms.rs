//! How long callers waited, connecting took and leases lasted.

use std::time::Duration;

use cenote::Lease;
use cenote::report::Histogram;

use crate::server::{Act, SLOW, Server, ms, pass};

fn in_buckets(times: &Histogram) -> Vec<(Duration, u64)> {
    let buckets = Histogram::BOUNDS
        .into_iter()
        .zip(times.counts().iter().copied());
    buckets.filter(|(_, count)| *count > 0).collect()
}

/// sqlx #1896, pgx #1669: how long callers wait, before they time out.
#[tokio::test(start_paused = true)]
async fn waits_and_connects_are_timed_and_gets_served_at_once_are_not() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(1);
    assert_eq!(pool.timings(), Default::default());
    let held = pool.get().await.unwrap();
    let (lease, ()) = tokio::join!(pool.get(), async {
        pass(ms(2)).await;
        drop(held);
    });
    drop(lease.unwrap());
    for _ in 0..10 {
        drop(pool.get().await.unwrap());
    }
    let timings = pool.timings();
    let bound = |power: u32| Duration::from_micros(1 << power);
    assert_eq!(
        in_buckets(&timings.waits),
        [(bound(11), 1), (bound(18), 1)],
        "2 ms, and the dial"
    );
    assert_eq!(in_buckets(&timings.connects), [(bound(18), 1)]);
    assert_eq!(timings.waits.sum(), SLOW + ms(2));
    assert_eq!(timings.connects.mean(), Some(SLOW));
}

#[tokio::test(start_paused = true)]
async fn connects_that_fail_and_gets_without_a_lease_are_not_among_the_times() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server.pool(1);
    pool.get().await.unwrap_err();
    assert_eq!(pool.timings(), Default::default());
}

/// In use are as many connections as leases a second times their mean time: what a pool is to be sized by.
#[tokio::test(start_paused = true)]
async fn of_64_leases_of_a_connection_the_first_is_timed() {
    let server = Server::default();
    let pool = server.pool(1);
    for lease in 0..129 {
        let held = pool.get().await.unwrap();
        pass(ms(if lease % 64 == 0 { 3 } else { 1 })).await;
        drop(held);
    }
    let uses = pool.timings().uses;
    assert_eq!((uses.count(), uses.sum()), (3, ms(9)));
    drop(pool.get_owned().await.unwrap());
    assert_eq!(pool.timings().uses.count(), 3);
}

/// Such a lease did not end when its work did.
#[tokio::test(start_paused = true)]
async fn leases_that_do_not_come_back_are_not_timed() {
    let server = Server::default();
    let pool = server.pool(2);
    let first = pool.get().await.unwrap();
    Lease::discard(pool.get().await.unwrap());
    drop(Lease::detach(first));
    assert_eq!(pool.timings().uses.count(), 0);
}
