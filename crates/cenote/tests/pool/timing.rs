//! The settings that are times: each takes effect at its time, neither before nor much after.

use std::time::Duration;

use cenote::report::CloseReason;
use cenote::settings::IdleOrder;
use futures::future::join_all;
use tokio::time::Instant;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// bb8 #157: the reaper looked around less often than what it enforced.
#[tokio::test(start_paused = true)]
async fn idle_time_outs_long_and_short_are_overrun_by_an_eighth_or_a_second_at_most() {
    for limit in [ms(80), ms(800), secs(8), secs(800)] {
        let server = Server::default();
        let pool = server
            .builder()
            .idle_timeout(limit)
            .max_lifetime(None)
            .keepalive(None)
            .check_after_idle(None)
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        let grace = (limit / 8).min(secs(1)) + ms(2);
        pass(limit - grace).await;
        assert_eq!(pool.status().idle, 1, "{limit:?}");
        pass(grace * 2 + ms(1)).await;
        assert_eq!(pool.status().idle, 0, "{limit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_jitter_a_lifetime_is_what_it_says() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(4)
        .max_lifetime(secs(80))
        .lifetime_jitter(0.0)
        .idle_timeout(None)
        .build()
        .unwrap();
    drop(join_all((0..4).map(|_| pool.get())).await);
    pass(secs(79)).await;
    assert_eq!(pool.status().idle, 4);
    pass(ms(2_100)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::MaxLifetime), 4);
}

/// pgx #1437: rolled again at each look, chance would end every connection near the earliest moment.
#[tokio::test(start_paused = true)]
async fn jitter_is_rolled_once_however_often_it_is_looked_at() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(64)
        .max_connecting(64)
        .max_lifetime(secs(1_000))
        .lifetime_jitter(0.5)
        .idle_timeout(None)
        .keepalive(None)
        .build()
        .unwrap();
    drop(join_all((0..64).map(|_| pool.get())).await);
    // A look a second: 500 in the time that is left to chance.
    pass(secs(500)).await;
    assert_eq!(pool.status().idle, 64, "never before its time");
    pass(secs(400)).await;
    let left = pool.status().idle;
    assert!(
        (4..=26).contains(&left),
        "a fifth is due later: {left} left"
    );
    pass(secs(102)).await;
    assert_eq!(pool.status().idle, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_checked_once_it_idled_for_check_after_idle_and_not_before() {
    let server = Server::default();
    let pool = server.builder().check_after_idle(secs(8)).build().unwrap();
    for (idle, checks) in [(ms(6_500), 0), (ms(6_500), 0), (ms(8_000), 1), (ms(1), 1)] {
        drop(pool.get().await.unwrap());
        pass(idle).await;
        drop(pool.get().await.unwrap());
        assert_eq!(pool.counters().checks, checks);
    }
}

/// r2d2 idle_timeout_partial_use.
#[tokio::test(start_paused = true)]
async fn those_in_use_stay_while_those_idle_go() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(5)
        .idle_timeout(secs(10))
        .build()
        .unwrap();
    let mut held = join_all((0..5).map(|_| pool.get())).await;
    held.truncate(2);
    for _ in 0..30 {
        pass(secs(1)).await;
    }
    assert_eq!((pool.status().leased, pool.status().idle), (2, 0));
    drop(held);
    pass(secs(5)).await;
    assert_eq!(pool.status().idle, 2);
}

/// With everything as it comes, a light load needs one connection in the end, and keeps one.
#[tokio::test(start_paused = true)]
async fn by_default_a_pool_shrinks_to_what_is_used() {
    let server = Server::default();
    let pool = server.pool(4);
    drop(join_all((0..4).map(|_| pool.get())).await);
    for _ in 0..1_200 {
        drop(pool.get().await.unwrap());
        pass(secs(1)).await;
    }
    assert_eq!(pool.status().size, 1, "{:?}", pool.counters());
}

#[tokio::test(start_paused = true)]
async fn least_recent_keeps_all_warm_and_most_recent_lets_the_rest_go() {
    for (order, left) in [(IdleOrder::LeastRecent, 4), (IdleOrder::MostRecent, 1)] {
        let server = Server::default();
        let pool = server
            .builder()
            .max_size(4)
            .idle_order(order)
            .idle_timeout(secs(30))
            .build()
            .unwrap();
        drop(join_all((0..4).map(|_| pool.get())).await);
        for _ in 0..120 {
            drop(pool.get().await.unwrap());
            pass(secs(1)).await;
        }
        assert_eq!(pool.status().size, left, "{order:?}");
    }
}

/// Background checks leave the greater part to the getters.
#[tokio::test(start_paused = true)]
async fn no_more_than_a_quarter_is_checked_at_the_same_time() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(8)
        .idle_timeout(None)
        .keepalive(secs(10))
        .check_timeout(ms(500))
        .build()
        .unwrap();
    drop(join_all((0..8).map(|_| pool.get())).await);
    server.plan(|plan| plan.check = Act::Slow);
    for _ in 0..300 {
        pass(ms(100)).await;
        assert!(pool.status().upkeep <= 2, "{}", pool.status());
    }
    assert!(pool.counters().checks >= 16);
    assert_eq!(pool.status().size, 8);
}

