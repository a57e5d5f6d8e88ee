//! What a service that is given its HTTP client asks of it: any of three kinds, behind one object-safe trait; and that the
//! faults of a pool sketched in an afternoon (a list of connections, a channel, a notification) are not here.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "client/server/mod.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod server;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote_http::{Body, Client, Error, HttpClient, ReplyFuture, Unpooled};
use http::Request;
use server::{Server, eventually, ok};
use tokio::task::JoinSet;

/// Code that knows nothing of pools.
async fn page(http: &dyn HttpClient, url: String) -> Result<String, Error> {
    let request = Request::get(url).body(Body::empty()).unwrap();
    let bytes = http.execute(request).await?.into_body().bytes().await?;
    Ok(String::from_utf8(bytes.to_vec()).unwrap())
}

/// A client of one's own: it counts, and leaves the rest to another.
struct Counting {
    requests: AtomicUsize,
    inner: Arc<dyn HttpClient>,
}

impl HttpClient for Counting {
    fn execute(&self, request: Request<Body>) -> ReplyFuture {
        self.requests.fetch_add(1, SeqCst);
        self.inner.execute(request)
    }
}

fn client() -> Client {
    Client::builder().build().unwrap()
}

#[tokio::test]
async fn one_function_runs_without_a_pool_with_ours_and_with_ones_own() {
    let unpooled: Arc<dyn HttpClient> = Arc::new(Unpooled::new(Client::builder()).unwrap());
    let pooled: Arc<dyn HttpClient> = Arc::new(client());
    let counting = Arc::new(Counting {
        requests: AtomicUsize::new(0),
        inner: Arc::new(client()),
    });
    let own: Arc<dyn HttpClient> = counting.clone();
    for (http, connections) in [(unpooled, 3), (pooled, 1), (own, 1)] {
        let server = Server::echo().await;
        for path in ["/1", "/2", "/3"] {
            assert_eq!(page(&*http, server.url(path)).await.unwrap(), path);
        }
        assert_eq!(server.accepted(), connections);
    }
    assert_eq!(counting.requests.load(SeqCst), 3);
}

/// In a `static`, before there is a runtime; and from there into each request's context.
#[test]
fn a_client_is_made_at_the_start_before_there_is_a_runtime() {
    static HTTP: std::sync::LazyLock<Arc<dyn HttpClient>> =
        std::sync::LazyLock::new(|| Arc::new(client()));
    let http = Arc::clone(&HTTP);
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::echo().await;
        assert_eq!(page(&*http, server.url("/")).await.unwrap(), "/");
    });
}

#[tokio::test]
async fn without_a_pool_a_connection_ends_with_its_reply() {
    let server = Server::echo().await;
    let http = Unpooled::new(Client::builder()).unwrap();
    page(&http, server.url("/")).await.unwrap();
    eventually("it is closed", || server.ended() == 1).await;
}

/// The sketch waited to be notified, and looked into its channel after that: what was sent in between woke nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waits_is_woken_by_what_comes_back_at_any_moment() {
    let server = Server::echo().await;
    let http = Client::builder()
        .max_per_route(1)
        .acquire_timeout(None)
        .build()
        .unwrap();
    let http: Arc<dyn HttpClient> = Arc::new(http);
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (http, url) = (Arc::clone(&http), server.url("/"));
        callers.spawn(async move {
            for _ in 0..20 {
                page(&*http, url.clone()).await.unwrap();
            }
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert_eq!(server.accepted(), 1);
}

/// The sketch opened one whenever none was at hand.
#[tokio::test]
async fn there_are_never_more_connections_than_the_bound() {
    let server = Server::echo().await;
    let http: Arc<dyn HttpClient> = Arc::new(Client::builder().max_per_route(3).build().unwrap());
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let (http, url) = (Arc::clone(&http), server.url("/"));
        callers.spawn(async move { page(&*http, url).await.unwrap() });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
    assert!(server.accepted() <= 3, "{}", server.accepted());
}

/// The sketch queued requests without end, and for ever.
#[tokio::test]
async fn the_queue_is_bounded_in_length_and_in_time() {
    let server = Server::scripted(|_, mut peer| async move {
        peer.request().await;
        peer.closed().await;
    })
    .await;
    let http = Client::builder()
        .max_per_route(1)
        .max_waiters(1)
        .acquire_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    let held = tokio::spawn(http.get(server.url("/")).send());
    eventually("it is asked", || http.status().leased == 1).await;
    let waiting = tokio::spawn(http.get(server.url("/")).send());
    eventually("one waits", || http.status().waiters == 1).await;
    let error = http.get(server.url("/")).send().await.unwrap_err();
    assert!(!error.is_timeout(), "there is no place: {error}");
    let error = waiting.await.unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    held.abort();
}

/// The sketch kept what had been closed, and handed it out.
#[tokio::test]
async fn a_closed_connection_is_neither_kept_nor_used() {
    let server = Server::scripted(|_, mut peer| async move {
        let request = peer.request().await.unwrap();
        peer.say(&ok(&request.path)).await;
    })
    .await;
    let http = client();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(page(&http, server.url(path)).await.unwrap(), path);
        eventually("it is gone", || http.status().size == 0).await;
    }
}

/// The sketch unwrapped what it got from a channel whose other end had gone.
#[tokio::test]
async fn a_client_that_is_closed_answers_with_an_error() {
    let server = Server::echo().await;
    let http = client();
    page(&http, server.url("/")).await.unwrap();
    http.close().await;
    let error = page(&http, server.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
}
