//! What those who wait learn by default of a server that is away, and when: a restart is ridden out and a mistake is told.

use std::pin::pin;

use cenote::settings::Backoff;
use cenote::{ConnectError, FailureKind, GetError, Lease};
use futures::future::join_all;
use futures::poll;
use tokio::time::Instant;

use crate::server::{Act, Refused, Server, assert_quiet, ms, pass, secs};

/// A server that was there, and is away now.
pub fn away(server: &Server) {
    server.plan(|plan| plan.connect = Act::Fail);
    server.restart();
}

pub async fn is_back(server: &Server, after: std::time::Duration) {
    pass(after).await;
    server.plan(|plan| plan.connect = Act::Ok);
}

#[track_caller]
pub fn assert_told<T>(got: Result<T, GetError>, failed: u32) {
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
