//! Replies find their requests.

use std::time::Duration;

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, Sent};
use tokio::time::sleep;

use crate::peer::pair;

/// Whatever order the replies come in.
#[tokio::test(start_paused = true)]
async fn a_reply_reaches_the_call_whose_tag_it_has() {
    let (client, mut peer) = pair(|settings| settings);
    let (one, other, ()) = tokio::join!(
        client.call(Bytes::from("one")),
        client.call(Bytes::from("other")),
        async {
            let first = peer.request().await;
            let second = peer.request().await;
            peer.reply(second.tag, second.message).await;
            peer.reply(first.tag, first.message).await;
        }
    );
    assert_eq!(
        (one.unwrap(), other.unwrap()),
        ("one".into(), "other".into())
    );
}

#[tokio::test(start_paused = true)]
async fn beyond_the_cap_calls_wait_in_the_order_they_came() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..5u8 {
        let call = client.call(Bytes::copy_from_slice(&[n])).into_owned();
        calls.spawn(call);
        tokio::task::yield_now().await;
    }
    assert_eq!((client.in_flight(), client.queued()), (1, 4));
    assert_eq!(client.load(), 5);
    for n in 0..5u8 {
        let request = peer.request().await;
        assert_eq!(request.message[..], [n]);
        peer.reply(request.tag, request.message).await;
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!((client.in_flight(), client.queued()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_timed_out_keeps_its_tag_until_its_reply_has_come() {
    let (client, mut peer) = pair(|settings| settings.call_timeout(Duration::from_secs(1)));
    let error = client.call(Bytes::from("slow")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::TimedOut {
                sent: Sent::Maybe,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!((client.in_flight(), client.abandoned()), (1, 1));
    let request = peer.request().await;
    peer.reply(request.tag, "late").await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!((client.in_flight(), client.abandoned()), (0, 0));
    tokio::spawn(peer.echo());
    assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
}

/// tokio-tower reads only while a call is pending.
#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_an_idle_connection_is_noticed_at_once() {
    let (client, peer) = pair(|settings| settings);
    drop(peer);
    assert!(matches!(client.closed().await, Disconnected::PeerClosed));
    assert!(!client.is_open());
}

#[tokio::test]
async fn a_thousand_callers_each_get_their_own_replies() {
    let (client, peer) = pair(|settings| settings.max_in_flight(64));
    tokio::spawn(peer.echo());
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..1_000u32 {
        let client = client.clone();
        callers.spawn(async move {
            for turn in 0..20u32 {
                let message = Bytes::from(format!("{caller}/{turn}"));
                assert_eq!(client.call(message.clone()).await.unwrap(), message);
            }
        });
    }
    while let Some(done) = callers.join_next().await {
        done.unwrap();
    }
    assert_eq!((client.in_flight(), client.queued()), (0, 0));
}
