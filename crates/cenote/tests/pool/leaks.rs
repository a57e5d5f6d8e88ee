//! Leases held too long: each reported once, with the place where it was taken, and no other lease blamed.

use std::panic::Location;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use cenote::Pool;
use cenote::report::EventKind;
use futures::poll;

use crate::server::{Act, Server, Told, ms, pass, secs};

type Places = Arc<Mutex<Vec<u32>>>;

/// A pool that reports leases held for 10 s, and the lines they were taken on.
fn watched(server: &Server, max_size: usize) -> (Pool<Server>, Places) {
    let places = Places::default();
    let told = places.clone();
    let pool = server
        .builder()
        .max_size(max_size)
        .acquire_timeout(None)
        .leak_threshold(secs(10))
        .on_event(move |event| {
            if let EventKind::Leaked { call_site, .. } = &event.kind {
                assert_eq!(call_site.file(), file!());
                told.lock().unwrap().push(call_site.line());
            }
        })
        .build()
        .unwrap();
    (pool, places)
}

fn lines(places: &Places) -> Vec<u32> {
    let mut lines = places.lock().unwrap().clone();
    lines.sort_unstable();
    lines
}

#[tokio::test(start_paused = true)]
async fn every_way_to_a_lease_remembers_its_own_place() {
    let server = Server::default();
    let (pool, places) = watched(&server, 5);
    pool.add(server.conn()).ok().unwrap();
    let first = line!();
    let _tried = pool.try_get().unwrap();
    let _got = pool.get().await.unwrap();
    let _owned = pool.get_owned().await.unwrap();
    let _timed = pool.get().timeout(secs(1)).await.unwrap();
    let _later = {
        let get = pool.get();
        pass(ms(1)).await;
        get.await.unwrap()
    };
    pass(secs(15)).await;
    let expected: Vec<_> = [1, 2, 3, 4, 6].map(|after| first + after).to_vec();
    assert_eq!(lines(&places), expected);
    assert_eq!(pool.counters().leaks, 5);
}

#[track_caller]
fn here() -> u32 {
    Location::caller().line()
}

