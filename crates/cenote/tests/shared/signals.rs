//! What connections tell by themselves reaches those who wait at once, and not with the next get, return or look.

use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, OnceLock};

use cenote::Signals;
use cenote::report::CloseReason;
use futures::poll;
use tokio::time::Instant;

use crate::server::{Server, ms, pass, secs};

/// HTTP/2 SETTINGS, QUIC MAX_STREAMS: a caller waited for the pool's next look.
#[tokio::test(start_paused = true)]
async fn a_waiter_is_served_the_moment_its_connection_can_carry_more() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(1));
    let pool = server.shared().max_size(1).build().unwrap();
    let first = pool.get().await.unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    let began = Instant::now();
    first.capacity.store(2, SeqCst);
    first.signals.ask_again();
    let second = waiter.await.unwrap();
    assert_eq!((second.id, began.elapsed()), (first.id, ms(0)));
}

#[tokio::test(start_paused = true)]
async fn a_new_connection_that_becomes_ready_serves_those_who_wait_for_it() {
    let server = Server::default();
    server.plan(|plan| plan.capacity = Some(0));
    let opened = Arc::new(OnceLock::new());
    let seen = Arc::clone(&opened);
    let builder = server.shared().max_size(1).after_connect(move |conn, _| {
        let _ = seen.set((Arc::clone(&conn.capacity), conn.signals.clone()));
        Box::pin(async { Ok(()) })
    });
    let pool = builder.build().unwrap();
    let mut waiter = pin!(pool.get());
    assert!(poll!(&mut waiter).is_pending());
    pass(ms(1)).await;
    let (capacity, signals) = opened.get().unwrap();
    let began = Instant::now();
    capacity.store(4, SeqCst);
    signals.ask_again();
    assert!(waiter.await.is_ok());
    assert_eq!(began.elapsed(), ms(0));
}

/// A GOAWAY that arrives while nobody asks.
#[tokio::test(start_paused = true)]
async fn a_connection_in_use_that_closes_is_replaced_before_anybody_asks() {
    let server = Server::default();
    let pool = server.shared().max_size(2).build().unwrap();
    let lease = pool.get().await.unwrap();
    lease.alive.store(false, SeqCst);
    lease.signals.closed();
    pass(ms(1)).await;
    let sharing = pool.status().sharing.unwrap();
    assert_eq!((sharing.serving, sharing.draining), (1, 1));
    assert_eq!(server.connected(), 2);
    assert_eq!(pool.get().await.unwrap().id, 1);
    drop(lease);
    assert_eq!(pool.counters().closed_by(CloseReason::Broken), 1);
}

/// The signal counts, whatever `is_open` says.
#[tokio::test(start_paused = true)]
async fn a_connection_that_says_it_is_closed_gets_no_new_leases() {
    let server = Server::default();
    let pool = server.shared().max_size(2).build().unwrap();
    let lease = pool.get().await.unwrap();
    lease.signals.closed();
    pass(ms(1)).await;
    assert_eq!(pool.get().await.unwrap().id, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_that_closes_is_closed_at_once() {
    let server = Server::default();
    let pool = server.shared().max_size(1).build().unwrap();
    let signals = pool.get().await.unwrap().signals.clone();
    pass(secs(2)).await;
    assert_eq!(pool.status().sharing.unwrap().serving, 0, "it rests");
    signals.closed();
    pass(ms(1)).await;
    assert_eq!((server.open(), pool.status().size), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn signals_to_a_pool_that_is_gone_do_nothing() {
    let server = Server::default();
    let pool = server.shared().build().unwrap();
    let lease = pool.get().await.unwrap();
    let signals = lease.signals.clone();
    drop((lease, pool));
    pass(ms(1)).await;
    for signals in [signals, Signals::default()] {
        signals.ask_again();
        signals.closed();
    }
}
