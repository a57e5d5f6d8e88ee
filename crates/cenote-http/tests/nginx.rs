//! The client against a real nginx, which closes connections when its settings say so.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote_http::{Client, ClientBuilder, HttpVersion};
use cenote_testkit::NginxServer;
use http::Method;
use tokio::task::JoinSet;
use tokio::time::sleep;

fn settings() -> ClientBuilder {
    Client::builder().acquire_timeout(Duration::from_secs(60))
}

fn client() -> Client {
    settings().build().unwrap()
}

fn http2_client() -> Client {
    settings().version(HttpVersion::Http2).build().unwrap()
}

/// So many callers, each with so many requests, GET and POST by turns.
async fn crowd(client: &Client, url: &str, callers: usize, requests: usize) {
    let mut crowd = JoinSet::new();
    for caller in 0..callers {
        let (client, url) = (client.clone(), url.to_owned());
        let method = [Method::GET, Method::POST][caller % 2].clone();
        crowd.spawn(async move {
            for _ in 0..requests {
                let reply = client.request(method.clone(), &*url).send().await.unwrap();
                assert_eq!(reply.text().await.unwrap(), "hello");
            }
        });
    }
    while let Some(caller) = crowd.join_next().await {
        caller.unwrap();
    }
}

/// curl#12054, #2416, undici#5598: a server that ends each connection after its third request, and 20 callers at a time.
/// None of the 10,000 fails, not one of the POST requests either, which nobody may send twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_connections_after_three_requests_costs_none_of_them() {
    let site = "keepalive_requests 3; location / { return 200 'hello'; }";
    let server = NginxServer::start(site).unwrap();
    crowd(&client(), &server.url("/"), 20, 500).await;
}

/// The same over HTTP/2, where the server refuses all that is behind the third stream, and 64 callers at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_http2_connections_after_three_requests_costs_none_of_them() {
    let site = "keepalive_requests 3; location / { return 200 'hello'; }";
    let server = NginxServer::start_http2(site).unwrap();
    crowd(&http2_client(), &server.url("/"), 64, 157).await;
}

/// vertx#4392, triplox#471: of a server that takes few streams there are more connections, and no request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_few_streams_serves_a_crowd() {
    for streams in [1, 4] {
        let site =
            format!("http2_max_concurrent_streams {streams}; location / {{ return 200 'hello'; }}");
        let server = NginxServer::start_http2(site).unwrap();
        let client = http2_client();
        crowd(&client, &server.url("/"), 64, 30).await;
        assert!(client.status().size <= 20);
    }
}

/// A crowd, and a worker that is replaced after every thousandth request.
async fn crowd_while_reloading(client: &Client, server: &NginxServer, methods: &[Method]) {
    const RELOADS: usize = 5;
    let done = Arc::<AtomicUsize>::default();
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let (client, url, done) = (client.clone(), server.url("/"), Arc::clone(&done));
        let method = methods[caller % methods.len()].clone();
        callers.spawn(async move {
            while done.fetch_add(1, SeqCst) < (RELOADS + 1) * 1_000 {
                let reply = client.request(method.clone(), &*url).send().await.unwrap();
                assert_eq!(reply.text().await.unwrap(), "hello");
            }
        });
    }
    for reload in 1..=RELOADS {
        while done.load(SeqCst) < reload * 1_000 {
            assert_eq!(callers.try_join_next().map(Result::unwrap), None);
            sleep(Duration::from_millis(1)).await;
        }
        server.reload().unwrap();
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
}

/// kube#717, undici#5453: a new worker takes over, as at each change of settings, and no HTTP/2 request fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reloads_under_load_costs_no_http2_request() {
    let server = NginxServer::start_http2("location / { return 200 'hello'; }").unwrap();
    let methods = [Method::GET, Method::POST];
    crowd_while_reloading(&http2_client(), &server, &methods).await;
}

