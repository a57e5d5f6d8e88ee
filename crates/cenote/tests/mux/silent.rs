//! A peer that has vanished, and the pings that tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, MuxBuilder, Sent};
use futures::{SinkExt, StreamExt, poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep};

use crate::peer::{BUFFER, load, ms, orderly, pair, raw, rest, secs};

/// After a second of silence, and half a second for the reply.
fn pinging(settings: MuxBuilder<Bytes>) -> MuxBuilder<Bytes> {
    let settings = settings.call_timeout(None).ping_timeout(ms(500));
    settings.ping(secs(1), || Bytes::from("ping"))
}

/// s2 #710, reqwest #1323, hyper-util #319: a connection whose peer vanished stays in use.
#[tokio::test(start_paused = true)]
async fn a_peer_that_vanished_is_found_while_idle() {
    let (client, _peer) = pair(pinging);
    let began = Instant::now();
    let lost = client.closed().await;
    assert!(
        matches!(lost, Disconnected::Silent { limit , .. } if limit == ms(500)),
        "{lost}"
    );
    assert!(
        began.elapsed() >= ms(1300) && began.elapsed() <= ms(1700),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanished_is_found_while_calls_wait() {
    let (client, mut peer) = pair(pinging);
    let mut call = client.call(Bytes::from("lost"));
    let mut queue = client.call(Bytes::from("lost too"));
    assert!(poll!(&mut call).is_pending() && poll!(&mut queue).is_pending());
    let began = Instant::now();
    let error = call.await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Silent { .. },
                sent: Sent::Maybe,
                ..
            }
        ),
        "{error}"
    );
    assert!(queue.await.is_err());
    assert!(began.elapsed() <= ms(1700), "{:?}", began.elapsed());
    let sent = [
        peer.request().await,
        peer.request().await,
        peer.request().await,
    ];
    assert_eq!(sent[2].message, "ping");
}

/// No tag is left for calls: the ping has one of its own, and a slow peer is no dead one.
#[tokio::test(start_paused = true)]
async fn a_ping_goes_out_though_all_tags_are_taken() {
    let (client, mut peer) = pair(|settings| pinging(settings).max_in_flight(2).max_abandoned(1));
    let mut calls: Vec<_> = (0..3).map(|_| client.call(Bytes::from("slow"))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    let slow = [peer.request().await, peer.request().await];
    for _ in 0..10 {
        let ping = peer.request().await;
        assert_eq!(ping.message, "ping");
        assert_eq!(load(&client), (2, 0, 1));
        peer.reply(ping.tag, "pong").await;
    }
    for request in slow {
        peer.reply(request.tag, request.message).await;
    }
    tokio::spawn(peer.echo());
    for call in calls {
        assert_eq!(call.await.unwrap(), "slow");
    }
}

/// pulsar-rs #408: a pong that got lost behind a full channel.
#[tokio::test(start_paused = true)]
async fn replies_to_pings_reach_nobody_and_free_their_tag() {
    let (client, mut peer) = pair(pinging);
    for _ in 0..20 {
        let ping = peer.request().await;
        peer.reply(ping.tag, ping.message).await;
    }
    assert_eq!(load(&client), (0, 0, 0));
    assert!(client.is_open());
    tokio::spawn(peer.echo());
    assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
}

#[tokio::test(start_paused = true)]
async fn in_order_a_ping_takes_its_place_among_the_requests() {
    let (client, mut peer) = orderly(pinging);
    let mut call = client.call(Bytes::from("slow"));
    assert!(poll!(&mut call).is_pending());
    let slow = peer.next().await.unwrap().unwrap();
    let ping = peer.next().await.unwrap().unwrap();
    let mut next = client.call(Bytes::from("next"));
    assert!(poll!(&mut next).is_pending());
    for request in [slow, ping] {
        peer.send(request.freeze()).await.unwrap();
    }
    let request = peer.next().await.unwrap().unwrap();
    peer.send(request.freeze()).await.unwrap();
    assert_eq!(call.await.unwrap()[..], *b"slow");
    assert_eq!(next.await.unwrap()[..], *b"next");
    rest().await;
    assert_eq!(load(&client), (0, 0, 0));
}

/// Of the peer's bytes any will do, so that a long reply on a slow line is no silence.
#[tokio::test(start_paused = true)]
async fn a_reply_that_comes_byte_by_byte_is_a_sign_of_life() {
    let (client, mut peer) = pair(pinging);
    let mut call = client.call(Bytes::from("long"));
    assert!(poll!(&mut call).is_pending());
    let tag = peer.request().await.tag.unwrap().to_be_bytes();
    let line = peer.0.get_mut();
    let frame = [&[0, 0, 0, 20], &tag[..], &[b'x'; 20]].concat();
    for byte in frame {
        sleep(ms(900)).await;
        tokio::io::AsyncWriteExt::write_all(line, &[byte])
            .await
            .unwrap();
    }
    assert_eq!(call.await.unwrap()[..], [b'x'; 20]);
}

#[tokio::test(start_paused = true)]
async fn while_the_peer_sends_no_ping_is_sent() {
    let pings = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&pings);
    let (client, peer) = pair(|settings| {
        settings.ping(secs(1), move || {
            sent.fetch_add(1, SeqCst);
            Bytes::from("ping")
        })
    });
    tokio::spawn(peer.echo());
    for _ in 0..20 {
        sleep(ms(700)).await;
        client.call(Bytes::from("work")).await.unwrap();
    }
    assert_eq!(pings.load(SeqCst), 0);
    sleep(secs(5)).await;
    assert!((4..=6).contains(&pings.load(SeqCst)), "{pings:?}");
}

