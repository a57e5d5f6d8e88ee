//! What a peer must not do, and codecs that fail: every caller learns why, and the connection is closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cenote::mux::{Call, CallError, Disconnected, MuxBuilder, Sent};
use futures::{SinkExt, StreamExt, poll};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split};

use crate::peer::{BUFFER, Client, Codec, MALFORMED, PANICS, load, orderly, pair, raw, rest};

type Pending<'a> = Vec<Call<'a, Bytes, Bytes>>;

/// Two calls that are pending and one that waits for its turn.
async fn busy(client: &Client) -> Pending<'_> {
    let mut calls: Vec<_> = (0..3).map(|_| client.call(Bytes::from("asks"))).collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }
    calls
}

fn two(settings: MuxBuilder<Bytes>) -> MuxBuilder<Bytes> {
    settings.max_in_flight(2)
}

/// All calls end for this reason, those that were not sent say so, and no more are taken.
async fn ends_all(
    client: &Client,
    calls: Pending<'_>,
    is_why: impl Fn(&Disconnected) -> bool,
) -> Disconnected {
    let unsent = calls.len() - 1;
    for (n, call) in calls.into_iter().enumerate() {
        let error = call.await.unwrap_err();
        let CallError::Disconnected { cause, sent, .. } = &error else {
            panic!("{error}");
        };
        assert!(is_why(cause), "{error}");
        assert_eq!(*sent == Sent::No, n == unsent, "{n}: {error}");
        assert!(error.to_string().contains(&cause.to_string()), "{error}");
    }
    assert!(!client.is_open());
    assert_eq!(load(client), (0, 0, 0));
    assert!(client.call(Bytes::from("more")).await.is_err());
    let lost = client.closed().await;
    assert!(is_why(&lost), "{lost}");
    lost
}

async fn is_closed(mut far: DuplexStream) {
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.unwrap();
}

/// A client with calls, to whom the peer says this.
async fn hears(bytes: &[u8], is_why: impl Fn(&Disconnected) -> bool) {
    let (client, mut far) = raw(two);
    let calls = busy(&client).await;
    far.write_all(bytes).await.unwrap();
    ends_all(&client, calls, is_why).await;
    is_closed(far).await;
}

fn head(length: usize, tag: u32) -> [u8; 8] {
    let mut head = [0; 8];
    head[..4].copy_from_slice(&u32::try_from(length).unwrap().to_be_bytes());
    head[4..].copy_from_slice(&tag.to_be_bytes());
    head
}

