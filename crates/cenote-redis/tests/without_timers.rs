//! A runtime that was built without timers (`enable_time`) serves all that connections do: their timers are not
//! tokio's.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use cenote::time::timeout;
use cenote_redis::{Cmd, Message, RedisClient, RedisConnector};
use cenote_testkit::RedisServer;
use tokio::runtime::Builder;

#[test]
fn a_client_commands_waits_listens_and_closes() {
    let server = RedisServer::start().unwrap();
    // Pings fall due while the subscriber listens.
    let connector = RedisConnector::new(&server.url())
        .unwrap()
        .ping_after(Duration::from_millis(20));
    let redis = RedisClient::builder(connector)
        .call_timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .build()
        .unwrap();
    runtime.block_on(async {
        redis.set("key", 42).await.unwrap();
        assert_eq!(redis.get::<i64>("key").await.unwrap(), 42);
        let pop = Cmd::new("BLPOP").arg("jobs").arg(600);
        let popped = timeout(Duration::from_millis(20), redis.command(&pop)).await;
        assert!(popped.is_err(), "there are no jobs");
        let subscribe = Cmd::new("SUBSCRIBE").arg("news");
        let mut news = redis.listen(&subscribe).await.unwrap();
        let quiet = timeout(Duration::from_millis(200), news.next_message()).await;
        assert!(quiet.is_err(), "nothing was published");
        let publish = Cmd::new("PUBLISH").arg("news").arg("hello");
        redis.command(&publish).await.unwrap();
        let message = news.next_message().await.unwrap();
        assert!(matches!(message, Message::Published { .. }));
        drop(news);
        redis.close().await;
    });
}
