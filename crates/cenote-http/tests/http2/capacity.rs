//! How many streams a connection carries, and how many connections there are: as the server says, and noticed when it says
//! it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::peer::{
    END_STREAM, HEADERS, MAX_CONCURRENT_STREAMS, REFUSED_STREAM, Server, eventually, get, http2,
};

/// pingora#401: the peer's limit was ignored. More streams than it takes go over further connections.
#[tokio::test]
async fn no_more_streams_are_opened_than_the_server_takes() {
    const MAX: u32 = 3;
    let (most, gate) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let (seen, wait) = (Arc::clone(&most), Arc::clone(&gate));
    let server = Server::scripted(move |_, mut peer| {
        let (seen, wait) = (Arc::clone(&seen), Arc::clone(&wait));
        async move {
            peer.settings(&[(MAX_CONCURRENT_STREAMS, MAX)]).await;
            let mut open = Vec::new();
            loop {
                tokio::select! {
                    frame = peer.frame() => match frame {
                        Some(frame) if frame.kind == HEADERS => {
                            open.push(frame.stream);
                            seen.fetch_max(open.len(), SeqCst);
                        }
                        Some(_) => {}
                        None => return,
                    },
                    permit = wait.acquire(), if !open.is_empty() => {
                        permit.unwrap().forget();
                        peer.answer(open.remove(0)).await;
                    }
                }
            }
        }
    })
    .await;
    let client = http2().max_per_route(4).build().unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..30 {
        let (client, url) = (client.clone(), server.url("/"));
        requests.spawn(async move { get(&client, &url).await.unwrap() });
    }
    eventually("all connections are open", || server.accepted() == 4).await;
    gate.add_permits(30);
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
    assert_eq!(server.accepted(), 4);
    assert_eq!(most.load(SeqCst), 3);
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
    let client = http2().build().unwrap();
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
    let client = http2().build().unwrap();
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
    let client = http2().build().unwrap();
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
    let client = http2().build().unwrap();
    let error = get(&client, &server.url("/")).await.unwrap_err();
    assert!(
        matches!(error, cenote_http::Error::Exchange { .. }),
        "{error}"
    );
}