/// Over HTTP/1.1 the server closes a connection without a word, maybe as a request arrives: that one is sent once more if it
/// does nothing there, and nobody can tell for any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_reloads_under_load_costs_no_safe_http1_request() {
    let server = NginxServer::start("location / { return 200 'hello'; }").unwrap();
    crowd_while_reloading(&client(), &server, &[Method::GET]).await;
}

/// undici#3141, node#52649, #47130, rust-s3#405, greptimedb#1505: requests as the server's time for an idle connection is
/// up. nginx does not say what that is, and goes by its own clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_around_the_servers_time_out_do_not_fail() {
    let site = "keepalive_timeout 1s; location / { return 200 'hello'; }";
    let server = NginxServer::start(site).unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..100 {
        let url = server.url("/");
        callers.spawn(async move {
            // A route and so a connection of its own: nobody else keeps it busy.
            let client = client();
            for pause in [980 + caller / 2, 1_030 - caller / 2] {
                client
                    .get(&*url)
                    .send()
                    .await
                    .unwrap()
                    .text()
                    .await
                    .unwrap();
                sleep(Duration::from_millis(pause)).await;
            }
            client
                .get(&*url)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
}

/// The same where the server does say what its time is: what it does not get is a request too late, whatever the method.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_around_the_time_out_that_the_server_tells_do_not_fail() {
    let site = "keepalive_timeout 1s 1s; location / { return 200 'hello'; }";
    let server = NginxServer::start(site).unwrap();
    let mut callers = JoinSet::new();
    for caller in 0..100 {
        let url = server.url("/");
        callers.spawn(async move {
            let client = client();
            for pause in [480 + caller / 2, 980 + caller / 2] {
                client
                    .post(&*url)
                    .send()
                    .await
                    .unwrap()
                    .text()
                    .await
                    .unwrap();
                sleep(Duration::from_millis(pause)).await;
            }
            client
                .post(&*url)
                .send()
                .await
                .unwrap()
                .text()
                .await
                .unwrap();
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller.unwrap();
    }
}

/// go#41600 and smithy's `head_response_with_content_length_does_not_desync_connection`, on a real server.
#[tokio::test]
async fn replies_without_a_body_and_in_chunks_do_not_desynchronise() {
    let long = "x".repeat(2_000);
    let site = format!(
        "gzip on; gzip_types text/plain; location /204 {{ return 204; }} location /304 {{ return 304; }} \
         location /long {{ return 200 '{long}'; }} location / {{ return 200 $uri; }}"
    );
    let server = NginxServer::start(site).unwrap();
    let client = Client::builder().max_per_route(1).build().unwrap();
    for round in 0..20 {
        for (method, path) in [
            (Method::GET, "/204"),
            (Method::GET, "/304"),
            (Method::HEAD, "/long"),
            (Method::GET, "/long"),
        ] {
            let request = client.request(method.clone(), server.url(path));
            let request = request.header("accept-encoding", "gzip");
            let reply = request.send().await.unwrap();
            let is_chunked = reply.headers().contains_key("transfer-encoding");
            let has_body = !reply.bytes().await.unwrap().is_empty();
            let expected = method == Method::GET && path == "/long";
            assert_eq!(
                (has_body, is_chunked),
                (expected, expected),
                "{method} {path}"
            );
            let next = format!("/next/{round}{path}");
            let reply = client.get(server.url(&next)).send().await.unwrap();
            assert_eq!(reply.text().await.unwrap(), next);
        }
    }
}

/// kube#717: after a restart the service goes on, and what was on its way is an error at most.
#[tokio::test]
async fn a_server_that_was_restarted_serves_the_next_request() {
    let server = NginxServer::start("location / { return 200 'hello'; }").unwrap();
    let client = client();
    for _ in 0..3 {
        let reply = client.get(server.url("/")).send().await.unwrap();
        assert_eq!(reply.text().await.unwrap(), "hello");
        server.restart().unwrap();
    }
}
