//! Connections that a caller has retired by a handle.

use cenote_http::{Body, Client, ConnectionHandle};
use http::Request;

use crate::server::{Server, eventually};

async fn get(client: &Client, url: String, handle: &ConnectionHandle) -> Body {
    let request = Request::get(url).extension(handle.clone());
    let request = request.body(Body::empty()).unwrap();
    client.execute(request).await.unwrap().into_body()
}

/// smithy's connection poisoning: the caller has understood the reply after the connection went back.
#[tokio::test]
async fn a_connection_that_is_retired_after_its_exchange_serves_nobody_else() {
    let server = Server::echo().await;
    let client = Client::builder().build().unwrap();
    let handle = ConnectionHandle::new();
    get(&client, server.url("/"), &handle)
        .await
        .bytes()
        .await
        .unwrap();
    handle.retire();
    let other = ConnectionHandle::new();
    get(&client, server.url("/"), &other)
        .await
        .bytes()
        .await
        .unwrap();
    assert_eq!(server.accepted(), 2);
    eventually("it is closed", || server.ended() == 1).await;
}

#[tokio::test]
async fn a_connection_that_is_retired_under_its_exchange_carries_it_to_its_end() {
    let server = Server::echo().await;
    let client = Client::builder().build().unwrap();
    let handle = ConnectionHandle::new();
    let body = get(&client, server.url("/first"), &handle).await;
    handle.retire();
    assert_eq!(body.bytes().await.unwrap(), "/first");
    let other = ConnectionHandle::new();
    get(&client, server.url("/"), &other)
        .await
        .bytes()
        .await
        .unwrap();
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_handle_is_set_with_the_head_of_the_reply_and_does_nothing_before() {
    let server = Server::echo().await;
    let client = Client::builder().build().unwrap();
    let handle = ConnectionHandle::new();
    handle.retire();
    assert!(!handle.is_set());
    get(&client, server.url("/"), &handle)
        .await
        .bytes()
        .await
        .unwrap();
    assert!(handle.is_set());
    let other = ConnectionHandle::new();
    get(&client, server.url("/"), &other)
        .await
        .bytes()
        .await
        .unwrap();
    assert_eq!(server.accepted(), 1);
}
