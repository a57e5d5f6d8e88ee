//! All connections gone: a state that reconnects, and tells getters why. Never for ever pending, never a spin.

use cenote::GetError;
use cenote::settings::{Backoff, ConnectFailures};
use futures::future::join_all;
use tokio::time::Instant;

use crate::server::{Act, Refused, Server, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_learns_the_connect_error() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server.shared().acquire_timeout(None).build().unwrap();
    for error in join_all((0..5).map(|_| pool.get())).await {
        let error = error.unwrap_err();
        assert!(
            matches!(error, GetError::Connect { failures: 3, .. }),
            "{error}"
        );
        let cause = error.connect_error().unwrap();
        assert_eq!(cause.downcast_ref::<Refused>(), Some(&Refused));
    }
    assert_eq!(server.dials(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_next_getter_has_it_tried_once_more_and_no_one_else_does() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server.shared().build().unwrap();
    for dials in 3..6 {
        assert!(pool.get().await.is_err());
        assert_eq!(server.dials(), dials);
        pass(secs(30)).await;
        assert_eq!(server.dials(), dials, "nobody asked");
    }
}

#[tokio::test(start_paused = true)]
async fn service_resumes_with_the_server() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Fail);
    server.restart();
    pass(secs(1)).await;
    drop(held);
    assert!(pool.get().await.is_err());
    server.plan(|plan| plan.connect = Act::Ok);
    assert!(pool.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_dead_server_is_dialled_at_the_pace_of_the_back_off() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .shared()
        .backoff(Backoff::new(secs(1), secs(1)))
        .build()
        .unwrap();
    let began = Instant::now();
    let users = join_all((0..10).map(|_| async {
        while began.elapsed() < secs(60) {
            let _ = pool.get().await;
        }
    }));
    users.await;
    // Half a second each, on average.
    assert!((60..=200).contains(&server.dials()), "{}", server.dials());
}

/// They die between the dial and the first use.
#[tokio::test(start_paused = true)]
async fn connections_that_arrive_dead_are_dialled_at_the_pace_of_the_back_off() {
    let server = Server::default();
    server.plan(|plan| plan.arrives_dead = true);
    let pool = server
        .shared()
        .backoff(Backoff::new(secs(1), secs(1)))
        .build()
        .unwrap();
    for _ in 0..10 {
        assert!(pool.get().await.is_err());
    }
    assert!(server.dials() <= 30, "{}", server.dials());
    server.plan(|plan| plan.arrives_dead = false);
    assert!(pool.get().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn where_failures_are_waited_out_the_time_out_carries_the_connect_error() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .shared()
        .name("rpc")
        .connect_failures(ConnectFailures::KeepWaiting)
        .build()
        .unwrap();
    let error = pool.get().await.unwrap_err();
    let GetError::TimedOut(timed_out) = &error else {
        panic!("{error}");
    };
    assert_eq!(timed_out.waited, secs(5));
    assert!(timed_out.connect_error.is_some());
    assert!(timed_out.status.sharing.is_some());
    assert!(
        error
            .to_string()
            .starts_with("pool rpc: no connection within 5s"),
        "{error}"
    );
    server.plan(|plan| plan.connect = Act::Ok);
    assert!(pool.get().await.is_ok());
}

/// While one serves, failing to open another is no reason to turn anybody away.
#[tokio::test(start_paused = true)]
async fn while_others_serve_a_failing_dial_ends_nobody_s_waiting() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let mut held = vec![];
    for _ in 0..2 {
        held.push(pool.get().await.unwrap());
    }
    server.plan(|plan| plan.connect = Act::Fail);
    for _ in 0..2 {
        held.push(pool.get().await.unwrap());
    }
    let (got, ()) = tokio::join!(pool.get(), async {
        pass(secs(3)).await;
        held.pop();
    });
    assert_eq!(got.unwrap().id, 0);
    assert!(server.dials() < 50);
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_ends_with_the_connect_timeout_and_another_follows() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .shared()
        .connect_timeout(secs(1))
        .acquire_timeout(secs(30))
        .build()
        .unwrap();
    let (got, ()) = tokio::join!(pool.get(), async {
        pass(ms(500)).await;
        server.plan(|plan| plan.connect = Act::Ok);
    });
    assert!(got.is_ok());
    assert_eq!(server.dials(), 2);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
}

/// More capacity is noticed on the runtime of those who wait.
#[test]
fn upkeep_that_dies_with_its_runtime_is_begun_again_by_those_who_wait() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(1));
    let (first, second) = (runtime(), runtime());
    let pool = server.shared().max_size(1).build().unwrap();
    let held = first.block_on(pool.get()).unwrap();
    second.block_on(async {
        let mut get = std::pin::pin!(pool.get());
        assert!(futures::poll!(&mut get).is_pending());
        first.shutdown_background();
        held.capacity.store(2, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(get.await.unwrap().id, 0);
    });
}

/// Though its users find room at once, and need nobody to look after anything.
#[test]
fn upkeep_that_dies_with_its_runtime_is_begun_again_by_those_who_do_not_wait() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(1_000));
    let (first, second) = (runtime(), runtime());
    let shared = server.shared().max_size(1);
    let pool = shared.max_lifetime(Some(secs(60))).build().unwrap();
    first.block_on(async {
        drop(pool.get().await.unwrap());
        drop(pool.get().await.unwrap());
    });
    drop(first);
    second.block_on(async {
        for _ in 0..120 {
            drop(pool.get().await.unwrap());
            pass(secs(1)).await;
        }
        assert_ne!(pool.get().await.unwrap().id, 0, "past its lifetime");
    });
}

/// A runtime that is shut down in the middle of a dial takes nobody on another with it.
#[test]
fn growth_that_dies_with_its_runtime_is_begun_again_by_those_who_wait() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let (first, second) = (runtime(), runtime());
    let pool = server.shared().build().unwrap();
    first.block_on(async {
        let mut get = std::pin::pin!(pool.get());
        assert!(futures::poll!(&mut get).is_pending());
        tokio::task::yield_now().await;
    });
    server.plan(|plan| plan.connect = Act::Ok);
    second.block_on(async {
        let mut get = std::pin::pin!(pool.get());
        assert!(futures::poll!(&mut get).is_pending());
        first.shutdown_background();
        assert!(get.await.is_ok());
    });
}
