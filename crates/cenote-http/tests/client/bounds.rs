//! How many connections there may be, and what is told where there may be no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use cenote_http::{Client, Error, RouteOptions};
use tokio::task::JoinSet;

use crate::server::{Server, eventually, ok};

/// undici#3268 and #4365, xet-core#459, reqwest#2424: the bound on all routes together, dials included, which is wished for
/// since long.
#[tokio::test]
async fn all_routes_together_have_no_more_connections_than_the_total() {
    const TOTAL: usize = 4;
    let server = Server::echo().await;
    let client = Client::builder()
        .max_per_route(3)
        .max_total(TOTAL)
        .acquire_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let watched = (client.clone(), Arc::clone(&is_over));
    let watcher = tokio::spawn(async move {
        let (client, is_over) = watched;
        let mut most = 0;
        while !is_over.load(SeqCst) {
            let status = client.status();
            most = most.max(status.size + status.opening);
            tokio::task::yield_now().await;
        }
        most
    });
    let mut requests = JoinSet::new();
    for n in 0..200 {
        let options = RouteOptions::new().tag(format!("tenant-{}", n % 20));
        let path = format!("/{n}");
        let request = client.get(server.url(&path)).route(options);
        requests.spawn(async move {
            let reply = request.send().await.unwrap();
            assert_eq!(reply.text().await.unwrap(), path);
        });
    }
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
    is_over.store(true, SeqCst);
    let most = watcher.await.unwrap();
    assert!((1..=TOTAL).contains(&most), "{most} connections at once");
}

#[tokio::test]
async fn one_route_has_no_more_connections_than_its_own_bound() {
    let server = Server::echo().await;
    let client = Client::builder().max_per_route(2).build().unwrap();
    let mut requests = JoinSet::new();
    for n in 0..100 {
        let request = client.get(server.url(&format!("/{n}")));
        requests.spawn(async move { request.send().await.unwrap().bytes().await.unwrap() });
    }
    while let Some(request) = requests.join_next().await {
        request.unwrap();
    }
    assert!(server.accepted() <= 2, "{}", server.accepted());
}

/// A server whose replies do not end.
async fn holding() -> Server {
    Server::scripted(|_, mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx")
            .await;
        peer.closed().await;
    })
    .await
}

/// restate#4666: callers that wait at a bound are not told of it, and wait for ever.
#[tokio::test]
async fn a_request_that_finds_no_connection_in_time_is_told_which_bound_it_met() {
    let server = holding().await;
    let builder = Client::builder().acquire_timeout(Duration::from_millis(20));
    let refused = async |client: Client, first: &str, second: &str| {
        let with_tag = |tag: &str| {
            client
                .get(server.url("/"))
                .route(RouteOptions::new().tag(tag))
        };
        let _held = with_tag(first).send().await.unwrap();
        let error = with_tag(second).send().await.unwrap_err();
        assert!(error.is_timeout());
        assert!(matches!(error, Error::NoConnection { .. }));
        error.to_string()
    };
    let own = builder.clone().max_per_route(1).build().unwrap();
    let text = refused(own, "a", "a").await;
    let pool = format!(
        "pool http[http://{} for a]: no connection within",
        server.addr
    );
    assert!(text.starts_with(&pool), "{text}");
    assert!(text.contains("1 of 1"), "{text}");
    let total = builder.max_total(1).build().unwrap();
    let text = refused(total, "a", "b").await;
    assert!(text.contains("for b]: no connection within"), "{text}");
    assert!(text.contains("budget"), "{text}");
}

/// hyper#2627, #3499: 0 meant an error once.
#[tokio::test]
async fn a_client_that_keeps_no_idle_connection_works() {
    let server = Server::echo().await;
    let client = Client::builder().max_idle(0).build().unwrap();
    for path in ["/1", "/2", "/3"] {
        let reply = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), path);
        eventually("nothing is open", || client.status().size == 0).await;
    }
}