/// A lease handed from a leaker to a waiter is the waiter's from that moment.
#[tokio::test(start_paused = true)]
async fn a_waiter_s_lease_is_timed_from_its_grant_and_named_after_its_own_get() {
    let server = Server::default();
    let (pool, places) = watched(&server, 1);
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    let line = here() - 1;
    assert!(poll!(&mut waiter).is_pending());
    pass(secs(9)).await;
    drop(held);
    let _lease = waiter.await.unwrap();
    pass(secs(8)).await;
    assert!(lines(&places).is_empty(), "nobody held it for 10 s");
    pass(secs(5)).await;
    assert_eq!(lines(&places), [line]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_reported_within_an_eighth_of_the_threshold() {
    let server = Server::default();
    let (pool, places) = watched(&server, 1);
    let _held = pool.get().await.unwrap();
    pass(ms(11_500)).await;
    assert_eq!(places.lock().unwrap().len(), 1);
}

/// Many short leases of one connection are no long one.
#[tokio::test(start_paused = true)]
async fn a_busy_connection_is_no_leak() {
    let server = Server::default();
    let (pool, places) = watched(&server, 1);
    for _ in 0..100 {
        let _held = pool.get().await.unwrap();
        pass(ms(900)).await;
    }
    assert!(lines(&places).is_empty());
}

/// What the pool itself takes long over is nobody's leak.
#[tokio::test(start_paused = true)]
async fn resets_checks_dials_and_goodbyes_are_no_leaks() {
    let server = Server::default();
    let (pool, places) = {
        let places = Places::default();
        let told = places.clone();
        let pool = server
            .builder()
            .max_size(2)
            .acquire_timeout(None)
            .leak_threshold(ms(20))
            .on_event(move |event| {
                if let EventKind::Leaked { call_site, .. } = &event.kind {
                    told.lock().unwrap().push(call_site.line());
                }
            })
            .build()
            .unwrap();
        (pool, places)
    };
    server.plan(|plan| {
        (plan.connect, plan.check) = (Act::Slow, Act::Slow);
        (plan.reset, plan.close) = (Act::Slow, Act::Slow);
    });
    for _ in 0..3 {
        pool.get().await.unwrap().dirty = true;
        pass(secs(3)).await;
        drop(pool.get().await.unwrap());
        pool.evict();
        pass(secs(3)).await;
    }
    assert!(lines(&places).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_threshold_nothing_is_reported() {
    let server = Server::default();
    let (builder, told) = Told::by(server.builder());
    let pool = builder.build().unwrap();
    let _held = pool.get().await.unwrap();
    pass(secs(3_600)).await;
    assert_eq!(told.take(), ["opened 1"]);
    assert_eq!(pool.counters().leaks, 0);
}

#[tokio::test(start_paused = true)]
async fn a_leak_is_reported_with_its_label() {
    let server = Server::default();
    let labels = Arc::new(Mutex::new(Vec::new()));
    let told = labels.clone();
    let pool = server
        .builder()
        .leak_threshold(secs(1))
        .on_event(move |event| {
            if let EventKind::Leaked { label, .. } = event.kind {
                told.lock().unwrap().push(label);
            }
        })
        .build()
        .unwrap();
    let plain = pool.get().await.unwrap();
    pass(secs(3)).await;
    let labelled = pool.get().await.unwrap();
    cenote::Lease::set_label(&labelled, "checkout");
    pass(secs(3)).await;
    assert_eq!(*labels.lock().unwrap(), [None, Some("checkout")]);
    drop((plain, labelled));
}

/// Hikari: a lease held too long is reported once, with the place of its get.
#[tokio::test(start_paused = true)]
async fn a_lease_held_too_long_is_reported_once_with_the_place_of_its_get() {
    let server = Server::default();
    let places = Arc::new(Mutex::new(Vec::new()));
    let told = places.clone();
    let pool = server
        .builder()
        .leak_threshold(secs(10))
        .on_event(move |event| {
            if let EventKind::Leaked {
                call_site,
                held_for,
                ..
            } = &event.kind
            {
                assert!(*held_for >= secs(10));
                told.lock()
                    .unwrap()
                    .push((call_site.file(), call_site.line()));
            }
        })
        .build()
        .unwrap();
    let line = line!() + 1;
    let held = pool.get().await.unwrap();
    pass(secs(8)).await;
    assert!(places.lock().unwrap().is_empty());
    pass(secs(30)).await;
    assert_eq!(*places.lock().unwrap(), [(file!(), line)]);
    assert_eq!(pool.counters().leaks, 1);
    drop(held);
    // The next lease of the same connection is another matter.
    let _held = pool.get().await.unwrap();
    pass(secs(5)).await;
    assert_eq!(pool.counters().leaks, 1);
}

/// `mem::forget` costs one place, and is reported.
#[tokio::test(start_paused = true)]
async fn a_forgotten_lease_costs_one_place_and_is_reported() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(2)
        .leak_threshold(secs(1))
        .build()
        .unwrap();
    std::mem::forget(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    pass(secs(3)).await;
    assert_eq!((pool.counters().leaks, pool.status().leased), (1, 1));
    assert_eq!(pool.close().timeout(secs(1)).await.abandoned, 1);
}

/// A slow check before a lease is nobody's leak.
#[tokio::test(start_paused = true)]
async fn a_connection_being_checked_is_not_a_leak() {
    let server = Server::default();
    let pool = server.builder().leak_threshold(ms(40)).build().unwrap();
    drop(pool.get().await.unwrap());
    pass(secs(10)).await;
    server.plan(|plan| plan.check = Act::Slow);
    let held = pool.get().await.unwrap();
    assert_eq!(pool.counters().leaks, 0);
    drop(held);
}
