//! Two connections with room for all, so that leases begin and end without the pool's lock: whatever comes between,
//! each is counted once, and what goes is gone.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use cenote::{SharedLease, SharedPool};
use tokio::runtime::Runtime;

use crate::server::{Server, ms, pass, secs};

/// Leases that a connection carries.
const EACH: usize = 8;

fn server() -> Server {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(EACH));
    server
}

/// A pool of two connections, used for a while.
async fn pool(server: &Server) -> SharedPool<Server> {
    let pool = server.shared().max_size(2).build().unwrap();
    let mut held = Vec::new();
    while serving(&pool) < 2 {
        held.push(pool.get().await.unwrap());
        pass(ms(1)).await;
    }
    drop(held);
    used(&pool).await;
    pool
}

/// More leases than are taken under the lock on a machine of any size.
async fn used(pool: &SharedPool<Server>) {
    for _ in 0..200 {
        drop(pool.get().await.unwrap());
    }
}

fn serving(pool: &SharedPool<Server>) -> usize {
    pool.status().sharing.unwrap().serving
}

fn in_flight(pool: &SharedPool<Server>) -> usize {
    pool.status().sharing.unwrap().in_flight
}

fn all(pool: &SharedPool<Server>) -> Vec<SharedLease<Server>> {
    std::iter::from_fn(|| pool.try_get().ok()).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_share_can_be_leased_and_not_one_more() {
    let server = server();
    let pool = pool(&server).await;
    let held = all(&pool);
    assert_eq!((held.len(), in_flight(&pool)), (2 * EACH, 2 * EACH));
    drop(held);
    used(&pool).await;
    assert_eq!((in_flight(&pool), all(&pool).len()), (0, 2 * EACH));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_is_not_leased_again_and_another_takes_its_place() {
    let server = server();
    let pool = pool(&server).await;
    let held = pool.get().await.unwrap();
    held.alive.store(false, SeqCst);
    for _ in 0..EACH {
        assert_ne!(pool.get().await.unwrap().id, held.id);
    }
    drop(held);
    pass(ms(1)).await;
    assert_eq!((serving(&pool), server.open()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_discarded_is_closed_once_its_last_lease_has_ended() {
    let server = server();
    let pool = pool(&server).await;
    let held = all(&pool);
    let (mut on_it, others): (Vec<_>, Vec<_>) = held.into_iter().partition(|lease| lease.id == 0);
    drop(others);
    SharedLease::discard(on_it.pop().unwrap());
    used(&pool).await;
    pass(ms(1)).await;
    assert_eq!((server.open(), server.connected()), (2, 2));
    drop(on_it);
    pass(ms(1)).await;
    assert_eq!((server.open(), server.connected()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_carries_fewer_from_now_on_is_given_no_more() {
    let server = server();
    let pool = pool(&server).await;
    let held = pool.get().await.unwrap();
    held.capacity.store(1, SeqCst);
    let others = all(&pool);
    assert!(others.iter().all(|lease| lease.id != held.id));
    assert_eq!(others.len(), EACH);
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_when_it_is_asked_keeps_no_lease_and_no_lock() {
    let server = server();
    let pool = pool(&server).await;
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.is_open_panics = true);
    assert!(pool.try_get().is_err());
    server.plan(|plan| plan.is_open_panics = false);
    used(&pool).await;
    drop(held);
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_used_for_a_while_rests() {
    let server = server();
    let pool = pool(&server).await;
    pass(secs(2)).await;
    assert_eq!((serving(&pool), server.open()), (0, 2));
}

/// Threads that used the pool and have ended, or wait for something else, keep nothing of it.
#[tokio::test(start_paused = true)]
async fn a_close_ends_whatever_threads_have_used_the_pool() {
    let server = server();
    let pool = pool(&server).await;
    let (stay, go) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            drop(pool.try_get().unwrap());
            stay.wait();
            go.wait();
        });
        scope
            .spawn(|| drop(pool.try_get().unwrap()))
            .join()
            .unwrap();
        stay.wait();
        drop(pool.close());
        go.wait();
    });
    assert_eq!(pool.close().await.abandoned, 0);
    assert_eq!(server.open(), 0);
    drop(pool);
    assert_eq!(Arc::strong_count(&server.seen), 1, "nothing is left of it");
}

#[test]
fn leases_end_anywhere_after_the_runtime_and_the_pool() {
    thread_local! {
        static KEPT: RefCell<Option<SharedLease<Server>>> = const { RefCell::new(None) };
    }
    let server = server();
    let runtime = runtime();
    let pool = runtime.block_on(pool(&server));
    let mut held: Vec<_> = (0..4).map(|_| pool.try_get().unwrap()).collect();
    let until_the_thread_ends = held.pop();
    let on_a_thread = |lease| {
        std::thread::spawn(move || KEPT.set(lease)).join().unwrap();
    };
    on_a_thread(until_the_thread_ends);
    assert_eq!(in_flight(&pool), 3);
    drop(runtime);
    held.pop();
    assert_eq!(in_flight(&pool), 2);
    drop(pool);
    on_a_thread(held.pop());
    held.pop();
    assert_eq!(server.open(), 0);
}

/// The pool's own care ends with its runtime, and begins anew on that of the next caller.
#[test]
fn callers_on_another_runtime_are_served_when_the_first_has_ended() {
    let server = server();
    let first = runtime();
    let pool = first.block_on(pool(&server));
    drop(first);
    let second = runtime();
    second.block_on(async {
        used(&pool).await;
        let mut held = all(&pool);
        let waiter = tokio::spawn({
            let pool = pool.clone();
            async move { drop(pool.get().await.unwrap()) }
        });
        while pool.status().waiters == 0 {
            tokio::task::yield_now().await;
        }
        held.pop();
        let served = tokio::time::timeout(Duration::from_secs(60), waiter);
        served.await.unwrap().unwrap();
    });
    assert_eq!(in_flight(&pool), 0);
}

#[test]
fn on_many_threads_no_share_is_lost_nor_given_twice() {
    let server = server();
    let runtime = runtime();
    let pool = runtime.block_on(pool(&server));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..2_000 {
                    let Ok(lease) = pool.try_get() else { continue };
                    let users = lease.users.fetch_add(1, SeqCst);
                    assert!(users < EACH);
                    if thread == 0 && round % 50 == 0 {
                        assert!(pool.load() > 0);
                        assert!(in_flight(pool) <= 2 * EACH);
                    }
                    lease.users.fetch_sub(1, SeqCst);
                }
            });
        }
    });
    assert_eq!((in_flight(&pool), pool.load()), (0, 0));
    assert_eq!(all(&pool).len(), 2 * EACH);
}
