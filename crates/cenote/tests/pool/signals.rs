//! A connection that says it is closed is dealt with at once, and not with the next get or look.

use std::sync::atomic::Ordering::SeqCst;

use cenote::Dial;
use cenote::report::CloseReason;

use crate::server::{Server, assert_quiet, ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_closes_leaves_at_once() {
    let server = Server::default();
    let pool = server.pool(2);
    let signals = pool.get().await.unwrap().signals.clone();
    // The pool rests by then.
    pass(secs(5)).await;
    signals.closed();
    signals.closed();
    pass(ms(1)).await;
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 1);
    assert_eq!((pool.status().size, server.open()), (0, 0));
}

/// Such a pool has no task that could look.
#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_closes_leaves_a_pool_with_nothing_due_at_once() {
    let server = Server::default();
    let pool = server
        .builder()
        .idle_timeout(None)
        .max_lifetime(None)
        .keepalive(None)
        .build()
        .unwrap();
    let signals = pool.get().await.unwrap().signals.clone();
    pass(secs(5)).await;
    signals.closed();
    pass(ms(1)).await;
    assert_eq!((pool.status().size, server.open()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_that_closes_is_replaced_at_once_if_min_idle_asks_for_it() {
    let server = Server::default();
    let pool = server.builder().min_idle(1).build().unwrap();
    pass(secs(5)).await;
    let signals = pool.get().await.unwrap().signals.clone();
    pass(secs(5)).await;
    let dials = server.dials();
    signals.closed();
    pass(ms(1)).await;
    assert_eq!((pool.status().idle, server.dials()), (1, dials + 1));
}

#[tokio::test(start_paused = true)]
async fn a_leased_connection_that_closes_is_closed_when_it_comes_back() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get().await.unwrap();
    lease.signals.closed();
    pass(secs(1)).await;
    assert_eq!(pool.status().leased, 1);
    lease.alive.store(false, SeqCst);
    drop(lease);
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 1);
    assert_quiet(&pool);
}

/// Its last words may come before the pool has it.
#[tokio::test(start_paused = true)]
async fn a_connection_that_closes_while_the_hook_has_it_is_closed_once_it_is_idle() {
    let server = Server::default();
    let pool = server
        .builder()
        .min_idle(1)
        .after_connect(|conn, _| {
            conn.signals.closed();
            Box::pin(async { Ok(()) })
        })
        .build()
        .unwrap();
    pass(secs(3)).await;
    assert!(pool.counters().closed_by(CloseReason::Broken) > 0);
}

/// A server that accepts and closes is dialled at the pace of the back-off, signals or not.
#[tokio::test(start_paused = true)]
async fn connections_that_close_as_soon_as_they_idle_are_not_dialled_without_end() {
    let server = Server::default();
    let pool = server
        .builder()
        .min_idle(1)
        .after_connect(|conn, _| {
            let signals = conn.signals.clone();
            tokio::spawn(async move {
                pass(ms(1)).await;
                signals.closed();
            });
            Box::pin(async { Ok(()) })
        })
        .build()
        .unwrap();
    pass(secs(10)).await;
    assert!((2..=20).contains(&server.dials()), "{}", server.dials());
    drop(pool);
}

/// A signal of a connection that has gone says nothing of the next in its slot.
#[tokio::test(start_paused = true)]
async fn a_signal_that_comes_late_touches_no_other_connection() {
    let server = Server::default();
    let pool = server.pool(1);
    let conn = pool.get().await.unwrap();
    let signals = conn.signals.clone();
    cenote::Lease::discard(conn);
    drop(pool.get().await.unwrap());
    signals.closed();
    pass(ms(1)).await;
    assert_eq!((pool.status().idle, pool.get().await.unwrap().id), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn signals_from_another_thread_and_after_the_pool_is_gone_do_no_harm() {
    let server = Server::default();
    let pool = server.pool(1);
    let lease = pool.get().await.unwrap();
    let signals = lease.signals.clone();
    let clone = signals.clone();
    let other = std::thread::spawn(move || {
        clone.closed();
        clone.ask_again();
    });
    other.join().unwrap();
    drop(lease);
    drop(pool.close());
    drop(pool);
    pass(ms(1)).await;
    signals.closed();
    Dial::new().signals().closed();
}
