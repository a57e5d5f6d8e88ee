//! Time running out: exactly when, for whom, and what becomes of what the one who gave up was waiting for.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use cenote::GetError;
use cenote::settings::ConnectFailures;
use futures::future::join_all;
use futures::poll;
use tokio::time::{Instant, timeout};

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// Go #18995, httpcore #1093, clickhouse-go #1759: a deadline in the instant of a grant loses the place.
#[tokio::test(start_paused = true)]
async fn a_deadline_and_a_return_in_the_same_instant_lose_nothing() {
    for returned_at in [9, 10, 11] {
        for own in [false, true] {
            let server = Server::default();
            let pool = server
                .builder()
                .max_size(1)
                .acquire_timeout(ms(10))
                .build()
                .unwrap();
            let held = pool.get().await.unwrap();
            let getter = async {
                match own {
                    true => pool.get().timeout(ms(10)).await.map(drop),
                    false => pool.get().await.map(drop),
                }
            };
            let holder = async {
                pass(ms(returned_at)).await;
                drop(held);
            };
            let (got, ()) = tokio::join!(getter, holder);
            assert!(got.is_ok() || got.unwrap_err().is_timeout());
            assert_quiet(&pool);
            drop(pool.try_get().unwrap());
            assert_eq!(server.connected(), 1);
        }
    }
}

/// bb8 #59, timeout_caller: the caller's own time-out around a get.
#[tokio::test(start_paused = true)]
async fn a_get_abandoned_by_its_caller_s_time_out_leaves_no_trace() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    for _ in 0..10 {
        assert!(timeout(ms(10), pool.get()).await.is_err());
    }
    assert_eq!(pool.status().waiters, 0);
    drop(held);
    drop(pool.try_get().unwrap());
    assert_quiet(&pool);
}

/// vitess #20310: connections handed to waiters that had expired stalled the server.
#[tokio::test(start_paused = true)]
async fn a_returned_connection_goes_to_the_first_whose_time_is_not_up() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let impatient = join_all((0..100).map(|_| pool.get().timeout(ms(50))));
    let patient = async {
        pass(ms(1)).await;
        let _conn = pool.get().timeout(secs(60)).await.unwrap();
        Instant::now()
    };
    let returned = async {
        pass(ms(70)).await;
        drop(held);
        Instant::now()
    };
    let (gave_up, served_at, returned_at) = tokio::join!(impatient, patient, returned);
    assert!(gave_up.iter().all(Result::is_err));
    assert_eq!(served_at, returned_at);
    assert_eq!(pool.counters().timed_out, 100);
}

/// sqlx #3132: waiters that get their turn just as they time out made one connection after another.
#[tokio::test(start_paused = true)]
async fn impatient_getters_under_contention_open_no_more_than_there_may_be() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(5);
    let users = (0..100).map(|user| {
        let pool = &pool;
        async move {
            for round in 0..50 {
                let limit = ms(1 + (user + round) % 13);
                if let Ok(_conn) = pool.get().timeout(limit).await {
                    pass(ms(5)).await;
                }
            }
        }
    });
    join_all(users).await;
    pass(secs(1)).await;
    assert_quiet(&pool);
    assert!(server.connected() <= 5 && server.most() <= 5);
    assert_eq!(pool.status().idle, server.open());
}

#[tokio::test(start_paused = true)]
async fn a_time_out_of_nothing_takes_what_is_idle_and_waits_for_nothing() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    let held = pool.get().timeout(Duration::ZERO).await.unwrap();
    let began = Instant::now();
    let error = pool.get().timeout(Duration::ZERO).await.unwrap_err();
    assert!(error.is_timeout() && began.elapsed() <= ms(1));
    drop(held);
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_beyond_the_clock_s_range_is_none() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut getter = pin!(pool.get().timeout(Duration::MAX));
    assert!(poll!(&mut getter).is_pending());
    pass(secs(3_000)).await;
    drop(held);
    drop(getter.await.unwrap());
}

/// A lease granted in time is a lease, however late its getter is polled.
#[tokio::test(start_paused = true)]
async fn a_getter_served_in_time_and_polled_too_late_has_its_lease() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut getter = pin!(pool.get().timeout(secs(1)));
    assert!(poll!(&mut getter).is_pending());
    drop(held);
    pass(secs(20)).await;
    drop(getter.await.unwrap());
    assert_eq!(pool.counters().timed_out, 0);
}

