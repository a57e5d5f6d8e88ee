//! Opening connections: how many, when, and what a failure means.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use cenote::report::EventKind;
use cenote::settings::{Backoff, ConnectFailures};
use cenote::{ConnectError, GetError};
use futures::future::join_all;
use futures::poll;

use crate::server::{Act, Refused, Server, assert_quiet, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn no_more_than_max_size_are_ever_open_or_being_opened() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server
        .builder()
        .max_size(3)
        .max_connecting(10)
        .build()
        .unwrap();
    join_all((0..50).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(100)).await;
    }))
    .await;
    assert_eq!(server.seen.most.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_max_connecting_dial_at_once() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server.pool(10);
    let getters = join_all((0..10).map(|_| pool.get().timeout(secs(1))));
    let _ = getters.await;
    assert_eq!(server.open(), 2, "two dials are the default");
}

/// sqlx #3513, pgx #1259: a cancelled acquire aborted the dial, and the next began anew.
#[tokio::test(start_paused = true)]
async fn a_dial_outlives_the_getter_that_asked_for_it() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(1);
    assert!(pool.get().timeout(ms(10)).await.is_err());
    pass(secs(1)).await;
    assert_eq!(pool.status().idle, 1);
    drop(pool.try_get().unwrap());
    assert_eq!(server.seen.dials.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_return_serves_the_waiter_if_it_comes_before_the_dial() {
    let server = Server::default();
    let pool = server.pool(2);
    let held = pool.get().await.unwrap();
    let first = held.id;
    server.plan(|plan| plan.connect = Act::Slow);
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    drop(held);
    assert_eq!(waiter.await.unwrap().id, first);
    pass(secs(1)).await;
    assert_eq!(pool.status().idle, 2, "the dial went on");
}

/// Go #57248, HikariCP's spike test: others end with 40 to 45 connections.
#[tokio::test(start_paused = true)]
async fn a_burst_that_open_connections_absorb_opens_one_more_at_most() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.builder().max_size(50).min_idle(5).build().unwrap();
    pass(secs(3)).await;
    assert_eq!(pool.status().idle, 5);
    join_all((0..50).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(2)).await;
    }))
    .await;
    pass(secs(3)).await;
    assert!(server.open() <= 6, "{} open", server.open());
}

#[tokio::test(start_paused = true)]
async fn demand_that_lasts_grows_the_pool_to_its_size() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(8);
    join_all((0..40).map(|_| async {
        for _ in 0..10 {
            let _conn = pool.get().timeout(secs(60)).await.unwrap();
            pass(ms(100)).await;
        }
    }))
    .await;
    assert_eq!(server.open(), 8);
}

/// bb8 #102: a wrong address gave only a 30 s time-out.
#[tokio::test(start_paused = true)]
async fn with_nothing_open_getters_learn_the_connect_error_early() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .builder()
        .name("orders")
        .acquire_timeout(secs(30))
        .build()
        .unwrap();
    let began = tokio::time::Instant::now();
    let error = pool.get().await.unwrap_err();
    assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
    assert!(
        matches!(error, GetError::Connect { failures: 3, .. }),
        "{error:?}"
    );
    assert_eq!(
        error
            .connect_error()
            .and_then(|e| e.downcast_ref::<Refused>()),
        Some(&Refused)
    );
    let text = error.to_string();
    assert!(
        text.contains("orders") && text.contains("the server refused"),
        "{text}"
    );
    assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused));
}

#[tokio::test(start_paused = true)]
async fn told_to_keep_waiting_a_getter_s_time_out_carries_the_connect_error() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .builder()
        .connect_failures(ConnectFailures::KeepWaiting)
        .acquire_timeout(secs(30))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(error.is_timeout());
    assert!(error.to_string().contains("the server refused"), "{error}");
    assert!(error.connect_error().is_some());
}

#[tokio::test(start_paused = true)]
async fn while_a_connection_is_open_a_failed_dial_ends_nobody_s_waiting() {
    let server = Server::default();
    let pool = server.pool(2);
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Fail);
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pass(secs(4)).await;
    assert!(poll!(&mut waiter).is_pending());
    drop(held);
    drop(waiter.await.unwrap());
}

/// deadpool #201, sqlx #3645, the reconnect herd: one gate, a bounded number of dials, no spin.
#[tokio::test(start_paused = true)]
async fn a_dead_server_is_dialled_at_the_pace_of_the_back_off() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .builder()
        .max_size(50)
        .backoff(Backoff::new(ms(100), secs(2)))
        .connect_failures(ConnectFailures::KeepWaiting)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let getters = join_all((0..50).map(|_| pool.get()));
    assert!(getters.await.iter().all(Result::is_err));
    let dials = server.seen.dials.load(SeqCst);
    assert!(
        (30..=150).contains(&dials),
        "{dials} dials in a minute at one a second on average"
    );
}

