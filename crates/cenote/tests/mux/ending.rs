//! How a connection is closed from this side: no new calls, the pending ones finish.

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, Sent};
use futures::{StreamExt, poll};
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::peer::{load, ms, pair, raw, rest, secs};

#[tokio::test(start_paused = true)]
async fn a_close_lets_pending_and_queued_calls_finish_and_takes_no_more() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut pending = client.call(Bytes::from("pending"));
    let mut queued = client.call(Bytes::from("queued"));
    assert!(poll!(&mut pending).is_pending() && poll!(&mut queued).is_pending());
    let closing = tokio::spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    rest().await;
    assert!(!client.is_open());
    let refused = client.call(Bytes::from("new")).await.unwrap_err();
    assert!(
        matches!(
            refused,
            CallError::Disconnected {
                cause: Disconnected::Closed,
                sent: Sent::No,
                ..
            }
        ),
        "{refused}"
    );
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(pending.await.unwrap(), "pending");
    assert!(poll!(&mut queued).is_pending());
    assert!(!closing.is_finished());
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(queued.await.unwrap(), "queued");
    closing.await.unwrap();
    assert!(matches!(client.closed().await, Disconnected::Closed));
    assert!(peer.0.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_close_with_nothing_pending_is_done_at_once() {
    let (client, mut far) = raw(|settings| settings);
    let began = Instant::now();
    client.close().await;
    assert!(began.elapsed() < ms(5));
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    // And again.
    client.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_close_gives_up_on_calls_after_its_time_out() {
    let (client, _peer) = pair(|settings| settings.max_in_flight(1).drain_timeout(secs(2)));
    let mut pending = client.call(Bytes::from("pending"));
    let mut queued = client.call(Bytes::from("queued"));
    assert!(poll!(&mut pending).is_pending() && poll!(&mut queued).is_pending());
    let began = Instant::now();
    client.close().await;
    assert!(began.elapsed() >= secs(2) && began.elapsed() < secs(3));
    let ends = [(pending.await, Sent::Maybe), (queued.await, Sent::No)];
    for (ended, expected) in ends {
        let error = ended.unwrap_err();
        assert!(
            matches!(
                error,
                CallError::Disconnected {
                    cause: Disconnected::Closed,
                    ..
                }
            ),
            "{error}"
        );
        assert_eq!(error.sent(), expected);
    }
    assert_eq!(load(&client), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_close_whose_future_is_dropped_goes_on() {
    let (client, peer) = pair(|settings| settings);
    let mut pending = client.call(Bytes::from("pending"));
    assert!(poll!(&mut pending).is_pending());
    assert!(poll!(Box::pin(client.close())).is_pending());
    tokio::spawn(peer.echo());
    assert_eq!(pending.await.unwrap(), "pending");
    assert!(matches!(client.closed().await, Disconnected::Closed));
}

/// Nothing wakes the driver but those who leave: no clock, no reply.
#[tokio::test(start_paused = true)]
async fn a_close_is_done_when_the_last_caller_leaves() {
    let began = Instant::now();
    for order in [[0, 1], [1, 0]] {
        let (client, mut peer) = pair(|settings| {
            let settings = settings.max_in_flight(1).max_abandoned(9);
            settings.call_timeout(None).drain_timeout(secs(1_000))
        });
        let mut calls = [0, 1].map(|_| Some(Box::pin(client.call(Bytes::from("leaves")))));
        for call in calls.iter_mut().flatten() {
            assert!(poll!(call).is_pending());
        }
        peer.request().await;
        assert!(poll!(Box::pin(client.close())).is_pending());
        for n in order {
            rest().await;
            calls[n] = None;
        }
        client.closed().await;
    }
    assert!(began.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_close_is_done_when_a_caller_leaves_the_turn_that_came() {
    let (client, mut peer) = pair(|settings| {
        let settings = settings.max_in_flight(1).call_timeout(None);
        settings.drain_timeout(secs(1_000))
    });
    let began = Instant::now();
    let mut first = client.call(Bytes::from("first"));
    let mut granted = client.call(Bytes::from("granted"));
    assert!(poll!(&mut first).is_pending() && poll!(&mut granted).is_pending());
    let request = peer.request().await;
    assert!(poll!(Box::pin(client.close())).is_pending());
    peer.reply(request.tag, request.message).await;
    assert_eq!(first.await.unwrap(), "first");
    rest().await;
    drop(granted);
    client.closed().await;
    assert!(began.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_connection() {
    let (client, mut peer) = pair(|settings| settings);
    let other = client.clone();
    drop(client);
    rest().await;
    assert!(other.is_open());
    drop(other);
    assert!(peer.0.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_owned_call_outlives_the_handles() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let pending = tokio::spawn(client.call(Bytes::from("pending")).into_owned());
    rest().await;
    let queued = client.call(Bytes::from("queued")).into_owned();
    let unpolled = client.call(Bytes::from("unpolled")).into_owned();
    drop(client);
    let queued = tokio::spawn(queued);
    rest().await;
    for _ in 0..2 {
        let request = peer.request().await;
        peer.reply(request.tag, request.message).await;
    }
    assert_eq!(pending.await.unwrap().unwrap(), "pending");
    assert_eq!(queued.await.unwrap().unwrap(), "queued");
    let call = tokio::spawn(unpolled);
    let request = peer.request().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(call.await.unwrap().unwrap(), "unpolled");
    assert!(peer.0.next().await.is_none());
}

/// r2d2 #100: descriptors of connections that are no more. The line is closed though a handle is kept.
#[tokio::test(start_paused = true)]
async fn both_halves_of_a_connection_that_ended_are_dropped() {
    let held = std::sync::Arc::new(());
    let (near, far) = tokio::io::duplex(64);
    let (read, write) = tokio::io::split(near);
    let read = tokio_util::io::InspectReader::new(read, {
        let held = held.clone();
        move |_| _ = &held
    });
    let write = tokio_util::io::InspectWriter::new(write, {
        let held = held.clone();
        move |_| _ = &held
    });
    let client = cenote::mux::MuxBuilder::new()
        .tagged::<Bytes, u32, _>(read, write, crate::peer::Codec)
        .unwrap();
    assert_eq!(std::sync::Arc::strong_count(&held), 3);
    drop(far);
    client.closed().await;
    rest().await;
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}