#[tokio::test(start_paused = true)]
async fn a_malformed_frame_ends_every_call() {
    hears(&head(MALFORMED, 0), |why| {
        matches!(why, Disconnected::Malformed(_))
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_decoder_that_panics_ends_every_call() {
    hears(&head(PANICS, 0), |why| {
        matches!(why, Disconnected::Panicked)
    })
    .await;
}

/// Noria panics at a tag it does not know.
#[tokio::test(start_paused = true)]
async fn an_unknown_tag_ends_every_call() {
    hears(&head(0, 77), |why| {
        matches!(why, Disconnected::UnknownTag { tag: 77, .. })
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_answers_nothing_ends_every_call() {
    hears(&head(0, u32::MAX), |why| {
        matches!(why, Disconnected::NoRequest)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_over_long_frame_ends_every_call() {
    let (client, mut far) = raw(|settings| two(settings).max_frame(1000));
    let calls = busy(&client).await;
    far.write_all(&head(1_000_000, 0)).await.unwrap();
    far.write_all(&[0; 993]).await.unwrap();
    let lost = ends_all(&client, calls, |why| {
        matches!(why, Disconnected::FrameTooLong { limit: 1000, .. })
    })
    .await;
    assert!(lost.to_string().contains("max_frame"), "{lost}");
    is_closed(far).await;
}

#[tokio::test(start_paused = true)]
async fn a_frame_as_long_as_it_may_be_is_none_too_long() {
    let (client, mut peer) = pair(|settings| settings.max_frame(1000));
    let mut call = client.call(Bytes::from("long"));
    assert!(poll!(&mut call).is_pending());
    let request = peer.request().await;
    let line = peer.0.get_mut();
    line.write_all(&head(993, request.tag.unwrap()))
        .await
        .unwrap();
    line.write_all(&[0; 992]).await.unwrap();
    rest().await;
    line.write_all(&[0]).await.unwrap();
    assert_eq!(call.await.unwrap().len(), 993);
}

#[tokio::test(start_paused = true)]
async fn an_end_in_the_middle_of_a_frame_ends_every_call() {
    for cut in 1..12 {
        let (client, mut far) = raw(two);
        let calls = busy(&client).await;
        let frame = [&head(4, 0)[..], b"four"].concat();
        far.write_all(&frame[..cut]).await.unwrap();
        drop(far);
        ends_all(&client, calls, |why| matches!(why, Disconnected::CutShort)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_between_frames_ends_every_call() {
    let (client, far) = raw(two);
    let calls = busy(&client).await;
    drop(far);
    ends_all(&client, calls, |why| {
        matches!(why, Disconnected::PeerClosed)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_second_reply_to_one_request_is_told_from_a_reply_to_another() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(1));
    let mut call = client.call(Bytes::from("first"));
    assert!(poll!(&mut call).is_pending());
    let first = peer.request().await;
    peer.reply(first.tag, "first").await;
    assert_eq!(call.await.unwrap(), "first");
    // The next one has the same cell.
    let mut next = client.call(Bytes::from("next"));
    assert!(poll!(&mut next).is_pending());
    peer.reply(first.tag, "first again").await;
    let error = next.await.unwrap_err();
    let tag = u64::from(first.tag.unwrap());
    assert!(
        matches!(error, CallError::Disconnected { cause: Disconnected::UnknownTag { tag: unknown , .. }, .. } if unknown == tag),
        "{error}"
    );
}

/// Both come in one read.
#[tokio::test(start_paused = true)]
async fn a_second_reply_does_not_take_the_first_away() {
    let (client, mut peer) = pair(two);
    let mut call = client.call(Bytes::from("asks"));
    let mut other = client.call(Bytes::from("other"));
    assert!(poll!(&mut call).is_pending() && poll!(&mut other).is_pending());
    let request = peer.request().await;
    peer.0.feed(request.clone()).await.unwrap();
    peer.reply(request.tag, "again").await;
    assert_eq!(call.await.unwrap(), "asks");
    assert!(matches!(
        other.await,
        Err(CallError::Disconnected {
            cause: Disconnected::UnknownTag { .. },
            ..
        })
    ));
}

#[tokio::test(start_paused = true)]
async fn what_was_whole_before_a_fault_is_delivered() {
    for fault in [MALFORMED, 1 << 30] {
        let (client, mut peer) = pair(|settings| two(settings).max_frame(100));
        let mut call = client.call(Bytes::from("asks"));
        let mut other = client.call(Bytes::from("other"));
        assert!(poll!(&mut call).is_pending() && poll!(&mut other).is_pending());
        let request = peer.request().await;
        let whole = [
            &head(5, request.tag.unwrap())[..],
            b"whole",
            &head(fault, 0),
            &[0; 200],
        ];
        peer.0.get_mut().write_all(&whole.concat()).await.unwrap();
        assert_eq!(call.await.unwrap(), "whole");
        assert!(other.await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn in_order_a_reply_to_no_request_ends_the_connection() {
    let (client, mut peer) = orderly(|settings| settings);
    let mut call = client.call(Bytes::from("asks"));
    assert!(poll!(&mut call).is_pending());
    peer.feed(Bytes::from("one")).await.unwrap();
    peer.send(Bytes::from("too many")).await.unwrap();
    assert_eq!(call.await.unwrap()[..], *b"one");
    let lost = client.closed().await;
    assert!(matches!(lost, Disconnected::NoRequest), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_encoded_fails_alone_and_sends_nothing() {
    let (client, mut peer) = pair(two);
    let mut before = client.call(Bytes::from("before"));
    assert!(poll!(&mut before).is_pending());
    let error = client.call(Bytes::from("unspeakable")).await.unwrap_err();
    assert!(matches!(error, CallError::Encode(_)), "{error}");
    assert_eq!(error.sent(), Sent::No);
    let error = client.send(Bytes::from("unspeakable")).await.unwrap_err();
    assert!(matches!(error, CallError::Encode(_)), "{error}");
    assert_eq!(load(&client), (1, 0, 0));
    let mut after = client.call(Bytes::from("after"));
    assert!(poll!(&mut after).is_pending());
    assert_eq!(peer.request().await.message, "before");
    assert_eq!(peer.request().await.message, "after");
}

/// Its turn came and it could not be sent: the next in line has the tag.
#[tokio::test(start_paused = true)]
async fn a_queued_request_that_cannot_be_encoded_passes_its_turn_on() {
    let (client, peer) = pair(|settings| settings.max_in_flight(1));
    tokio::spawn(peer.echo());
    let (first, bad, last) = tokio::join!(
        client.call(Bytes::from("first")),
        client.call(Bytes::from("unspeakable")),
        client.call(Bytes::from("last")),
    );
    assert_eq!(
        (first.unwrap(), last.unwrap()),
        ("first".into(), "last".into())
    );
    assert!(matches!(bad, Err(CallError::Encode(_))));
}

/// Its state is anyone's guess: nothing is sent through it any more.
#[tokio::test(start_paused = true)]
async fn an_encoder_that_panics_ends_the_connection_and_sends_nothing() {
    let (client, mut peer) = pair(|settings| settings.max_in_flight(3));
    let calls = {
        let mut calls = busy(&client).await;
        // The third was sent as well.
        let mut queued = client.call(Bytes::from("queued"));
        assert!(poll!(&mut queued).is_pending());
        calls.push(queued);
        calls
    };
    for _ in 0..3 {
        peer.request().await;
    }
    let error = client.send(Bytes::from("panic")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Panicked,
                sent: Sent::No,
                ..
            }
        ),
        "{error}"
    );
    ends_all(&client, calls, |why| matches!(why, Disconnected::Panicked)).await;
    assert!(peer.0.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_encoder_panics_leaves_no_tag_taken() {
    let (client, _peer) = pair(|settings| settings);
    let error = client.call(Bytes::from("panic")).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::Panicked,
                sent: Sent::No,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(load(&client), (0, 0, 0));
    assert!(matches!(client.closed().await, Disconnected::Panicked));
}

/// A reply that nobody waits for, and whose drop panics: those whose replies came before it have them.
#[tokio::test(start_paused = true)]
async fn a_reply_whose_drop_panics_ends_the_connection_and_keeps_no_other_back() {
    let (near, mut far) = tokio::io::duplex(1024);
    let (read, write) = tokio::io::split(near);
    let client = MuxBuilder::new().tagged(read, write, Grenades).unwrap();
    let first = client.call(Bytes::from("first")).into_owned();
    let first = tokio::spawn(async move { first.await.map(std::mem::forget) });
    rest().await;
    let mut left = client.call(Bytes::from("left"));
    assert!(poll!(&mut left).is_pending());
    drop(left);
    let mut frames = tokio_util::codec::Framed::new(&mut far, Codec);
    for _ in 0..2 {
        let frame = frames.next().await.unwrap().unwrap();
        frames.feed(frame).await.unwrap();
    }
    frames.flush().await.unwrap();
    first.await.unwrap().unwrap();
    assert!(matches!(client.closed().await, Disconnected::Panicked));
}

/// Decodes replies that must not be dropped.
#[derive(Clone)]
struct Grenades;

struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("dropped");
        }
    }
}

impl tokio_util::codec::Encoder<cenote::mux::Frame<Bytes>> for Grenades {
    type Error = std::io::Error;

    fn encode(
        &mut self,
        frame: cenote::mux::Frame<Bytes>,
        buffer: &mut bytes::BytesMut,
    ) -> std::io::Result<()> {
        Codec.encode(frame, buffer)
    }
}

impl tokio_util::codec::Decoder for Grenades {
    type Item = cenote::mux::Frame<Grenade>;
    type Error = std::io::Error;

    fn decode(&mut self, input: &mut bytes::BytesMut) -> std::io::Result<Option<Self::Item>> {
        let frame = Codec.decode(input)?;
        Ok(frame.map(|frame| cenote::mux::Frame {
            tag: frame.tag,
            message: Grenade,
        }))
    }
}

/// What a caller meets that writes its own request.
#[tokio::test(start_paused = true)]
async fn a_write_half_that_panics_ends_every_call() {
    struct Panics;
    impl AsyncWrite for Panics {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            panic!("the write half");
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let (near, _far) = duplex(BUFFER);
    let (read, _) = split(near);
    let client: Client = MuxBuilder::new().tagged(read, Panics, Codec).unwrap();
    let error = client.call(Bytes::from("asks")).await.unwrap_err();
    let CallError::Disconnected { cause, .. } = error else {
        panic!("{error}");
    };
    assert!(matches!(cause, Disconnected::Panicked), "{cause}");
    assert!(!client.is_open());
    assert_eq!(load(&client), (0, 0, 0));
}
