//! When the pool grows, how fast, and when it does not.

use std::sync::atomic::Ordering::SeqCst;

use cenote::Pool;
use cenote::report::CloseReason;
use cenote::settings::{Backoff, ConnectFailures, IdleOrder};
use futures::future::join_all;
use tokio::time::Instant;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// `users` at once, each holding its lease for `hold`.
async fn burst(pool: &Pool<Server>, users: usize, hold: u64) {
    join_all((0..users).map(|_| async {
        let _conn = pool.get().timeout(secs(60)).await.unwrap();
        pass(ms(hold)).await;
    }))
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_user_at_a_time_needs_one_connection() {
    let server = Server::default();
    let pool = server.pool(10);
    for _ in 0..100 {
        burst(&pool, 1, 1).await;
    }
    assert_eq!(server.connected(), 1);
}

#[tokio::test(start_paused = true)]
async fn max_connecting_is_kept_whatever_asks_for_dials() {
    for max_connecting in [1, 3] {
        let server = Server::default();
        server.plan(|plan| plan.connect = Act::Slow);
        let pool = server
            .builder()
            .max_size(12)
            .min_idle(6)
            .max_connecting(max_connecting)
            .build()
            .unwrap();
        let watch = async {
            for _ in 0..200 {
                assert!(pool.status().opening <= max_connecting);
                pass(ms(10)).await;
            }
        };
        let levers = async {
            pass(ms(100)).await;
            pool.resize(20).unwrap();
            pool.evict();
        };
        tokio::join!(burst(&pool, 40, 30), watch, levers);
    }
}

/// From nothing, dials go two at a time without a pause: 10 users, 150 ms a dial.
#[tokio::test(start_paused = true)]
async fn an_empty_pool_fills_as_fast_as_max_connecting_allows() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(10);
    let began = Instant::now();
    let held = join_all((0..2).map(|_| pool.get())).await;
    assert!(began.elapsed() < ms(160), "{:?}", began.elapsed());
    drop(held);
}

/// Hikari populationSlowAcquisition: filled in the background, with nobody asking.
#[tokio::test(start_paused = true)]
async fn min_idle_is_reached_though_connecting_is_slow() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.builder().max_size(20).min_idle(8).build().unwrap();
    pass(secs(5)).await;
    assert_eq!((pool.status().idle, server.connected()), (8, 8));
    pass(secs(60)).await;
    assert_eq!(server.connected(), 8, "and no further");
}

/// Hikari backfill: what is lost below `min_idle` is replaced, whatever it was lost to.
#[tokio::test(start_paused = true)]
async fn what_min_idle_lost_is_replaced() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(6)
        .min_idle(3)
        .max_lifetime(secs(100))
        .idle_timeout(secs(50))
        .build()
        .unwrap();
    pass(secs(3)).await;
    cenote::Lease::discard(pool.get().await.unwrap());
    drop(cenote::Lease::detach(pool.get().await.unwrap()));
    pass(secs(3)).await;
    assert_eq!(pool.status().idle, 3);
    pool.retain(|_, _| false);
    pass(secs(3)).await;
    assert_eq!(pool.status().idle, 3);
    // Lifetimes end, and the pool stays warm.
    for _ in 0..100 {
        pass(secs(10)).await;
        assert!(pool.status().idle >= 2, "{}", pool.status());
    }
    assert!(pool.counters().closed_by(CloseReason::MaxLifetime) >= 9);
    assert_eq!(pool.counters().closed_by(CloseReason::IdleTimeout), 0);
}

/// `max_size` comes before `min_idle`.
#[tokio::test(start_paused = true)]
async fn min_idle_never_takes_a_pool_beyond_its_size() {
    let server = Server::default();
    let pool = server.builder().max_size(4).min_idle(4).build().unwrap();
    pass(secs(3)).await;
    let held = join_all((0..3).map(|_| pool.get())).await;
    pass(secs(10)).await;
    assert_eq!((server.most(), pool.status().idle), (4, 1));
    drop(held);
}

/// Hikari slowConnectionTimeBurstyWork, at the figures of its spike test, again and again.
#[tokio::test(start_paused = true)]
async fn bursts_that_follow_each_other_do_not_add_up() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.builder().max_size(50).min_idle(5).build().unwrap();
    pass(secs(3)).await;
    for _ in 0..10 {
        burst(&pool, 50, 2).await;
        pass(secs(2)).await;
    }
    assert!(
        server.open() <= 15,
        "{} open after ten bursts",
        server.open()
    );
    assert_eq!(pool.counters().timed_out, 0);
}

/// Go #57248: every getter that found nothing started a dial of its own.
#[tokio::test(start_paused = true)]
async fn getters_served_by_returns_leave_no_dials_behind() {
    let server = Server::default();
    let pool = server.pool(40);
    burst(&pool, 4, 50).await;
    let opened = server.connected();
    server.plan(|plan| plan.connect = Act::Slow);
    for _ in 0..20 {
        burst(&pool, 5, 1).await;
        pass(ms(300)).await;
    }
    assert!(server.connected() <= opened + 20, "one a burst at most");
}

