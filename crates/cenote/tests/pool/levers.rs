//! Pausing, evicting, retaining, resizing and adding, while leases are out and dials and resets under way.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;

use cenote::error::{AddError, TryGetError};
use cenote::report::{CloseReason, PoolState};
use cenote::{Connect, Lease};
use futures::future::join_all;
use futures::poll;

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn a_lease_returned_to_a_paused_pool_waits_there_for_the_resume() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pool.pause();
    drop(held);
    assert!(poll!(&mut waiter).is_pending());
    assert_eq!((pool.status().idle, pool.status().waiters), (1, 1));
    pool.resume();
    assert!(poll!(&mut waiter).is_ready());
    assert_quiet(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_paused_pool_dials_for_nobody_and_catches_up_when_resumed() {
    let server = Server::default();
    let pool = server.builder().min_idle(1).build().unwrap();
    pass(secs(3)).await;
    pool.pause();
    let mut getters: Vec<_> = (0..4).map(|_| Box::pin(pool.get())).collect();
    for getter in &mut getters {
        assert!(poll!(getter).is_pending());
    }
    pass(secs(1)).await;
    assert_eq!(server.dials(), 1);
    pool.resume();
    let ids = join_all(getters).await;
    assert!(ids.iter().all(Result::is_ok));
}

/// A dial under way when the pool is paused ends in an idle connection, not in a lease.
#[tokio::test(start_paused = true)]
async fn a_dial_that_ends_during_a_pause_serves_its_getter_after_it() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Slow);
    let pool = server.pool(1);
    let mut getter = pin!(pool.get());
    assert!(poll!(&mut getter).is_pending());
    pass(ms(1)).await;
    pool.pause();
    pass(secs(1)).await;
    assert!(poll!(&mut getter).is_pending());
    assert_eq!(pool.status().idle, 1);
    pool.resume();
    drop(getter.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn pausing_twice_is_pausing_once_and_a_resume_of_an_open_pool_does_nothing() {
    let server = Server::default();
    let pool = server.pool(1);
    pool.resume();
    drop(pool.get().await.unwrap());
    pool.pause();
    pool.pause();
    assert_eq!(pool.try_get().err(), Some(TryGetError::Paused));
    pool.resume();
    assert_eq!(pool.status().state, PoolState::Open);
    drop(pool.try_get().unwrap());
}

/// Hikari evictAllRefill: what was begun with the old credentials goes with them.
#[tokio::test(start_paused = true)]
async fn a_dial_or_a_reset_under_way_at_an_eviction_is_evicted_when_it_ends() {
    let server = Server::default();
    server.plan(|plan| (plan.connect, plan.reset) = (Act::Slow, Act::Slow));
    let pool = server.pool(2);
    pool.get().await.unwrap().dirty = true;
    let mut getter = pin!(pool.get());
    assert!(poll!(&mut getter).is_pending());
    pass(ms(1)).await;
    assert_eq!((pool.status().opening, pool.status().upkeep), (1, 1));
    pool.evict();
    let conn = getter.await.unwrap();
    assert!(conn.id >= 2, "opened after the eviction");
    assert_eq!(pool.counters().closed_by(CloseReason::Evicted), 2);
}

/// What is opened after an eviction is not touched by it.
#[tokio::test(start_paused = true)]
async fn an_eviction_is_of_what_there_is_now() {
    let server = Server::default();
    let pool = server.pool(2);
    drop(pool.get().await.unwrap());
    pool.evict();
    pass(ms(1)).await;
    drop(pool.get().await.unwrap());
    drop(pool.get().await.unwrap());
    assert_eq!(pool.counters().closed(), 1);
    assert_eq!(server.connected(), 2);
}

#[tokio::test(start_paused = true)]
async fn retain_asks_with_what_is_known_of_each_and_leaves_order_and_idle_time_alone() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(3)
        .idle_order(cenote::settings::IdleOrder::LeastRecent)
        .check_after_idle(None)
        .idle_timeout(secs(20))
        .build()
        .unwrap();
    let held = join_all((0..3).map(|_| pool.get())).await;
    held.into_iter().for_each(drop);
    pass(secs(15)).await;
    let asked = Mutex::new(Vec::new());
    pool.retain(|conn, info| {
        assert!(info.idle_for >= secs(14) && info.age >= secs(14) && info.uses == 1);
        asked.lock().unwrap().push(conn.id);
        true
    });
    assert_eq!(asked.lock().unwrap().len(), 3);
    let first = pool.get().await.unwrap();
    assert_eq!(first.id, 0, "the least recently used is still first");
    pass(secs(10)).await;
    assert_eq!(
        pool.counters().closed_by(CloseReason::IdleTimeout),
        2,
        "being asked is no use"
    );
}