/// A peer that takes nothing may be gone as well as one that says nothing.
#[tokio::test(start_paused = true)]
async fn a_vanished_peer_is_found_while_writing_is_blocked() {
    let (client, _peer) = pair(pinging);
    let mut big = client.call(Bytes::from(vec![0; 4 * BUFFER]));
    assert!(poll!(&mut big).is_pending());
    let error = big.await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Silent { .. },
                ..
            }
        ),
        "{error}"
    );
}

/// Pings in a drain: a call that never ends is ended by silence, long before the drain's time-out.
#[tokio::test(start_paused = true)]
async fn a_peer_that_vanishes_during_a_drain_is_found() {
    let (client, _peer) = pair(|settings| pinging(settings).drain_timeout(secs(1_000)));
    let mut call = client.call(Bytes::from("lost"));
    assert!(poll!(&mut call).is_pending());
    let began = Instant::now();
    client.close().await;
    assert!(began.elapsed() < secs(3));
    assert!(matches!(
        call.await,
        Err(CallError::Disconnected {
            cause: Disconnected::Silent { .. },
            ..
        })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_cannot_be_encoded_ends_the_connection_by_name() {
    let (client, _peer) = pair(|settings| settings.ping(secs(1), || Bytes::from("unspeakable")));
    let lost = client.closed().await;
    assert!(matches!(lost, Disconnected::Ping(_)), "{lost}");
    assert!(lost.to_string().contains("unspeakable"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_panics_ends_the_connection_and_every_call() {
    let (client, _peer) = pair(|settings| settings.ping(secs(1), || panic!("the ping")));
    let error = client.call(Bytes::from("waits")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Panicked,
                ..
            }
        ),
        "{error}"
    );
}

/// Takes a large request in by small steps, for 20 s, then answers it.
async fn slow_reader(mut peer: DuplexStream) {
    let mut piece = vec![0; BUFFER];
    let mut tag = None;
    let mut left = 8 + LARGE;
    while left > 0 {
        sleep(ms(100)).await;
        let most = left.min(BUFFER);
        let read = peer.read(&mut piece[..most]).await.unwrap();
        tag = tag.or_else(|| Some(u32::from_be_bytes(*piece[4..].first_chunk().unwrap())));
        left -= read;
    }
    peer.write_u32(4).await.unwrap();
    peer.write_u32(tag.unwrap()).await.unwrap();
    peer.write_all(b"done").await.unwrap();
    let _ = peer.read_to_end(&mut piece).await;
}

const LARGE: usize = 200 * BUFFER;

/// A large value over a slow line: a peer that takes it in says nothing before it has all of it, nor can a ping behind
/// it arrive.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_large_request_in_slowly_is_not_silent() {
    let (client, peer) = raw(pinging);
    tokio::spawn(slow_reader(peer));
    let reply = client.call(Bytes::from(vec![0; LARGE])).await;
    assert_eq!(reply.unwrap(), "done");
}

/// One that vanished in the middle of it takes what the line has room for, and then no more.
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_in_no_more_of_a_large_request_is_silent() {
    let (client, _peer) = raw(pinging);
    let mut large = client.call(Bytes::from(vec![0; LARGE]));
    assert!(poll!(&mut large).is_pending());
    let lost = client.closed().await;
    assert!(matches!(lost, Disconnected::Silent { .. }), "{lost}");
    assert!(large.await.is_err());
}

/// Without pings, those who give up behind a large request say nothing of the peer.
#[tokio::test(start_paused = true)]
async fn callers_that_give_up_behind_a_large_request_end_nothing() {
    let (client, peer) = raw(|settings| settings);
    tokio::spawn(slow_reader(peer));
    let mut large = client.call(Bytes::from(vec![0; LARGE]));
    assert!(poll!(&mut large).is_pending());
    for _ in 0..10 {
        let call = client.call(Bytes::from("small")).timeout(secs(1));
        assert!(matches!(call.await, Err(CallError::TimedOut { .. })));
    }
    assert!(client.is_open());
    assert_eq!(large.await.unwrap(), "done");
}
