//! The exclusive pool under contention, while it is paused, resized, evicted and closed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;

use cenote::pool::PoolBuilder;
use cenote::report::CloseReason;
use cenote::settings::IdleOrder;
use cenote::{Lease, OwnedLease, Pool, Verdict};
use futures::future::join_all;
use futures::poll;
use tokio::task::yield_now;

use super::{TURNS, USERS, used_by_many};
use crate::server::{Server, assert_quiet};

fn unhurried(builder: PoolBuilder<Server>) -> Pool<Server> {
    builder
        .acquire_timeout(None)
        .max_waiters(None)
        .build()
        .unwrap()
}

/// Resets and goodbyes go on in tasks after the last user has gone.
async fn settled(pool: &Pool<Server>) {
    loop {
        let status = pool.status();
        if status.upkeep == 0 && status.opening == 0 {
            return assert_quiet(pool);
        }
        yield_now().await;
    }
}

/// fast_pool: the cap was checked, then acted upon.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn dials_on_many_threads_never_exceed_max_size() {
    for max_size in 1..=4 {
        let server = Server::default();
        let pool = unhurried(server.builder().max_size(max_size).max_connecting(8));
        used_by_many(&pool, |pool, turn| async move {
            let conn = pool.get().await.unwrap();
            yield_now().await;
            if turn % 3 == 0 {
                Lease::discard(conn);
            }
        })
        .await;
        settled(&pool).await;
        assert!(server.most() <= max_size, "{} at once", server.most());
        assert_eq!(pool.status().idle, server.open());
    }
}

/// Two users of one connection would meet in its `dirty` mark.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_shares_a_connection_in_any_idle_order() {
    for order in [
        IdleOrder::Local,
        IdleOrder::MostRecent,
        IdleOrder::LeastRecent,
    ] {
        let server = Server::default();
        server.plan(|plan| plan.verdict = Some(Verdict::Reuse));
        let pool = unhurried(server.builder().max_size(3).idle_order(order));
        used_by_many(&pool, |pool, turn| async move {
            let mut conn = pool.get_owned().await.unwrap();
            assert!(!std::mem::replace(&mut conn.dirty, true), "another's");
            for _ in 0..turn % 3 {
                yield_now().await;
            }
            assert!(conn.dirty, "another's");
            conn.dirty = false;
        })
        .await;
        settled(&pool).await;
        assert_eq!(pool.counters().gets, (USERS * TURNS) as u64, "{order:?}");
    }
}

/// bb8 #59, sqlx #1869, Go #18995: a get given up at any moment loses no connection and no place.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn getters_that_leave_at_any_moment_lose_nothing() {
    let server = Server::default();
    let pool = unhurried(server.builder().max_size(2));
    used_by_many(&pool, |pool, turn| async move {
        let mut get = pin!(pool.get_owned());
        for _ in 0..turn % 4 {
            if let Poll::Ready(lease) = poll!(&mut get) {
                yield_now().await;
                return drop(lease.unwrap());
            }
            yield_now().await;
        }
    })
    .await;
    settled(&pool).await;
    assert_eq!(pool.status().idle, server.open());
    // Both places are still to be had.
    let both = (pool.get().await.unwrap(), pool.get().await.unwrap());
    assert_ne!(both.0.id, both.1.id);
}

/// bb8 #122: two returns at once, one wake-up between them. Two getters each need both to make progress.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_returns_at_once_wake_two_getters() {
    let server = Server::default();
    let pool = unhurried(server.builder().max_size(2));
    for _ in 0..2_000 {
        let (first, second) = tokio::join!(pool.get_owned(), pool.get_owned());
        let getters = [(); 2].map(|()| {
            let pool = pool.clone();
            tokio::spawn(async move { pool.get_owned().await.unwrap() })
        });
        let returns =
            [first, second].map(|lease| tokio::spawn(async move { drop(lease.unwrap()) }));
        // Both at once: a getter asleep beside an idle connection would never come back.
        let [one, other] = getters;
        let held: (OwnedLease<_>, OwnedLease<_>) = (one.await.unwrap(), other.await.unwrap());
        assert_ne!(held.0.id, held.1.id);
        join_all(returns).await;
    }
    assert_quiet(&pool);
    assert_eq!(server.connected(), 2);
}

/// bb8 #167, mobc #63: with connections dying all the time, service goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_keep_dying_do_not_stop_the_service() {
    let server = Server::default();
    let pool = unhurried(server.builder().max_size(3));
    used_by_many(&pool, |pool, turn| async move {
        let conn = pool.get().await.unwrap();
        yield_now().await;
        if turn % 2 == 0 {
            conn.alive.store(false, SeqCst);
        }
    })
    .await;
    settled(&pool).await;
    assert_eq!(pool.counters().gets, (USERS * TURNS) as u64);
    assert_eq!(
        pool.counters().closed_by(CloseReason::Broken),
        (USERS * TURNS / 2) as u64
    );
}

