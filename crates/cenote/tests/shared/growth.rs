//! How many connections a shared pool has: more when all are busy, one at a time; fewer when the load has been
//! light for long; and never back and forth.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::report::CloseReason;
use cenote::shared::Choice;
use cenote::{SharedLease, SharedPool};
use futures::future::join_all;
use futures::poll;

use crate::server::{Act, SLOW, Server, ms, pass, secs};

async fn leases(pool: &SharedPool<Server>, count: usize) -> Vec<SharedLease<Server>> {
    let mut held = vec![];
    for _ in 0..count {
        held.push(pool.get().await.unwrap());
        tokio::task::yield_now().await;
    }
    held
}

/// Connections that carry leases or could at once.
fn serving(pool: &SharedPool<Server>) -> usize {
    pool.status().sharing.unwrap().serving
}

#[tokio::test(start_paused = true)]
async fn a_pool_opens_nothing_until_somebody_asks() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    pass(secs(1)).await;
    assert_eq!(server.dials(), 0);
    drop(pool.get().await.unwrap());
    assert_eq!(server.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn min_size_connections_are_opened_without_being_asked_for_and_kept() {
    let server = Server::default();
    let pool = server
        .shared()
        .min_size(2)
        .idle_timeout(secs(10))
        .build()
        .unwrap();
    pass(secs(60)).await;
    assert_eq!((server.open(), server.dials()), (2, 2));
    server.restart();
    pass(secs(300)).await;
    assert_eq!((server.open(), server.dials()), (2, 4), "replaced");
    assert_eq!(pool.status().size, 2);
}

#[tokio::test(start_paused = true)]
async fn with_several_leases_all_min_size_connections_serve() {
    let server = Server::default();
    let pool = server.shared().min_size(3).max_size(3).build().unwrap();
    pass(secs(1)).await;
    let held = leases(&pool, 4).await;
    let mut ids: Vec<_> = held.iter().map(|conn| conn.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

/// At 3 of 4 the next is opened, before anybody has to wait.
#[tokio::test(start_paused = true)]
async fn one_more_is_opened_at_the_high_water_mark() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let _two = leases(&pool, 2).await;
    pass(ms(10)).await;
    assert_eq!(server.dials(), 1);
    let _third = pool.get().await.unwrap();
    pass(ms(10)).await;
    assert_eq!(server.dials(), 2);
    assert_eq!(pool.counters().waited, 1, "the first alone");
}

#[tokio::test(start_paused = true)]
async fn a_herd_of_getters_causes_one_dial_at_a_time() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.shared().max_size(10).build().unwrap();
    let mut herd = pin!(join_all((0..8).map(|_| pool.get())));
    assert!(poll!(&mut herd).is_pending());
    for dials in 1..=2 {
        pass(ms(1)).await;
        assert_eq!((server.dials(), pool.status().opening), (dials, 1));
        pass(SLOW).await;
    }
    herd.await;
    pass(secs(1)).await;
    assert_eq!(server.dials(), 3, "8 of 12, so that all are below the mark");
}

/// reqwest, hyper-util: a burst of a thousand requests costs hundreds of connections.
#[tokio::test(start_paused = true)]
async fn a_burst_that_one_connection_carries_in_time_opens_no_other() {
    let server = Server::default();
    let pool = server.shared().grow_after(ms(100)).build().unwrap();
    let burst = join_all((0..40).map(|_| async {
        let lease = pool.get().await.unwrap();
        pass(ms(9)).await;
        drop(lease);
    }));
    burst.await;
    pass(secs(1)).await;
    assert_eq!(server.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn load_that_lasts_has_one_more_opened_and_later_another() {
    let server = Server::default();
    let pool = server.shared().grow_after(ms(100)).build().unwrap();
    let mut held = leases(&pool, 4).await;
    let mut more = pin!(leases(&pool, 6));
    assert!(poll!(&mut more).is_pending());
    pass(ms(99)).await;
    assert!(poll!(&mut more).is_pending());
    assert_eq!(server.dials(), 1);
    pass(ms(2)).await;
    assert!(poll!(&mut more).is_pending());
    assert_eq!(server.dials(), 2);
    pass(ms(101)).await;
    held.extend(more.await);
    assert_eq!(server.dials(), 3);
}

/// It is not how often they were busy that counts.
#[tokio::test(start_paused = true)]
async fn connections_that_are_busy_now_and_then_are_not_joined_by_another() {
    let server = Server::default();
    let pool = server.shared().grow_after(ms(100)).build().unwrap();
    for _ in 0..10 {
        let held = leases(&pool, 4).await;
        pass(ms(60)).await;
        drop(held);
        pass(ms(60)).await;
    }
    assert_eq!(server.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn never_more_than_max_size_are_opened() {
    let server = Server::default();
    let pool = server.shared().max_size(2).build().unwrap();
    let _held = leases(&pool, 8).await;
    let mut ninth = pin!(pool.get());
    assert!(poll!(&mut ninth).is_pending());
    pass(secs(3)).await;
    assert_eq!(server.most(), 2);
}

#[tokio::test(start_paused = true)]
async fn connections_nobody_uses_rest_and_are_closed_when_they_have_rested_for_long() {
    let server = Server::default();
    let pool = server.shared().idle_timeout(secs(20)).build().unwrap();
    drop(leases(&pool, 9).await);
    assert_eq!(serving(&pool), 4);
    pass(secs(1)).await;
    assert_eq!((serving(&pool), pool.status().idle), (0, 4));
    pass(secs(25)).await;
    assert_eq!(server.open(), 0);
    assert_eq!(pool.counters().closed_by(CloseReason::IdleTimeout), 4);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_spared_drains_and_rests_but_stays_open() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(100));
    let pool = server
        .shared()
        .min_size(0)
        .shrink_after(secs(10))
        .build()
        .unwrap();
    let mut held = leases(&pool, 76).await;
    pass(secs(1)).await;
    held.extend(leases(&pool, 40).await);
    assert_eq!(serving(&pool), 2);
    // 30 leases on both: one connection would carry them at 30 %.
    held.sort_by_key(|conn| conn.id);
    let second = held.iter().position(|conn| conn.id == 1).unwrap();
    held.drain(15..second);
    held.truncate(30);
    pass(secs(12)).await;
    let sharing = pool.status().sharing.unwrap();
    assert_eq!((sharing.draining, sharing.in_flight), (1, 30));
    let spared = pool.get().await.unwrap().id;
    held.retain(|conn| conn.id == spared);
    pass(secs(1)).await;
    assert_eq!((pool.status().idle, serving(&pool)), (1, 1));
    assert_eq!(server.open(), 2);
}

/// tower #456: N, N - 1, N, ... with users who come and go all the time.
#[tokio::test(start_paused = true)]
async fn under_a_constant_load_the_number_of_connections_settles() {
    for choice in [
        Choice::LeastLoaded,
        Choice::RoundRobin,
        Choice::FirstAvailable,
    ] {
        for users in [1, 4, 9, 16] {
            let server = Server::default();
            let pool = server
                .shared()
                .max_size(6)
                .choice(choice)
                .shrink_after(secs(2))
                .idle_timeout(secs(4))
                .max_lifetime(None)
                .seed(users)
                .build()
                .unwrap();
            let load = (0..users).map(|user| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    loop {
                        let lease = pool.get().await.unwrap();
                        pass(ms(50 + user)).await;
                        drop(lease);
                    }
                })
            });
            let load: Vec<_> = load.collect();
            pass(secs(15)).await;
            let settled = (server.dials(), pool.counters().closed());
            pass(secs(15)).await;
            let later = (server.dials(), pool.counters().closed());
            assert_eq!(settled, later, "{users} users, {choice:?}");
            load.iter().for_each(tokio::task::JoinHandle::abort);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_resize_up_serves_those_who_wait_at_once() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let _held = leases(&pool, 4).await;
    let mut waiting = pin!(pool.get());
    assert!(poll!(&mut waiting).is_pending());
    pool.resize(2).unwrap();
    pass(ms(10)).await;
    assert!(poll!(&mut waiting).is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_resize_down_drains_the_least_loaded() {
    let server = Server::default();
    let pool = server.shared().max_size(2).build().unwrap();
    let mut held = leases(&pool, 8).await;
    let freed = held.pop().unwrap().id;
    pool.resize(1).unwrap();
    let sharing = pool.status().sharing.unwrap();
    assert_eq!((sharing.draining, sharing.in_flight), (1, 7));
    held.retain(|conn| conn.id != freed);
    pass(ms(10)).await;
    assert_eq!(server.open(), 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Resized), 1);
}

#[tokio::test]
async fn settings_that_cannot_work_are_named() {
    let refused = |setting: &str, builder: cenote::shared::SharedPoolBuilder<Server>| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.setting, setting, "{error}");
    };
    let shared = || Server::default().shared();
    refused("min_size", shared().min_size(5));
    refused("max_size", shared().max_size(0));
    refused("high_water", shared().high_water(0.0));
    refused("high_water", shared().high_water(1.01));
    refused("high_water", shared().high_water(f64::NAN));
    refused("shrink_after", shared().shrink_after(secs(0)));
    refused("check_after_idle", shared().check_after_idle(secs(0)));
    refused("max_waiters", shared().max_waiters(0));
    let pool = shared().min_size(2).build().unwrap();
    assert_eq!(pool.resize(1).unwrap_err().setting, "min_size");
    assert_eq!(pool.status().max_size, 4);
}

/// A connection that nobody uses rests, and is checked before it serves again: no load of one caller after the
/// other asks for a second one.
#[tokio::test(start_paused = true)]
async fn one_slow_user_is_served_by_one_connection() {
    let server = Server::default();
    server.plan(|plan| (plan.connect, plan.check) = (Act::Slow, Act::Slow));
    let pool = server.shared().build().unwrap();
    for _ in 0..20 {
        drop(pool.get().await.unwrap());
        pass(ms(1_300)).await;
    }
    assert_eq!(server.dials(), 1);
    assert!(server.seen.checks.load(SeqCst) > 10, "it rested in between");
}
