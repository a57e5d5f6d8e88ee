//! Connections that end: because the server says so, or without a word, in each state of a request.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use cenote_http::{Client, Error};
use http::Request;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::peer::{
    DATA, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, REFUSED_STREAM, Server, eventually, get, http2,
};
use crate::streamed::Streamed;

fn client() -> Client {
    http2().build().unwrap()
}

/// What the server names as the last is the last that it began, whatever its reason is (RFC 9113, 6.8).
#[tokio::test]
async fn a_server_that_goes_away_for_an_error_has_not_begun_what_is_above_the_last_either() {
    let server = Server::scripted(|number, mut peer| async move {
        peer.settings(&[]).await;
        let first = peer.request().await.unwrap();
        if number == 1 {
            let _second = peer.request().await.unwrap();
            peer.go_away_for(first, ENHANCE_YOUR_CALM).await;
            peer.answer(first).await;
            return peer.closed().await;
        }
        peer.answer(first).await;
        peer.closed().await;
    })
    .await;
    let client = client();
    let post = || client.post(server.url("/")).body("once").send();
    let (first, second) = tokio::join!(post(), post());
    first.unwrap();
    second.unwrap();
    assert_eq!(server.accepted(), 2);
}

/// hackney#886: a load balancer that goes away leaves the socket open, and nothing is under way on it.
#[tokio::test]
async fn a_connection_that_goes_away_while_it_is_idle_is_closed_and_another_carries_the_next() {
    let may_go = Arc::new(Notify::new());
    let go = Arc::clone(&may_go);
    let server = Server::scripted(move |number, mut peer| {
        let go = Arc::clone(&go);
        async move {
            peer.settings(&[]).await;
            let stream = peer.request().await.unwrap();
            peer.answer(stream).await;
            if number == 1 {
                go.notified().await;
                peer.go_away(stream).await;
            }
            peer.closed().await;
        }
    })
    .await;
    let client = client();
    get(&client, &server.url("/")).await.unwrap();
    may_go.notify_one();
    eventually("the client closes it", || server.ended() == 1).await;
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!(server.accepted(), 2);
}

/// A server that is to restart says so first with the highest number there is, and then with the last that it has begun.
#[tokio::test]
async fn what_is_opened_before_the_second_word_of_a_server_that_goes_away_ends_well() {
    let server = Server::scripted(|number, mut peer| async move {
        peer.settings(&[]).await;
        let first = peer.request().await.unwrap();
        if number == 1 {
            peer.go_away(u32::MAX >> 1).await;
            peer.heard().await;
            peer.go_away(first).await;
        }
        peer.answer(first).await;
        peer.closed().await;
    })
    .await;
    let client = client();
    for _ in 0..2 {
        get(&client, &server.url("/")).await.unwrap();
    }
    assert_eq!(server.accepted(), 2);
}

/// nginx, and any server that restarts: a connection that it had accepted before is told so at once.
#[tokio::test]
async fn a_server_that_goes_away_with_its_first_word_is_asked_again_over_another_connection() {
    let server = Server::scripted(|number, mut peer| async move {
        if number == 1 {
            peer.greet_and_go_away().await;
            return peer.closed().await;
        }
        peer.settings(&[]).await;
        let stream = peer.request().await.unwrap();
        peer.answer(stream).await;
        peer.closed().await;
    })
    .await;
    let client = client();
    client
        .post(server.url("/"))
        .body("once")
        .send()
        .await
        .unwrap();
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_server_that_always_goes_away_with_its_first_word_is_an_error() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.greet_and_go_away().await;
        peer.closed().await;
    })
    .await;
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
    assert!(server.accepted() > 1);
}

/// What the server has begun is its own to finish: nobody may send it twice.
#[tokio::test]
async fn what_the_server_began_before_it_went_away_and_ended_is_not_sent_again() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let first = peer.request().await.unwrap();
        peer.go_away(first).await;
    })
    .await;
    let client = client();
    let error = client.post(server.url("/")).body("once").send().await;
    assert!(matches!(error.unwrap_err(), Error::Exchange { .. }));
    assert_eq!(server.accepted(), 1);
}

/// A server that reads so much of its first request, of which it says then that it has done nothing, and answers others.
async fn refusing_after(bytes: usize) -> (Server, Arc<AtomicUsize>) {
    let requests = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&requests);
    let server = Server::scripted(move |_, mut peer| {
        let seen = Arc::clone(&seen);
        async move {
            peer.settings(&[]).await;
            let Some(first) = peer.request().await else {
                return;
            };
            seen.fetch_add(1, SeqCst);
            let mut read = 0;
            while read < bytes {
                let Some(data) = peer.next(DATA).await else {
                    return;
                };
                read += data.payload.len();
            }
            peer.reset(first, REFUSED_STREAM).await;
            while let Some(stream) = peer.request().await {
                seen.fetch_add(1, SeqCst);
                peer.answer(stream).await;
            }
        }
    })
    .await;
    (server, requests)
}

