//! What the client passes on to its pools, and what they tell of themselves through it.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::report::{CloseReason, EventKind};
use cenote::{Connect, Dial};
use cenote_redis::{ClientBuilder, Cmd, RedisClient, RedisConnector};
use cenote_testkit::RedisServer;
use fake::{ends, until};

fn builder(server: &RedisServer) -> ClientBuilder {
    RedisClient::builder(RedisConnector::new(&server.url()).unwrap())
}

/// One command of each kind of connection.
async fn use_both(redis: &RedisClient) {
    redis.set("a", 1).await.unwrap();
    redis.exclusive().await.unwrap().set("a", 1).await.unwrap();
}

#[tokio::test]
async fn a_client_tells_what_happens_to_connections_of_both_kinds() {
    let server = RedisServer::start().unwrap();
    let seen = Arc::new(Mutex::new((0, Vec::new())));
    let told = seen.clone();
    let redis = builder(&server)
        .on_event(move |event| {
            let (opened, closed) = &mut *told.lock().unwrap();
            match &event.kind {
                EventKind::Opened { .. } => *opened += 1,
                EventKind::Closed { reason, .. } => closed.push(*reason),
                _ => {}
            }
        })
        .build()
        .unwrap();
    use_both(&redis).await;
    assert_eq!(seen.lock().unwrap().0, 2);
    let counters = redis.counters();
    assert_eq!((counters.shared.opened, counters.exclusive.opened), (1, 1));
    ends("the close", redis.close()).await;
    until("both are closed", || {
        seen.lock().unwrap().1 == [CloseReason::PoolClosed; 2]
    })
    .await;
}

#[tokio::test]
async fn a_lifetime_ends_connections_of_both_kinds() {
    let server = RedisServer::start().unwrap();
    let redis = builder(&server)
        .max_lifetime(Duration::from_millis(100))
        .build()
        .unwrap();
    ends("others were opened", async {
        loop {
            use_both(&redis).await;
            let counters = redis.counters();
            if counters.shared.opened > 1 && counters.exclusive.opened > 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_keepalive_asks_connections_of_both_kinds_that_nobody_uses() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut admin = connector.connect(&Dial::new()).await.unwrap();
    // No pings of a connection in service: what comes is a check.
    let redis = RedisClient::builder(connector.ping_after(None))
        .check_after_idle(Duration::from_millis(40))
        .keepalive(Duration::from_millis(50))
        .build()
        .unwrap();
    use_both(&redis).await;
    let list = Cmd::new("CLIENT").arg("LIST");
    ends("both were asked", async {
        loop {
            let clients: String = admin.query(&list).await.unwrap();
            if clients.matches("cmd=ping").count() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// go-redis #790: after a failover, or a change of the password, without the loss of what is under way.
#[tokio::test]
async fn evicting_replaces_connections_of_both_kinds_and_disturbs_nobody() {
    let server = RedisServer::start().unwrap();
    let redis = builder(&server).build().unwrap();
    use_both(&redis).await;
    let mut held = redis.exclusive().await.unwrap();
    redis.evict();
    held.set("a", 2).await.unwrap();
    drop(held);
    use_both(&redis).await;
    let counters = redis.counters();
    assert_eq!((counters.shared.opened, counters.exclusive.opened), (2, 2));
}

#[tokio::test]
async fn a_setting_that_cannot_work_is_named() {
    let server = RedisServer::start().unwrap();
    let error = builder(&server).lifetime_jitter(2.0).build().unwrap_err();
    assert!(error.to_string().contains("lifetime_jitter"), "{error}");
}
