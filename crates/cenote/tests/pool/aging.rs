//! What time does to idle connections, and in which order they are taken.

use std::sync::atomic::Ordering::SeqCst;

use cenote::report::CloseReason;
use cenote::settings::IdleOrder;
use futures::future::join_all;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn idle_connections_are_closed_after_the_idle_timeout_but_for_min_idle() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(5)
        .min_idle(2)
        .idle_timeout(secs(10))
        .build()
        .unwrap();
    drop(join_all((0..5).map(|_| pool.get())).await);
    pass(secs(9)).await;
    assert_eq!(pool.status().idle, 5);
    pass(secs(4)).await;
    assert_eq!(pool.status().idle, 2, "bb8 #123: the reaper keeps min_idle");
    assert_eq!(pool.counters().closed_by(CloseReason::IdleTimeout), 3);
}

#[tokio::test(start_paused = true)]
async fn without_an_idle_timeout_idle_connections_stay() {
    let server = Server::default();
    let pool = server
        .builder()
        .idle_timeout(None)
        .max_lifetime(None)
        .keepalive(None)
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(3_000)).await;
    assert_eq!((pool.status().idle, server.connected()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn max_idle_is_a_bound_and_zero_keeps_none() {
    for max_idle in [0, 2] {
        let server = Server::default();
        let pool = server
            .builder()
            .max_size(5)
            .max_idle(max_idle)
            .build()
            .unwrap();
        drop(join_all((0..5).map(|_| pool.get())).await);
        pass(ms(1)).await;
        assert_eq!((pool.status().idle, server.open()), (max_idle, max_idle));
        assert_eq!(
            pool.counters().closed_by(CloseReason::MaxIdle),
            5 - max_idle as u64
        );
    }
}

#[tokio::test(start_paused = true)]
async fn with_max_idle_zero_a_waiter_is_still_handed_the_connection() {
    let server = Server::default();
    let pool = server.builder().max_size(1).max_idle(0).build().unwrap();
    let users = (0..5).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(1)).await;
    });
    join_all(users).await;
    assert_eq!(server.connected(), 1);
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_at_the_end_of_their_lifetime_idle_or_on_return() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(2)
        .max_lifetime(secs(60))
        .idle_timeout(None)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(70)).await;
    assert_eq!((pool.status().idle, pool.status().leased), (0, 1));
    drop(held);
    pass(ms(1)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::MaxLifetime), 2);
}

/// sqlx #2854: all end together; pgx #1437: a roll at every check is no jitter.
#[tokio::test(start_paused = true)]
async fn connections_opened_together_do_not_end_together() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(50)
        .max_lifetime(secs(1000))
        .lifetime_jitter(0.5)
        .idle_timeout(None)
        .build()
        .unwrap();
    drop(join_all((0..50).map(|_| pool.get())).await);
    pass(secs(740)).await;
    let left = pool.status().idle;
    assert!(
        (10..=40).contains(&left),
        "half of them are due by now: {left} left"
    );
    pass(secs(270)).await;
    assert_eq!(pool.status().idle, 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_checked_before_a_lease_only_after_idling() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    assert_eq!(pool.counters().checks, 0);
    pass(secs(2)).await;
    drop(pool.get().await.unwrap());
    assert_eq!(pool.counters().checks, 1);
}

#[tokio::test(start_paused = true)]
async fn the_check_can_come_before_every_lease_or_never() {
    let server = Server::default();
    let always = server.builder().check_after_idle(secs(0)).build().unwrap();
    for _ in 0..3 {
        drop(always.get().await.unwrap());
    }
    assert_eq!(always.counters().checks, 3);
    let never = server
        .builder()
        .check_after_idle(None)
        .keepalive(None)
        .build()
        .unwrap();
    drop(never.get().await.unwrap());
    pass(secs(500)).await;
    drop(never.get().await.unwrap());
    assert_eq!(never.counters().checks, 0);
}

