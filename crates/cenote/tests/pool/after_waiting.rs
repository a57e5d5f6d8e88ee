//! A pool in which somebody has waited of late, its idle connections kept apart for the next who has to: all that looks
//! at idle connections finds them.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use crate::server::{Act, Server, ms, pass, secs};
use cenote::error::TryGetError;
use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::{OwnedLease, Pool};
use futures::poll;

const IDLE: usize = 3;

/// A pool with [`IDLE`] idle connections, and one leased: somebody waited while all were leased, and left.
async fn waited_in(builder: PoolBuilder<Server>) -> (Pool<Server>, OwnedLease<Server>) {
    let pool = builder.max_size(IDLE + 1).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..=IDLE {
        leases.push(pool.get_owned().await.unwrap());
    }
    {
        let mut waiter = pin!(pool.get());
        assert!(poll!(&mut waiter).is_pending());
    }
    let kept = leases.pop().unwrap();
    (pool, kept)
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_counted_and_leased() {
    let (pool, kept) = waited_in(Server::default().builder()).await;
    let status = pool.status();
    assert_eq!((status.idle, status.leased, status.size), (IDLE, 1, 4));
    let again = [(); IDLE].map(|()| pool.try_get().unwrap());
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::NoneIdle);
    assert_eq!(pool.status().leased, IDLE + 1);
    drop((again, kept));
    assert_eq!(pool.status().idle, IDLE + 1);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_idle_out() {
    let builder = Server::default().builder();
    let (pool, _kept) = waited_in(builder.idle_timeout(secs(10)).min_idle(1)).await;
    pass(secs(13)).await;
    assert_eq!(pool.status().idle, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::IdleTimeout), 2);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_with_their_lifetime() {
    let builder = Server::default().builder();
    let builder = builder.idle_timeout(None).keepalive(None);
    let (pool, _kept) = waited_in(builder.max_lifetime(secs(60)).lifetime_jitter(0.0)).await;
    pass(secs(62)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::MaxLifetime), 3);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_checked_in_the_background() {
    let server = Server::default();
    let builder = server.builder().idle_timeout(None).max_lifetime(None);
    let (_pool, _kept) = waited_in(builder.keepalive(secs(10))).await;
    pass(secs(15)).await;
    assert_eq!(server.seen.checks.load(SeqCst), IDLE);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_that_died_are_replaced_for_min_idle() {
    let server = Server::default();
    let (pool, _kept) = waited_in(server.builder().min_idle(IDLE)).await;
    server.restart();
    pass(secs(4)).await;
    assert_eq!(pool.status().idle, IDLE);
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 3);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_checked_before_a_lease_after_idling() {
    let server = Server::default();
    let builder = server.builder().idle_timeout(None).max_lifetime(None);
    let builder = builder.keepalive(None).check_after_idle(secs(5));
    let (pool, _kept) = waited_in(builder).await;
    pass(secs(6)).await;
    server.plan(|plan| plan.check = Act::Fail);
    assert_eq!(pool.get().await.unwrap().id, IDLE + 1);
    assert_eq!(pool.counters().closed_by(CloseReason::CheckFailed), 3);
}

#[tokio::test(start_paused = true)]
async fn retain_asks_for_each_idle_connection_once() {
    let (pool, _kept) = waited_in(Server::default().builder()).await;
    let mut asked = Vec::new();
    pool.retain(|conn, _| {
        asked.push(conn.id);
        conn.id == 1
    });
    assert_eq!(asked, [0, 1, 2]);
    assert_eq!(pool.status().idle, 1);
    assert_eq!(pool.try_get().unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn an_eviction_closes_idle_connections() {
    let (pool, kept) = waited_in(Server::default().builder()).await;
    pool.evict();
    assert_eq!(pool.status().idle, 0);
    assert_eq!(pool.counters().closed_by(CloseReason::Evicted), 3);
    drop(kept);
    assert!(pool.get().await.unwrap().id > IDLE);
}

#[tokio::test(start_paused = true)]
async fn shrinking_closes_idle_connections() {
    let (pool, _kept) = waited_in(Server::default().builder()).await;
    pool.resize(2).unwrap();
    assert_eq!(pool.status().idle, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Resized), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pause_keeps_idle_connections_for_those_who_queue() {
    let (pool, kept) = waited_in(Server::default().builder()).await;
    pool.pause();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    drop(kept);
    assert_eq!(pool.status().idle, IDLE + 1);
    pool.resume();
    drop(waiter.await.unwrap());
    assert_eq!(pool.status().idle, IDLE + 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_ends_idle_connections() {
    let server = Server::default();
    let (pool, kept) = waited_in(server.builder()).await;
    let closed = pool.close();
    pass(ms(1)).await;
    assert_eq!(server.open(), 1);
    drop(kept);
    assert_eq!(closed.await.abandoned, 0);
    assert_eq!(server.open(), 0);
}

/// As many have come back without anybody waiting as there are connections.
#[tokio::test(start_paused = true)]
async fn a_task_has_the_connection_it_used_last_again_once_nobody_waits() {
    let (pool, kept) = waited_in(Server::default().builder()).await;
    drop(kept);
    let first = pool.try_get().unwrap();
    let id = first.id;
    let others = [(); IDLE].map(|()| pool.try_get().unwrap());
    drop(first);
    let again = pool.try_get().unwrap();
    assert_eq!(again.id, id);
    drop((again, others));
}