/// Resets run in the background while others wait for what is being reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_dirt_is_seen_by_the_next_user_however_returns_and_gets_meet() {
    let server = Server::default();
    let pool = unhurried(server.builder().max_size(3));
    used_by_many(&pool, |pool, turn| async move {
        let mut conn = pool.get().await.unwrap();
        assert!(!conn.dirty, "the last user's dirt");
        conn.dirty = turn % 2 == 0;
        yield_now().await;
    })
    .await;
    settled(&pool).await;
    assert_eq!(pool.counters().resets, (USERS * TURNS / 2) as u64);
    assert!(server.most() <= 3);
}

/// Everything at once: users of all kinds, and a hand on every lever the pool has.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn pausing_evicting_and_resizing_under_load_loses_nothing() {
    for max_idle in [None, Some(1)] {
        let server = Server::default();
        let pool = unhurried(server.builder().max_size(4).max_idle(max_idle));
        let done = Arc::new(AtomicBool::new(false));
        let levers = {
            let (pool, done) = (pool.clone(), done.clone());
            tokio::spawn(async move {
                for turn in 0.. {
                    match turn % 6 {
                        0 => pool.pause(),
                        1 => pool.resume(),
                        2 => pool.evict(),
                        3 => pool.retain(|conn, _| conn.id % 2 == 0),
                        _ => pool.resize(1 + turn % 5).unwrap(),
                    }
                    yield_now().await;
                    if done.load(SeqCst) && turn % 6 == 1 {
                        return;
                    }
                }
            })
        };
        used_by_many(&pool, |pool, turn| async move {
            let mut get = pin!(pool.get_owned());
            if turn % 5 == 0 {
                let _ = poll!(&mut get);
                return;
            }
            let mut conn = get.await.unwrap();
            yield_now().await;
            match turn % 7 {
                0 => OwnedLease::discard(conn),
                1 => drop(OwnedLease::detach(conn)),
                2 => conn.dirty = true,
                _ => {}
            }
        })
        .await;
        done.store(true, SeqCst);
        levers.await.unwrap();
        pool.resize(3).unwrap();
        settled(&pool).await;
        assert!(server.open() <= 3 && server.open() == pool.status().idle);
        let counters = pool.counters();
        assert_eq!(
            counters.opened - counters.closed(),
            server.open() as u64,
            "each is accounted for: {counters:?}"
        );
        assert_eq!(pool.close().await.abandoned, 0);
        assert_eq!(server.open(), 0);
    }
}

/// `try_get` takes nothing from those who wait, on whatever thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn those_who_only_try_and_those_who_wait_share_without_loss() {
    let server = Server::default();
    let pool = unhurried(server.builder().max_size(2));
    let got = Arc::new(AtomicUsize::new(0));
    let trying = {
        let (pool, got) = (pool.clone(), got.clone());
        tokio::spawn(async move {
            for _ in 0..USERS * TURNS {
                if let Ok(lease) = pool.try_get() {
                    got.fetch_add(1, SeqCst);
                    drop(lease);
                }
                yield_now().await;
            }
        })
    };
    used_by_many(&pool, |pool, _| async move {
        let _conn = pool.get().await.unwrap();
        yield_now().await;
    })
    .await;
    trying.await.unwrap();
    settled(&pool).await;
    let expected = USERS * TURNS + got.load(SeqCst);
    assert_eq!(pool.counters().gets, expected as u64);
}

/// A pool closed in the middle of it all: everyone is told, everything is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn closing_under_load_ends_every_get_and_every_connection() {
    for _ in 0..30 {
        let server = Server::default();
        let pool = unhurried(server.builder().max_size(3));
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
        assert_quiet(&pool);
    }
}

/// The last handle goes while leases are on their way back on other threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_last_handle_and_the_last_lease_may_go_at_the_same_moment() {
    for _ in 0..500 {
        let server = Server::default();
        let pool = server.pool(2);
        let leases = [
            pool.get_owned().await.unwrap(),
            pool.get_owned().await.unwrap(),
        ];
        let mut tasks: Vec<_> = leases
            .into_iter()
            .map(|lease| tokio::spawn(async move { drop(lease) }))
            .collect();
        tasks.push(tokio::spawn(async move { drop(pool) }));
        join_all(tasks).await;
        while server.open() > 0 {
            yield_now().await;
        }
    }
}