/// bb8: a check that timed out returned the connection as good.
#[tokio::test(start_paused = true)]
async fn a_connection_whose_check_does_not_end_well_is_never_leased() {
    for act in [Act::Fail, Act::Never, Act::Panic] {
        let server = Server::default();
        let pool = server
            .builder()
            .max_size(1)
            .check_timeout(secs(1))
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        pass(secs(2)).await;
        server.plan(|plan| plan.check = act);
        let conn = pool.get().await.unwrap();
        assert_eq!(conn.id, 1, "{act:?}");
        assert_eq!(pool.counters().closed_by(CloseReason::CheckFailed), 1);
        drop(conn);
        assert_quiet(&pool);
    }
}

/// Hikari keepalive.
#[tokio::test(start_paused = true)]
async fn idle_connections_are_checked_in_the_background() {
    let server = Server::default();
    let pool = server
        .builder()
        .keepalive(secs(30))
        .idle_timeout(None)
        .build()
        .unwrap();
    let conn = pool.get().await.unwrap();
    let alive = conn.alive.clone();
    drop(conn);
    pass(secs(95)).await;
    assert!((3..=4).contains(&server.seen.checks.load(SeqCst)));
    alive.store(false, SeqCst);
    pass(secs(40)).await;
    assert_eq!(
        (
            pool.status().size,
            pool.counters().closed_by(CloseReason::Broken)
        ),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_background_check_that_hangs_gives_the_place_back() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .keepalive(secs(10))
        .check_timeout(secs(1))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    server.plan(|plan| plan.check = Act::Never);
    pass(ms(11_000)).await;
    server.plan(|plan| plan.check = Act::Ok);
    drop(pool.get().await.unwrap());
    assert_eq!(server.connected(), 2);
    assert_quiet(&pool);
}

/// A keepalive is no use: it does not keep a connection from idling out.
#[tokio::test(start_paused = true)]
async fn a_background_check_does_not_count_as_use() {
    let server = Server::default();
    let pool = server
        .builder()
        .keepalive(secs(10))
        .idle_timeout(secs(60))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(70)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::IdleTimeout), 1);
}

async fn order_of(order: IdleOrder) -> Vec<usize> {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(3)
        .idle_order(order)
        .build()
        .unwrap();
    let mut held: Vec<_> = join_all((0..3).map(|_| pool.get())).await;
    held.sort_by_key(|conn| conn.as_ref().unwrap().id);
    // Back in the order 0, 1, 2.
    held.into_iter().for_each(drop);
    join_all((0..3).map(|_| pool.get()))
        .await
        .iter()
        .map(|conn| conn.as_ref().unwrap().id)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn most_recent_is_lifo_and_least_recent_is_fifo() {
    assert_eq!(order_of(IdleOrder::MostRecent).await, [2, 1, 0]);
    assert_eq!(order_of(IdleOrder::LeastRecent).await, [0, 1, 2]);
    assert_eq!(
        order_of(IdleOrder::Local).await,
        [2, 0, 1],
        "this thread's last, then slot order"
    );
}

/// Local order keeps one user on one connection, so the others idle out.
#[tokio::test(start_paused = true)]
async fn a_light_load_lets_the_rest_idle_out() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(5)
        .idle_timeout(secs(20))
        .build()
        .unwrap();
    drop(join_all((0..5).map(|_| pool.get())).await);
    for _ in 0..50 {
        drop(pool.get().await.unwrap());
        pass(secs(1)).await;
    }
    assert_eq!(pool.status().size, 1);
}

/// A keepalive must not make an old connection the newest, or the pool would never shrink.
#[tokio::test(start_paused = true)]
async fn background_checks_leave_the_order_of_idle_connections_alone() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(3)
        .idle_order(IdleOrder::MostRecent)
        .keepalive(secs(10))
        .check_after_idle(None)
        .build()
        .unwrap();
    drop(join_all((0..3).map(|_| pool.get())).await);
    let newest = pool.get().await.unwrap().id;
    pass(secs(60)).await;
    assert!(server.seen.checks.load(SeqCst) > 3);
    assert_eq!(pool.get().await.unwrap().id, newest);
}