/// Giving up in the middle of the queue moves nobody.
#[tokio::test(start_paused = true)]
async fn those_behind_one_that_gave_up_keep_their_order() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let users = (0..30).map(|turn| {
        let (pool, order) = (&pool, &order);
        async move {
            let limit = if turn % 3 == 0 { ms(5) } else { secs(60) };
            if let Ok(_conn) = pool.get().timeout(limit).await {
                order.lock().unwrap().push(turn);
            }
        }
    });
    let returned = async {
        pass(ms(10)).await;
        drop(held);
    };
    tokio::join!(join_all(users), returned);
    let expected: Vec<_> = (0..30).filter(|turn| turn % 3 != 0).collect();
    assert_eq!(*order.lock().unwrap(), expected);
}

/// r2d2 get_global_timeout: one time-out over all the steps a get may have to take.
#[tokio::test(start_paused = true)]
async fn one_deadline_covers_waiting_checking_and_waiting_again() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .acquire_timeout(secs(2))
        .check_timeout(ms(800))
        .connect_timeout(secs(30))
        .build()
        .unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    // The check fails late; the dial that follows hangs.
    server.plan(|plan| (plan.check, plan.connect) = (Act::Never, Act::Never));
    let began = Instant::now();
    let error = pool.get().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert!(
        began.elapsed() >= secs(2) && began.elapsed() < ms(2_010),
        "{:?}",
        began.elapsed()
    );
}

/// A getter that is served long after it queued is never refused for the time it has already been given.
#[tokio::test(start_paused = true)]
async fn a_getter_given_a_dead_connection_keeps_its_turn() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .check_after_idle(Duration::ZERO)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let order = std::sync::Mutex::new(Vec::new());
    let users = (0..3).map(|turn| {
        let (pool, order) = (&pool, &order);
        async move {
            let conn = pool.get().await.unwrap();
            order.lock().unwrap().push((turn, conn.id));
        }
    });
    let returned = async {
        pass(ms(1)).await;
        // Alive to all appearances when it comes back; dead when it is checked for the first in line.
        let alive = held.alive.clone();
        drop(held);
        alive.store(false, std::sync::atomic::Ordering::SeqCst);
    };
    tokio::join!(join_all(users), returned);
    assert_eq!(*order.lock().unwrap(), [(0, 1), (1, 1), (2, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_time_out_says_is_what_happened() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .builder()
        .max_size(3)
        .connect_timeout(secs(30))
        .build()
        .unwrap();
    let GetError::TimedOut(timed_out) = pool.get().timeout(secs(1)).await.unwrap_err() else {
        panic!("another error");
    };
    assert!(timed_out.waited >= secs(1) && timed_out.waited < ms(1_010));
    assert_eq!(
        (timed_out.status.opening, timed_out.status.size),
        (1, 0),
        "{timed_out}"
    );
    assert!(timed_out.connect_error.is_none());
    assert_eq!(&*timed_out.pool, "unnamed");
}

/// Two are given connections that prove dead, and queue again: each has the deadline it had.
#[tokio::test(start_paused = true)]
async fn a_getter_that_queues_again_keeps_its_deadline() {
    let server = Server::default();
    let down = Arc::new(AtomicBool::new(false));
    let hook_down = Arc::clone(&down);
    let pool = server
        .builder()
        .max_size(2)
        .acquire_timeout(secs(30))
        .check_timeout(secs(5))
        .connect_failures(ConnectFailures::KeepWaiting)
        .before_get(move |_, _| {
            let down = hook_down.load(SeqCst);
            Box::pin(async move {
                match down {
                    true => {
                        tokio::time::sleep(secs(1)).await;
                        Err("down".into())
                    }
                    false => Ok(()),
                }
            })
        })
        .build()
        .unwrap();
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let began = Instant::now();
    let early = async {
        assert!(pool.get().await.unwrap_err().is_timeout());
        began.elapsed()
    };
    let late = async {
        pass(ms(20_500)).await;
        drop(second);
        assert!(pool.get().await.unwrap_err().is_timeout());
        began.elapsed()
    };
    let fall = async {
        pass(secs(20)).await;
        server.plan(|plan| plan.connect = Act::Fail);
        down.store(true, SeqCst);
        drop(first);
    };
    let (early, late, ()) = tokio::join!(early, late, fall);
    assert!(early < secs(31), "{early:?}");
    assert!(late < secs(52), "{late:?}");
}