/// sqlx #3132, Hikari #2161: after the server is back, everyone is served within one step of the back-off.
#[tokio::test(start_paused = true)]
async fn after_the_server_is_back_service_resumes_within_one_back_off_step() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .builder()
        .backoff(Backoff::new(ms(100), secs(2)))
        .connect_failures(ConnectFailures::KeepWaiting)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let getters = join_all((0..50).map(|_| async { pool.get().await.map(drop) }));
    let back = async {
        pass(secs(20)).await;
        server.plan(|plan| plan.connect = Act::Ok);
        tokio::time::Instant::now()
    };
    let (served, back) = tokio::join!(async { (getters.await, tokio::time::Instant::now()) }, back);
    assert!(served.0.iter().all(Result::is_ok));
    assert!(served.1 - back <= ms(2_100), "{:?}", served.1 - back);
}

/// bb8: a connect without a time-out holds its slot for ever. r2d2 #100: failed connects leak.
#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_times_out_and_frees_its_place() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .builder()
        .connect_timeout(secs(1))
        .connect_failures(ConnectFailures::FailAfter(1))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    let timed_out = matches!(error.connect_error(), Some(ConnectError::TimedOut { limit, .. }) if *limit == secs(1));
    assert!(timed_out, "{error}");
    pass(secs(10)).await;
    assert_quiet(&pool);
    assert_eq!(server.open(), 0);
}

/// bb8: a panicking connect holds its slot for ever.
#[tokio::test(start_paused = true)]
async fn a_dial_that_panics_is_a_failed_dial() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Panic);
    let pool = server.pool(1);
    let error = pool.get().await.unwrap_err();
    assert!(error.to_string().contains("told to"), "{error}");
    pass(secs(10)).await;
    assert_quiet(&pool);
    server.plan(|plan| plan.connect = Act::Ok);
    drop(pool.get().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn min_idle_is_filled_in_the_background_and_refilled() {
    let server = Server::default();
    let pool = server.builder().max_size(10).min_idle(3).build().unwrap();
    pass(secs(2)).await;
    assert_eq!(pool.status().idle, 3);
    let held = join_all((0..3).map(|_| pool.get())).await;
    pass(secs(2)).await;
    assert_eq!((pool.status().idle, pool.status().leased), (3, 3));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_connection_from_elsewhere_can_be_added_while_there_is_room() {
    let server = Server::default();
    let pool = server.pool(1);
    pool.add(server.conn()).ok().unwrap();
    let refused = pool.add(server.conn()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the pool has max_size connections already"
    );
    assert_eq!(refused.into_connection().id, 1);
    assert_eq!(pool.get().await.unwrap().id, 0);
    pool.close().await;
    assert!(matches!(
        pool.add(server.conn()),
        Err(cenote::error::AddError::Closed(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn failed_dials_are_told_with_the_delay_until_the_next() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let pool = {
        let told = told.clone();
        server
            .builder()
            .backoff(Backoff::new(ms(100), ms(400)))
            .on_event(move |event| {
                if let EventKind::ConnectFailed {
                    failures, retry_in, ..
                } = &event.kind
                {
                    told.lock().unwrap().push((*failures, *retry_in));
                }
            })
            .build()
            .unwrap()
    };
    pool.get().await.unwrap_err();
    let told = told.lock().unwrap();
    assert_eq!(
        told.iter()
            .map(|(failures, _)| *failures)
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert!(
        told.iter()
            .all(|(_, retry_in)| *retry_in <= Duration::from_millis(400))
    );
}

/// deadpool #201: a server that accepts and closes at once is not dialled without end.
#[tokio::test(start_paused = true)]
async fn connections_that_arrive_dead_are_dialled_at_the_pace_of_the_back_off() {
    let server = Server::default();
    server.plan(|plan| plan.arrives_dead = true);
    let pool = server
        .builder()
        .backoff(Backoff::new(ms(100), secs(2)))
        .connect_failures(ConnectFailures::KeepWaiting)
        .acquire_timeout(secs(60))
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(
        matches!(error.connect_error(), Some(ConnectError::DeadOnArrival)),
        "{error}"
    );
    let dials = server.seen.dials.load(SeqCst);
    assert!((30..=150).contains(&dials), "{dials} dials in a minute");
    server.plan(|plan| plan.arrives_dead = false);
    drop(pool.get().await.unwrap());
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn connections_that_arrive_dead_fail_getters_as_early_as_failed_connects() {
    let server = Server::default();
    server.plan(|plan| plan.arrives_dead = true);
    let pool = server.pool(4);
    let began = tokio::time::Instant::now();
    let (first, second) = tokio::join!(pool.get(), pool.get());
    assert!(matches!(first, Err(GetError::Connect { .. })), "{first:?}");
    assert!(
        matches!(second, Err(GetError::Connect { .. })),
        "{second:?}"
    );
    assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
    assert_eq!(server.open(), 0);
    assert_quiet(&pool);
}
