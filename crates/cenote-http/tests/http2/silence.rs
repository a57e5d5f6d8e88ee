//! Servers that say nothing, and servers that say something else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote_http::{Client, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::clock::StoppedClock;
use crate::peer::{ACK, HEADERS, PING, Server, eventually, get, http2};

fn one_connection() -> Client {
    http2().max_per_route(1).build().unwrap()
}

/// A request that is given up when the server has it.
async fn given_up(client: &Client, server: &Server, has_come: &Notify) {
    let url = server.url("/");
    tokio::select! {
        _ = get(client, &url) => panic!("it was answered"),
        () = has_come.notified() => {}
    }
}

/// dfinity/ic#10455, dotnet#82236, teleport#69780: what was silent was used for minutes. Until the server has answered a PING,
/// nothing is sent to it.
#[tokio::test]
async fn a_server_that_was_silent_is_asked_for_a_sign_of_life_before_anything_else() {
    let has_come = Arc::new(Notify::new());
    let come = Arc::clone(&has_come);
    let server = Server::scripted(move |_, mut peer| {
        let come = Arc::clone(&come);
        async move {
            peer.settings(&[]).await;
            peer.request().await.unwrap();
            come.notify_one();
            let ping = loop {
                let frame = peer.frame().await.unwrap();
                assert_ne!(frame.kind, HEADERS, "before it was asked");
                if frame.kind == PING && frame.flags == 0 {
                    break frame;
                }
            };
            peer.heard_but(HEADERS).await;
            peer.say(PING, ACK, 0, &ping.payload).await;
            while let Some(stream) = peer.request().await {
                peer.answer(stream).await;
            }
        }
    })
    .await;
    let client = one_connection();
    given_up(&client, &server, &has_come).await;
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

/// A server that answers nothing on its first connection, not even a PING, and all on any other.
async fn dead_at_first(has_come: &Arc<Notify>) -> Server {
    let come = Arc::clone(has_come);
    Server::scripted(move |number, mut peer| {
        let come = Arc::clone(&come);
        async move {
            peer.settings(&[]).await;
            if number == 1 {
                while let Some(frame) = peer.frame().await {
                    if frame.kind == HEADERS {
                        come.notify_one();
                    }
                }
                return;
            }
            while let Some(stream) = peer.request().await {
                peer.answer(stream).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_server_that_is_not_heard_of_again_loses_its_connection() {
    let _clock = StoppedClock::new();
    let has_come = Arc::new(Notify::new());
    let server = dead_at_first(&has_come).await;
    let client = one_connection();
    given_up(&client, &server, &has_come).await;
    let next = tokio::spawn(client.get(server.url("/")).send());
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    next.await.unwrap().unwrap();
    eventually("it is closed", || server.ended() == 1).await;
    assert_eq!(server.accepted(), 2);
}

/// reactor-netty#4255: while a server is asked, others serve.
#[tokio::test]
async fn while_a_server_is_asked_another_connection_serves() {
    let _clock = StoppedClock::new();
    let has_come = Arc::new(Notify::new());
    let server = dead_at_first(&has_come).await;
    let client = http2().max_per_route(2).build().unwrap();
    given_up(&client, &server, &has_come).await;
    for _ in 0..5 {
        get(&client, &server.url("/")).await.unwrap();
    }
    assert_eq!((server.accepted(), server.ended()), (2, 0));
}

/// agentgateway#3231: a server that is asked too often ends the connection (`ENHANCE_YOUR_CALM`).
#[tokio::test]
async fn a_server_that_is_heard_is_not_asked() {
    let clock = StoppedClock::new();
    let (pings, has_come) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()));
    let (seen, come) = (Arc::clone(&pings), Arc::clone(&has_come));
    let server = Server::scripted(move |_, mut peer| {
        let (seen, come) = (Arc::clone(&seen), Arc::clone(&come));
        async move {
            peer.settings(&[]).await;
            peer.request().await.unwrap();
            come.notify_one();
            while let Some(frame) = peer.frame().await {
                match frame.kind {
                    HEADERS => peer.answer(frame.stream).await,
                    PING if frame.flags == 0 => {
                        seen.fetch_add(1, SeqCst);
                    }
                    _ => peer.acknowledge(&frame).await,
                }
            }
        }
    })
    .await;
    let client = one_connection();
    let slow = tokio::spawn(client.get(server.url("/")).send());
    has_come.notified().await;
    for _ in 0..100 {
        get(&client, &server.url("/")).await.unwrap();
    }
    slow.abort();
    assert!(slow.await.unwrap_err().is_cancelled());
    for _ in 0..3 {
        get(&client, &server.url("/")).await.unwrap();
        tokio::time::advance(Duration::from_secs(20)).await;
    }
    drop(clock);
    assert_eq!((pings.load(SeqCst), server.accepted()), (0, 1));
}

/// Idle time, in which the pool sees that it is idle.
async fn nobody_asks_for_a_while() {
    for _ in 0..40 {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

/// agentgateway#3231, gRPC's `too_many_pings`: a server that is slow and not dead is asked once, however many requests are given
/// up.
#[tokio::test]
async fn a_server_that_has_answered_and_is_slow_is_not_asked_again_at_once() {
    let _clock = StoppedClock::new();
    let (pings, has_come) = (Arc::<AtomicUsize>::default(), Arc::new(Notify::new()));
    let (seen, come) = (Arc::clone(&pings), Arc::clone(&has_come));
    let server = Server::scripted(move |_, mut peer| {
        let (seen, come) = (Arc::clone(&seen), Arc::clone(&come));
        async move {
            peer.settings(&[]).await;
            while let Some(frame) = peer.frame().await {
                match frame.kind {
                    HEADERS => come.notify_one(),
                    PING => {
                        seen.fetch_add(1, SeqCst);
                        peer.acknowledge(&frame).await;
                    }
                    _ => {}
                }
            }
        }
    })
    .await;
    let client = one_connection();
    for _ in 0..10 {
        given_up(&client, &server, &has_come).await;
    }
    assert_eq!(pings.load(SeqCst), 1);
    // Each sign of life is good for longer than the one before.
    for (seconds, asked) in [(6, 2), (6, 2), (20, 3)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        for _ in 0..3 {
            given_up(&client, &server, &has_come).await;
        }
        assert_eq!(pings.load(SeqCst), asked);
    }
    assert_eq!(server.accepted(), 1);
}

/// HTTP.jl#1331: a firewall had forgotten the connection, and the next request hung for 16 minutes.
#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_asked_before_it_serves() {
    let _clock = StoppedClock::new();
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        peer.answer(stream).await;
        let ping = loop {
            let frame = peer.frame().await.unwrap();
            assert_ne!(frame.kind, HEADERS, "before it was asked");
            if frame.kind == PING && frame.flags == 0 {
                break frame;
            }
        };
        peer.heard_but(HEADERS).await;
        peer.say(PING, ACK, 0, &ping.payload).await;
        while let Some(stream) = peer.request().await {
            peer.answer(stream).await;
        }
    })
    .await;
    let client = one_connection();
    get(&client, &server.url("/")).await.unwrap();
    nobody_asks_for_a_while().await;
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_and_does_not_answer_is_replaced() {
    let _clock = StoppedClock::new();
    let server = Server::scripted(|number, mut peer| async move {
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        peer.answer(stream).await;
        if number == 1 {
            // Not even a PING is answered.
            while peer.frame().await.is_some() {}
            return;
        }
        peer.closed().await;
    })
    .await;
    let client = one_connection();
    get(&client, &server.url("/")).await.unwrap();
    nobody_asks_for_a_while().await;
    let next = tokio::spawn(client.get(server.url("/")).send());
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(6)).await;
    next.await.unwrap().unwrap();
    assert_eq!(server.accepted(), 2);
}

/// A server of one's own words: it waits for the client's first, says these, and ends the connection.
async fn saying(words: &'static [u8]) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let accepted = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            counted.fetch_add(1, SeqCst);
            let mut preface = [0; 24];
            let _ = socket.read_exact(&mut preface).await;
            let _ = socket.write_all(words).await;
            let _ = socket.shutdown().await;
            // Lest a reset overtakes the words.
            while socket.read(&mut preface).await.is_ok_and(|read| read > 0) {}
        }
    });
    (url, accepted)
}

#[tokio::test]
async fn a_server_that_speaks_http1_alone_is_an_error_that_says_so() {
    let words = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    let (url, accepted) = saying(words).await;
    let error = get(&one_connection(), &url).await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("the server does not speak HTTP/2"), "{text}");
    assert!(!error.is_timeout());
    assert_eq!(accepted.load(SeqCst), 1);
}

/// It may have restarted in that moment, as nginx does at a reload: so it is asked twice.
#[tokio::test]
async fn a_server_that_ends_connections_before_it_has_said_anything_is_an_error_the_second_time() {
    let (url, accepted) = saying(b"").await;
    let error = get(&one_connection(), &url).await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
    assert!(!error.is_timeout());
    let text = error.to_string();
    assert!(!text.contains("does not speak"), "{text}");
    assert_eq!(accepted.load(SeqCst), 2);
}
