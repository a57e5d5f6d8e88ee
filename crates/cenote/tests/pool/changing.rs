//! What changes while a pool runs: its size, a pause, eviction, its end.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::GetError;
use cenote::report::{CloseReason, PoolState};
use futures::future::join_all;
use futures::poll;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn growing_serves_those_who_wait() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pool.resize(2).unwrap();
    assert_eq!(waiter.await.unwrap().id, 1);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn shrinking_closes_idle_connections_now_and_leased_ones_when_they_come_back() {
    let server = Server::default();
    let pool = server.pool(6);
    let mut held = join_all((0..6).map(|_| pool.get())).await;
    held.truncate(4);
    pool.resize(2).unwrap();
    pass(ms(1)).await;
    assert_eq!((pool.status().idle, pool.status().leased), (0, 4));
    held.truncate(2);
    pass(ms(1)).await;
    assert_eq!(server.open(), 2);
    drop(held);
    pass(ms(1)).await;
    assert_eq!(
        (server.open(), pool.status().idle),
        (2, 2),
        "as many as fit stay"
    );
    assert_eq!(pool.counters().closed_by(CloseReason::Resized), 4);
}

/// deadpool: resizing down an underfilled pool left permits behind; mobc: resize never reached the bound.
#[tokio::test(start_paused = true)]
async fn after_shrinking_an_underfilled_pool_the_bound_holds() {
    let server = Server::default();
    let pool = server.pool(10);
    drop(pool.get().await.unwrap());
    pool.resize(2).unwrap();
    join_all((0..20).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(5)).await;
    }))
    .await;
    assert_eq!(server.seen.most.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn dials_under_way_when_the_pool_shrinks_do_not_leave_it_too_large() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server
        .builder()
        .max_size(4)
        .max_connecting(4)
        .build()
        .unwrap();
    let getters =
        async { join_all((0..4).map(|_| async { drop(pool.get().await.unwrap()) })).await };
    let shrink = async {
        pass(ms(20)).await;
        pool.resize(1).unwrap();
    };
    tokio::join!(getters, shrink);
    pass(secs(1)).await;
    assert_eq!(server.open(), 1);
    assert_quiet(&pool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resizing_under_load_loses_nothing_and_ends_at_the_last_size() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(5)
        .acquire_timeout(None)
        .build()
        .unwrap();
    let users: Vec<_> = (0..50)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move {
                for _ in 0..200 {
                    let _conn = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for size in (1..=8).cycle().take(400) {
        pool.resize(size).unwrap();
        tokio::task::yield_now().await;
    }
    pool.resize(3).unwrap();
    for user in users {
        user.await.unwrap();
    }
    // Goodbyes are said in tasks.
    while pool.status().upkeep > 0 || pool.status().opening > 0 {
        tokio::task::yield_now().await;
    }
    assert_quiet(&pool);
    assert!(server.open() <= 3 && server.seen.most.load(SeqCst) <= 8);
}

/// Hikari suspendResume.
#[tokio::test(start_paused = true)]
async fn a_paused_pool_gives_no_leases_and_serves_in_order_when_resumed() {
    let server = Server::default();
    let pool = server.pool(2);
    drop(pool.get().await.unwrap());
    pool.pause();
    assert_eq!(pool.status().state, PoolState::Paused);
    let (mut first, mut second) = (pin!(pool.get()), pin!(pool.get()));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    pass(secs(1)).await;
    assert!(poll!(&mut first).is_pending());
    pool.resume();
    assert_eq!(first.await.unwrap().id, 0);
    drop(second.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn time_outs_run_while_paused() {
    let server = Server::default();
    let pool = server.pool(1);
    pool.pause();
    assert!(pool.get().await.unwrap_err().is_timeout());
}

/// Hikari evictAllRefill: new credentials, nobody disturbed.
#[tokio::test(start_paused = true)]
async fn eviction_replaces_every_connection_without_disturbing_its_user() {
    let server = Server::default();
    let pool = server.builder().max_size(4).min_idle(2).build().unwrap();
    pass(secs(1)).await;
    let held = pool.get().await.unwrap();
    pool.evict();
    assert!(held.alive.load(SeqCst));
    drop(held);
    pass(secs(1)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::Evicted), 2);
    assert_eq!(pool.status().idle, 2, "refilled");
    assert!(pool.get().await.unwrap().id >= 2);
}

#[tokio::test(start_paused = true)]
async fn retain_closes_the_idle_connections_it_is_told_to() {
    let server = Server::default();
    let pool = server.pool(4);
    let mut held = join_all((0..4).map(|_| pool.get())).await;
    let leased = held.pop().unwrap().unwrap();
    drop(held);
    pool.retain(|conn, _| conn.id % 2 == 1);
    pass(ms(1)).await;
    assert_eq!((pool.status().idle, pool.status().leased), (1, 1));
    drop(leased);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_retain_s_question_closes_that_connection() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    pool.retain(|_, _| panic!("told to"));
    assert_eq!(
        (server.open(), pool.counters().closed_by(CloseReason::Hook)),
        (0, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn closing_ends_the_waiting_and_waits_for_leases() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let waiter = pool.get();
    let close = async {
        pass(ms(1)).await;
        let closed = pool.close().await;
        assert_eq!(closed.abandoned, 0);
        assert_eq!(server.open(), 0);
    };
    let user = async {
        pass(secs(1)).await;
        drop(held);
    };
    let (refused, (), ()) = tokio::join!(waiter, close, user);
    assert!(matches!(refused, Err(GetError::Closed { .. })));
    assert!(matches!(pool.get().await, Err(GetError::Closed { .. })));
    assert_eq!(pool.counters().closed_by(CloseReason::PoolClosed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_up_on_leases_after_its_time_out() {
    let server = Server::default();
    let pool = server.pool(2);
    let held = pool.get().await.unwrap();
    let closed = pool.close().timeout(secs(1)).await;
    assert_eq!(closed.abandoned, 1);
    drop(held);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

/// puddle: a connection that is made while the pool closes is closed too.
#[tokio::test(start_paused = true)]
async fn a_dial_that_ends_after_the_close_is_closed() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(1);
    let mut getter = pin!(pool.get());
    assert!(poll!(&mut getter).is_pending());
    pass(ms(10)).await;
    pool.close().await;
    assert!(matches!(getter.await, Err(GetError::Closed { .. })));
    assert_eq!(server.open(), 0);
}

/// bb8 conns_drop_on_pool_drop.
#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_closes_the_pool() {
    let server = Server::default();
    let pool = server.pool(2);
    let clone = pool.clone();
    let lease = pool.get_owned().await.unwrap();
    drop(pool.get().await.unwrap());
    drop(pool);
    pass(ms(1)).await;
    assert_eq!(server.open(), 2);
    drop(clone);
    pass(ms(1)).await;
    assert_eq!(
        server.open(),
        1,
        "the idle one is closed, the lease lives on"
    );
    assert!(lease.alive.load(SeqCst));
    drop(lease);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_size_that_cannot_work_changes_nothing() {
    let server = Server::default();
    let pool = server.builder().max_size(4).min_idle(2).build().unwrap();
    let error = pool.resize(0).unwrap_err();
    assert_eq!((error.setting, pool.status().max_size), ("max_size", 4));
    assert_eq!(pool.resize(1).unwrap_err().setting, "min_idle");
}

/// A getter whose connection was being checked when the pool closed.
#[tokio::test(start_paused = true)]
async fn no_lease_is_given_after_the_close() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    server.plan(|plan| plan.check = Act::Slow);
    let mut getter = pin!(pool.get());
    assert!(poll!(&mut getter).is_pending());
    let close = pool.close();
    let (got, closed) = tokio::join!(getter, close);
    assert!(matches!(got, Err(GetError::Closed { .. })), "{got:?}");
    assert_eq!((closed.abandoned, server.open()), (0, 0));
}
