//! Shared connections under contention that die, age and change what they can carry: never more on one than it carries,
//! and in the end every count is exact.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Poll;

use cenote::shared::{Choice, SharedPoolBuilder};
use cenote::{SharedLease, SharedPool};
use futures::future::join_all;
use futures::poll;
use tokio::task::yield_now;

use super::{TURNS, USERS, used_by_many};
use crate::server::{Conn, Server, ms, pass};

fn unhurried(builder: SharedPoolBuilder<Server>) -> SharedPool<Server> {
    builder
        .acquire_timeout(None)
        .max_waiters(None)
        .build()
        .unwrap()
}

/// Exclusive: one more user than the connection carries would see it.
async fn use_it(conn: &Conn, capacity: usize) {
    assert!(conn.users.fetch_add(1, SeqCst) < capacity, "over capacity");
    yield_now().await;
    conn.users.fetch_sub(1, SeqCst);
}

/// Once what drains has gone: nothing in flight, nobody waiting, and all the room there is to be had.
async fn assert_exact(pool: &SharedPool<Server>, server: &Server) {
    let sharing = || pool.status().sharing.unwrap();
    while sharing().draining > 0 || pool.status().opening > 0 || pool.status().upkeep > 0 {
        pass(ms(1)).await;
    }
    assert_eq!((sharing().in_flight, pool.status().waiters), (0, 0));
    let status = pool.status();
    assert!(
        server.most() <= status.max_size,
        "{} at once",
        server.most()
    );
    assert_eq!(server.open(), status.size);
    let counters = pool.counters();
    assert_eq!(
        counters.opened - counters.closed(),
        server.open() as u64,
        "each is accounted for: {counters:?}"
    );
    let all = join_all((0..4 * status.max_size).map(|_| pool.get())).await;
    assert!(all.iter().all(Result::is_ok));
    drop(all);
    pool.close().await;
    assert_eq!(server.open(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn no_connection_carries_more_than_it_can_in_any_choice() {
    for choice in [
        Choice::LeastLoaded,
        Choice::RoundRobin,
        Choice::FirstAvailable,
    ] {
        let server = Server::default();
        let pool = unhurried(server.shared().max_size(3).choice(choice));
        used_by_many(&pool, |pool, _| async move {
            let conn = pool.get().await.unwrap();
            use_it(&conn, 4).await;
        })
        .await;
        assert_eq!(pool.counters().gets, (USERS * TURNS) as u64, "{choice:?}");
        assert_exact(&pool, &server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn getters_that_leave_at_any_moment_lose_nothing() {
    let server = Server::default();
    let pool = unhurried(server.shared().max_size(2));
    used_by_many(&pool, |pool, turn| async move {
        let mut get = pin!(pool.get());
        for _ in 0..turn % 4 {
            if let Poll::Ready(lease) = poll!(&mut get) {
                return use_it(&lease.unwrap(), 4).await;
            }
            yield_now().await;
        }
    })
    .await;
    assert_exact(&pool, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn connections_that_die_or_are_discarded_under_load_lose_nothing() {
    let server = Server::default();
    let pool = unhurried(server.shared().max_size(3));
    used_by_many(&pool, |pool, turn| async move {
        let conn = pool.get().await.unwrap();
        use_it(&conn, 4).await;
        match turn % 7 {
            0 => conn.alive.store(false, SeqCst),
            1 => SharedLease::discard(conn),
            _ => {}
        }
    })
    .await;
    assert_eq!(pool.counters().gets, (USERS * TURNS) as u64);
    assert_exact(&pool, &server).await;
}

/// Everything at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn resizing_aging_and_changing_capacity_under_load_loses_nothing() {
    let server = Server::default();
    let builder = server.shared().max_size(4).min_size(1);
    let pool = unhurried(builder.max_lifetime(ms(30)).shrink_after(ms(8)));
    let done = Arc::new(AtomicBool::new(false));
    let levers = {
        let (pool, done) = (pool.clone(), done.clone());
        tokio::spawn(async move {
            let mut turn = 0;
            while !done.load(SeqCst) {
                turn += 1;
                pool.resize(1 + turn % 4).unwrap();
                if let Ok(conn) = pool.try_get() {
                    conn.capacity.store(turn % 5, SeqCst);
                    yield_now().await;
                    conn.capacity.store(4, SeqCst);
                }
                yield_now().await;
            }
            pool.resize(4).unwrap();
        })
    };
    used_by_many(&pool, |pool, turn| async move {
        let mut get = pin!(pool.get());
        if turn % 5 == 0 {
            let _ = poll!(&mut get);
            return;
        }
        let conn = get.await.unwrap();
        use_it(&conn, 4).await;
        if turn % 11 == 0 {
            SharedLease::discard(conn);
        }
    })
    .await;
    done.store(true, SeqCst);
    levers.await.unwrap();
    assert_exact(&pool, &server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn closing_under_load_ends_every_get_and_every_connection() {
    for _ in 0..30 {
        let server = Server::default();
        let pool = unhurried(server.shared().max_size(2));
        let users: Vec<_> = (0..30)
            .map(|_| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    loop {
                        match pool.get().await {
                            Ok(_lease) => yield_now().await,
                            Err(error) => return error.to_string(),
                        }
                    }
                })
            })
            .collect();
        yield_now().await;
        assert_eq!(pool.close().await.abandoned, 0);
        for user in users {
            assert_eq!(user.await.unwrap(), "pool unnamed: closed");
        }
        assert_eq!(server.open(), 0);
        assert_eq!(pool.status().sharing.unwrap().in_flight, 0);
    }
}
