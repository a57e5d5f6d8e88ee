//! A pool that nobody uses is not looked at, and is as before when somebody does.

use std::sync::atomic::Ordering::SeqCst;

use cenote::Pool;
use tokio::runtime::Handle;

use crate::server::{Server, assert_quiet, pass, secs};

/// One that has rested for a while, with this many idle connections.
async fn rested(server: &Server, connections: usize) -> Pool<Server> {
    let builder = server.builder().max_size(5);
    let pool = builder.check_after_idle(secs(60)).build().unwrap();
    let mut leases = Vec::new();
    for _ in 0..connections {
        leases.push(pool.get().await.unwrap());
    }
    drop(leases);
    pass(secs(10)).await;
    pool
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// With nothing that could ever fall due there is no task left, and so no timer.
#[tokio::test(start_paused = true)]
async fn a_pool_with_nothing_due_has_no_task() {
    let server = Server::default();
    let pool = server
        .builder()
        .idle_timeout(None)
        .max_lifetime(None)
        .keepalive(None)
        .build()
        .unwrap();
    pass(secs(5)).await;
    assert_eq!(tasks(), 0, "it has no connection");
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    assert_eq!((tasks(), pool.status().idle), (0, 1));
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn ten_pools_of_a_runtime_have_one_task() {
    let server = Server::default();
    let mut pools = Vec::new();
    for _ in 0..10 {
        pools.push(rested(&server, 1).await);
    }
    assert_eq!(tasks(), 1);
}

/// What idles no longer than it may is as fresh as in a pool in use.
#[tokio::test(start_paused = true)]
async fn a_get_from_a_pool_that_rests_needs_no_check() {
    let server = Server::default();
    let pool = rested(&server, 2).await;
    let (one, two) = (pool.get().await.unwrap(), pool.try_get().unwrap());
    drop((one, two));
    assert_eq!((pool.counters().checks, pool.counters().opened), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_try_get_finds_what_idles_in_a_pool_that_rests() {
    let server = Server::default();
    let pool = rested(&server, 1).await;
    drop(pool.try_get().unwrap());
    assert_eq!(pool.counters().checks, 0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_to_a_pool_that_rests_idles_out_in_time() {
    let server = Server::default();
    let builder = server.builder().idle_timeout(secs(80));
    let pool = builder.keepalive(None).build().unwrap();
    let lease = pool.get().await.unwrap();
    pass(secs(100)).await;
    drop(lease);
    pass(secs(79)).await;
    assert_eq!(pool.status().idle, 1);
    pass(secs(12)).await;
    assert_eq!(pool.status().size, 0, "not later than an eighth");
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_in_a_pool_that_rests() {
    let server = Server::default();
    let builder = server.builder().idle_timeout(None).keepalive(None);
    let builder = builder.max_lifetime(secs(80)).lifetime_jitter(0.0);
    let pool = builder.build().unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(91)).await;
    assert_eq!(pool.status().size, 0);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_rests_is_kept_alive() {
    let server = Server::default();
    let builder = server.builder().idle_timeout(None).max_lifetime(None);
    let pool = builder.keepalive(secs(80)).build().unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(200)).await;
    assert_eq!(pool.counters().checks, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_that_min_idle_keeps_is_replaced_in_a_pool_that_rests() {
    let server = Server::default();
    let pool = server.builder().min_idle(1).build().unwrap();
    let alive = pool.get().await.unwrap().alive.clone();
    pass(secs(60)).await;
    alive.store(false, SeqCst);
    pass(secs(4)).await;
    assert_eq!((pool.status().idle, pool.counters().opened), (1, 2));
}
