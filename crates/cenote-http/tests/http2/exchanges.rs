//! What is sent, what comes back, and what becomes of a stream that nobody waits for any more.

use std::sync::mpsc;

#[cfg(target_os = "linux")]
use cenote_http::Proxy;
use http::Version;
use tokio::task::JoinSet;

use crate::peer::{CANCEL, END_STREAM, RST_STREAM, SETTINGS, Server, eventually, get, http2};

#[tokio::test]
async fn requests_at_the_same_time_share_one_connection() {
    let server = Server::answering(100).await;
    let client = http2().build().unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..60 {
        let request = client.get(server.url("/"));
        requests.spawn(async move { request.send().await.unwrap().version() });
    }
    while let Some(version) = requests.join_next().await {
        assert_eq!(version.unwrap(), Version::HTTP_2);
    }
    assert_eq!(server.accepted(), 1);
}

/// A proxy that passes requests on speaks HTTP/1.1.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn by_an_http_proxy_it_goes_through_a_tunnel() {
    let tinyproxy = cenote_testkit::TinyproxyServer::start("").unwrap();
    let server = Server::answering(100).await;
    let proxy = Proxy::http(format!("http://{}", tinyproxy.addr())).unwrap();
    let client = http2().proxy(proxy).build().unwrap();
    for _ in 0..3 {
        get(&client, &server.url("/")).await.unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_body_is_read_as_it_arrives() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        peer.begin_answer(stream).await;
        peer.data(stream, b"one ", 0).await;
        peer.data(stream, b"two", END_STREAM).await;
        peer.closed().await;
    })
    .await;
    let client = http2().build().unwrap();
    assert_eq!(get(&client, &server.url("/")).await.unwrap(), "one two");
    eventually("its lease is over", || client.status().leased == 0).await;
}

/// A server whose first reply is of no end, and that tells of what the client resets.
async fn endless(tell: mpsc::Sender<u32>) -> Server {
    Server::scripted(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            peer.settings(&[]).await;
            let first = peer.request().await.unwrap();
            peer.begin_answer(first).await;
            peer.data(first, b"x", 0).await;
            while let Some(frame) = peer.frame().await {
                match frame.kind {
                    RST_STREAM => {
                        let reason = frame.payload.try_into().unwrap();
                        tell.send(u32::from_be_bytes(reason)).unwrap();
                    }
                    crate::peer::HEADERS => peer.answer(frame.stream).await,
                    SETTINGS if frame.flags == 0 => peer.say(SETTINGS, 1, 0, &[]).await,
                    _ => {}
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_body_that_nobody_reads_to_its_end_costs_its_stream_and_not_the_connection() {
    let (tell, told) = mpsc::channel();
    let server = endless(tell).await;
    let client = http2().build().unwrap();
    drop(client.get(server.url("/")).send().await.unwrap());
    get(&client, &server.url("/")).await.unwrap();
    let mut reason = None;
    eventually("it is reset", || {
        reason = reason.or(told.try_recv().ok());
        reason.is_some()
    })
    .await;
    assert_eq!((reason, server.accepted()), (Some(CANCEL), 1));
}

/// keycloak#50602, contour#5240: whatever it is, over another connection, once.
#[tokio::test]
async fn a_request_that_is_answered_with_421_is_sent_once_over_another_connection() {
    for misdirected in [1, 2] {
        let server = Server::scripted(move |number, mut peer| async move {
            peer.settings(&[]).await;
            while let Some(stream) = peer.request().await {
                match number <= misdirected {
                    true => peer.answer_with(stream, 421).await,
                    false => peer.answer(stream).await,
                }
            }
        })
        .await;
        let client = http2().build().unwrap();
        let sent = client.post(server.url("/")).body("once").send().await;
        let expected = if misdirected == 1 { 200 } else { 421 };
        assert_eq!(sent.unwrap().status(), expected);
        assert_eq!(server.accepted(), 2);
    }
}
