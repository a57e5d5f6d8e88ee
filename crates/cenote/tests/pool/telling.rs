//! What can be set of when those who wait are told: by number, after a time, never; beside open connections apart.

use std::pin::pin;

use cenote::settings::{Backoff, ConnectFailures};
use cenote::{GetError, Lease};
use futures::future::join_all;
use futures::poll;
use tokio::time::Instant;

use crate::outages::{assert_told, away, is_back};
use crate::server::{Act, Server, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn told_after_a_time_callers_wait_that_long() {
    let server = Server::default();
    let pool = server
        .builder()
        .connect_failures(ConnectFailures::FailAfterTime(secs(2)))
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    away(&server);
    let began = Instant::now();
    let users = join_all((0..5).map(|_| pool.get()));
    for got in users.await {
        assert!(matches!(got, Err(GetError::Connect { .. })), "{got:?}");
    }
    assert!(
        began.elapsed() >= secs(2) && began.elapsed() < ms(2_100),
        "{:?}",
        began.elapsed()
    );
    // From now on each further failure tells those who came since.
    let dials = server.dials();
    assert!(pool.get().await.is_err());
    assert_eq!(server.dials(), dials + 1);
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_shared_pool_are_told_after_a_time() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .shared()
        .connect_failures(ConnectFailures::FailAfterTime(secs(2)))
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let began = Instant::now();
    let got = pool.get().await;
    assert!(matches!(got, Err(GetError::Connect { .. })), "{got:?}");
    assert!(
        began.elapsed() >= secs(2) && began.elapsed() < ms(2_100),
        "{:?}",
        began.elapsed()
    );
}

/// The server is back before the time is over: nobody is told of what is past.
#[tokio::test(start_paused = true)]
async fn a_success_before_the_time_is_over_leaves_nothing_to_tell() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .connect_failures(ConnectFailures::FailAfterTime(secs(2)))
        .connect_failures_while_open(ConnectFailures::FailAfterTime(secs(2)))
        .acquire_timeout(secs(60))
        // So that a dial begins in the time that is left, whatever the jitter.
        .backoff(Backoff::new(ms(100), ms(500)))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    away(&server);
    let (held, ()) = tokio::join!(pool.get(), is_back(&server, ms(500)));
    let held = held.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pass(secs(10)).await;
    assert!(poll!(&mut waiter).is_pending());
    drop(held);
    drop(waiter.await.unwrap());
}

/// A dial that hangs counts from its start.
#[tokio::test(start_paused = true)]
async fn a_time_shorter_than_a_dial_that_hangs_is_over_at_its_end() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .builder()
        .connect_timeout(secs(1))
        .connect_failures(ConnectFailures::FailAfterTime(ms(500)))
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    assert_told(pool.get().await, 1);
}

/// Beside open connections, all in use, callers wait for one of them, unless they are to be told.
#[tokio::test(start_paused = true)]
async fn beside_open_connections_callers_are_told_if_that_is_set() {
    let server = Server::default();
    let pool = server
        .builder()
        .connect_failures_while_open(ConnectFailures::FailAfter(2))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Fail);
    assert_told(pool.get().await, 2);
    drop(held);
    drop(pool.get().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn beside_open_shared_connections_callers_are_told_if_that_is_set() {
    let server = Server::default();
    let pool = server
        .shared()
        .high_water(1.0)
        .connect_failures_while_open(ConnectFailures::FailAfter(2))
        .build()
        .unwrap();
    let mut held = vec![];
    for _ in 0..3 {
        held.push(pool.get().await.unwrap());
    }
    server.plan(|plan| plan.connect = Act::Fail);
    held.push(pool.get().await.unwrap());
    assert!(matches!(
        pool.get().await,
        Err(GetError::Connect { failures: 2.., .. })
    ));
    drop(held);
    drop(pool.get().await.unwrap());
}

/// A dial beside open connections that all came back and closed meanwhile: the time that was set for one situation
/// tells nobody in the other.
#[tokio::test(start_paused = true)]
async fn a_time_set_beside_open_connections_is_not_that_of_an_empty_pool() {
    let server = Server::default();
    let pool = server
        .builder()
        .connect_failures(ConnectFailures::KeepWaiting)
        .connect_failures_while_open(ConnectFailures::FailAfterTime(secs(2)))
        .acquire_timeout(secs(30))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Fail);
    let (got, ()) = tokio::join!(pool.get(), async {
        pass(secs(1)).await;
        Lease::discard(held);
    });
    assert!(got.unwrap_err().is_timeout());
}

/// *Never retry*: one failure ends the waiting, and no second dial is made for the same callers.
#[tokio::test(start_paused = true)]
async fn never_retried_a_caller_has_one_dial() {
    let server = Server::default();
    let pool = server
        .builder()
        .connect_failures(ConnectFailures::FailAfter(1))
        .connect_failures_while_open(ConnectFailures::FailAfter(1))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Fail);
    assert_told(pool.get().await, 1);
    pass(secs(60)).await;
    assert_eq!(server.dials(), 2, "one, and the one that is held");
    Lease::discard(held);
    assert!(pool.get().await.is_err());
    pass(secs(60)).await;
    assert_eq!(server.dials(), 3);
}
