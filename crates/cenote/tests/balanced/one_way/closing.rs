use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use cenote::OneWayPool;
use cenote::one_way::SendError;
use cenote::report::EventKind;
use futures::poll;
use tokio::time::timeout;

use super::lines::{BUFFER, Lines};
use super::{counts, nowhere, send};
use crate::service::{ms, pass, secs};

#[tokio::test(start_paused = true)]
async fn a_close_forwards_what_is_queued_first() {
    let lines = Lines::default();
    lines.set_connect_time("only", secs(1));
    let (_sender, pool) = lines.pool(&["only"]);
    for message in 0..50 {
        pool.send(message).await.unwrap();
    }
    assert!(pool.close().await.is_empty());
    assert_eq!(lines.heard("only"), Vec::from_iter(0..50));
    assert_eq!(lines.open("only"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_back_what_cannot_be_forwarded_in_order() {
    let lines = Lines::default();
    let (_sender, connections) = lines.connections(&["only"]);
    let pool = OneWayPool::new(connections.max_per_endpoint(1).build().unwrap());
    lines.stop_reading("only");
    send(&pool, 0..20).await;
    let unsent = pool.close().await;
    assert_eq!(unsent, Vec::from_iter(BUFFER as u32..20));
    let returned = unsent.len() as u64;
    assert_eq!(counts(&pool), [20, BUFFER as u64, 0, returned, 0]);
}

/// tk_pool gives senders their item back when it closes.
#[tokio::test(start_paused = true)]
async fn senders_that_wait_have_their_messages_back_at_once() {
    let lines = Lines::default();
    let pool = nowhere(&lines);
    for message in 0..100 {
        pool.send(message).await.unwrap();
    }
    let mut waits = pool.send(100);
    assert!(poll!(&mut waits).is_pending());
    let mut close = Box::pin(pool.close());
    assert!(poll!(&mut close).is_pending());
    let error = waits.await.unwrap_err();
    assert_eq!(error, SendError::Closed(100));
    assert_eq!(error.into_message(), 100);
    assert_eq!(pool.send(101).await, Err(SendError::Closed(101)));
    assert_eq!(pool.try_send(102), Err(SendError::Closed(102)));
    assert_eq!(close.await, Vec::from_iter(0..100));
}

#[tokio::test(start_paused = true)]
async fn where_the_connections_are_closed_senders_have_their_messages_back() {
    let lines = Lines::default();
    let pool = nowhere(&lines);
    for message in 0..100 {
        pool.send(message).await.unwrap();
    }
    let mut waits = pool.send(100);
    assert!(poll!(&mut waits).is_pending());
    pool.pool().close().await;
    assert_eq!(waits.await, Err(SendError::Closed(100)));
    assert_eq!(pool.close().await, Vec::from_iter(0..100));
}

#[tokio::test(start_paused = true)]
async fn of_several_closes_one_has_the_messages() {
    let lines = Lines::default();
    let pool = nowhere(&lines);
    send(&pool, 0..10).await;
    let (one, other) = tokio::join!(pool.close(), pool.close());
    assert_eq!([one, other].concat(), Vec::from_iter(0..10));
    assert!(pool.close().await.is_empty());
}

/// While the connections say goodbye what was not forwarded is not yet its caller's.
#[tokio::test(start_paused = true)]
async fn a_close_that_is_dropped_as_connections_close_has_taken_nothing() {
    let lines = Lines::default();
    lines.set_goodbye_time("only", secs(3));
    let (_sender, connections) = lines.connections(&["only"]);
    let pool = OneWayPool::new(connections.max_per_endpoint(1).build().unwrap());
    lines.stop_reading("only");
    send(&pool, 0..20).await;
    let queued = 20 - BUFFER as u64;
    assert!(timeout(secs(6), pool.close()).await.is_err());
    assert!(pool.pool().is_closed(), "all that is left are the goodbyes");
    assert_eq!(counts(&pool), [20, BUFFER as u64, 0, 0, queued]);
    assert_eq!(pool.close().await, Vec::from_iter(BUFFER as u32..20));
    assert_eq!(counts(&pool), [20, BUFFER as u64, 0, queued, 0]);
}

#[tokio::test(start_paused = true)]
async fn after_the_last_handle_is_dropped_what_is_queued_is_forwarded() {
    let lines = Lines::default();
    lines.set_connect_time("only", secs(1));
    let (_sender, pool) = lines.pool(&["only"]);
    for message in 0..50 {
        pool.send(message).await.unwrap();
    }
    drop(pool);
    pass(secs(2)).await;
    assert_eq!(lines.heard("only"), Vec::from_iter(0..50));
    assert_eq!(lines.open("only"), 0, "and then the pool is closed");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_and_no_connection_takes_is_told_as_lost() {
    let lines = Lines::default();
    lines.set_down("only", true);
    let (_sender, connections) = lines.connections(&["only"]);
    let lost = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&lost);
    let connections = connections.on_event(move |event| {
        if let EventKind::MessagesLost { messages, .. } = event.kind {
            told.fetch_add(messages, Relaxed);
        }
    });
    let pool = OneWayPool::new(connections.build().unwrap());
    for message in 0..50 {
        pool.send(message).await.unwrap();
    }
    drop(pool);
    pass(ms(100)).await;
    assert_eq!(lost.load(Relaxed), 0, "they have `acquire_timeout` yet");
    pass(secs(10)).await;
    assert_eq!(lost.load(Relaxed), 50);
    let dialled = lines.dialled("only");
    pass(secs(60)).await;
    assert_eq!(lines.dialled("only"), dialled, "nothing goes on");
}
