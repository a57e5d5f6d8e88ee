//! The end of a shared pool, and uses of it where nothing can be waited for: off any runtime, while panicking.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::error::TryGetError;
use cenote::report::PoolState;
use cenote::{GetError, SharedLease};
use futures::future::join_all;
use futures::poll;
use tokio::time::Instant;

use crate::server::{Act, Server, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn a_pool_is_closed_at_once_and_dropping_the_wait_changes_nothing() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    drop(pool.get().await.unwrap());
    drop(pool.close());
    assert!(pool.is_closed());
    assert_eq!(pool.status().state, PoolState::Closed);
    assert!(matches!(pool.get().await, Err(GetError::Closed { .. })));
    assert_eq!(pool.try_get().unwrap_err(), TryGetError::Closed);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_told_at_once_and_leases_finish() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let held = join_all((0..4).map(|_| pool.get())).await;
    let began = Instant::now();
    let told = async {
        for got in join_all((0..9).map(|_| pool.get())).await {
            assert!(matches!(got, Err(GetError::Closed { .. })));
        }
        began.elapsed()
    };
    let close = async {
        pass(ms(10)).await;
        let closed = pool.close().await;
        (closed.abandoned, began.elapsed())
    };
    let user = async {
        pass(secs(3)).await;
        assert_eq!(server.open(), 1, "in use");
        drop(held);
    };
    let (told, (abandoned, closed), ()) = tokio::join!(told, close, user);
    assert!(told < ms(20));
    assert_eq!(abandoned, 0);
    assert!(closed >= secs(3) && closed < ms(3_100));
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_up_on_leases_after_its_time_out() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let held = pool.get().await.unwrap();
    assert_eq!(pool.close().timeout(secs(1)).await.abandoned, 1);
    assert_eq!(held.id, 0, "still good");
    drop(held);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_ends_after_the_close_is_closed() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.shared().build().unwrap();
    let mut get = pin!(pool.get());
    assert!(poll!(&mut get).is_pending());
    pass(ms(10)).await;
    drop(pool.close());
    assert!(matches!(get.await, Err(GetError::Closed { .. })));
    pass(secs(1)).await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_pool_and_leases_outlive_it() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let other = pool.clone();
    let (one, two) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    drop(pool);
    drop(other.get().await.unwrap());
    drop(other);
    drop(one);
    pass(secs(5)).await;
    assert_eq!((two.id, server.open()), (0, 1));
    drop(two);
    pass(ms(1)).await;
    assert_eq!(server.open(), 0);
}

/// Nothing is left of a pool that has gone: not its connector, not its connections.
#[tokio::test(start_paused = true)]
async fn a_pool_that_has_gone_leaves_nothing_behind() {
    let server = Server::default();
    let pool = server.shared().min_size(2).build().unwrap();
    drop(join_all((0..9).map(|_| pool.get())).await);
    pass(secs(1)).await;
    drop(pool);
    pass(secs(5)).await;
    assert_eq!(server.open(), 0);
    assert_eq!(std::sync::Arc::strong_count(&server.seen), 1);
}

/// The connection is shared: one user's panic is not the others' loss.
#[tokio::test(start_paused = true)]
async fn a_panic_in_one_holder_gives_its_lease_back_and_leaves_the_others_alone() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let other = pool.get().await.unwrap();
    let held = pool.get().await.unwrap();
    let user = tokio::spawn(async move {
        let _held = held;
        panic!("told to");
    });
    assert!(user.await.is_err());
    assert_eq!(pool.status().sharing.unwrap().in_flight, 1);
    assert_eq!(pool.get().await.unwrap().id, other.id);
    assert_eq!(pool.counters().closed(), 0);
}

#[test]
fn leases_and_pools_are_dropped_anywhere() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let held = runtime.block_on(async { join_all((0..3).map(|_| pool.get())).await });
    let mut held: Vec<_> = held.into_iter().map(Result::unwrap).collect();
    std::thread::scope(|scope| {
        let lease = held.pop();
        scope.spawn(move || drop(lease));
    });
    drop(runtime);
    held.pop();
    SharedLease::discard(held.pop().unwrap());
    drop(pool);
    assert_eq!(server.seen.open.load(SeqCst), 0);
}

#[test]
fn without_a_runtime_a_getter_that_would_have_to_wait_is_told_so() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let outcome = futures::executor::block_on(pool.get());
    assert!(matches!(outcome, Err(GetError::NoRuntime { .. })));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let held = runtime.block_on(pool.get()).unwrap();
    let also = futures::executor::block_on(pool.get()).unwrap();
    assert_eq!(held.id, also.id);
}