/// A body that is made as it is sent is there once: what it gave is kept only as long as that is little.
#[tokio::test]
async fn a_refused_request_of_which_much_was_streamed_is_not_sent_again() {
    let (server, requests) = refusing_after(64 * 1000).await;
    let (feed, body) = Streamed::new();
    let request = Request::post(server.url("/")).body(body).unwrap();
    for _ in 0..100 {
        feed.data(vec![7; 1000]);
    }
    let client = client();
    let error = client.execute(request).await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    assert!(feed.is_dropped());
    // The connection serves on, and had nothing else.
    get(&client, &server.url("/")).await.unwrap();
    assert_eq!((requests.load(SeqCst), server.accepted()), (2, 1));
}

#[tokio::test]
async fn a_refused_request_of_which_little_was_streamed_is_sent_again() {
    let (server, requests) = refusing_after(4).await;
    let (feed, body) = Streamed::new();
    let request = Request::post(server.url("/")).body(body).unwrap();
    feed.data("some");
    client().execute(request).await.unwrap();
    assert_eq!((requests.load(SeqCst), server.accepted()), (2, 1));
}

/// undici's `http2-goaway-refusal-storm`: each connection goes away before it has done anything.
#[tokio::test]
async fn a_server_whose_every_connection_goes_away_is_an_error() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        peer.request().await;
        peer.go_away(0).await;
        peer.closed().await;
    })
    .await;
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
    assert!(server.accepted() <= 9, "{}", server.accepted());
}

/// curl#12054, undici#5598: each connection takes two requests only, and goes away. What the first one has shown, the others
/// need not show again.
#[tokio::test]
async fn a_server_that_takes_two_requests_on_each_connection_is_given_two_on_each() {
    let (opened, left_behind) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let (counted, behind) = (Arc::clone(&opened), Arc::clone(&left_behind));
    let server = Server::scripted(move |number, mut peer| {
        let (counted, behind) = (Arc::clone(&counted), Arc::clone(&behind));
        async move {
            peer.settings(&[]).await;
            let first = peer.request().await.unwrap();
            let second = peer.request().await.unwrap();
            if number == 1 {
                // All have come.
                for _ in 2..12 {
                    peer.request().await.unwrap();
                }
            }
            counted.fetch_add(2, SeqCst);
            peer.go_away(second).await;
            peer.answer(first).await;
            peer.answer(second).await;
            while let Some(frame) = peer.frame().await {
                behind.fetch_add(usize::from(frame.kind == HEADERS), SeqCst);
            }
        }
    })
    .await;
    let client = client();
    let mut requests = JoinSet::new();
    for _ in 0..12 {
        let request = client.post(server.url("/")).body("once");
        requests.spawn(async move { request.send().await.map(drop) });
    }
    while let Some(request) = requests.join_next().await {
        request.unwrap().unwrap();
    }
    assert_eq!(opened.load(SeqCst), 12);
    assert_eq!(left_behind.load(SeqCst), 0);
}

/// How a server ends a connection without a word.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Abrupt {
    Fin,
    Rst,
}

/// A server that answers the first `answers` requests of its first connection, and ends it after what it has said by then;
/// any other connection answers all.
async fn abrupt(end: Abrupt, answers: usize, last_words: fn(u32) -> LastWords) -> Server {
    Server::scripted(move |number, mut peer| async move {
        peer.settings(&[]).await;
        let mut answered = 0;
        while let Some(stream) = peer.request().await {
            if number == 1 && answered == answers {
                match last_words(stream) {
                    LastWords::None => {}
                    LastWords::Head => peer.begin_answer(stream).await,
                    LastWords::HalfABody => {
                        peer.begin_answer(stream).await;
                        peer.data(stream, b"half", 0).await;
                        peer.heard().await;
                    }
                }
                match end {
                    Abrupt::Fin => return,
                    Abrupt::Rst => return peer.abort(),
                }
            }
            answered += 1;
            peer.answer(stream).await;
        }
    })
    .await
}

enum LastWords {
    None,
    Head,
    HalfABody,
}

#[tokio::test]
async fn a_safe_request_whose_used_connection_ends_before_its_reply_is_sent_once_more() {
    for end in [Abrupt::Fin, Abrupt::Rst] {
        let server = abrupt(end, 1, |_| LastWords::None).await;
        let client = client();
        for _ in 0..2 {
            get(&client, &server.url("/")).await.unwrap();
        }
        assert_eq!(server.accepted(), 2, "{end:?}");
    }
}

#[tokio::test]
async fn a_request_that_may_have_been_done_is_not_sent_again() {
    for end in [Abrupt::Fin, Abrupt::Rst] {
        let server = abrupt(end, 1, |_| LastWords::None).await;
        let client = client();
        get(&client, &server.url("/")).await.unwrap();
        let error = client.post(server.url("/")).body("once").send().await;
        assert!(
            matches!(error.unwrap_err(), Error::Exchange { .. }),
            "{end:?}"
        );
        assert_eq!(server.accepted(), 1, "{end:?}");
        get(&client, &server.url("/")).await.unwrap();
    }
}

