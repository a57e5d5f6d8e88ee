//! What those who wait learn of a server that is away, and when: by default a restart is ridden out and a mistake is
//! told; and all of it can be set.

use std::pin::pin;

use cenote::settings::{Backoff, ConnectFailures};
use cenote::{ConnectError, FailureKind, GetError, Lease};
use futures::future::join_all;
use futures::poll;
use tokio::time::Instant;

use crate::server::{Act, Refused, Server, assert_quiet, ms, pass, secs};

/// A server that was there, and is away now.
fn away(server: &Server) {
    server.plan(|plan| plan.connect = Act::Fail);
    server.restart();
}

async fn is_back(server: &Server, after: std::time::Duration) {
    pass(after).await;
    server.plan(|plan| plan.connect = Act::Ok);
}

#[track_caller]
fn assert_told<T>(got: Result<T, GetError>, failed: u32) {
    match got {
        Err(GetError::Connect { failures, .. }) => assert_eq!(failures, failed),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("served"),
    }
}

/// Three failed dials pass in a sixth of a second; bb8, r2d2, HikariCP and sqlx wait.
#[tokio::test(start_paused = true)]
async fn callers_ride_a_restart_out() {
    let server = Server::default();
    let pool = server.pool(4);
    drop(pool.get().await.unwrap());
    away(&server);
    let users = join_all((0..20).map(|_| async { pool.get().await.map(drop) }));
    let (users, ()) = tokio::join!(users, is_back(&server, secs(3)));
    assert!(users.iter().all(Result::is_ok), "{users:?}");
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_shared_pool_ride_a_restart_out() {
    let server = Server::default();
    let pool = server.shared().max_size(2).build().unwrap();
    drop(pool.get().await.unwrap());
    away(&server);
    let users = join_all((0..20).map(|_| async { pool.get().await.map(drop) }));
    let (users, ()) = tokio::join!(users, is_back(&server, secs(3)));
    assert!(users.iter().all(Result::is_ok), "{users:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_outlasts_the_time_out_is_named_in_it() {
    let server = Server::default();
    let pool = server.pool(4);
    drop(pool.get().await.unwrap());
    away(&server);
    let error = pool.get().await.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    assert_eq!(error.downcast_ref::<Refused>(), Some(&Refused));
    assert!(error.to_string().contains("the server refused"), "{error}");
}

/// A pool that kept idle connections and never leased one had them all the same.
#[tokio::test(start_paused = true)]
async fn connections_that_only_ever_idled_make_a_pool_that_had_one() {
    let server = Server::default();
    let pool = server.builder().min_idle(1).build().unwrap();
    pass(secs(3)).await;
    assert_eq!(pool.status().idle, 1);
    away(&server);
    let (got, ()) = tokio::join!(pool.get(), is_back(&server, secs(3)));
    drop(got.unwrap());
}

/// A server that accepts and hangs up is no server that was there.
#[tokio::test(start_paused = true)]
async fn connections_that_arrived_dead_make_no_pool_that_had_one() {
    let server = Server::default();
    server.plan(|plan| plan.arrives_dead = true);
    let pool = server.builder().max_connecting(1).build().unwrap();
    assert_told(pool.get().await, 3);
}

/// A server restarted just after a pool was filled: eight idle connections die at once, and the next dial succeeds.
#[tokio::test(start_paused = true)]
async fn connections_that_die_together_before_their_first_use_are_one_failure() {
    let server = Server::default();
    let pool = server.builder().max_size(8).min_idle(8).build().unwrap();
    while pool.status().idle < 8 {
        pass(ms(1)).await;
    }
    server.restart();
    drop(pool.get().await.unwrap());
    assert_eq!(server.dials(), 9);
}

/// A wrong password does not mend itself: waiting for the time-out would hide it (bb8 #102).
#[tokio::test(start_paused = true)]
async fn an_error_that_another_attempt_cannot_mend_is_told_at_once() {
    for kind in [FailureKind::Final, FailureKind::Credentials] {
        for had_one in [false, true] {
            let server = Server::default();
            let pool = server.pool(1);
            if had_one {
                drop(pool.get().await.unwrap());
            }
            server.plan(|plan| plan.kind = kind);
            away(&server);
            assert_told(pool.get().await, 1);
            assert_quiet(&pool);
        }
    }
}

/// The same, though another dial hangs: what it comes to in the end, a time-out, would be ridden out.
#[tokio::test(start_paused = true)]
async fn beside_a_dial_that_hangs_an_error_that_no_attempt_can_mend_is_told_at_once() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server.pool(2);
    let mut hangs = pin!(pool.get());
    assert!(poll!(&mut hangs).is_pending());
    pass(ms(1)).await;
    server.plan(|plan| {
        plan.connect = Act::Fail;
        plan.kind = FailureKind::Credentials;
    });
    assert_told(pool.get().await, 1);
    assert_told(hangs.await, 1);
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_shared_pool_learn_at_once_what_another_attempt_cannot_mend() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    drop(pool.get().await.unwrap());
    server.plan(|plan| plan.kind = FailureKind::Credentials);
    away(&server);
    assert_told(pool.get().await, 1);
}

/// Users that ask again at once: an account is locked after so many wrong passwords.
#[tokio::test(start_paused = true)]
async fn what_is_told_at_once_is_dialled_at_the_pace_of_the_back_off() {
    let server = Server::default();
    server.plan(|plan| {
        plan.connect = Act::Fail;
        plan.kind = FailureKind::Credentials;
    });
    let pool = server
        .builder()
        .backoff(Backoff::new(secs(1), secs(1)))
        .build()
        .unwrap();
    let began = Instant::now();
    let users = join_all((0..10).map(|_| async {
        while began.elapsed() < secs(60) {
            assert!(pool.get().await.is_err());
        }
    }));
    users.await;
    // Half a second each, on average.
    assert!((60..=200).contains(&server.dials()), "{}", server.dials());
}

/// What the pool itself finds wrong with a connector that panics when asked says nothing of the next attempt.
#[tokio::test(start_paused = true)]
async fn a_dial_that_panics_is_ridden_out_as_one_that_fails() {
    let server = Server::default();
    let pool = server.pool(1);
    Lease::discard(pool.get().await.unwrap());
    server.plan(|plan| plan.connect = Act::Panic);
    let (got, ()) = tokio::join!(pool.get(), is_back(&server, secs(3)));
    drop(got.unwrap());
}

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

/// The defaults: a server that accepts and says nothing is named, with where it is, by the time a caller gives up.
#[tokio::test(start_paused = true)]
async fn a_silent_server_s_first_error_has_cause_and_address() {
    let server = Server::default();
    server.plan(|plan| {
        plan.connect = Act::Never;
        plan.endpoint = Some("db1:5432");
    });
    let pool = server.builder().name("orders").build().unwrap();
    let error = pool.get().await.unwrap_err();
    assert!(
        matches!(error.connect_error(), Some(ConnectError::TimedOut { .. })),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.ends_with("; connecting fails: db1:5432 took longer than connect_timeout (3s)"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_s_first_error_has_cause_and_address_in_a_shared_pool() {
    let server = Server::default();
    server.plan(|plan| {
        plan.connect = Act::Never;
        plan.endpoint = Some("db1:5432");
    });
    let pool = server.shared().name("orders").build().unwrap();
    let text = pool.get().await.unwrap_err().to_string();
    assert!(
        text.ends_with("; connecting fails: db1:5432 took longer than connect_timeout (3s)"),
        "{text}"
    );
}

/// A caller whose time is up before the dial's.
#[tokio::test(start_paused = true)]
async fn a_dial_still_under_way_is_named_in_the_time_out() {
    let server = Server::default();
    server.plan(|plan| {
        plan.connect = Act::Never;
        plan.endpoint = Some("db1:5432");
    });
    let pool = server.builder().build().unwrap();
    let shared = server.shared().build().unwrap();
    let one = pool.get().timeout(secs(2)).await.unwrap_err();
    let other = shared.get().timeout(secs(2)).await.unwrap_err();
    for error in [one, other] {
        assert!(
            error
                .to_string()
                .ends_with("; a dial to db1:5432 has been under way for 2s"),
            "{error}"
        );
    }
}

/// Nothing is dialled where nothing may be opened.
#[tokio::test(start_paused = true)]
async fn a_time_out_without_a_dial_names_none() {
    let pool = Server::default().pool(1);
    let held = pool.get().await.unwrap();
    let GetError::TimedOut(timed_out) = pool.get().await.unwrap_err() else {
        panic!("not a time-out");
    };
    assert_eq!(timed_out.dialling, None);
    drop(held);
}
