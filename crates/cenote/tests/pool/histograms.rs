//! How long callers waited, connecting took and leases lasted.

use std::time::Duration;

use cenote::report::Histogram;

use crate::server::{Act, SLOW, Server, ms, pass, secs};

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

/// What a pool is to be sized by, and how long leases last: of 60 s, the two connections are in use for 24 s and 12 s.
#[tokio::test(start_paused = true)]
async fn the_time_connections_are_in_use_is_told_nearly() {
    let server = Server::default();
    let pool = server.pool(2);
    let mut rng = fastrand::Rng::with_seed(3);
    for _ in 0..400 {
        let most = rng.u64(100..201);
        let first = pool.get().await.unwrap();
        let second = pool.get().await.unwrap();
        pass(ms(most / 5)).await;
        drop(second);
        pass(ms(most / 5)).await;
        drop(first);
        pass(ms(most - most / 5 * 2)).await;
    }
    let in_use = pool.timings().in_use.as_secs();
    assert!((28..=44).contains(&in_use), "{in_use} s");
}

/// Nobody looks at a pool that rests: what ends meanwhile is measured as it ends.
#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_while_its_pool_rests_counts() {
    let server = Server::default();
    let pool = server
        .builder()
        .keepalive(None)
        .idle_timeout(None)
        .max_lifetime(None);
    let pool = pool.build().unwrap();
    for minutes in 1..4 {
        let held = pool.get().await.unwrap();
        pass(secs(60)).await;
        drop(held);
        pass(secs(3_600)).await;
        let in_use = pool.timings().in_use;
        let counted = secs(60 * minutes - minutes)..=secs(60 * minutes + minutes);
        assert!(counted.contains(&in_use), "{in_use:?}");
    }
}

/// Nobody looks at a pool that rests.
#[tokio::test(start_paused = true)]
async fn a_lease_held_while_its_pool_rests_counts_and_no_time_without_one_does() {
    let server = Server::default();
    let pool = server.pool(2);
    let held = pool.get().await.unwrap();
    pass(secs(600)).await;
    drop(pool.get().await.unwrap());
    pass(secs(1)).await;
    let in_use = pool.timings().in_use;
    assert!((secs(598)..=secs(602)).contains(&in_use), "{in_use:?}");
    drop(held);
    pass(secs(600)).await;
    drop(pool.get().await.unwrap());
    pass(secs(1)).await;
    let since = pool.timings().in_use - in_use;
    assert!(since <= secs(2), "{since:?}");
}
