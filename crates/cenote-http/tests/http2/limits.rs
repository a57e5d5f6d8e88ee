//! How many streams the server takes, which it may change at any time, or not say at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote_http::Client;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::peer::{
    END_STREAM, HEADERS, MAX_CONCURRENT_STREAMS, Peer, RST_STREAM, Server, eventually, get, http2,
};

fn one_connection() -> Client {
    http2().max_per_route(1).build().unwrap()
}

/// So many requests at once.
fn requests(count: usize, client: &Client, server: &Server) -> JoinSet<()> {
    let mut requests = JoinSet::new();
    for _ in 0..count {
        let (client, url) = (client.clone(), server.url("/"));
        requests.spawn(async move {
            get(&client, &url).await.unwrap();
        });
    }
    requests
}

async fn all_end(mut requests: JoinSet<()>) {
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
}

async fn takes(peer: &mut Peer, streams: u32) {
    peer.settings(&[(MAX_CONCURRENT_STREAMS, streams)]).await;
}

#[tokio::test]
async fn a_limit_that_is_raised_lets_those_who_wait_in_at_once() {
    let server = Server::scripted(|_, mut peer| async move {
        takes(&mut peer, 1).await;
        let mut open = vec![peer.request().await.unwrap()];
        peer.heard().await;
        takes(&mut peer, 3).await;
        while open.len() < 3 {
            open.push(peer.request().await.unwrap());
        }
        for stream in open {
            peer.answer(stream).await;
        }
        peer.closed().await;
    })
    .await;
    let client = one_connection();
    all_end(requests(3, &client, &server)).await;
}

#[tokio::test]
async fn a_limit_that_is_lowered_lets_nobody_in_until_there_are_fewer() {
    let is_lowered = Arc::new(Notify::new());
    let lowered = Arc::clone(&is_lowered);
    let server = Server::scripted(move |_, mut peer| {
        let lowered = Arc::clone(&lowered);
        async move {
            takes(&mut peer, 3).await;
            let mut open = Vec::new();
            while open.len() < 3 {
                open.push(peer.request().await.unwrap());
            }
            takes(&mut peer, 1).await;
            peer.heard().await;
            lowered.notify_one();
            // One after the other: whatever is opened too early is there when the last of them is answered.
            for (answered, stream) in open.into_iter().enumerate() {
                peer.answer(stream).await;
                if answered < 2 {
                    peer.heard_but(HEADERS).await;
                }
            }
            let stream = peer.request().await.unwrap();
            peer.answer(stream).await;
            peer.closed().await;
        }
    })
    .await;
    let client = one_connection();
    let first = requests(3, &client, &server);
    is_lowered.notified().await;
    get(&client, &server.url("/")).await.unwrap();
    all_end(first).await;
}

/// undici's `http2-max-concurrent-streams-zero`: callers waited for ever, and connections piled up.
#[tokio::test]
async fn a_server_that_takes_no_streams_is_an_error_in_time_and_costs_no_more_connections_than_allowed()
 {
    let server = Server::scripted(|_, mut peer| async move {
        takes(&mut peer, 0).await;
        peer.closed().await;
    })
    .await;
    let client = http2().max_per_route(2);
    let client = client.acquire_timeout(Duration::from_millis(200));
    let client = client.build().unwrap();
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let (client, url) = (client.clone(), server.url("/"));
        requests.spawn(async move { get(&client, &url).await.unwrap_err() });
    }
    while let Some(error) = requests.join_next().await {
        let error = error.unwrap();
        assert!(error.is_timeout(), "{error}");
    }
    assert!(server.accepted() <= 2, "{}", server.accepted());
}

#[tokio::test]
async fn a_server_that_takes_streams_again_is_given_those_that_wait() {
    let server = Server::scripted(|_, mut peer| async move {
        takes(&mut peer, 0).await;
        peer.heard().await;
        takes(&mut peer, 5).await;
        for _ in 0..10 {
            let stream = peer.request().await.unwrap();
            peer.answer(stream).await;
        }
        peer.closed().await;
    })
    .await;
    let client = one_connection();
    all_end(requests(10, &client, &server)).await;
}

/// pingora#401, restate#4654: where the server names no limit there was one connection, and a load balancer saw one.
#[tokio::test]
async fn a_server_that_names_no_limit_gets_128_streams_on_a_connection_and_the_others_on_the_next()
{
    let (most, gate) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let (seen, wait) = (Arc::clone(&most), Arc::clone(&gate));
    let server = Server::scripted(move |_, mut peer| {
        let (seen, wait) = (Arc::clone(&seen), Arc::clone(&wait));
        async move {
            peer.settings(&[]).await;
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
    let client = http2().build().unwrap();
    let requests = requests(200, &client, &server);
    eventually("there is a second connection", || server.accepted() == 2).await;
    eventually("the first is full", || most.load(SeqCst) >= 128).await;
    gate.add_permits(200);
    all_end(requests).await;
    assert_eq!((most.load(SeqCst), server.accepted()), (128, 2));
}

/// hyper#3338, #3559: 300 requests on one connection stood still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_times_as_many_requests_as_streams_all_end() {
    let server = Server::answering(100).await;
    let client = one_connection();
    all_end(requests(300, &client, &server)).await;
    assert_eq!(server.accepted(), 1);
    eventually("all leases are over", || client.status().leased == 0).await;
}

/// corefx#40663, aspnetcore#13406: the place of a request that was given up was free before the server had heard of it, and
/// the server ended the connection for a stream too many.
#[tokio::test]
async fn the_place_of_a_request_that_is_given_up_is_free_when_the_server_hears_of_it() {
    const TIMES: usize = 200;
    let has_come = Arc::new(Notify::new());
    let come = Arc::clone(&has_come);
    let server = Server::scripted(move |_, mut peer| {
        let come = Arc::clone(&come);
        async move {
            takes(&mut peer, 1).await;
            let mut open = 0_usize;
            while let Some(frame) = peer.frame().await {
                match frame.kind {
                    HEADERS => {
                        open += 1;
                        assert_eq!(open, 1, "a stream too many");
                        come.notify_one();
                    }
                    RST_STREAM => open -= 1,
                    _ => peer.acknowledge(&frame).await,
                }
            }
        }
    })
    .await;
    let client = one_connection();
    let url = server.url("/");
    for _ in 0..TIMES {
        tokio::select! {
            _ = get(&client, &url) => panic!("it was answered"),
            () = has_come.notified() => {}
        }
    }
    assert_eq!((server.accepted(), server.ended()), (1, 0));
}

/// hyper#2899: a body that nobody reads stopped all other streams of its connection.
#[tokio::test]
async fn a_body_that_nobody_reads_stops_no_other() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.settings(&[]).await;
        let unread = peer.request().await.unwrap();
        peer.begin_answer(unread).await;
        // All that the client's window takes.
        for _ in 0..64 {
            peer.data(unread, &[0; 16 * 1024], 0).await;
        }
        while let Some(stream) = peer.request().await {
            peer.begin_answer(stream).await;
            peer.data(stream, &[b'x'; 16 * 1024], END_STREAM).await;
        }
    })
    .await;
    let client = one_connection();
    let unread = client.get(server.url("/")).send().await.unwrap();
    for _ in 0..100 {
        let body = get(&client, &server.url("/")).await.unwrap();
        assert_eq!(body.len(), 16 * 1024);
    }
    drop(unread);
    assert_eq!(server.accepted(), 1);
}

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
