//! The end of a pool: what is refused, what is waited for and how long, and what outlives it.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::GetError;
use cenote::error::AddError;
use cenote::report::{CloseReason, PoolState};
use futures::future::join_all;
use futures::poll;
use tokio::time::Instant;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// The close begins with the call, not with the first poll of what it returns.
#[tokio::test(start_paused = true)]
async fn a_pool_is_closed_at_once_and_dropping_the_wait_changes_nothing() {
    let server = Server::default();
    let pool = server.pool(2);
    let held = pool.get().await.unwrap();
    drop(pool.get().await.unwrap());
    drop(pool.close());
    assert!(pool.is_closed());
    assert_eq!(pool.status().state, PoolState::Closed);
    assert!(matches!(pool.get().await, Err(GetError::Closed { .. })));
    pass(ms(1)).await;
    assert_eq!(server.open(), 1, "the idle one has gone");
    drop(held);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn everyone_who_closes_waits_for_the_same_end() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let began = Instant::now();
    let closers = join_all((0..3).map(|_| pool.close()));
    let user = async {
        pass(secs(2)).await;
        drop(held);
    };
    let (closed, ()) = tokio::join!(closers, user);
    assert!(closed.iter().all(|closed| closed.abandoned == 0));
    assert!(began.elapsed() < ms(2_010));
    // And once more, of a pool that has ended.
    assert_eq!(pool.close().await.abandoned, 0);
}

#[tokio::test(start_paused = true)]
async fn every_getter_who_waits_is_told_at_once() {
    let server = Server::default();
    let pool = server.pool(1);
    let _held = pool.get().await.unwrap();
    let getters = join_all((0..50).map(|_| pool.get_owned()));
    let close = async {
        pass(ms(10)).await;
        drop(pool.close());
        Instant::now()
    };
    let (refused, closed_at) = tokio::join!(async { (getters.await, Instant::now()) }, close);
    assert!(
        refused
            .0
            .iter()
            .all(|got| matches!(got, Err(GetError::Closed { .. })))
    );
    assert_eq!(refused.1, closed_at);
}

/// By itself a close waits for leases 30 s, and no longer.
#[tokio::test(start_paused = true)]
async fn a_close_ends_though_leases_never_come_back() {
    let server = Server::default();
    let pool = server.pool(3);
    let held = join_all((0..3).map(|_| pool.get())).await;
    let began = Instant::now();
    assert_eq!(pool.close().await.abandoned, 3);
    assert!(began.elapsed() >= secs(30) && began.elapsed() < secs(31));
    drop(held);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_close_is_not_held_up_by_goodbyes_resets_or_dials_that_hang() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(4)
        .close_timeout(secs(1))
        .reset_timeout(secs(2))
        .connect_timeout(secs(3))
        .build()
        .unwrap();
    let mut held = join_all((0..3).map(|_| pool.get())).await;
    server.plan(|plan| {
        (plan.close, plan.reset, plan.connect) = (Act::Never, Act::Never, Act::Never);
    });
    assert!(pool.get().timeout(ms(1)).await.is_err());
    drop(held.pop());
    held.pop().unwrap().unwrap().dirty = true;
    let status = pool.status();
    assert_eq!(
        (status.opening, status.idle, status.upkeep, status.leased),
        (1, 1, 1, 1)
    );
    drop(held);
    let began = Instant::now();
    assert_eq!(pool.close().await.abandoned, 0);
    assert!(began.elapsed() <= ms(3_010), "{:?}", began.elapsed());
    assert_eq!(server.open(), 0);
}

/// Its error says which pool.
#[tokio::test(start_paused = true)]
async fn what_is_asked_of_a_closed_pool_is_refused_or_does_nothing() {
    let server = Server::default();
    let pool = server.builder().name("orders").build().unwrap();
    pool.close().await;
    assert_eq!(
        pool.get().await.unwrap_err().to_string(),
        "pool orders: closed"
    );
    let refused = pool.add(server.conn()).unwrap_err();
    assert!(matches!(refused, AddError::Closed(_)));
    assert!(refused.into_connection().alive.load(SeqCst));
    pool.resume();
    pool.pause();
    pool.evict();
    pool.retain(|_, _| false);
    pool.resize(20).unwrap();
    pass(secs(5)).await;
    assert_eq!(pool.status().state, PoolState::Closed);
    assert_eq!(server.dials(), 0);
}

/// puddle, Hikari shutdownDuringInit: nothing is opened for a pool that has ended.
#[tokio::test(start_paused = true)]
async fn min_idle_is_not_filled_after_the_close() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server
        .builder()
        .min_idle(10)
        .max_connecting(1)
        .build()
        .unwrap();
    pass(ms(200)).await;
    pool.close().await;
    let dials = server.dials();
    pass(secs(60)).await;
    assert_eq!((server.dials(), server.open()), (dials, 0));
}

#[tokio::test(start_paused = true)]
async fn a_paused_pool_can_be_closed() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    pool.pause();
    let mut getter = pin!(pool.get());
    assert!(poll!(&mut getter).is_pending());
    assert_eq!(pool.close().await.abandoned, 0);
    assert!(matches!(getter.await, Err(GetError::Closed { .. })));
}

/// A lease outlives its pool, usable to the end, and is said goodbye to like any other.
#[tokio::test(start_paused = true)]
async fn a_lease_that_outlives_its_pool_is_whole_until_it_ends() {
    let server = Server::default();
    let pool = server.pool(1);
    let mut lease = pool.get_owned().await.unwrap();
    drop(pool);
    pass(secs(3_600)).await;
    assert!(lease.alive.load(SeqCst));
    lease.dirty = true;
    lease.dirty = false;
    drop(lease);
    pass(ms(1)).await;
    assert_eq!((server.open(), server.seen.goodbyes.load(SeqCst)), (0, 1));
}

/// Neither upkeep nor dials nor leases keep a pool open that nobody has a handle of.
#[tokio::test(start_paused = true)]
async fn what_runs_in_the_background_does_not_keep_a_pool_alive() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let connector = server.clone();
    let pool = connector.builder().min_idle(2).build().unwrap();
    pass(ms(10)).await;
    assert_eq!(pool.status().opening, 2);
    drop(pool);
    pass(secs(5)).await;
    assert_eq!(server.open(), 0);
    drop(connector);
    // The pool's own copies of the connector have gone with it.
    assert_eq!(std::sync::Arc::strong_count(&server.plan), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_broken_after_the_close_is_not_said_goodbye_to() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    drop(pool.close());
    held.alive.store(false, SeqCst);
    drop(held);
    pass(ms(1)).await;
    assert_eq!(server.seen.goodbyes.load(SeqCst), 0);
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 1);
}
