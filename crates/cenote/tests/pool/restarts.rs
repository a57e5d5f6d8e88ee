//! A server that dies, hangs, comes back: what getters see, what is dialled, and that it all ends well.

use std::pin::pin;

use cenote::GetError;
use cenote::report::CloseReason;
use cenote::settings::{Backoff, ConnectFailures};
use futures::future::join_all;
use futures::poll;
use tokio::time::Instant;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// sqlx #2848: connecting was tried again and again while connections lay idle.
#[tokio::test(start_paused = true)]
async fn while_connections_are_idle_nothing_is_dialled_though_connecting_fails() {
    let server = Server::default();
    let pool = server.pool(4);
    drop(join_all((0..2).map(|_| pool.get())).await);
    server.plan(|plan| plan.connect = Act::Fail);
    let dials = server.dials();
    for _ in 0..50 {
        drop(pool.get().await.unwrap());
        pass(ms(100)).await;
    }
    assert_eq!(server.dials(), dials);
}

/// r2d2 #142: building froze when connections dropped during set-up.
#[tokio::test(start_paused = true)]
async fn a_pool_is_built_while_its_server_is_down_and_filled_when_it_is_up() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let began = Instant::now();
    let pool = server.builder().min_idle(3).build().unwrap();
    assert_eq!(began.elapsed(), ms(0));
    pass(secs(30)).await;
    assert_eq!(pool.status().size, 0);
    server.plan(|plan| plan.connect = Act::Ok);
    // One step of the back-off, and a turn of upkeep's for good measure.
    pass(secs(7)).await;
    assert_eq!(pool.status().idle, 3);
}

/// hyper-util #297: a bound on connections below the number kept idle deadlocked.
#[tokio::test(start_paused = true)]
async fn bounds_on_idle_connections_above_and_below_the_size_serve_everyone() {
    for max_idle in [0, 1, 2, 50] {
        let server = Server::default();
        let pool = server
            .builder()
            .max_size(2)
            .max_idle(max_idle)
            .build()
            .unwrap();
        let users = (0..20).map(|_| async {
            let _conn = pool.get().await.unwrap();
            pass(ms(5)).await;
        });
        join_all(users).await;
        pass(ms(1)).await;
        assert_eq!(pool.status().idle, max_idle.min(2));
        assert_eq!(pool.counters().timed_out, 0);
    }
}

/// rama MultiplexPool: a dial that failed at the cap never told those who waited for it.
#[tokio::test(start_paused = true)]
async fn a_failed_dial_at_the_cap_is_followed_by_another_for_those_who_wait() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Fail);
    let pool = server
        .builder()
        .max_size(1)
        .connect_failures(ConnectFailures::FailAfter(10))
        .backoff(Backoff::new(ms(10), ms(20)))
        .build()
        .unwrap();
    let users = join_all((0..5).map(|_| async { drop(pool.get().await.unwrap()) }));
    let back = async {
        while server.dials() < 3 {
            pass(ms(1)).await;
        }
        server.plan(|plan| plan.connect = Act::Ok);
    };
    tokio::join!(users, back);
    assert_eq!(server.connected(), 1);
    assert_quiet(&pool);
}

/// rama: a handle told the others before its place was free, so they found none and slept on.
#[tokio::test(start_paused = true)]
async fn a_place_given_up_is_free_by_the_time_others_hear_of_it() {
    let server = Server::default();
    let pool = server.pool(1);
    for turn in 0..5 {
        let held = pool.get().await.unwrap();
        let mut waiter = pin!(pool.get());
        assert!(poll!(&mut waiter).is_pending());
        cenote::Lease::discard(held);
        assert_eq!(waiter.await.unwrap().id, turn * 2 + 1);
        cenote::Lease::discard(pool.get().await.unwrap());
    }
    assert_eq!(server.most(), 1, "never two at once");
}

/// Hikari #2161: the number of connections fell to zero and never came back.
#[tokio::test(start_paused = true)]
async fn after_all_connections_died_idle_the_pool_is_filled_again() {
    let server = Server::default();
    let pool = server
        .builder()
        .min_idle(3)
        .keepalive(secs(10))
        .build()
        .unwrap();
    pass(secs(5)).await;
    server.restart();
    pass(secs(60)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 3);
    assert!(pool.status().idle >= 3, "{}", pool.status());
    drop(pool.get().await.unwrap());
}