/// What was used of late needs no keepalive.
#[tokio::test(start_paused = true)]
async fn a_connection_in_steady_use_is_never_checked_in_the_background() {
    let server = Server::default();
    let pool = server
        .builder()
        .keepalive(secs(10))
        .check_after_idle(None)
        .build()
        .unwrap();
    for _ in 0..60 {
        drop(pool.get().await.unwrap());
        pass(secs(1)).await;
    }
    assert_eq!(pool.counters().checks, 0);
}

/// Each step is cut short at its own time-out: what hangs, hangs no longer than its setting.
#[tokio::test(start_paused = true)]
async fn each_time_out_is_of_its_own_step() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .acquire_timeout(secs(60))
        .connect_timeout(secs(1))
        .check_timeout(secs(2))
        .reset_timeout(secs(3))
        .close_timeout(secs(4))
        .keepalive(None)
        .build()
        .unwrap();
    let took = |began: Instant, limit: Duration| {
        let took = began.elapsed();
        assert!(took >= limit && took < limit + ms(10), "{took:?}");
    };
    drop(pool.get().await.unwrap());
    pass(secs(10)).await;

    server.plan(|plan| plan.check = Act::Never);
    let began = Instant::now();
    let mut conn = pool.get().await.unwrap();
    took(began, secs(2));

    server.plan(|plan| plan.reset = Act::Never);
    conn.dirty = true;
    let began = Instant::now();
    drop(conn);
    let conn = pool.get().await.unwrap();
    took(began, secs(3));

    drop(conn);
    server.plan(|plan| plan.close = Act::Never);
    let began = Instant::now();
    pool.evict();
    let conn = pool.get().await.unwrap();
    took(began, secs(4));

    cenote::Lease::discard(conn);
    server.plan(|plan| plan.connect = Act::Never);
    let began = Instant::now();
    let first = async {
        while pool.counters().connect_failed == 0 {
            pass(ms(1)).await;
        }
        server.plan(|plan| plan.connect = Act::Ok);
        began.elapsed()
    };
    let (got, first) = tokio::join!(pool.get(), first);
    assert!(first >= secs(1) && first < ms(1_010), "{first:?}");
    drop(got.unwrap());
    assert_quiet(&pool);
}

/// A connection too old is not handed to the waiter it would have served.
#[tokio::test(start_paused = true)]
async fn a_waiter_is_given_a_new_connection_when_the_returned_one_is_too_old() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .max_lifetime(secs(10))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    pass(secs(8)).await;
    let waiter = pool.get();
    let returned = async {
        pass(secs(3)).await;
        drop(held);
    };
    let (got, ()) = tokio::join!(waiter, returned);
    assert_eq!(got.unwrap().id, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::MaxLifetime), 1);
}