#[tokio::test]
async fn a_new_connection_that_ends_before_its_first_reply_is_an_error() {
    for end in [Abrupt::Fin, Abrupt::Rst] {
        let server = abrupt(end, 0, |_| LastWords::None).await;
        let error = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(matches!(error, Error::Exchange { .. }), "{end:?}: {error}");
        assert_eq!(server.accepted(), 1, "{end:?}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_of_a_reply_breaks_that_reply_and_no_other_request() {
    for end in [Abrupt::Fin, Abrupt::Rst] {
        for words in [(|_| LastWords::Head) as fn(u32) -> _, |_| {
            LastWords::HalfABody
        }] {
            let server = abrupt(end, 0, words).await;
            let client = client();
            // A reset may overtake what was said before it.
            assert!(get(&client, &server.url("/")).await.is_err(), "{end:?}");
            assert_eq!(server.accepted(), 1, "{end:?}");
            get(&client, &server.url("/")).await.unwrap();
            eventually("no lease is left", || client.status().leased == 0).await;
        }
    }
}

/// kube#717: what ends is not what is asked next.
#[tokio::test]
async fn a_connection_that_ends_while_it_is_idle_is_noticed_before_the_next_request() {
    for end in [Abrupt::Fin, Abrupt::Rst] {
        let server = Server::scripted(move |_, mut peer| async move {
            peer.settings(&[]).await;
            let stream = peer.request().await.unwrap();
            peer.begin_answer(stream).await;
            peer.data(stream, b"whole", END_STREAM).await;
            peer.heard().await;
            if end == Abrupt::Rst {
                peer.abort();
            }
        })
        .await;
        let client = client();
        for round in 1..5 {
            // Not even one that may not be sent twice fails.
            let reply = client.post(server.url("/")).body(Bytes::from("once"));
            let reply = reply.send().await.unwrap().text().await.unwrap();
            assert_eq!((&*reply, server.accepted()), ("whole", round));
            eventually("it is over", || server.ended() == round).await;
            eventually("it is noticed", || client.status().size == 0).await;
        }
    }
}

/// undici#5453, go#20985: what the server had not begun is sent again, over another connection, whatever it is.
#[tokio::test]
async fn what_the_server_did_not_begin_before_it_goes_away_is_sent_again() {
    let server = Server::scripted(|number, mut peer| async move {
        peer.settings(&[]).await;
        let first = peer.request().await.unwrap();
        if number == 1 {
            peer.go_away(0).await;
            return peer.closed().await;
        }
        peer.answer(first).await;
        peer.closed().await;
    })
    .await;
    let client = client();
    let reply = client.post(server.url("/")).body("once").send().await;
    reply.unwrap();
    assert_eq!(server.accepted(), 2);
}

/// hackney#886: a load balancer says that it goes away, and leaves the socket open.
#[tokio::test]
async fn a_connection_that_goes_away_gets_no_more_requests_and_those_it_has_end_well() {
    let other_is_answered = Arc::new(Notify::new());
    let answered = Arc::clone(&other_is_answered);
    let server = Server::scripted(move |number, mut peer| {
        let answered = Arc::clone(&answered);
        async move {
            peer.settings(&[]).await;
            let stream = peer.request().await.unwrap();
            peer.begin_answer(stream).await;
            if number == 1 {
                peer.go_away(stream).await;
                answered.notified().await;
            }
            peer.data(stream, b"whole", END_STREAM).await;
            peer.closed().await;
        }
    })
    .await;
    let client = client();
    let first = client.get(server.url("/")).send().await.unwrap();
    assert_eq!(get(&client, &server.url("/")).await.unwrap(), "whole");
    assert_eq!(server.accepted(), 2);
    other_is_answered.notify_one();
    assert_eq!(first.text().await.unwrap(), "whole");
    eventually("it is closed", || server.ended() == 1).await;
}

/// reqwest#2081, corefx#39005: requests of before the server's settings were refused.
#[tokio::test]
async fn a_refused_stream_is_opened_again() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let refused = peer.request().await.unwrap();
        peer.reset(refused, REFUSED_STREAM).await;
        let stream = peer.request().await.unwrap();
        peer.answer(stream).await;
        peer.closed().await;
    })
    .await;
    let client = client();
    client
        .post(server.url("/"))
        .body("once")
        .send()
        .await
        .unwrap();
    assert_eq!(server.accepted(), 1);
}

/// undici#5603: a server that refuses everything is not asked for ever.
#[tokio::test]
async fn a_server_that_refuses_everything_is_an_error() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        while let Some(refused) = peer.request().await {
            peer.reset(refused, REFUSED_STREAM).await;
        }
    })
    .await;
    let client = client();
    let error = get(&client, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::Exchange { .. }), "{error}");
}