/// Nothing was wrong with connecting: no getter hears of an error, nothing waits for a back-off.
#[tokio::test(start_paused = true)]
async fn a_restart_between_two_gets_is_nobody_s_error() {
    for used in [false, true] {
        let server = Server::default();
        let pool = server.builder().max_size(8).min_idle(5).build().unwrap();
        pass(secs(20)).await;
        if used {
            drop(join_all((0..5).map(|_| pool.get())).await);
        }
        pass(secs(20)).await;
        server.restart();
        let began = Instant::now();
        let conn = pool.get().await.unwrap();
        assert!(conn.id >= 5 && began.elapsed() <= ms(10));
        assert_eq!(pool.counters().connect_failed, 0, "used before: {used}");
    }
}

/// Connections that die in use come back dead, all at once.
#[tokio::test(start_paused = true)]
async fn a_restart_under_load_costs_each_connection_once() {
    let server = Server::default();
    let pool = server.pool(4);
    let users = join_all((0..40).map(|_| async {
        for _ in 0..20 {
            let _conn = pool.get().await.unwrap();
            pass(ms(10)).await;
        }
    }));
    let restart = async {
        pass(ms(500)).await;
        server.restart();
    };
    tokio::join!(users, restart);
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 4);
    assert_eq!(server.connected(), 8);
    assert_quiet(&pool);
}

/// async-bb8-diesel #94: one connection that hung hung the pool.
#[tokio::test(start_paused = true)]
async fn one_hanging_check_holds_up_nobody_but_its_own_getter() {
    let server = Server::default();
    let pool = server.pool(2);
    drop(join_all((0..2).map(|_| pool.get())).await);
    pass(secs(5)).await;
    server.plan(|plan| plan.check = Act::Never);
    let mut unlucky = pin!(pool.get());
    assert!(poll!(&mut unlucky).is_pending());
    server.plan(|plan| plan.check = Act::Ok);
    let began = Instant::now();
    drop(pool.get().await.unwrap());
    assert!(began.elapsed() <= ms(1));
}

/// The same for a dial: those who can be served by others are.
#[tokio::test(start_paused = true)]
async fn one_hanging_dial_holds_up_nobody_but_its_own_place() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(2)
        .connect_timeout(secs(60))
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    server.plan(|plan| plan.connect = Act::Never);
    let users = join_all((0..10).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(10)).await;
    }));
    let returned = async {
        pass(ms(10)).await;
        drop(held);
    };
    tokio::join!(users, returned);
    assert_eq!(pool.status().opening, 1);
}

/// r2d2 #100: failed connects leaked descriptors. sqlx #3645: a count fell below zero.
#[tokio::test(start_paused = true)]
async fn a_long_outage_leaves_nothing_behind() {
    let server = Server::default();
    let pool = server
        .builder()
        .backoff(Backoff::new(ms(1), ms(2)))
        .connect_timeout(ms(5))
        .build()
        .unwrap();
    for turn in 0..300 {
        let act = [Act::Fail, Act::Never, Act::Panic][turn % 3];
        server.plan(|plan| plan.connect = act);
        let error = pool.get().await.unwrap_err();
        assert!(matches!(error, GetError::Connect { .. }), "{error}");
    }
    pass(secs(1)).await;
    assert_eq!((server.open(), pool.status().size), (0, 0));
    assert_eq!(pool.counters().connect_failed as usize, server.dials());
    assert_quiet(&pool);
}

/// mobc timeout_when_db_has_gone: an error in time, and no wait beyond it.
#[tokio::test(start_paused = true)]
async fn a_server_that_no_longer_answers_costs_a_getter_no_more_than_its_time_out() {
    let server = Server::default();
    let pool = server.pool(2);
    drop(pool.get().await.unwrap());
    pass(secs(5)).await;
    server.plan(|plan| (plan.check, plan.connect) = (Act::Never, Act::Never));
    for _ in 0..3 {
        let began = Instant::now();
        assert!(pool.get().timeout(secs(1)).await.is_err());
        assert!(began.elapsed() <= ms(1_010));
    }
    server.plan(|plan| (plan.check, plan.connect) = (Act::Ok, Act::Ok));
    // What hangs is cut short, and the pool serves again.
    drop(pool.get().timeout(secs(12)).await.unwrap());
}
