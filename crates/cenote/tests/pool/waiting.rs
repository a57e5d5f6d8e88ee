//! Getting: who is served, in which order, and what those learn who are not.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex};

use cenote::GetError;
use cenote::error::TryGetError;
use futures::future::join_all;
use futures::poll;
use std::pin::pin;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn a_connection_that_comes_back_is_used_again() {
    let server = Server::default();
    let pool = server.pool(4);
    let first = pool.get().await.unwrap().id;
    let second = pool.get_owned().await.unwrap().id;
    assert_eq!(first, second);
    assert_eq!(server.connected(), 1);
}

/// mobc requests_fifo.
#[tokio::test(start_paused = true)]
async fn waiters_are_served_in_the_order_they_came() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let getters: Vec<_> = (0..20)
        .map(|turn| {
            let (pool, order) = (pool.clone(), order.clone());
            tokio::spawn(async move {
                let _conn = pool.get().await.unwrap();
                order.lock().unwrap().push(turn);
            })
        })
        .collect();
    pass(ms(1)).await;
    drop(held);
    join_all(getters).await;
    assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    assert_quiet(&pool);
}

/// bb8: newcomers barge past waiters.
#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_pass_those_who_wait() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    drop(held);
    // The connection is the waiter's already, though it has not been polled.
    let mut newcomer = pin!(pool.get());
    assert!(poll!(&mut newcomer).is_pending());
    assert_eq!(pool.try_get().err(), Some(TryGetError::NoneIdle));
    let conn = waiter.await.unwrap();
    drop(conn);
    drop(newcomer.await.unwrap());
}

/// mobc requests_skip_canceled, sqlx #622.
#[tokio::test(start_paused = true)]
async fn a_waiter_that_was_granted_and_leaves_passes_its_turn_on() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut first = Box::pin(pool.get());
    let mut second = Box::pin(pool.get());
    assert!(poll!(&mut first).is_pending());
    assert!(poll!(&mut second).is_pending());
    drop(held);
    drop(first);
    assert!(poll!(&mut second).is_ready());
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_at_the_acquire_timeout_and_says_what_the_pool_looked_like() {
    let server = Server::default();
    let pool = server
        .builder()
        .name("orders")
        .max_size(1)
        .acquire_timeout(secs(2))
        .build()
        .unwrap();
    let _held = pool.get().await.unwrap();
    let began = tokio::time::Instant::now();
    let error = pool.get().await.unwrap_err();
    assert!(began.elapsed() >= secs(2) && began.elapsed() < ms(2_010));
    assert!(error.is_timeout());
    let text = error.to_string();
    assert!(
        text.contains("orders") && text.contains("1 leased"),
        "{text}"
    );
    assert_eq!(pool.counters().timed_out, 1);
}

/// The deadlines of all are watched, not only the first one's.
#[tokio::test(start_paused = true)]
async fn each_waiter_has_its_own_deadline() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .acquire_timeout(secs(2))
        .build()
        .unwrap();
    let _held = pool.get().await.unwrap();
    let began = tokio::time::Instant::now();
    let late = async {
        pass(ms(700)).await;
        let error = pool.get().await.unwrap_err();
        (error, began.elapsed())
    };
    let (early, (late, at)) = tokio::join!(pool.get(), late);
    assert!(early.unwrap_err().is_timeout() && late.is_timeout());
    assert!(at >= ms(2_700) && at < ms(2_710), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn a_getter_can_have_a_time_out_of_its_own() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .acquire_timeout(secs(2))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let began = tokio::time::Instant::now();
    // A patient one at the head does not delay the others' time-outs.
    let (patient, short, usual) = tokio::join!(
        async {
            let patient = pool.get().timeout(secs(60)).await;
            patient.map(|conn| conn.id)
        },
        async {
            (
                pool.get_owned().timeout(ms(50)).await.err(),
                began.elapsed(),
            )
        },
        async {
            let usual = (pool.get().await.err(), began.elapsed());
            drop(held);
            usual
        },
    );
    patient.unwrap();
    assert!(short.0.unwrap().is_timeout() && short.1 < ms(60));
    assert!(usual.0.unwrap().is_timeout() && usual.1 < ms(2_010));
}

