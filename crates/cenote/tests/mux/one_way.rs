//! Messages that have no reply.

use bytes::Bytes;
use cenote::mux::{self, CallError, Disconnected, Sent};
use futures::{FutureExt, StreamExt, poll};
use tokio::task::JoinSet;

use crate::peer::{BUFFER, load, pair, rest};

fn message(n: u8) -> Bytes {
    Bytes::from(vec![n; 1000])
}

#[tokio::test(start_paused = true)]
async fn messages_arrive_in_order_and_take_no_tag() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1).max_queued(0));
    let mut call = client.call(Bytes::from("asks"));
    assert!(poll!(&mut call).is_pending());
    for n in 0..20 {
        client.send(message(n)).await.unwrap();
    }
    assert_eq!(load(&client), (1, 0, 0));
    let request = peer.request().await;
    for n in 0..20 {
        let frame = peer.request().await;
        assert_eq!((frame.tag, frame.message), (None, message(n)));
    }
    peer.reply(request.tag, request.message).await;
    assert_eq!(call.await.unwrap(), "asks");
}

#[tokio::test(start_paused = true)]
async fn a_sender_waits_while_too_much_is_to_be_written() {
    let (client, mut peer) = pair(|settings| settings.max_buffered(4_000));
    let mut sent = 0u8;
    while client.send(message(sent)).now_or_never().is_some() {
        sent += 1;
        rest().await;
    }
    // The line's, what is on its way into it, and what may wait.
    let held = usize::from(sent) * 1008;
    assert!((BUFFER..=BUFFER + 2 * 5_040).contains(&held), "{held}");
    let mut waits = Box::pin(client.send(message(sent)));
    assert!(poll!(&mut waits).is_pending());
    rest().await;
    assert!(poll!(&mut waits).is_pending());
    for n in 0..sent {
        assert_eq!(peer.request().await.message, message(n));
    }
    waits.await.unwrap();
    assert_eq!(peer.request().await.message, message(sent));
}

/// What a service or a sink of one's own keeps while it is polled.
struct Kept {
    sends: Vec<mux::Send<'static, Bytes, Bytes>>,
    close: Option<mux::Close<'static, Bytes, Bytes>>,
    closed: Option<mux::Closed<'static, Bytes, Bytes>>,
}

#[tokio::test(start_paused = true)]
async fn sends_and_a_close_are_kept_without_a_tie_to_their_handle() {
    let (client, mut peer) = pair(|settings| settings.max_buffered(1));
    let mut kept = Kept {
        sends: (0..3)
            .map(|n| client.send(message(n)).into_owned())
            .collect(),
        close: Some(client.close().into_owned()),
        closed: Some(client.closed().into_owned()),
    };
    drop(client);
    for (n, sent) in (0..).zip(kept.sends) {
        sent.await.unwrap();
        assert_eq!(peer.request().await.message, message(n));
    }
    let closed = kept.closed.take().unwrap();
    kept.close.take().unwrap().await;
    assert!(matches!(closed.await, Disconnected::Closed));
    assert!(peer.0.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_sender_stops_waiting_is_not_sent() {
    let (client, mut peer) = pair(|settings| settings.max_buffered(1));
    let mut sent = 0u8;
    while client.send(message(sent)).now_or_never().is_some() {
        sent += 1;
        rest().await;
    }
    let mut waits = Box::pin(client.send(message(250)));
    assert!(poll!(&mut waits).is_pending());
    drop(waits);
    for n in 0..sent {
        assert_eq!(peer.request().await.message, message(n));
    }
    rest().await;
    client.send(message(251)).await.unwrap();
    assert_eq!(peer.request().await.message, message(251));
}

#[tokio::test]
async fn many_senders_all_get_through_a_small_buffer() {
    let (client, mut peer) = pair(|settings| settings.max_buffered(1));
    let mut senders = JoinSet::new();
    for sender in 0..50u8 {
        let client = client.clone();
        senders.spawn(async move {
            for n in 0..100u8 {
                client
                    .send(Bytes::copy_from_slice(&[sender, n]))
                    .await
                    .unwrap();
            }
        });
    }
    drop(client);
    let mut next = [0u8; 50];
    while let Some(frame) = peer.0.next().await {
        let message = frame.unwrap().message;
        let sender = usize::from(message[0]);
        assert_eq!(message[1], next[sender]);
        next[sender] += 1;
    }
    assert_eq!(next, [100; 50]);
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_written_before_the_connection_is_closed() {
    for size in [1, BUFFER, 5 * BUFFER] {
        let (client, mut peer) = pair(|settings| settings);
        client.send(Bytes::from(vec![1; size])).await.unwrap();
        client.send(Bytes::from("last")).await.unwrap();
        drop(client);
        rest().await;
        assert_eq!(peer.request().await.message.len(), size);
        assert_eq!(peer.request().await.message, "last");
        assert!(peer.0.next().await.is_none());
    }
}

/// A sender writes its own message while, on the other thread, the connection is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_written_though_a_close_comes_in_between() {
    for round in 0..300 {
        let (client, mut peer) = pair(|settings| settings);
        let closes = client.clone();
        let closing = tokio::spawn(async move { closes.close().await });
        let size = if round % 2 == 0 { 10 } else { 2 * BUFFER };
        let sent = client.send(Bytes::from(vec![1; size])).await;
        let received = peer.0.next().await;
        match sent {
            Ok(()) => assert_eq!(received.unwrap().unwrap().message.len(), size),
            Err(error) => assert_eq!(error.sent(), Sent::No),
        }
        closing.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_learns_that_the_connection_ended() {
    let (client, peer) = pair(|settings| settings.max_buffered(1));
    while client.send(message(0)).now_or_never().is_some() {
        rest().await;
    }
    let waits = client.send(message(1));
    let (ended, ()) = tokio::join!(waits, async {
        rest().await;
        drop(peer);
    });
    let error = ended.unwrap_err();
    assert!(
        matches!(error, CallError::Disconnected { sent: Sent::No, .. }),
        "{error}"
    );
    assert!(client.send(message(2)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_sender_that_waits_learns_that_the_connection_is_being_closed() {
    let (client, _peer) = pair(|settings| settings.max_buffered(1));
    while client.send(message(0)).now_or_never().is_some() {
        rest().await;
    }
    let mut waits = Box::pin(client.send(message(1)));
    assert!(poll!(&mut waits).is_pending());
    assert!(poll!(Box::pin(client.close())).is_pending());
    let error = waits.await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Closed,
                sent: Sent::No,
                ..
            }
        ),
        "{error}"
    );
}