/// deadpool test_resize_shrink, Hikari saturatedPool830: everything out, everybody waiting.
#[tokio::test(start_paused = true)]
async fn shrinking_a_saturated_pool_serves_all_who_wait_with_fewer() {
    let server = Server::default();
    let pool = server.pool(6);
    let held = join_all((0..6).map(|_| pool.get())).await;
    let users = join_all((0..30).map(|_| async {
        let _conn = pool.get().await.unwrap();
        pass(ms(10)).await;
        assert!(pool.status().leased <= 6);
    }));
    let shrink = async {
        pass(ms(1)).await;
        pool.resize(2).unwrap();
        drop(held);
        pass(ms(1)).await;
        assert_eq!(pool.status().leased, 2);
    };
    tokio::join!(users, shrink);
    assert_eq!((server.open(), server.connected()), (2, 6));
    assert_quiet(&pool);
}

/// deadpool test_resize_grow_concurrent.
#[tokio::test(start_paused = true)]
async fn growing_wakes_as_many_as_there_is_room_for() {
    let server = Server::default();
    let pool = server
        .builder()
        .max_size(1)
        .max_connecting(8)
        .build()
        .unwrap();
    let held = pool.get().await.unwrap();
    let mut getters: Vec<_> = (0..4).map(|_| Box::pin(pool.get_owned())).collect();
    for getter in &mut getters {
        assert!(poll!(getter).is_pending());
    }
    pool.resize(4).unwrap();
    pass(secs(1)).await;
    let mut served = Vec::new();
    for getter in &mut getters {
        if let std::task::Poll::Ready(lease) = poll!(getter) {
            served.push(lease.unwrap());
        }
    }
    assert_eq!(served.len(), 3);
    assert_eq!((pool.status().leased, pool.status().waiters), (4, 1));
    drop(held);
}

/// Down and up again before anybody came back: nothing is too many any more.
#[tokio::test(start_paused = true)]
async fn a_resize_taken_back_in_time_closes_nothing() {
    let server = Server::default();
    let pool = server.pool(4);
    let held = join_all((0..4).map(|_| pool.get())).await;
    pool.resize(1).unwrap();
    pool.resize(4).unwrap();
    drop(held);
    pass(ms(1)).await;
    assert_eq!((pool.status().idle, pool.counters().closed()), (4, 0));
}

