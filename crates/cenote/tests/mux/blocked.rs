//! A line that is full: reading and writing do not wait for each other.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cenote::mux::{CallError, Disconnected, MuxBuilder};
use futures::future::join_all;
use futures::poll;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, simplex, split};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::codec::LengthDelimitedCodec;

use crate::peer::{BUFFER, Codec, Orderly, ms, pair, raw, rest, secs};

/// What does not fit the line, nor the buffers of a socket that was told to keep them small.
const BIG: usize = 1 << 20;

/// Reads no request before the reply to the last is written, to its last byte.
async fn serve_one_after_the_other(mut socket: TcpStream) -> io::Result<()> {
    loop {
        let length = socket.read_u32().await?;
        let mut request = vec![0; length as usize];
        socket.read_exact(&mut request).await?;
        socket.write_u32(length).await?;
        socket.write_all(&request).await?;
    }
}

async fn tcp_with_small_buffers() -> (TcpStream, TcpStream) {
    let listening = TcpSocket::new_v4().unwrap();
    listening.set_recv_buffer_size(4096).unwrap();
    listening.set_send_buffer_size(4096).unwrap();
    listening.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = listening.listen(1).unwrap();
    let dialling = TcpSocket::new_v4().unwrap();
    dialling.set_recv_buffer_size(4096).unwrap();
    dialling.set_send_buffer_size(4096).unwrap();
    let near = dialling.connect(listener.local_addr().unwrap()).await;
    let (far, _) = listener.accept().await.unwrap();
    (near.unwrap(), far)
}

/// redis-rs #1955: the server waits until its replies are read, the client until its requests are.
#[tokio::test]
async fn big_requests_and_big_replies_do_not_block_each_other() {
    let (near, far) = tcp_with_small_buffers().await;
    let server = tokio::spawn(serve_one_after_the_other(far));
    let (read, write) = near.into_split();
    let client: Orderly = MuxBuilder::new()
        .in_order(read, write, LengthDelimitedCodec::new())
        .unwrap();
    let questions: Vec<_> = (0..16u8).map(|n| Bytes::from(vec![n; BIG / 4])).collect();
    let calls = questions.iter().map(|asked| client.call(asked.clone()));
    for (asked, reply) in questions.iter().zip(join_all(calls).await) {
        assert!(reply.unwrap() == asked, "a reply of its own");
    }
    client.close().await;
    let error = server.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn replies_are_read_while_writing_is_blocked() {
    let (client, mut peer) = pair(|settings| settings);
    let mut small = client.call(Bytes::from("small"));
    assert!(poll!(&mut small).is_pending());
    let request = peer.request().await;
    let mut big = client.call(Bytes::from(vec![0; BIG]));
    assert!(poll!(&mut big).is_pending());
    rest().await;
    peer.reply(request.tag, request.message).await;
    assert_eq!(small.await.unwrap(), "small");
    tokio::spawn(peer.echo());
    assert_eq!(big.await.unwrap().len(), BIG);
}

#[tokio::test(start_paused = true)]
async fn requests_behind_a_blocked_one_are_written_when_it_is() {
    let (client, peer) = pair(|settings| settings);
    let mut big = client.call(Bytes::from(vec![0; BIG]));
    assert!(poll!(&mut big).is_pending());
    let mut calls: Vec<_> = (0..100)
        .map(|_| client.call(Bytes::from("small")))
        .collect();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
        rest().await;
    }
    tokio::spawn(peer.echo());
    for reply in join_all(calls).await {
        assert_eq!(reply.unwrap(), "small");
    }
    assert_eq!(big.await.unwrap().len(), BIG);
}

/// Whoever began to write and left is not the one who is told when writing can go on.
#[tokio::test(start_paused = true)]
async fn a_request_whose_caller_left_while_it_was_written_is_written_to_its_end() {
    let (client, peer) = pair(|settings| settings);
    let mut big = client.call(Bytes::from(vec![0; BIG]));
    assert!(poll!(&mut big).is_pending());
    drop(big);
    tokio::spawn(peer.echo());
    assert_eq!(client.call(Bytes::from("next")).await.unwrap(), "next");
    assert_eq!(client.abandoned(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_while_writing_is_blocked_is_noticed() {
    let (near, far) = duplex(BUFFER);
    let (read, _) = split(near);
    // Of two lines, one in each direction, so that only the one is closed.
    let (_kept, write) = simplex(BUFFER);
    let client = MuxBuilder::new().tagged(read, write, Codec).unwrap();
    let mut big = client.call(Bytes::from(vec![0; BIG]));
    assert!(poll!(&mut big).is_pending());
    rest().await;
    assert!(poll!(&mut big).is_pending());
    drop(far);
    let error = big.await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Disconnected {
                cause: Disconnected::PeerClosed,
                ..
            }
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_reset_while_writing_is_blocked_is_noticed() {
    let (near, far) = tcp_with_small_buffers().await;
    let (read, write) = near.into_split();
    let client = MuxBuilder::new().tagged(read, write, Codec).unwrap();
    let mut big = client.call(Bytes::from(vec![0; 8 * BIG]));
    assert!(poll!(&mut big).is_pending());
    // Closed with bytes unread.
    drop(far);
    let error = big.await.unwrap_err();
    assert!(matches!(error, CallError::Disconnected { .. }), "{error}");
}

struct Broken;

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a peer said before it went is worth more than that we could not write to it.
#[tokio::test(start_paused = true)]
async fn a_reply_that_came_is_delivered_though_writing_fails() {
    let (client, mut far) = {
        let (near, far) = duplex(BUFFER);
        let (read, _) = split(near);
        let client = MuxBuilder::new().tagged(read, Broken, Codec).unwrap();
        (client, far)
    };
    // The tag of the first use of the first cell, with 10 bits of index.
    far.write_all(&[0, 0, 0, 2, 0, 0, 4, 0, b'o', b'k'])
        .await
        .unwrap();
    let reply = client.call(Bytes::from("a")).await;
    assert_eq!(reply.unwrap(), "ok");
    let lost = client.closed().await;
    assert!(matches!(lost, Disconnected::Io(_)), "{lost}");
}

/// The drain's time-out holds for a line that takes no more.
#[tokio::test(start_paused = true)]
async fn a_close_ends_though_nothing_can_be_written() {
    let (client, _far) = raw(|settings| settings.drain_timeout(ms(300)));
    let mut big = client.call(Bytes::from(vec![0; BIG]));
    assert!(poll!(&mut big).is_pending());
    let began = tokio::time::Instant::now();
    client.close().await;
    assert!(began.elapsed() < secs(1));
    assert!(matches!(
        big.await,
        Err(CallError::Disconnected {
            cause: Disconnected::Closed,
            ..
        })
    ));
}
