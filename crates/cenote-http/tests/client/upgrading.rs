//! Connections that go on in another protocol: each counts for as long as it is there.

use std::time::Duration;

use cenote_http::{Client, Error, RequestBuilder, Upgraded};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, eventually, ok};

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// A server that goes over to a protocol in which it says hello at once, and then each line again; on `/no` it does not.
async fn switching() -> Server {
    Server::scripted(|_, mut peer| async move {
        while let Some(request) = peer.request().await {
            let asks = request.head.contains("\r\nupgrade: echo\r\n")
                && request.head.contains("\r\nconnection: upgrade\r\n");
            if !asks || request.path == "/no" {
                peer.say(&ok(&request.path)).await;
                continue;
            }
            peer.say(&format!("{SWITCH}hello\n")).await;
            while let Some(line) = peer.line().await {
                peer.say(&line).await;
            }
        }
    })
    .await
}

fn client() -> Client {
    Client::builder()
        .max_per_route(1)
        .acquire_timeout(Duration::from_millis(50))
        .build()
        .unwrap()
}

fn asking(client: &Client, url: String) -> RequestBuilder {
    let request = client.get(url).header("connection", "keep-alive, Upgrade");
    request.header("upgrade", "echo")
}

async fn switched(client: &Client, server: &Server) -> Upgraded {
    let reply = asking(client, server.url("/")).send().await.unwrap();
    assert_eq!(reply.status(), 101);
    reply.into_body().upgrade().await.unwrap()
}

#[tokio::test]
async fn a_connection_that_goes_on_in_another_protocol_carries_it() {
    let server = switching().await;
    let client = client();
    let mut socket = switched(&client, &server).await;
    socket.write_all(b"ping\n").await.unwrap();
    let mut said = [0; 11];
    socket.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"hello\nping\n");
}

/// okhttp#4258, #4658, zuul#2147: the count of places is exact after a 101.
#[tokio::test]
async fn it_has_its_place_until_it_is_dropped() {
    let server = switching().await;
    let client = client();
    let socket = switched(&client, &server).await;
    let error = client.get(server.url("/no")).send().await.unwrap_err();
    assert!(matches!(error, Error::NoConnection { .. }), "{error}");
    drop(socket);
    eventually("the server sees its end", || server.ended() == 1).await;
    let reply = client.get(server.url("/no")).send().await.unwrap();
    assert_eq!(reply.text().await.unwrap(), "/no");
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_server_that_does_not_change_the_protocol_is_asked_again_on_the_same_connection() {
    let server = switching().await;
    let client = client();
    for _ in 0..3 {
        let reply = asking(&client, server.url("/no")).send().await.unwrap();
        assert_eq!(reply.status(), 200);
        let error = reply.into_body().upgrade().await.unwrap_err();
        assert!(matches!(error, Error::NotUpgraded), "{error}");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_in_another_protocol_that_nobody_takes_is_closed() {
    let server = switching().await;
    let client = client();
    drop(asking(&client, server.url("/")).send().await.unwrap());
    eventually("it is closed", || server.ended() == 1).await;
    eventually("its place is free", || client.status().size == 0).await;
}

#[tokio::test]
async fn a_server_that_changes_the_protocol_unasked_is_an_error_and_its_connection_closed() {
    let server = Server::answering(|_| SWITCH.into()).await;
    let client = client();
    let error = client.get(server.url("/")).send().await.unwrap_err();
    assert!(matches!(error, Error::Upgrade { .. }), "{error}");
    let expected = format!(
        "http://{}: the server changed the protocol unasked",
        server.addr
    );
    assert_eq!(error.to_string(), expected);
    eventually("its place is free", || client.status().size == 0).await;
}

#[tokio::test]
async fn connect_is_refused_before_anything_is_sent() {
    let server = switching().await;
    let request = client().request(Method::CONNECT, server.url("/"));
    let error = request.send().await.unwrap_err();
    assert!(matches!(error, Error::Upgrade { .. }), "{error}");
    assert_eq!(server.accepted(), 0);
}
