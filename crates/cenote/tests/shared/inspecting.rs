//! A shared pool seen from all sides, and its slow gets.

use std::sync::{Arc, Mutex};

use cenote::SharedLease;
use cenote::report::{ConnectionState, EventKind, GetOutcome};
use futures::poll;

use crate::server::{Act, SLOW, Server, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn each_connection_is_shown_with_the_leases_on_it() {
    let server = Server::default();
    let pool = server.shared().max_size(2).min_size(2).build().unwrap();
    pool.warm().await.unwrap();
    let retired = pool.get().await.unwrap();
    SharedLease::retire(&retired);
    pass(ms(100)).await;
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(pool.get().await.unwrap());
    }
    let snapshot = pool.inspect();
    assert_eq!(snapshot.status, pool.status());
    assert_eq!(snapshot.counters, pool.counters());
    let states: Vec<_> = snapshot
        .connections
        .iter()
        .map(|conn| &conn.state)
        .collect();
    assert!(states.contains(&&ConnectionState::Draining), "{states:?}");
    let shared: Vec<_> = states
        .iter()
        .filter_map(|state| match state {
            ConnectionState::Shared {
                leases, capacity, ..
            } => Some((*leases, *capacity)),
            _ => None,
        })
        .collect();
    assert_eq!(shared, [(3, 4)]);
    assert!(snapshot.holders().is_empty(), "the pool itself is none");
    let text = snapshot.to_string();
    assert!(text.contains("3 leases out, room for 4"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_settings_shown_are_those_that_were_given() {
    let server = Server::default();
    let builder = server.shared().acquire_timeout(secs(2)).max_waiters(9);
    let pool = builder.high_water(0.5).build().unwrap();
    let settings = pool.inspect().settings;
    assert_eq!(settings.acquire_timeout, Some(secs(2)));
    assert_eq!(settings.max_waiters, Some(9));
    assert_eq!(settings.check_after_idle, Some(secs(1)), "by default");
    let sharing = settings.sharing.as_ref().unwrap();
    assert!((sharing.high_water - 0.5).abs() < f64::EPSILON);
    assert_eq!(sharing.shrink_after, secs(60));
    let text = settings.to_string();
    assert!(
        text.ends_with("choice LeastLoaded, high_water 0.5, grow_after 0ns, shrink_after 60s"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_oldest_waiter_s_age_is_shown() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    assert_eq!(pool.inspect().oldest_waiter, None);
    let mut waiter = Box::pin(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pass(ms(1_500)).await;
    assert_eq!(pool.inspect().oldest_waiter, Some(ms(1_500)));
}

#[tokio::test(start_paused = true)]
async fn slow_gets_are_told_of_and_all_that_wait_are_timed() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let slow = Arc::new(Mutex::new(Vec::new()));
    let told = slow.clone();
    let pool = server
        .shared()
        .max_size(1)
        .slow_get(ms(100))
        .on_event(move |event| {
            if let EventKind::SlowGet {
                waited,
                call_site,
                outcome,
                ..
            } = event.kind
            {
                assert_eq!(call_site.file(), file!());
                told.lock()
                    .unwrap()
                    .push((waited, call_site.line(), outcome));
            }
        })
        .build()
        .unwrap();
    let first = line!() + 3;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    pool.get().timeout(ms(200)).await.unwrap_err();
    tokio::time::timeout(ms(300), pool.get()).await.unwrap_err();
    assert_eq!(
        *slow.lock().unwrap(),
        [
            (SLOW, first, GetOutcome::Leased),
            (ms(200), first + 2, GetOutcome::Failed),
            (ms(300), first + 3, GetOutcome::Abandoned),
        ]
    );
    let timings = pool.timings();
    assert_eq!((timings.waits.count(), timings.waits.sum()), (1, SLOW));
    assert_eq!(
        (timings.connects.count(), timings.connects.sum()),
        (1, SLOW)
    );
    assert_eq!(pool.counters().abandoned, 1);
}

#[tokio::test(start_paused = true)]
async fn an_owned_get_that_was_slow_is_told_of_with_its_own_call_site() {
    let server = Server::default();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let told = lines.clone();
    let pool = server
        .shared()
        .max_size(1)
        .slow_get(ms(100))
        .on_event(move |event| {
            if let EventKind::SlowGet { call_site, .. } = event.kind {
                told.lock().unwrap().push(call_site.line());
            }
        })
        .build()
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get().await.unwrap());
    }
    let get = pool.get_owned();
    let line = line!() - 1;
    tokio::time::timeout(ms(100), get).await.unwrap_err();
    assert_eq!(*lines.lock().unwrap(), [line]);
}