#[tokio::test(start_paused = true)]
async fn without_an_acquire_timeout_a_getter_waits_for_ever() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .acquire_timeout(None)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pass(secs(3_000)).await;
    assert!(poll!(&mut waiter).is_pending());
    drop(held);
    drop(waiter.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn one_getter_more_than_max_waiters_is_sent_away() {
    let server = Server::default();
    let pool = server.builder().max_size(1).max_waiters(2).build().unwrap();
    let held = pool.get().await.unwrap();
    let (mut first, mut second) = (pin!(pool.get()), pin!(pool.get()));
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    let error = pool.get().await.unwrap_err();
    assert!(
        matches!(error, GetError::QueueFull { max_waiters: 2, .. }),
        "{error}"
    );
    assert_eq!(pool.counters().rejected, 1);
    drop(held);
    drop(first.await.unwrap());
    drop(second.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn try_get_has_what_idled_for_long_once_it_is_checked() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .keepalive(None)
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    assert_eq!(pool.try_get().err(), Some(TryGetError::NoneIdle));
    pass(ms(1)).await;
    assert!(pool.try_get().is_ok());
    assert_eq!(pool.counters().checks, 1);
}

#[tokio::test(start_paused = true)]
async fn try_get_takes_what_is_idle_and_never_dials() {
    let server = Server::default();
    let pool = server.pool(2);
    assert_eq!(pool.try_get().err(), Some(TryGetError::NoneIdle));
    assert_eq!(server.seen.dials.load(SeqCst), 0);
    drop(pool.get().await.unwrap());
    let held = pool.try_get().unwrap();
    assert_eq!(pool.try_get().err(), Some(TryGetError::NoneIdle));
    drop(held);
    pool.pause();
    assert_eq!(pool.try_get().err(), Some(TryGetError::Paused));
    pool.resume();
    pool.close().await;
    assert_eq!(pool.try_get().err(), Some(TryGetError::Closed));
}

/// bb8 #122, vitess #17662: a getter asleep beside an idle connection. deadpool, sqlx: many at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_contention_nobody_is_forgotten_and_nothing_is_lost() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(3)
        .acquire_timeout(None)
        .max_waiters(None)
        .build()
        .unwrap();
    let users = (0..200).map(|user| {
        let pool = pool.clone();
        tokio::spawn(async move {
            for turn in 0..200 {
                let mut get = pin!(pool.get());
                if (user + turn) % 7 == 0 {
                    // Some lose patience at once.
                    let _ = poll!(&mut get);
                    continue;
                }
                let conn = get.await.unwrap();
                tokio::task::yield_now().await;
                drop(conn);
            }
        })
    });
    for user in join_all(users.collect::<Vec<_>>()).await {
        user.unwrap();
    }
    assert_quiet(&pool);
    assert!(server.seen.most.load(SeqCst) <= 3);
    assert_eq!(pool.status().idle, server.open());
}

/// bb8 lots_of_waiters: each handed the one connection, one after the other.
#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_share_one_connection() {
    let server = Server::default();
    let pool = server.pool(1);
    let users = (0..1000).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(1)).await;
    });
    join_all(users).await;
    assert_eq!(server.connected(), 1);
    assert_eq!(pool.counters().gets, 1000);
    assert_quiet(&pool);
}

/// sqlx #1869: a cancelled acquire closed the connection it was checking. Go #18995: a slot lost.
#[tokio::test(start_paused = true)]
async fn a_getter_cancelled_while_its_connection_is_checked_loses_nothing() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    server.plan(|plan| plan.check = Act::Slow);
    {
        let mut get = pin!(pool.get());
        assert!(poll!(&mut get).is_pending());
    }
    pass(secs(1)).await;
    assert_quiet(&pool);
    assert_eq!((pool.status().idle, server.connected()), (1, 1));
}

/// Checks before leases run under the getter's deadline, and go on without it.
#[tokio::test(start_paused = true)]
async fn a_getter_does_not_wait_for_a_hanging_check_beyond_its_time_out() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .check_timeout(secs(30))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    server.plan(|plan| plan.check = Act::Never);
    assert!(pool.get().timeout(secs(1)).await.unwrap_err().is_timeout());
    pass(secs(31)).await;
    assert_quiet(&pool);
    assert_eq!(server.open(), 0);
}

/// bb8 broken_connections_dont_starve_pool, deadpool #191: 62 dead connections in a row.
#[tokio::test(start_paused = true)]
async fn a_getter_goes_past_any_number_of_dead_connections() {
    let server = Server::default();
    let pool = server.pool(20);
    let conns = join_all((0..20).map(|_| pool.get())).await;
    for conn in conns.iter().flatten() {
        conn.alive.store(false, SeqCst);
    }
    // Returned alive to all appearances, then found dead by the check.
    drop(conns);
    pass(secs(5)).await;
    let conn = pool.get().await.unwrap();
    assert!(conn.id >= 20);
}
