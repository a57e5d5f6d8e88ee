//! Which version of HTTP is spoken: what both sides offer by ALPN decides, and what the request asks for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cenote_http::{Client, HttpVersion, RouteOptions};
use http::Version;
use tokio::task::JoinSet;

use crate::peer::{eventually, get};
use crate::secure::{HTTP1, HTTP2, Secure};

async fn version(client: &Client, server: &Secure, options: RouteOptions) -> Version {
    let request = client.get(server.url()).route(options);
    let reply = request.send().await.unwrap();
    let version = reply.version();
    assert_eq!(reply.text().await.unwrap(), "hello");
    version
}

/// So many requests at once.
fn crowd(callers: usize, client: &Client, server: &Secure) -> JoinSet<()> {
    let mut crowd = JoinSet::new();
    for _ in 0..callers {
        let (client, url) = (client.clone(), server.url());
        crowd.spawn(async move {
            assert_eq!(get(&client, &url).await.unwrap(), "hello");
        });
    }
    crowd
}

async fn all_end(mut crowd: JoinSet<()>) {
    while let Some(caller) = crowd.join_next().await {
        caller.unwrap();
    }
}

#[tokio::test]
async fn http2_is_spoken_where_both_sides_offer_it() {
    for (offers, spoken) in [
        (&[HTTP2, HTTP1][..], Version::HTTP_2),
        (&[HTTP1, HTTP2], Version::HTTP_11),
        (&[HTTP2], Version::HTTP_2),
        (&[HTTP1], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let server = Secure::offering(offers).await;
        let client = server.trusting().build().unwrap();
        let options = RouteOptions::new();
        assert_eq!(
            version(&client, &server, options).await,
            spoken,
            "{offers:?}"
        );
    }
}

/// jetty#2293, aioduct#92: each of those who waited for the first handshake began one of its own.
#[tokio::test]
async fn a_crowd_that_comes_while_the_first_connection_is_opened_has_that_one_alone() {
    // So few that one connection is not nearly full.
    const CALLERS: usize = 64;
    let server = Secure::closed(&[HTTP2]).await;
    let client = server.trusting().build().unwrap();
    let crowd = crowd(CALLERS, &client, &server);
    eventually("all wait", || client.status().waiters == CALLERS).await;
    eventually("the first is dialled", || server.accepted() == 1).await;
    server.open(100);
    all_end(crowd).await;
    assert_eq!(server.accepted(), 1);
}

/// A thousand are more than one connection carries: still, no second is dialled before it is known what the first carries.
#[tokio::test]
async fn a_thousand_callers_begin_with_one_connection_and_stay_within_the_bounds() {
    let server = Secure::closed(&[HTTP2]).await;
    let client = server.trusting().build().unwrap();
    let crowd = crowd(1_000, &client, &server);
    eventually("all wait", || client.status().waiters == 1_000).await;
    eventually("the first is dialled", || server.accepted() == 1).await;
    assert_eq!(client.status().opening, 1);
    server.open(100);
    all_end(crowd).await;
    assert!(server.accepted() <= 8, "{}", server.accepted());
}

/// vlang/v#27643: once ALPN had chosen HTTP/1.1, each of those who had waited for it dialled by itself.
#[tokio::test]
async fn a_crowd_that_finds_http1_dials_no_more_than_the_bounds_permit() {
    let server = Secure::closed(&[HTTP1]).await;
    let client = server.trusting().build().unwrap();
    let crowd = crowd(200, &client, &server);
    eventually("all wait", || client.status().waiters == 200).await;
    eventually("the first is dialled", || server.accepted() == 1).await;
    server.open(1);
    eventually("others follow", || server.accepted() > 1).await;
    // With one connection, which comes back again and again.
    eventually("all are served", || client.status().waiters == 0).await;
    all_end(crowd).await;
    assert!(server.most_shaking() <= 8, "{}", server.most_shaking());
    assert!(server.accepted() <= 9, "{}", server.accepted());
}

#[tokio::test]
async fn a_server_without_http2_is_an_error_that_says_so_where_nothing_else_is_taken() {
    for offers in [&[HTTP1][..], &[]] {
        let server = Secure::offering(offers).await;
        let client = server.trusting().version(HttpVersion::Http2).build();
        let error = get(&client.unwrap(), &server.url()).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("the server does not speak HTTP/2"), "{text}");
        assert!(!error.is_timeout());
    }
}

/// Only HTTP/1.1 can be left for another protocol.
#[tokio::test]
async fn a_request_to_leave_for_another_protocol_goes_by_http1_though_the_server_likes_http2_better()
 {
    let server = Secure::offering(&[HTTP2, HTTP1]).await;
    let client = server.trusting().build().unwrap();
    let request = client
        .get(server.url())
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    assert_eq!(request.send().await.unwrap().version(), Version::HTTP_11);
    let options = RouteOptions::new();
    assert_eq!(version(&client, &server, options).await, Version::HTTP_2);
}

#[tokio::test]
async fn requests_that_ask_for_different_versions_share_no_connection() {
    let server = Secure::offering(&[HTTP2, HTTP1]).await;
    let client = server.trusting().build().unwrap();
    for (asked, spoken) in [
        (HttpVersion::Http1, Version::HTTP_11),
        (HttpVersion::Http2, Version::HTTP_2),
    ] {
        for _ in 0..3 {
            let options = RouteOptions::new().version(asked);
            assert_eq!(version(&client, &server, options).await, spoken);
        }
    }
    assert_eq!(server.accepted(), 2);
}

/// A deploy that changes what the server speaks: in either direction no request is lost, not even one that may not be sent twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deploy_that_changes_the_version_costs_no_request() {
    const DEPLOYS: usize = 6;
    let server = Secure::offering(&[HTTP2, HTTP1]).await;
    let client = server.trusting().build().unwrap();
    let done = Arc::<AtomicUsize>::default();
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let (client, url, done) = (client.clone(), server.url(), Arc::clone(&done));
        callers.spawn(async move {
            while done.fetch_add(1, SeqCst) < (DEPLOYS + 1) * 300 {
                let reply = client.post(&*url).send().await.unwrap();
                assert_eq!(reply.text().await.unwrap(), "hello");
            }
        });
    }
    for deploy in 1..=DEPLOYS {
        eventually("some are done", || done.load(SeqCst) >= deploy * 300).await;
        let offers = [&[HTTP2, HTTP1][..], &[HTTP1]][deploy % 2];
        server.deploy(offers);
    }
    all_end(callers).await;
}
