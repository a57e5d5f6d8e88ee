//! A reply's body has its connection until it ends.

use cenote_http::{Client, Error};

use crate::clock::StoppedClock;
use crate::server::{Server, eventually, ok};

fn client_of(connections: usize) -> Client {
    let builder = Client::builder().max_per_route(connections);
    builder.build().unwrap()
}

/// A server whose bodies are as long as their path says.
async fn sized() -> Server {
    Server::answering(|request| {
        let length = request.path[1..].parse().unwrap_or(0);
        ok(&"x".repeat(length))
    })
    .await
}

/// smithy, hyper-util `drop_response_body_closes_in_progress_connection`: with hyper alone it costs the connection.
#[tokio::test]
async fn a_body_that_nobody_reads_is_read_to_its_end_and_the_connection_used_again() {
    let _clock = StoppedClock::new();
    let server = sized().await;
    let client = client_of(1);
    for length in ["/10", "/60000", "/10"] {
        let reply = client.get(server.url(length)).send().await.unwrap();
        drop(reply);
    }
    assert_eq!(
        client
            .get(server.url("/5"))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap(),
        "xxxxx"
    );
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_body_that_is_dropped_half_way_is_read_to_its_end() {
    let _clock = StoppedClock::new();
    let server = Server::scripted(|_, mut peer| async move {
        while let Some(request) = peer.request().await {
            match &*request.path {
                "/halves" => {
                    peer.say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
                        .await;
                    // The other half when the next has been asked for, were it on this connection.
                    tokio::task::yield_now().await;
                    peer.say("half").await;
                }
                path => peer.say(&ok(path)).await,
            }
        }
    })
    .await;
    let client = client_of(1);
    let mut reply = client.get(server.url("/halves")).send().await.unwrap();
    assert_eq!(reply.chunk().await.unwrap().unwrap(), "half");
    drop(reply);
    let next = client.get(server.url("/next")).send().await.unwrap();
    assert_eq!(next.text().await.unwrap(), "/next");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_body_that_is_too_long_to_be_read_for_nobody_costs_its_connection() {
    let _clock = StoppedClock::new();
    let server = sized().await;
    let client = client_of(1);
    drop(client.get(server.url("/1000000")).send().await.unwrap());
    let next = client.get(server.url("/2")).send().await.unwrap();
    assert_eq!(next.text().await.unwrap(), "xx");
    assert_eq!(server.accepted(), 2);
    eventually("it is closed", || server.ended() == 1).await;
}

/// A body without a length, such as a stream of events, has no end to wait for.
#[tokio::test]
async fn a_body_that_does_not_end_costs_its_connection() {
    let server = Server::scripted(|number, mut peer| async move {
        peer.request().await;
        if number == 1 {
            peer.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
                .await;
            return peer.closed().await;
        }
        peer.say(&ok("next")).await;
        peer.closed().await;
    })
    .await;
    let client = client_of(1);
    drop(client.get(server.url("/")).send().await.unwrap());
    let next = client.get(server.url("/")).send().await.unwrap();
    assert_eq!(next.text().await.unwrap(), "next");
    eventually("it is closed", || server.ended() == 1).await;
}

#[tokio::test]
async fn a_connection_serves_nobody_else_before_its_body_has_ended() {
    let server = sized().await;
    let client = client_of(1);
    let reply = client.get(server.url("/100000")).send().await.unwrap();
    let mut next = Box::pin(client.get(server.url("/2")).send());
    tokio::select! {
        biased;
        _ = &mut next => panic!("two exchanges on one connection"),
        length = reply.bytes() => assert_eq!(length.unwrap().len(), 100_000),
    }
    assert_eq!(next.await.unwrap().text().await.unwrap(), "xx");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_and_ends_its_connection() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            .await;
    })
    .await;
    let client = client_of(1);
    let reply = client.get(server.url("/")).send().await.unwrap();
    let error = reply.bytes().await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    let text = error.to_string();
    let route = format!("http://{}", server.addr);
    assert!(text.starts_with(&route), "{text}");
    eventually("nothing is left", || client.status().size == 0).await;
}

/// A reply may come before the request's body was taken in: what is left of that is no part of the next request.
#[tokio::test]
async fn a_reply_that_comes_before_the_request_was_sent_does_not_desynchronise() {
    let server = Server::scripted(|_, mut peer| async move {
        while let Some(request) = peer.request().await {
            peer.say(&ok(&request.path)).await;
        }
    })
    .await;
    let client = client_of(1);
    for n in 0..20 {
        let path = format!("/{n}");
        let request = client.post(server.url(&path)).body(vec![b'x'; 300_000]);
        let reply = request.send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), path);
    }
}

#[tokio::test]
async fn the_body_of_a_reply_is_passed_on_as_that_of_a_request() {
    let origin = sized().await;
    let mirror = Server::answering(|request| ok(&request.body.len().to_string())).await;
    let client = client_of(1);
    let reply = client.get(origin.url("/100000")).send().await.unwrap();
    let passed = client.post(mirror.url("/")).body(reply.into_body());
    assert_eq!(passed.send().await.unwrap().text().await.unwrap(), "100000");
    eventually("both are idle", || client.status().idle == 2).await;
}
