//! Returning: what becomes of a connection after a lease.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;

use cenote::report::CloseReason;
use cenote::{Lease, OwnedLease, Verdict};
use futures::{FutureExt, poll};

use crate::server::{Act, Server, assert_quiet, ms, pass, secs};

/// deadpool #97, redis-py #2665: a half-used connection was handed to the next user.
#[tokio::test(start_paused = true)]
async fn a_dirty_connection_is_reset_before_anyone_gets_it() {
    let server = Server::default();
    server.plan(|plan| plan.reset = Act::Slow);
    let pool = server.pool(1);
    let mut conn = pool.get().await.unwrap();
    conn.dirty = true;
    drop(conn);
    assert_eq!(pool.status().upkeep, 1, "reset in the background");
    let conn = pool.get().await.unwrap();
    assert!(!conn.dirty);
    assert_eq!((conn.id, pool.counters().resets), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_reset_with_nothing_to_wait_for_is_over_when_the_lease_is_dropped() {
    let server = Server::default();
    let pool = server.pool(1);
    pool.get().await.unwrap().dirty = true;
    let conn = pool.try_get().unwrap();
    assert!(!conn.dirty);
    assert_eq!((conn.id, pool.counters().resets), (0, 1));
}

/// A session that is about to end needs no first state.
#[tokio::test(start_paused = true)]
async fn a_dirty_connection_without_a_future_is_closed_and_not_reset() {
    for reason in [CloseReason::Evicted, CloseReason::PoolClosed] {
        let server = Server::default();
        let pool = server.pool(1);
        let mut conn = pool.get().await.unwrap();
        conn.dirty = true;
        match reason {
            CloseReason::Evicted => pool.evict(),
            _ => drop(pool.close()),
        }
        drop(conn);
        assert_eq!(pool.counters().closed_by(reason), 1);
        assert_eq!(server.seen.resets.load(SeqCst), 0, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_that_does_not_end_well_closes_the_connection() {
    for act in [Act::Fail, Act::Never, Act::Panic] {
        let server = Server::default();
        server.plan(|plan| plan.reset = act);
        let pool = server
            .builder()
            .max_size(1)
            .reset_timeout(secs(1))
            .build()
            .unwrap();
        pool.get().await.unwrap().dirty = true;
        let conn = pool.get().await.unwrap();
        assert_eq!(conn.id, 1, "{act:?}: replaced");
        assert_eq!(
            pool.counters().closed_by(CloseReason::ResetFailed),
            1,
            "{act:?}"
        );
        drop(conn);
        assert_quiet(&pool);
    }
}

#[tokio::test(start_paused = true)]
async fn a_verdict_of_close_or_a_panic_in_it_closes_the_connection() {
    for panics in [false, true] {
        let server = Server::default();
        let pool = server.pool(1);
        let conn = pool.get().await.unwrap();
        server.plan(|plan| (plan.verdict, plan.verdict_panics) = (Some(Verdict::Close), panics));
        drop(conn);
        server.plan(|plan| (plan.verdict, plan.verdict_panics) = (None, false));
        assert_eq!(pool.counters().closed_by(CloseReason::Verdict), 1);
        assert_eq!(pool.get().await.unwrap().id, 1);
        assert_quiet(&pool);
    }
}

/// bb8 now_invalid: a connection that died in a user's hands is seen at return.
#[tokio::test(start_paused = true)]
async fn a_connection_that_died_is_closed_when_it_comes_back() {
    let server = Server::default();
    let pool = server.pool(1);
    pool.get().await.unwrap().alive.store(false, SeqCst);
    assert_eq!(
        (
            pool.counters().closed_by(CloseReason::Broken),
            server.open()
        ),
        (1, 0)
    );
}

/// bb8 #122: a connection that ends wakes who should act next.
#[tokio::test(start_paused = true)]
async fn a_connection_that_died_is_replaced_for_the_waiter() {
    let server = Server::default();
    let pool = server.pool(1);
    let held = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    held.alive.store(false, SeqCst);
    drop(held);
    assert_eq!(waiter.await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn a_discarded_connection_is_closed_and_its_place_is_free() {
    let server = Server::default();
    let pool = server.pool(1);
    Lease::discard(pool.get().await.unwrap());
    OwnedLease::discard(pool.get_owned().await.unwrap());
    assert_eq!(
        (
            pool.counters().closed_by(CloseReason::Discarded),
            server.open()
        ),
        (2, 0)
    );
    drop(pool.get().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_detached_connection_is_the_user_s_and_its_place_is_free() {
    let server = Server::default();
    let pool = server.pool(1);
    let mine = Lease::detach(pool.get().await.unwrap());
    let other = pool.get().await.unwrap();
    assert_eq!((mine.id, other.id, server.open()), (0, 1, 2));
    drop(other);
    pool.close().await;
    assert!(mine.alive.load(SeqCst));
    assert_eq!(server.open(), 1);
}

/// bb8 #211, r2d2 #31, mysql_async #171.
#[tokio::test(start_paused = true)]
async fn a_panic_in_the_holder_closes_the_connection_and_frees_its_place() {
    let server = Server::default();
    let pool = server.pool(1);
    let user = async {
        let _conn = pool.get().await.unwrap();
        panic!("told to");
    };
    assert!(AssertUnwindSafe(user).catch_unwind().await.is_err());
    assert_eq!(pool.counters().closed_by(CloseReason::Panicked), 1);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_quiet(&pool);
}

/// sqlx #4349: an unbounded goodbye held the place for ever.
#[tokio::test(start_paused = true)]
async fn a_goodbye_that_hangs_or_panics_frees_its_place_after_the_close_timeout() {
    for act in [Act::Never, Act::Panic] {
        let server = Server::default();
        server.plan(|plan| plan.close = act);
        let pool = server
            .builder()
            .max_size(1)
            .close_timeout(secs(1))
            .build()
            .unwrap();
        drop(pool.get().await.unwrap());
        pool.evict();
        let saying_goodbye = usize::from(act == Act::Never);
        assert_eq!(pool.status().size, saying_goodbye, "{act:?}");
        assert_eq!(pool.get().await.unwrap().id, 1, "{act:?}");
        assert_quiet(&pool);
    }
}

/// Broken connections are not said goodbye to.
#[tokio::test(start_paused = true)]
async fn only_good_connections_are_said_goodbye_to() {
    let server = Server::default();
    let pool = server.pool(1);
    Lease::discard(pool.get().await.unwrap());
    pass(ms(1)).await;
    assert_eq!(server.seen.goodbyes.load(SeqCst), 0);
    drop(pool.get().await.unwrap());
    pool.evict();
    pass(ms(1)).await;
    assert_eq!(server.seen.goodbyes.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_is_open_closes_the_connection() {
    let server = Server::default();
    let pool = server.pool(1);
    drop(pool.get().await.unwrap());
    server.plan(|plan| plan.is_open_panics = true);
    assert!(pool.try_get().is_err());
    pass(ms(1)).await;
    server.plan(|plan| plan.is_open_panics = false);
    assert_eq!(pool.get().await.unwrap().id, 1);
    assert_quiet(&pool);
}
