//! The client as a service: what its callers put into requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use cenote_http::{Body, Client, ConnectionHandle};
use http::Request;
use http_body::Frame;

use crate::peer::{DATA, END_STREAM, REFUSED_STREAM, Server, http2};

async fn post(client: &Client, url: String, handle: &ConnectionHandle) -> Body {
    let request = Request::post(url).extension(handle.clone());
    let request = request.body(Body::from("whole")).unwrap();
    client.execute(request).await.unwrap().into_body()
}

/// object_store's and smithy's bodies are there as a whole, and reach the client as one of its own.
#[tokio::test]
async fn a_request_with_a_whole_body_that_is_refused_is_sent_again() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let refused = peer.request().await.unwrap();
        peer.reset(refused, REFUSED_STREAM).await;
        let stream = peer.request().await.unwrap();
        loop {
            let data = peer.next(DATA).await.unwrap();
            if data.stream == stream && data.flags & END_STREAM != 0 {
                break;
            }
        }
        peer.answer(stream).await;
        peer.closed().await;
    })
    .await;
    let client = http2().build().unwrap();
    post(&client, server.url("/"), &ConnectionHandle::new()).await;
}

#[tokio::test]
async fn a_retired_connection_carries_what_it_has_and_no_further_request() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let first = peer.request().await.unwrap();
        peer.begin_answer(first).await;
        while let Some(stream) = peer.request().await {
            peer.answer(stream).await;
            peer.data(first, b"end", END_STREAM).await;
        }
    })
    .await;
    let client = http2().build().unwrap();
    let first = post(&client, server.url("/"), &ConnectionHandle::new()).await;
    let handle = ConnectionHandle::new();
    post(&client, server.url("/"), &handle).await;
    assert_eq!(server.accepted(), 1);
    handle.retire();
    post(&client, server.url("/"), &ConnectionHandle::new()).await;
    assert_eq!(server.accepted(), 2);
    assert_eq!(first.bytes().await.unwrap(), "end");
}

/// As gRPC's bodies are: what it says comes when it is asked for, and its length is not known.
struct Streamed(u8);

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or_default();
        Poll::Ready(left.map(|_| Ok(Frame::data(Bytes::from_static(b"x")))))
    }
}

/// gRPC's transparent retries (gRFC A6): what a server has not looked at is asked again, and its body is then as it was.
#[tokio::test]
async fn a_request_whose_body_was_streamed_and_that_a_goaway_names_undone_is_sent_again() {
    let server = Server::scripted(|number, mut peer| async move {
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        let mut said = Vec::new();
        loop {
            let data = peer.next(DATA).await.unwrap();
            said.extend(data.payload);
            if data.flags & END_STREAM != 0 {
                break;
            }
        }
        match number {
            1 => peer.go_away(0).await,
            _ => {
                peer.begin_answer(stream).await;
                peer.data(stream, &said, END_STREAM).await;
            }
        }
        peer.closed().await;
    })
    .await;
    let client = http2().build().unwrap();
    let request = Request::post(server.url("/")).body(Streamed(5)).unwrap();
    let reply = client.execute(request).await.unwrap();
    assert_eq!(reply.into_body().bytes().await.unwrap(), "xxxxx");
    assert_eq!(server.accepted(), 2);
}