#[tokio::test]
async fn a_connection_that_has_been_idle_for_the_time_set_is_closed() {
    let server = Server::echo().await;
    let client = Client::builder()
        .idle_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    let reply = client.get(server.url("/1")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "/1");
    eventually("nothing is open", || client.status().size == 0).await;
    let reply = client.get(server.url("/2")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "/2");
}

/// A server that takes the connection and never answers the TLS handshake.
#[cfg(feature = "rustls")]
#[tokio::test]
async fn opening_a_connection_takes_no_longer_than_is_set_tls_included() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Client::builder()
        .name("partners")
        .connect_timeout(Duration::from_millis(100))
        .acquire_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let sent = client.get(format!("https://127.0.0.1:{port}/")).send();
    let error = sent.await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NoConnection { .. }), "{text}");
    assert!(text.contains("100ms"), "{text}");
    assert!(text.contains("partners[https://127.0.0.1"), "{text}");
}

#[tokio::test]
async fn settings_that_cannot_work_are_told_when_the_client_is_made() {
    let refused = |builder: cenote_http::ClientBuilder| builder.build().unwrap_err().setting;
    let builder = Client::builder;
    assert_eq!(refused(builder().max_per_route(0)), "max_per_route");
    assert_eq!(refused(builder().max_total(0)), "max_total");
    assert_eq!(
        refused(builder().connect_timeout(Duration::ZERO)),
        "connect_timeout"
    );
    assert_eq!(
        refused(builder().idle_timeout(Duration::ZERO)),
        "idle_timeout"
    );
}

/// postgres-nio#662, undici#5144: after whatever happened, nothing is counted that is not there.
#[tokio::test]
async fn a_client_that_is_closed_lets_replies_end_and_takes_no_request() {
    let server = Server::answering(|_| ok(&"x".repeat(100_000))).await;
    let client = Client::builder().build().unwrap();
    let reply = client.get(server.url("/")).send().await.unwrap();
    let closing = client.close();
    let error = client.get(server.url("/")).send().await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
    assert_eq!(reply.bytes().await.unwrap().len(), 100_000);
    assert_eq!(closing.await.abandoned, 0);
    eventually("the server sees it", || server.ended() == 1).await;
}

/// A name that has moved would be asked at its old address for ever.
#[tokio::test]
async fn a_connection_that_is_old_is_replaced() {
    let server = Server::echo().await;
    let client = Client::builder()
        .max_lifetime(Duration::from_millis(100))
        .build()
        .unwrap();
    let reply = client.get(server.url("/1")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "/1");
    eventually("it is closed", || server.ended() == 1).await;
    let reply = client.get(server.url("/2")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "/2");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn one_request_more_than_may_wait_is_refused_at_once() {
    let server = holding().await;
    let client = Client::builder()
        .max_per_route(1)
        .max_waiters(1)
        .build()
        .unwrap();
    let held = client.get(server.url("/")).send().await.unwrap();
    let waiting = tokio::spawn(client.get(server.url("/")).send());
    eventually("one waits", || client.status().waiters == 1).await;
    let error = client.get(server.url("/")).send().await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
    assert!(!error.is_timeout(), "{error}");
    waiting.abort();
    drop(held);
}

#[tokio::test]
async fn what_happens_to_the_connections_of_each_route_is_told_with_its_name() {
    let server = Server::echo().await;
    let (tell, told) = std::sync::mpsc::channel();
    let client = Client::builder()
        .on_event(move |event| {
            if let cenote::report::EventKind::Opened { .. } = event.kind {
                tell.send(event.pool.to_string()).unwrap();
            }
        })
        .build()
        .unwrap();
    for tenant in ["a", "b"] {
        let request = client.get(server.url("/"));
        let request = request.route(RouteOptions::new().tag(tenant));
        request.send().await.unwrap().bytes().await.unwrap();
    }
    let told: Vec<_> = told.try_iter().collect();
    let expected = ["a", "b"].map(|tenant| format!("http[http://{} for {tenant}]", server.addr));
    assert_eq!(told, expected);
}
