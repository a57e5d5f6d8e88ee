//! Requests that are given up: at every point, at random points, and what the server hears of it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use cenote_http::Client;
use h2::server::Builder;
use http::Request;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::clock::StoppedClock;
use crate::peer::{CANCEL, HEADERS, RST_STREAM, Server, eventually, get, http2};
use crate::speaker::Speaker;
use crate::streamed::Streamed;

fn one_connection() -> Client {
    http2().max_per_route(1).build().unwrap()
}

/// fluxzy.core#793: a caller that left before its reply took the connection along, with all the others on it.
#[tokio::test]
async fn a_request_that_is_given_up_is_reset_and_the_others_live() {
    let has_come = Arc::new(Notify::new());
    let (come, (tell, mut told)) = (Arc::clone(&has_come), mpsc::unbounded_channel());
    let server = Server::scripted(move |_, mut peer| {
        let (come, tell) = (Arc::clone(&come), tell.clone());
        async move {
            peer.settings(&[]).await;
            let kept = peer.request().await.unwrap();
            come.notify_one();
            let given_up = peer.request().await.unwrap();
            come.notify_one();
            let reset = peer.next(RST_STREAM).await.unwrap();
            tell.send((reset.stream == given_up, reset.payload))
                .unwrap();
            peer.answer(kept).await;
            while let Some(stream) = peer.request().await {
                peer.answer(stream).await;
            }
        }
    })
    .await;
    let client = one_connection();
    let kept = tokio::spawn(client.get(server.url("/")).send());
    has_come.notified().await;
    let url = server.url("/");
    tokio::select! {
        _ = get(&client, &url) => panic!("it was answered"),
        () = has_come.notified() => {}
    }
    let cancel = CANCEL.to_be_bytes().to_vec();
    assert_eq!(told.recv().await, Some((true, cancel)));
    kept.await.unwrap().unwrap();
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(server.accepted(), 1);
    eventually("no lease is left", || client.status().leased == 0).await;
}

/// A request that nobody waits for before it was sent is not sent.
#[tokio::test]
async fn a_request_that_is_given_up_while_it_waits_for_a_place_is_never_sent() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::scripted(move |_, mut peer| {
        let tell = tell.clone();
        async move {
            peer.settings(&[(crate::peer::MAX_CONCURRENT_STREAMS, 1)])
                .await;
            let first = peer.request().await.unwrap();
            tell.send(first).unwrap();
            peer.heard_but(HEADERS).await;
            peer.answer(first).await;
            let second = peer.request().await.unwrap();
            tell.send(second).unwrap();
            peer.answer(second).await;
            peer.closed().await;
        }
    })
    .await;
    let client = one_connection();
    let first = tokio::spawn(client.get(server.url("/")).send());
    assert_eq!(told.recv().await, Some(1));
    assert!(!polled(1, async { drop(get(&client, &server.url("/")).await) }).await);
    first.await.unwrap().unwrap();
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(told.recv().await, Some(3));
}

/// An exchange with all that one can consist of.
async fn long_exchange(client: &Client, url: &str) {
    let (feed, body) = Streamed::new();
    let request = Request::post(url).body(body).unwrap();
    feed.data("one");
    let reply = client.execute(request).await.unwrap();
    let mut body = reply.into_body();
    for piece in ["one", "two", "three"] {
        if piece != "one" {
            feed.data(piece);
        }
        assert_eq!(body.chunk().await.unwrap().unwrap(), piece);
    }
    drop(feed);
    assert!(body.chunk().await.is_none());
}

/// httpcore#822, #785, #830, #961: cancelled at each point in turn, nothing is lost: not the place, and not the connection
/// once it is there.
#[tokio::test]
async fn a_request_may_be_given_up_at_every_poll() {
    let _clock = StoppedClock::new();
    let server = Speaker::echo(Builder::new()).await;
    for polls in 0.. {
        let client = one_connection();
        let before = server.accepted();
        let mut was_complete = true;
        for state in ["/new", "/used"] {
            let url = server.url(state);
            was_complete &= polled(polls, long_exchange(&client, &url)).await;
            long_exchange(&client, &url).await;
        }
        eventually("no lease is left", || client.status().leased == 0).await;
        assert_eq!(server.accepted() - before, 1, "after {polls} polls");
        if was_complete {
            assert!(polls > 4, "{polls} polls");
            return;
        }
    }
}

/// reactor-netty#2018, vertx#4392, postgres-nio#662: the number of streams drifted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_thousand_requests_given_up_at_random_nothing_is_left() {
    const CALLERS: u32 = 20;
    const EACH: u32 = 500;
    let mut settings = Builder::new();
    settings.max_concurrent_streams(7);
    // It counts what is reset, lest a client keeps it busy: here that is the purpose.
    settings.max_local_error_reset_streams(None);
    settings.max_pending_accept_reset_streams(100_000);
    let server = Speaker::echo(settings).await;
    let client = http2().max_per_route(2).build().unwrap();
    let mut callers = JoinSet::new();
    for caller in 1..=CALLERS {
        let (client, url) = (client.clone(), server.url("/"));
        callers.spawn(async move {
            let mut random = caller;
            for _ in 0..EACH {
                // A generator by Marsaglia.
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let body = Bytes::from(vec![b'x'; (random % 70_000) as usize]);
                let request = client.post(&*url).body(body.clone());
                let exchange = async {
                    let read = request.send().await.unwrap().bytes().await;
                    assert_eq!(read.unwrap().len(), body.len());
                };
                polled((random % 10) as usize, exchange).await;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    eventually("no lease is left", || client.status().leased == 0).await;
    // As many as they carry at once, and all of them are answered.
    let mut requests = JoinSet::new();
    for _ in 0..14 {
        let (client, url) = (client.clone(), server.url("/"));
        requests.spawn(async move { get(&client, &url).await.unwrap() });
    }
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
    assert!(server.accepted() <= 2, "{}", server.accepted());
}

/// Polls so many times, and drops; whether it was complete by then.
async fn polled(times: usize, work: impl Future<Output = ()>) -> bool {
    let mut work = pin!(work);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match work.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