/// bb8 add_ok_until_max_size; a waiter is served by what is added.
#[tokio::test(start_paused = true)]
async fn an_added_connection_serves_who_waits_and_lives_as_one_of_the_pool_s_own() {
    let server = Server::default();
    server.plan(|plan| plan.connect = Act::Never);
    let pool = server
        .builder()
        .max_size(2)
        .max_lifetime(secs(60))
        .build()
        .unwrap();
    let mut getter = pin!(pool.get());
    assert!(poll!(&mut getter).is_pending());
    pass(ms(1)).await;
    pool.add(server.conn()).ok().unwrap();
    let conn = getter.await.unwrap();
    assert_eq!(Lease::info(&conn).uses, 1);
    drop(conn);
    // The dial and the added one fill the pool.
    let refused = pool.add(server.conn()).unwrap_err();
    assert!(matches!(refused, AddError::Full(_)));
    drop(refused);
    pass(secs(70)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::MaxLifetime), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_can_be_filled_by_hand_to_its_size_and_no_further() {
    let server = Server::default();
    let pool = server.pool(3);
    for _ in 0..3 {
        pool.add(server.conn()).ok().unwrap();
    }
    assert!(pool.add(server.conn()).is_err());
    assert_eq!((pool.status().idle, pool.counters().opened), (3, 3));
    drop(join_all((0..3).map(|_| pool.get())).await);
    assert_eq!(server.dials(), 0);
}

/// What a holder takes out leaves room for a waiter's dial.
#[tokio::test(start_paused = true)]
async fn a_detached_connection_makes_room_for_those_who_wait() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    let mine = Lease::detach(held);
    let theirs = waiter.await.unwrap();
    assert_ne!(mine.id, theirs.id);
    assert_eq!(
        server
            .seen
            .goodbyes
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

/// A failover leaves sound connections to a server that has become read-only (gpustack #6105).
#[tokio::test(start_paused = true)]
async fn a_retired_connection_serves_its_lease_and_nobody_after_it() {
    let server = Server::default();
    let pool = server.pool(1);
    let conn = pool.get().await.unwrap();
    Lease::retire(&conn);
    assert!(server.is_open(&conn));
    drop(conn);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.counters().closed_by(CloseReason::Retired), 1);
    assert_eq!(server.seen.goodbyes.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retired_connection_that_needs_a_reset_is_closed_without_one() {
    let server = Server::default();
    let pool = server.pool(1);
    let mut conn = pool.get().await.unwrap();
    conn.dirty = true;
    Lease::retire(&conn);
    drop(conn);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(server.seen.resets.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_of_any_pool_can_be_retired() {
    let server = Server::default();
    let pool = cenote::any::DynPool::new(server.pool(1));
    let conn = pool.get().await.unwrap();
    cenote::any::DynLease::retire(&conn);
    drop(conn);
    assert_eq!(pool.get().await.unwrap().id, 1);
}

/// A goodbye of one step leaves its place at once, however the connection leaves: the default `close` is a drop.
#[tokio::test(start_paused = true)]
async fn a_goodbye_said_at_its_first_poll_frees_the_place_at_once() {
    let server = Server::default();
    let pool = server.pool(2);
    let fill = || async { join_all([pool.get(), pool.get()]).await };
    drop(fill().await);
    pool.evict();
    assert_eq!((server.open(), pool.status().size), (0, 0), "evicted");
    drop(fill().await);
    pool.retain(|_, _| false);
    assert_eq!((server.open(), pool.status().size), (0, 0), "not retained");
    drop(fill().await);
    pool.resize(1).unwrap();
    assert_eq!((server.open(), pool.status().size), (1, 1), "shrunk");
    let conn = pool.get().await.unwrap();
    Lease::retire(&conn);
    drop(conn);
    assert_eq!((server.open(), pool.status().size), (0, 0), "retired");
    assert_eq!(server.seen.goodbyes.load(SeqCst), 6);
}

#[tokio::test(start_paused = true)]
async fn a_dead_connection_is_not_added() {
    let server = Server::default();
    let pool = server.pool(1);
    let conn = server.conn();
    server.restart();
    let refused = pool.add(conn).unwrap_err();
    assert!(matches!(refused, AddError::Broken(_)), "{refused:?}");
    assert_eq!(pool.status().size, 0);
}

/// What every connection of the pool is made to be, an added one is, too.
#[tokio::test(start_paused = true)]
async fn an_added_connection_passes_the_after_connect_hook_first() {
    let server = Server::default();
    let hook = server.clone();
    let pool = server
        .builder()
        .after_connect(move |conn, _| {
            let prepare = hook.act(|plan| plan.reset);
            Box::pin(async move {
                conn.dirty = true;
                Ok(prepare.run().await?)
            })
        })
        .build()
        .unwrap();
    server.plan(|plan| plan.reset = Act::Slow);
    pool.add(server.conn()).ok().unwrap();
    assert_eq!((pool.status().idle, pool.status().upkeep), (0, 1));
    let conn = pool.get().await.unwrap();
    assert_eq!((conn.id, conn.dirty), (0, true));
    Lease::discard(conn);

    server.plan(|plan| plan.reset = Act::Fail);
    pool.add(server.conn()).ok().unwrap();
    pass(ms(1)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::Hook), 1);
    assert_eq!(pool.counters().connect_failed, 0);
}

/// It says nothing of whether new connections can be opened.
#[tokio::test(start_paused = true)]
async fn an_added_connection_that_dies_is_no_failed_connect() {
    let server = Server::default();
    let pool = server.pool(1);
    pool.add(server.conn()).ok().unwrap();
    server.restart();
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_eq!(pool.counters().connect_failed, 0);
}
