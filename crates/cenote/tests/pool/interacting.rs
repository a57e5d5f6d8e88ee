//! Blocking work on a leased connection from a task: whatever becomes of the task, the closure has the connection alone
//! until it ends.

use std::sync::mpsc;

use cenote::OwnedLease;
use cenote::pool::InteractError;
use cenote::report::CloseReason;
use futures::executor::block_on;
use futures::poll;
use tokio::runtime::{Builder, Runtime};

use crate::server::Server;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[tokio::test]
async fn the_lease_comes_back_with_the_outcome() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get_owned().await.unwrap();
    let (lease, id) = OwnedLease::interact(lease, |conn| {
        conn.dirty = true;
        conn.id
    })
    .await
    .unwrap();
    let (lease, was_dirty) = OwnedLease::interact(lease, |conn| std::mem::take(&mut conn.dirty))
        .await
        .unwrap();
    assert!(was_dirty, "the same connection");
    assert_eq!(lease.id, id);
    drop(lease);
    assert_eq!(pool.status().idle, 1);
}

/// deadpool #325, diesel-async #281: a cancelled call works on while the next user has the connection.
#[tokio::test]
async fn a_closure_whose_future_is_dropped_has_the_connection_alone_until_it_ends() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get_owned().await.unwrap();
    let (go_on, told) = mpsc::channel::<()>();
    let (done, ended) = tokio::sync::oneshot::channel();
    let mut interact = Box::pin(OwnedLease::interact(lease, move |conn| {
        told.recv().unwrap();
        conn.dirty = true;
        done.send(conn.id).unwrap();
    }));
    assert!(poll!(&mut interact).is_pending());
    drop(interact);
    assert!(pool.try_get().is_err(), "it is in use");
    assert_eq!(pool.status().leased, 1);
    let waiter = tokio::spawn({
        let pool = pool.clone();
        async move { pool.get_owned().await.map(|lease| (lease.id, lease.dirty)) }
    });
    go_on.send(()).unwrap();
    let id = ended.await.unwrap();
    assert_eq!(
        waiter.await.unwrap().unwrap(),
        (id, false),
        "reset before anyone had it"
    );
    assert_eq!(server.most(), 1);
}

#[tokio::test]
async fn one_that_was_never_polled_has_begun_nothing() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get_owned().await.unwrap();
    drop(OwnedLease::interact(lease, |_| panic!("it was begun")));
    assert_eq!(pool.status().idle, 1);
}

#[tokio::test]
async fn a_panic_closes_the_connection_and_is_told() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get_owned().await.unwrap();
    let failed = OwnedLease::interact(lease, |_| -> u8 { panic!("told to") }).await;
    assert_eq!(
        failed.unwrap_err(),
        InteractError::Panicked("told to".into())
    );
    assert_eq!((server.open(), pool.status().size), (0, 0));
    assert_eq!(pool.counters().closed_by(CloseReason::Panicked), 1);
    assert_eq!(pool.get().await.unwrap().id, 1, "there is room for another");
}

#[tokio::test]
async fn a_panic_that_nobody_waits_for_closes_the_connection_too() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get_owned().await.unwrap();
    let (go_on, told) = mpsc::channel::<()>();
    let mut interact = Box::pin(OwnedLease::interact(lease, move |_| {
        told.recv().unwrap();
        panic!("told to");
    }));
    assert!(poll!(&mut interact).is_pending());
    drop(interact);
    go_on.send(()).unwrap();
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Panicked), 1);
}

/// deadpool #460: a runtime that ends made of a cancelled closure a panic.
#[test]
fn on_a_runtime_that_was_shut_down_it_is_an_error() {
    let server = Server::default();
    let pool = server.pool(1);
    let first = runtime();
    let lease = first.block_on(pool.get_owned()).unwrap();
    drop(first);
    let failed = block_on(OwnedLease::interact(lease, |conn| conn.id));
    assert_eq!(failed.unwrap_err(), InteractError::Aborted);
    assert_eq!(pool.status().leased, 0);
}
