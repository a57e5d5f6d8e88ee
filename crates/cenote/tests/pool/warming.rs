//! Connections that are there before anybody asks for them.

use std::pin::pin;

use cenote::{GetError, Pool};
use futures::poll;

use crate::server::{Act, Server, assert_quiet, pass, secs};

fn warm_of(server: &Server, min_idle: usize) -> Pool<Server> {
    let builder = Pool::builder(server.clone()).max_size(5);
    builder.min_idle(min_idle).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_warm_pool_has_min_idle_connections() {
    let server = Server::default();
    let pool = warm_of(&server, 3);
    pool.warm().await.unwrap();
    assert_eq!(pool.status().idle, 3);
    pool.warm().await.unwrap();
    assert_eq!(pool.counters().opened, 3);
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_connect_says_why_it_is_not_warm() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = warm_of(&server, 1);
    let error = pool.warm().await.unwrap_err();
    assert!(matches!(error, GetError::Connect { .. }), "{error}");
    server.plan(|plan| plan.connect = Act::Ok);
    pool.warm().await.unwrap();
}

/// A failure from before it was asked is none of its own.
#[tokio::test(start_paused = true)]
async fn a_pool_that_can_connect_again_becomes_warm() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = warm_of(&server, 1);
    pass(secs(1)).await;
    server.plan(|plan| plan.connect = Act::Ok);
    pool.warm().await.unwrap();
    assert_eq!(pool.status().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_named_when_time_is_up() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let builder = Pool::builder(server.clone()).min_idle(1);
    let pool = builder.acquire_timeout(secs(1)).build().unwrap();
    let error = pool.warm().await.unwrap_err();
    assert!(matches!(error, GetError::TimedOut(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_closed_pool_is_not_warmed() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = warm_of(&server, 1);
    let mut warming = pin!(pool.warm());
    assert!(poll!(&mut warming).is_pending());
    drop(pool.close());
    assert!(matches!(warming.await, Err(GetError::Closed { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_shared_pool_has_min_size_connections_when_it_is_warm() {
    let server = Server::default();
    let pool = server.shared().max_size(3).min_size(2).build().unwrap();
    pool.warm().await.unwrap();
    assert_eq!(server.open(), 2);
    let never = server.shared().build().unwrap();
    never.warm().await.unwrap();
    assert_eq!(never.status().size, 0, "none were asked for");
}

#[tokio::test(start_paused = true)]
async fn connections_that_min_size_misses_are_opened_before_anybody_asks() {
    let server = Server::default();
    let pool = server.builder().max_size(5).min_size(2).build().unwrap();
    pass(secs(4)).await;
    assert_eq!((server.open(), pool.counters().opened), (2, 2));
    pool.evict();
    pass(secs(4)).await;
    assert_eq!((server.open(), pool.counters().opened), (2, 4));
}

#[tokio::test(start_paused = true)]
async fn the_last_min_size_connections_do_not_idle_out() {
    let server = Server::default();
    let builder = Pool::builder(server.clone()).max_size(5).min_size(2);
    let pool = builder.idle_timeout(secs(10)).build().unwrap();
    let leases = [
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
        pool.get().await.unwrap(),
    ];
    drop(leases);
    pass(secs(60)).await;
    assert_eq!(pool.status().idle, 2);
    assert_eq!(server.open(), 2);
}