/// After a failure one dial probes at a time, and the first success opens the way for the rest.
#[tokio::test(start_paused = true)]
async fn after_a_failure_dials_go_one_at_a_time_until_one_succeeds() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .builder()
        .max_size(10)
        .max_connecting(4)
        .connect_failures(ConnectFailures::KeepWaiting)
        .backoff(Backoff::new(ms(10), ms(20)))
        .build()
        .unwrap();
    let users = burst(&pool, 10, 1);
    let watch = async {
        pass(ms(200)).await;
        server.plan(|plan| plan.connect = Act::Slow);
        pass(ms(100)).await;
        assert_eq!(pool.status().opening, 1, "one probe");
    };
    tokio::join!(users, watch);
    pass(secs(1)).await;
    assert_quiet(&pool);
}

/// `FailAfter(n)`: the n-th failure in a row tells those who wait, and only them.
#[tokio::test(start_paused = true)]
async fn getters_are_told_at_the_very_failure_the_policy_names() {
    for enough in [1, 2, 5] {
        let server = Server::default();
        server.plan(|plan| plan.connect = Act::Fail);
        let pool = server
            .builder()
            .connect_failures(ConnectFailures::FailAfter(enough))
            .build()
            .unwrap();
        let (first, second) = tokio::join!(pool.get(), pool.get());
        assert!(first.is_err() && second.is_err());
        let failed = pool.counters().connect_failed;
        // A second dial may have been in flight with the last.
        assert!((u64::from(enough)..=u64::from(enough) + 1).contains(&failed));
    }
}

/// Failures in a row are forgotten with the first success.
#[tokio::test(start_paused = true)]
async fn a_success_between_failures_starts_the_count_anew() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .backoff(Backoff::new(ms(10), ms(20)))
        .build()
        .unwrap();
    for _ in 0..5 {
        server.plan(|plan| plan.connect = Act::Fail);
        let getter = pool.get();
        let back = async {
            let failed = pool.counters().connect_failed;
            while pool.counters().connect_failed < failed + 2 {
                pass(ms(1)).await;
            }
            server.plan(|plan| plan.connect = Act::Ok);
        };
        let (got, ()) = tokio::join!(getter, back);
        cenote::Lease::discard(got.unwrap());
    }
}

/// The check that `keepalive` asks for takes a moment; a caller in that moment has the connection after it.
#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_the_check_under_way_instead_of_dialling() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server
        .builder()
        .keepalive(secs(5))
        .check_after_idle(None)
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    server.plan(|plan| plan.check = Act::Slow);
    while server.seen.checks.load(SeqCst) == 0 {
        pass(ms(50)).await;
    }
    assert_eq!(pool.get().await.unwrap().id, 0);
    assert_eq!(server.dials(), 1);
}

/// A peer that is gone answers no check: a dial serves the caller long before `check_timeout` has passed.
#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_keeps_no_caller_from_a_dial() {
    let server = Server::default();
    let pool = server
        .builder()
        .keepalive(secs(5))
        .check_after_idle(None)
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    server.plan(|plan| plan.check = Act::Never);
    while server.seen.checks.load(SeqCst) == 0 {
        pass(ms(10)).await;
    }
    assert_eq!(pool.get().timeout(secs(1)).await.unwrap().id, 1);
}

/// Dead connections are none of those kept ready: they are noticed though nobody asks and no check is due.
#[tokio::test(start_paused = true)]
async fn min_idle_is_refilled_within_three_seconds_whatever_is_checked() {
    for check_after_idle in [None, Some(secs(0)), Some(secs(600))] {
        let server = Server::default();
        let pool = server
            .builder()
            .min_idle(2)
            .check_after_idle(check_after_idle)
            .keepalive(None)
            .idle_timeout(None)
            .max_lifetime(None)
            .build()
            .unwrap();
        pass(secs(3)).await;
        assert_eq!(pool.status().idle, 2);
        server.restart();
        pass(secs(3)).await;
        assert_eq!(
            (server.dials(), pool.status().idle),
            (4, 2),
            "{check_after_idle:?}"
        );
        let held = [pool.get().await.unwrap(), pool.get().await.unwrap()];
        pass(secs(3)).await;
        assert_eq!(pool.status().idle, 2, "{check_after_idle:?}");
        drop(held);
    }
}

/// Upkeep's looks at idle connections do not count as use.
#[tokio::test(start_paused = true)]
async fn looks_at_idle_connections_leave_their_order_as_it_is() {
    for (order, last) in [(IdleOrder::MostRecent, 1), (IdleOrder::LeastRecent, 0)] {
        let server = Server::default();
        let pool = server
            .builder()
            .min_idle(1)
            .max_size(2)
            .check_after_idle(None)
            .idle_order(order)
            .build()
            .unwrap();
        let (one, other) = (pool.get().await.unwrap(), pool.get().await.unwrap());
        let mut ids = [one.id, other.id];
        drop(one);
        pass(ms(10)).await;
        drop(other);
        pass(secs(10)).await;
        ids.swap(0, last);
        assert_eq!(pool.get().await.unwrap().id, ids[0], "{order:?}");
    }
}
