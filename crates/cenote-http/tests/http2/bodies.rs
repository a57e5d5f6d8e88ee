//! Bodies, both ways: as fast as the other side takes them, to their end or not, with trailers or without.

use std::future::poll_fn;
use std::pin::Pin;

use bytes::Bytes;
use cenote_http::{Body, Client, Error};
use h2::server::Builder;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::peer::{
    CANCEL, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, Server, eventually, get, http2,
};
use crate::speaker::Speaker;
use crate::streamed::Streamed;

fn client() -> Client {
    http2().max_per_route(1).build().unwrap()
}

/// What is read of a body, and the trailers behind it.
async fn all_of(mut body: Body) -> Result<(Vec<u8>, Option<HeaderMap>), Error> {
    let (mut all, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await
    {
        match frame?.into_data() {
            Ok(data) => all.extend(data),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    Ok((all, trailers))
}

fn some_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", HeaderValue::from_static("17"));
    trailers
}

#[tokio::test]
async fn a_long_body_comes_back_as_it_was_sent_whole_or_streamed() {
    let server = Speaker::echo(Builder::new()).await;
    let client = client();
    let body: Vec<u8> = (0..10_000_000_u32).map(|i| (i % 251) as u8).collect();
    let body = Bytes::from(body);
    let reply = client.post(server.url("/")).body(body.clone()).send();
    assert!(reply.await.unwrap().bytes().await.unwrap() == body);
    let (feed, streamed) = Streamed::new();
    for piece in body.chunks(100_000) {
        feed.data(Bytes::copy_from_slice(piece));
    }
    drop(feed);
    let request = Request::post(server.url("/")).body(streamed).unwrap();
    let reply = client.execute(request).await.unwrap();
    assert!(reply.into_body().bytes().await.unwrap() == body);
    eventually("both leases are over", || client.status().leased == 0).await;
}

#[tokio::test]
async fn a_server_that_takes_one_byte_at_a_time_gets_all_of_them() {
    let mut settings = Builder::new();
    settings.initial_window_size(1);
    let server = Speaker::echo(settings).await;
    let body = Bytes::from("y".repeat(1_000));
    let reply = client().post(server.url("/")).body(body.clone()).send();
    assert_eq!(reply.await.unwrap().bytes().await.unwrap(), body);
}

#[tokio::test]
async fn trailers_arrive_behind_the_body_both_ways() {
    let server = Speaker::echo(Builder::new()).await;
    let (feed, body) = Streamed::new();
    feed.data("text");
    feed.trailers(some_trailers());
    let request = Request::post(server.url("/")).body(body).unwrap();
    let reply = client().execute(request).await.unwrap();
    let (text, trailers) = all_of(reply.into_body()).await.unwrap();
    assert_eq!((&*text, trailers), (&b"text"[..], Some(some_trailers())));
}

/// A reset without an error says that the server wants no more of the request, once it has said all of the reply (RFC 9113,
/// 8.1): a reply that lacks its end is not a whole one.
#[tokio::test]
async fn a_reply_that_is_reset_before_its_end_is_not_taken_for_a_whole_one() {
    for reason in [NO_ERROR, CANCEL] {
        let server = Server::scripted(move |_, mut peer| async move {
            peer.settings(&[]).await;
            let stream = peer.request().await.unwrap();
            peer.begin_answer(stream).await;
            peer.data(stream, b"half", 0).await;
            peer.heard().await;
            peer.reset(stream, reason).await;
            peer.closed().await;
        })
        .await;
        let read = get(&client(), &server.url("/")).await;
        assert!(
            matches!(read, Err(Error::Exchange { .. })),
            "{reason}: {read:?}"
        );
    }
}

/// go#41600, smithy's `head_response_with_content_length_does_not_desync_connection`.
#[tokio::test]
async fn replies_without_a_body_may_name_the_length_of_one() {
    let server = Speaker::answering(Builder::new(), |asked, mut answer| async move {
        let status: u16 = asked.uri().path()[1..].parse().unwrap();
        let reply = Response::builder().status(status);
        let reply = match status {
            204 => reply,
            _ => reply.header("content-length", "5"),
        };
        answer.send_response(reply.body(()).unwrap(), true).unwrap();
    })
    .await;
    let client = client();
    for (method, status) in [
        (Method::HEAD, 200),
        (Method::GET, 204),
        (Method::GET, 304),
        (Method::HEAD, 304),
    ] {
        let url = server.url(&format!("/{status}"));
        let reply = client.request(method.clone(), url).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status);
        assert_eq!(reply.bytes().await.unwrap(), "", "{method} {status}");
    }
    assert_eq!((server.accepted(), client.status().leased), (1, 0));
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_its_head_says_is_an_error_and_costs_no_other() {
    let server = Speaker::answering(Builder::new(), |asked, mut answer| async move {
        let reply = Response::builder().header("content-length", "5");
        let reply = reply.body(()).unwrap();
        let mut body = answer.send_response(reply, false).unwrap();
        let data = match asked.uri().path() {
            "/short" => "four",
            "/long" => "sixsix",
            _ => "right",
        };
        let _ = body.send_data(data.into(), true);
    })
    .await;
    let client = client();
    for path in ["/short", "/long"] {
        let read = get(&client, &server.url(path)).await;
        assert!(
            matches!(read, Err(Error::Exchange { .. })),
            "{path}: {read:?}"
        );
        assert_eq!(get(&client, &server.url("/")).await.unwrap(), "right");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn the_length_that_is_left_of_a_body_is_known() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        // `:status: 200`, and `content-length: 8` by the number of its name.
        let head = [0x88, 0x0f, 0x0d, 0x01, b'8'];
        peer.say(HEADERS, END_HEADERS, stream, &head).await;
        peer.data(stream, b"half", 0).await;
        peer.heard().await;
        peer.data(stream, b"half", END_STREAM).await;
        peer.closed().await;
    })
    .await;
    let reply = client().get(server.url("/")).send().await.unwrap();
    let mut body = reply.into_body();
    let left = |body: &Body| http_body::Body::size_hint(body).exact();
    assert_eq!(left(&body), Some(8));
    assert_eq!(body.chunk().await.unwrap().unwrap(), "half");
    assert_eq!(left(&body), Some(4));
    assert_eq!(body.chunk().await.unwrap().unwrap(), "half");
    assert_eq!(left(&body), Some(0));
    assert!(body.chunk().await.is_none());
}

/// okhttp#4258: what comes before the reply is not the reply.
#[tokio::test]
async fn what_a_server_says_before_its_reply_is_passed_over() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        while let Some(stream) = peer.request().await {
            for status in [b"100", b"103"] {
                // `:status` by the number of its name.
                let mut head = vec![0x08, 0x03];
                head.extend(status);
                peer.say(HEADERS, END_HEADERS, stream, &head).await;
            }
            peer.begin_answer(stream).await;
            peer.data(stream, b"whole", END_STREAM).await;
        }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        let reply = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(reply.status(), StatusCode::OK);
        assert_eq!(reply.text().await.unwrap(), "whole");
    }
    assert_eq!((server.accepted(), client.status().leased), (1, 0));
}

/// A stream may end by a piece of its own, which has no bytes.
#[tokio::test]
async fn a_body_has_no_empty_pieces() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        peer.begin_answer(stream).await;
        for (piece, flags) in [("", 0), ("text", 0), ("", 0), ("", END_STREAM)] {
            peer.data(stream, piece.as_bytes(), flags).await;
        }
        peer.closed().await;
    })
    .await;
    let reply = client().get(server.url("/")).send().await.unwrap();
    let mut body = reply.into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "text");
    assert!(body.chunk().await.is_none());
}
