//! Connections that carry far more leases than there are: places that come free are kept by the thread that freed them,
//! and nobody can tell. Growth, capacity, death, rest, order and counts are as without.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;

use cenote::{SharedLease, SharedPool};
use futures::executor::block_on;
use futures::future::join_all;
use futures::poll;
use tokio::task::yield_now;

use crate::server::{Server, ms, pass, secs};

/// So many that some are spare on a machine of any size.
const CAPACITY: usize = 1_000;

fn server() -> Server {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(CAPACITY));
    server
}

/// A pool that keeps a place where this thread gave it back.
async fn pool(server: &Server, max_size: usize) -> SharedPool<Server> {
    let pool = server.shared().max_size(max_size).build().unwrap();
    leases(&pool, 4).await;
    pool
}

async fn leases(pool: &SharedPool<Server>, count: usize) -> Vec<SharedLease<Server>> {
    let mut held = vec![];
    for _ in 0..count {
        held.push(pool.get().await.unwrap());
    }
    held
}

fn in_flight(pool: &SharedPool<Server>) -> usize {
    pool.status().sharing.unwrap().in_flight
}

async fn opens_the_second_at_the_high_water_mark(pool: &SharedPool<Server>, server: &Server) {
    let mut held = leases(pool, CAPACITY * 3 / 4 - 1).await;
    for _ in 0..10 {
        held.pop();
        held.push(pool.get().await.unwrap());
    }
    pass(ms(10)).await;
    assert_eq!(server.dials(), 1);
    held.push(pool.get().await.unwrap());
    pass(ms(10)).await;
    assert_eq!(server.dials(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_lease_is_counted_once() {
    let server = server();
    let pool = pool(&server, 1).await;
    for _ in 0..10 {
        drop(pool.get().await.unwrap());
        drop(pool.try_get().unwrap());
    }
    assert_eq!((pool.counters().gets, in_flight(&pool)), (4 + 20, 0));
    let held = leases(&pool, 7).await;
    assert_eq!((pool.counters().gets, in_flight(&pool)), (24 + 7, 7));
    assert_eq!(pool.load(), 7);
    drop(held);
    assert_eq!(pool.load(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_place_can_be_leased_and_not_one_more() {
    let server = server();
    let pool = pool(&server, 1).await;
    let held = leases(&pool, CAPACITY).await;
    assert!(pool.try_get().is_err());
    let mut last = pin!(pool.get());
    assert!(poll!(&mut last).is_pending());
    assert_eq!(pool.load(), CAPACITY + 1, "who waits counts");
    drop(held);
    assert_eq!(last.await.unwrap().id, 0);
}

#[tokio::test(start_paused = true)]
async fn one_more_connection_is_opened_exactly_at_the_high_water_mark() {
    let server = server();
    let pool = pool(&server, 2).await;
    opens_the_second_at_the_high_water_mark(&pool, &server).await;
}

#[tokio::test(start_paused = true)]
async fn places_that_another_thread_keeps_open_no_connection() {
    let server = server();
    let pool = pool(&server, 2).await;
    thread::scope(|scope| {
        // There is room at once: it needs no runtime.
        scope.spawn(|| drop(block_on(leases(&pool, 100))));
    });
    opens_the_second_at_the_high_water_mark(&pool, &server).await;
}

#[tokio::test(start_paused = true)]
async fn beside_a_second_connection_load_is_spread_at_once() {
    let server = server();
    let pool = pool(&server, 2).await;
    let held = leases(&pool, CAPACITY * 3 / 4).await;
    pass(ms(10)).await;
    assert_eq!(server.connected(), 2);
    drop(held);
    let ids: Vec<_> = leases(&pool, 10).await.iter().map(|conn| conn.id).collect();
    assert_eq!(ids.iter().filter(|&&id| id == 0).count(), 5, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_died_is_not_leased_again() {
    let server = server();
    let pool = pool(&server, 1).await;
    drop(pool.get().await.unwrap());
    server.restart();
    let lease = pool.get().await.unwrap();
    assert_eq!((lease.id, lease.alive.load(SeqCst)), (1, true));
}

/// Whether it was used is known though its last lease was on a spare place.
#[tokio::test(start_paused = true)]
async fn a_connection_that_dies_in_use_is_replaced_before_anybody_asks() {
    let server = server();
    let pool = pool(&server, 1).await;
    let held = leases(&pool, 2).await;
    // Upkeep has recalled what was spare, and begun to count anew.
    pass(secs(5)).await;
    drop(held);
    let last = pool.get().await.unwrap();
    server.restart();
    drop(last);
    pass(ms(500)).await;
    assert_eq!(server.dials(), 2);
}

/// Spare places are no use.
#[tokio::test(start_paused = true)]
async fn a_connection_that_dies_unused_is_not_replaced_until_somebody_asks() {
    let server = server();
    let pool = pool(&server, 1).await;
    let mut held = leases(&pool, 3).await;
    let last = held.pop();
    pass(secs(5)).await;
    drop(held);
    server.restart();
    drop(last);
    pass(ms(500)).await;
    assert_eq!(server.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_carries_nothing_for_now_is_not_leased() {
    let server = server();
    let pool = pool(&server, 1).await;
    let held = pool.get().await.unwrap();
    held.capacity.store(0, SeqCst);
    let mut waiting = pin!(pool.get());
    assert!(poll!(&mut waiting).is_pending());
    assert!(pool.try_get().is_err());
    held.capacity.store(2, SeqCst);
    pass(secs(2)).await;
    drop(waiting.await.unwrap());
    let _second = pool.get().await.unwrap();
    assert!(pool.try_get().is_err());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_before_a_newcomer() {
    let server = server();
    let pool = pool(&server, 1).await;
    let mut held = leases(&pool, CAPACITY).await;
    let mut first = pin!(pool.get());
    assert!(poll!(&mut first).is_pending());
    held.pop();
    let mut newcomer = pin!(pool.get());
    assert!(poll!(&mut newcomer).is_pending());
    drop(first.await.unwrap());
    drop(newcomer.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_has_used_for_a_while_rests() {
    let server = server();
    let pool = pool(&server, 1).await;
    drop(pool.get().await.unwrap());
    pass(secs(20)).await;
    let status = pool.status();
    assert_eq!((status.leased, status.sharing.unwrap().serving), (0, 0));
    assert_eq!(pool.get().await.unwrap().id, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_used_does_not_rest() {
    let server = server();
    let pool = pool(&server, 1).await;
    for _ in 0..200 {
        drop(pool.get().await.unwrap());
        pass(ms(100)).await;
    }
    assert_eq!(pool.status().sharing.unwrap().serving, 1);
    assert_eq!(pool.counters().waited, 1, "the first alone");
}

#[tokio::test(start_paused = true)]
async fn a_lease_on_what_drains_keeps_no_place_for_others() {
    let server = server();
    let pool = pool(&server, 2).await;
    let [old, sick] = [pool.get().await.unwrap(), pool.get().await.unwrap()];
    SharedLease::discard(sick);
    leases(&pool, 4).await;
    drop(old);
    assert_eq!(pool.get().await.unwrap().id, 1);
    pass(ms(10)).await;
    assert_eq!(server.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_leaves_nothing_open() {
    let server = server();
    let pool = pool(&server, 1).await;
    drop(pool.get().await.unwrap());
    let held = pool.get().await.unwrap();
    let close = pool.close();
    assert!(pool.try_get().is_err());
    drop(held);
    assert_eq!(close.await.abandoned, 0);
    assert_eq!(server.open(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn on_many_threads_no_place_is_lost_nor_given_twice() {
    const USERS: usize = 60;
    let server = server();
    let pool = pool(&server, 1).await;
    let conn = pool.get().await.unwrap();
    let users = (0..USERS).map(|user| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for turn in 0..300 {
                let conn = pool.get().await.unwrap();
                assert!(conn.users.fetch_add(1, SeqCst) < USERS);
                yield_now().await;
                conn.users.fetch_sub(1, SeqCst);
                drop(conn);
                if (user + turn) % 50 == 0 {
                    assert!(in_flight(&pool) <= USERS + 1);
                }
            }
        })
    });
    for user in join_all(users.collect::<Vec<_>>()).await {
        user.unwrap();
    }
    drop(conn);
    assert_eq!(in_flight(&pool), 0);
    assert_eq!(pool.counters().gets, (4 + 1 + USERS * 300) as u64);
    let held = leases(&pool, CAPACITY).await;
    assert!(pool.try_get().is_err());
    drop(held);
}
