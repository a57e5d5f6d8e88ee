//! Requests that are given up: the connection is kept where that is cheap, and in any case no reply reaches the wrong
//! request.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cenote_http::{Client, Error};
use http::Request;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::clock::StoppedClock;
use crate::server::{Server, eventually, ok};
use crate::streamed::Streamed;

fn client() -> Client {
    Client::builder().max_per_route(1).build().unwrap()
}

/// A server that answers `/slow` only when it is told to, and everything else at once; it tells when `/slow` has come.
async fn slow() -> (Server, Arc<Notify>, Arc<Notify>) {
    let (came, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tells, told) = (Arc::clone(&came), Arc::clone(&answer));
    let server = Server::scripted(move |_, mut peer| {
        let (tells, told) = (Arc::clone(&tells), Arc::clone(&told));
        async move {
            while let Some(request) = peer.request().await {
                if request.path == "/slow" {
                    tells.notify_one();
                    told.notified().await;
                }
                peer.say(&ok(&request.path)).await;
            }
        }
    })
    .await;
    (server, came, answer)
}

/// finagle#455, vertx#1218: time-outs that close connections make more of them than anything else.
#[tokio::test]
async fn a_request_that_is_given_up_leaves_its_connection_to_the_next() {
    let _clock = StoppedClock::new();
    let (server, came, answer) = slow().await;
    let client = client();
    for _ in 0..3 {
        let request = client.get(server.url("/slow")).send();
        tokio::select! {
            _ = request => panic!("it was answered"),
            () = came.notified() => {}
        }
        answer.notify_one();
        let next = client.get(server.url("/next")).send().await.unwrap();
        assert_eq!(next.text().await.unwrap(), "/next");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_request_that_is_given_up_and_never_answered_costs_its_connection() {
    let (server, came, _) = slow().await;
    let client = client();
    let request = client.get(server.url("/slow")).send();
    tokio::select! {
        _ = request => panic!("it was answered"),
        () = came.notified() => {}
    }
    let next = client.get(server.url("/next")).send().await.unwrap();
    assert_eq!(next.text().await.unwrap(), "/next");
    assert_eq!(server.accepted(), 2);
    assert_eq!(client.status().size, 1);
}

#[tokio::test]
async fn a_request_whose_time_is_up_says_so_and_leaves_its_connection_to_the_next() {
    let (server, _, answer) = slow().await;
    let client = client();
    let request = client.get(server.url("/slow"));
    let error = request.timeout(Duration::from_millis(20)).send().await;
    let _clock = StoppedClock::new();
    let error = error.unwrap_err();
    assert!(error.is_timeout());
    let expected = format!("http://{}: no reply within 20ms", server.addr);
    assert_eq!(error.to_string(), expected);
    answer.notify_one();
    let next = client.get(server.url("/next")).send().await.unwrap();
    assert_eq!(next.text().await.unwrap(), "/next");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_request_whose_time_is_up_in_the_middle_of_its_reply_says_so() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
            .await;
        peer.closed().await;
    })
    .await;
    let request = client()
        .get(server.url("/"))
        .timeout(Duration::from_millis(50));
    let error = request.send().await.unwrap().bytes().await.unwrap_err();
    let expected = format!("http://{}: no whole reply within 50ms", server.addr);
    assert!(matches!(error, Error::TimedOut { .. }));
    assert_eq!(error.to_string(), expected);
}

/// httpcore#822, #785, #830, #961: cancelled at each point in turn, nothing is lost and nothing is mixed up. The body's
/// polls are among them.
#[tokio::test]
async fn a_request_may_be_given_up_at_every_poll() {
    let _clock = StoppedClock::new();
    let server = Server::scripted(|_, mut peer| async move {
        while let Some(request) = peer.request().await {
            // In pieces, so that there are more polls to be given up at.
            let length = request.path.len();
            for piece in [
                "HTTP/1.1 200 OK\r\n",
                &format!("Content-Length: {length}\r\n\r\n"),
                &request.path[..2],
                &request.path[2..],
            ] {
                peer.say(piece).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    for polls in 0.. {
        let client = client();
        // On a connection that is opened for it, and on one that is there.
        let mut was_complete = true;
        for state in ["new", "used"] {
            let url = server.url(&format!("/{state}/{polls}"));
            was_complete &= polled(polls, async {
                let reply = client.get(url).send().await.unwrap();
                reply.bytes().await.unwrap();
            })
            .await;
            let path = format!("/after/{state}/{polls}");
            let next = client.get(server.url(&path)).send().await.unwrap();
            assert_eq!(next.text().await.unwrap(), path);
        }
        eventually("nothing is leased", || client.status().leased == 0).await;
        assert_eq!(server.accepted(), polls + 1, "a connection for each client");
        if was_complete {
            assert!(
                polls > 2,
                "{polls} polls: for a connection, the head and the body"
            );
            return;
        }
    }
}

/// The same with a request that has a body, sent as it is made: what of it was not sent costs the connection, and no more.
#[tokio::test]
async fn a_request_with_a_body_may_be_given_up_at_every_poll() {
    let clock = StoppedClock::new();
    let server = Server::answering(|request| ok(&request.path)).await;
    let client = client();
    for polls in 0.. {
        let was_complete = polled(polls, async {
            let (feed, body) = Streamed::new();
            let request = Request::post(server.url("/up")).body(body).unwrap();
            for piece in ["one", "two"] {
                feed.data(piece);
            }
            let exchange = client.execute(request);
            let end = async {
                tokio::task::yield_now().await;
                drop(feed);
            };
            let (reply, ()) = tokio::join!(exchange, end);
            assert_eq!(reply.unwrap().into_body().bytes().await.unwrap(), "/up");
        })
        .await;
        // What is finished in the background has a second for it.
        let path = format!("/after/{polls}");
        let next = tokio::spawn(client.get(server.url(&path)).send());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        tokio::time::advance(Duration::from_secs(2)).await;
        let next = next.await.unwrap().unwrap();
        assert_eq!(next.text().await.unwrap(), path);
        eventually("nothing is leased", || client.status().leased == 0).await;
        assert!(client.status().size <= 1);
        if was_complete {
            assert!(polls > 2, "{polls} polls");
            break;
        }
    }
    drop(clock);
}

/// httpcore#550, #658: places were lost one by one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_ten_thousand_requests_given_up_at_random_nothing_is_left() {
    const CALLERS: u32 = 20;
    const EACH: u32 = 500;
    let server = Server::echo().await;
    let client = Client::builder().max_per_route(5).build().unwrap();
    let mut callers = JoinSet::new();
    for caller in 1..=CALLERS {
        let (client, addr) = (client.clone(), server.addr);
        callers.spawn(async move {
            let mut random = caller;
            for round in 0..EACH {
                // A generator by Marsaglia.
                random ^= random << 13;
                random ^= random >> 17;
                random ^= random << 5;
                let path = format!("/{caller}/{round}");
                polled((random % 6) as usize, async {
                    let request = client.get(format!("http://{addr}{path}"));
                    let reply = request.send().await.unwrap();
                    assert_eq!(reply.text().await.unwrap(), path);
                })
                .await;
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    eventually("nothing is leased", || client.status().leased == 0).await;
    eventually("nothing is finished any more", || {
        client.status().upkeep == 0
    })
    .await;
    let mut requests = JoinSet::new();
    for _ in 0..5 {
        let request = client.get(server.url("/last"));
        requests.spawn(async move { request.send().await.unwrap().text().await.unwrap() });
    }
    while let Some(reply) = requests.join_next().await {
        assert_eq!(reply.unwrap(), "/last");
    }
    assert!(client.status().size <= 5);
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
