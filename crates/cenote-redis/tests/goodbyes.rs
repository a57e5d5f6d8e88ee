//! The end of a connection that its pool has no use for, against a real server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use cenote::{Connect, ConnectionInfo, Dial};
use cenote_redis::RedisConnector;
use cenote_testkit::RedisServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Another connection may be opened at once, where the server permits no more than there are.
#[tokio::test]
async fn closing_waits_until_the_server_has_ended_the_connection() {
    let server = RedisServer::start().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (heard, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let between = tokio::spawn({
        let (heard, ended, port) = (Arc::clone(&heard), Arc::clone(&ended), server.port());
        async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let (mut asks, mut answers) = client.into_split();
            let (mut replies, mut commands) = server.into_split();
            let answering = tokio::spawn(async move {
                tokio::io::copy(&mut replies, &mut answers).await.unwrap();
                answers
            });
            tokio::io::copy(&mut asks, &mut commands).await.unwrap();
            drop(commands);
            heard.notify_one();
            // The server has closed its side, and that is held back.
            let answers = answering.await.unwrap();
            ended.notified().await;
            drop(answers);
        }
    });
    let connector = RedisConnector::new(&url).unwrap();
    let conn = connector.connect(&Dial::new()).await.unwrap();
    let info = ConnectionInfo::default();
    let mut close = pin!(connector.close(conn, &info));
    tokio::select! {
        biased;
        () = &mut close => panic!("the server has not ended it yet"),
        () = heard.notified() => {}
    }
    ended.notify_one();
    close.await;
    between.await.unwrap();
}

/// A goodbye that is not heard holds nobody up for longer than a moment.
#[tokio::test]
async fn closing_ends_though_the_server_is_stopped() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let conn = connector.connect(&Dial::new()).await.unwrap();
    server.stop().unwrap();
    let info = ConnectionInfo::default();
    let close = connector.close(conn, &info);
    tokio::time::timeout(Duration::from_secs(60), close)
        .await
        .expect("it ends");
}
