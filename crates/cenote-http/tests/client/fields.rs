//! Which of a caller's fields are sent. Connections are the pool's: what is said about them is not for the caller to say.

use std::time::Duration;

use cenote_http::Client;

use crate::server::{Server, ok};

/// The lines of the head that the server hears, but for the first and `Host`.
async fn heard(fields: &[(&str, &str)]) -> Vec<String> {
    let server = Server::answering(|request| ok(&request.head)).await;
    let client = Client::builder().build().unwrap();
    let mut request = client.get(server.url("/"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let head = request.send().await.unwrap().text().await.unwrap();
    let lines = head.lines().skip(1).map(str::to_owned);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("host:"))
        .collect()
}

/// pingora#713: a client's `Connection: close`, passed on, ends a connection of the pool with each request.
#[tokio::test]
async fn fields_that_are_about_the_connection_are_not_sent() {
    let fields = [
        ("connection", "close"),
        ("keep-alive", "timeout=1"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("upgrade", "h2c"),
        ("x-kept", "1"),
    ];
    assert_eq!(heard(&fields).await, ["x-kept: 1"]);
}

/// RFC 9110, 7.6.1.
#[tokio::test]
async fn fields_that_the_connection_field_names_are_not_sent() {
    let fields = [
        ("connection", "close, X-Mine"),
        ("connection", "x-too"),
        ("x-mine", "1"),
        ("x-too", "2"),
        ("x-kept", "3"),
    ];
    assert_eq!(heard(&fields).await, ["x-kept: 3"]);
}

#[tokio::test]
async fn that_trailers_are_welcome_is_sent() {
    let expected = ["te: trailers", "connection: te"];
    assert_eq!(heard(&[("te", "gzip, trailers")]).await, expected);
    let named = [("connection", "te"), ("te", "trailers")];
    assert_eq!(heard(&named).await, expected);
}

#[tokio::test]
async fn a_host_that_the_caller_names_is_sent_and_connected_to_is_the_uris() {
    let server = Server::answering(|request| ok(&request.head)).await;
    let client = Client::builder().build().unwrap();
    let request = client.get(server.url("/")).header("host", "other.example");
    let head = request.send().await.unwrap().text().await.unwrap();
    assert_eq!(head, "GET / HTTP/1.1\r\nhost: other.example\r\n\r\n");
}

/// Pingora CVE-2025-4366 and its kind: the rest of one request is taken for the beginning of the next.
#[tokio::test]
async fn a_length_that_is_not_that_of_the_body_does_not_reach_the_next_request() {
    for length in ["1", "10", "0"] {
        let server = Server::answering(|request| ok(&request.path)).await;
        let client = Client::builder().max_per_route(1).build().unwrap();
        let wrong = client.post(server.url("/wrong"));
        let wrong = wrong.header("content-length", length).body("GET /");
        // Whatever comes of it.
        let _ = wrong.timeout(Duration::from_millis(50)).send().await;
        let next = client.get(server.url("/next")).send().await.unwrap();
        assert_eq!(next.text().await.unwrap(), "/next", "{length}");
    }
}
