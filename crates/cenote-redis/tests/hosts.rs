//! Several hosts in one URL: what hangs is passed, and the error names each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::error::Error;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use cenote::{Connect, Dial, Pool};
use cenote_redis::{Cmd, PipelinedConnector, RedisConnector, RedisError};
use cenote_testkit::{RedisServer, SilentAddress};
use fake::{FakeRedis, ends};

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A server that is frozen takes connections and never says a word; one behind a firewall does not even take them.
#[tokio::test]
async fn hosts_that_hang_are_passed() {
    let silent = SilentAddress::new().unwrap();
    let (_frozen, frozen) = listener();
    let server = RedisServer::start().unwrap();
    let url = format!("redis://{},{frozen},{}", silent.addr(), server.addr());
    let pool = Pool::builder(RedisConnector::new(&url).unwrap())
        .connect_timeout(Duration::from_millis(900))
        .build()
        .unwrap();
    let mut conn = ends("the get", pool.get()).await.unwrap();
    conn.command(&Cmd::new("PING")).await.unwrap();
}

/// The same for connections that many users share.
#[tokio::test]
async fn a_shared_connection_passes_a_host_that_never_answers() {
    let (_frozen, frozen) = listener();
    let server = RedisServer::start().unwrap();
    let url = format!("redis://{frozen},{}", server.addr());
    let connector = PipelinedConnector::new(&url).unwrap();
    let dial = Dial::within(Duration::from_millis(600));
    let conn = ends("the dial", connector.connect(&dial)).await.unwrap();
    conn.command(&Cmd::new("PING")).await.unwrap();
}

/// Of a list that fails altogether each host is told with its own cause, once.
#[tokio::test]
async fn the_error_names_each_host_with_its_cause() {
    let (_frozen, frozen) = listener();
    let (_, refused) = listener();
    let connector = RedisConnector::new(&format!("redis://{frozen},{refused}")).unwrap();
    let dial = Dial::within(Duration::from_millis(400));
    let error = ends("the dial", connector.connect(&dial))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("none of the hosts of redis://{frozen},{refused} gave a connection")
    );
    let causes = error.source().unwrap().to_string();
    let (first, second) = causes.split_once("; ").unwrap();
    assert!(
        first.starts_with(&format!("redis://{frozen} did not answer within")),
        "{causes}"
    );
    let expected =
        format!("cannot connect to redis://{refused}: Connection refused (os error 111)");
    assert_eq!(second, expected);
}

/// A wrong password sent to every server there is may lock the account on all.
#[tokio::test]
async fn a_wrong_password_is_not_tried_on_the_next_host() {
    let server = RedisServer::builder().password("sesame").start().unwrap();
    let other = FakeRedis::start(|_| None).await;
    let second = other.url().replace("redis://", "");
    let url = format!("redis://:open@{},{second}", server.addr());
    let connector = RedisConnector::new(&url).unwrap();
    let error = ends("the dial", connector.connect(&Dial::new()))
        .await
        .unwrap_err();
    assert!(matches!(error, RedisError::Handshake { .. }), "{error:?}");
    assert!(other.log.lock().unwrap().is_empty());
}
