//! Client tracking on a lease: which invalidations arrive, when, and that they end with the lease.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod both_versions;
mod fake;

use std::collections::BTreeSet;

use both_versions::{cmd, pools, reason};
use cenote::Lease;
use cenote_redis::{Cmd, Message, RedisClient, RedisConnection, Refusal};
use cenote_testkit::RedisServer;
use fake::ends;

/// The keys of the next invalidation.
async fn invalidated(redis: &mut RedisConnection) -> Option<BTreeSet<String>> {
    match ends("an invalidation", redis.next_message()).await.unwrap() {
        Message::Invalidated(keys) => {
            let keys = keys
                .iter()
                .map(|key| String::from_utf8(key.to_vec()).unwrap());
            Some(keys.collect())
        }
        Message::AllInvalidated => None,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn invalidations_are_received_between_commands_and_while_waiting() {
    let server = RedisServer::start().unwrap();
    let writer = RedisClient::new(&server.url()).unwrap();
    let pool = pools(&server)[0].clone();
    let mut redis = pool.get().await.unwrap();
    redis.command(&cmd("CLIENT TRACKING ON")).await.unwrap();
    for round in 0..10 {
        redis.get::<Option<String>>("a").await.unwrap();
        redis.get::<Option<String>>("b").await.unwrap();
        writer.set("a", round).await.unwrap();
        // Its reply comes behind the invalidation, which is kept.
        assert_eq!(redis.get::<u8>("a").await.unwrap(), round);
        assert_eq!(invalidated(&mut redis).await, Some(["a".to_owned()].into()));
        writer.set("b", round).await.unwrap();
        assert_eq!(invalidated(&mut redis).await, Some(["b".to_owned()].into()));
    }
    writer.command(&cmd("FLUSHALL")).await.unwrap();
    // The last reads of a and b may have been of interest still.
    while invalidated(&mut redis).await.is_some() {}
}

#[tokio::test]
async fn tracking_ends_with_the_lease_and_the_next_user_reads_none_of_it() {
    let server = RedisServer::start().unwrap();
    let writer = RedisClient::new(&server.url()).unwrap();
    let pool = pools(&server)[0].clone();
    let mut redis = pool.get().await.unwrap();
    let id = Lease::info(&redis).id;
    redis
        .command(&cmd("CLIENT TRACKING ON BCAST"))
        .await
        .unwrap();
    for number in 0..100 {
        writer.set(number, number).await.unwrap();
    }
    redis.command(&cmd("PING")).await.unwrap();
    drop(redis);
    for number in 0..100 {
        writer.set(number, number).await.unwrap();
    }
    let mut redis = ends("the reset", pool.get()).await.unwrap();
    assert_eq!(Lease::info(&redis).id, id, "reset, not replaced");
    let error = redis.next_message().await.unwrap_err();
    assert_eq!(reason(error), Refusal::NotListening);
    assert_eq!(redis.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
}

#[tokio::test]
async fn after_a_reset_by_the_user_no_invalidation_is_waited_for() {
    let server = RedisServer::start().unwrap();
    let pool = pools(&server)[0].clone();
    let mut redis = pool.get().await.unwrap();
    redis.command(&cmd("CLIENT TRACKING ON")).await.unwrap();
    redis.command(&cmd("RESET")).await.unwrap();
    let error = ends("the refusal", redis.next_message()).await.unwrap_err();
    assert_eq!(reason(error), Refusal::NotListening);
}

/// Nobody takes them, and they must not pile up: what is known then is that everything may have changed.
#[tokio::test]
async fn invalidations_that_nobody_takes_become_one_of_all_keys() {
    let server = RedisServer::start().unwrap();
    let writer = RedisClient::new(&server.url()).unwrap();
    let pool = pools(&server)[0].clone();
    let mut redis = pool.get().await.unwrap();
    redis
        .command(&cmd("CLIENT TRACKING ON BCAST"))
        .await
        .unwrap();
    for batch in 0..50 {
        let sets: Vec<Cmd> = (0..1_000)
            .map(|number| Cmd::new("SET").arg(format!("key {batch} {number}")).arg(1))
            .collect();
        writer.pipeline(&sets).await.unwrap();
        redis.command(&cmd("PING")).await.unwrap();
    }
    assert_eq!(invalidated(&mut redis).await, None);
    writer.set("a", 1).await.unwrap();
    assert_eq!(invalidated(&mut redis).await, Some(["a".to_owned()].into()));
}

/// The way for RESP2: the invalidations of one connection are redirected to another, which subscribes.
#[tokio::test]
async fn invalidations_are_redirected_to_a_subscription_in_resp2() {
    let server = RedisServer::start().unwrap();
    let writer = RedisClient::new(&server.url()).unwrap();
    let [_, resp2] = pools(&server);
    let mut listener = resp2.get().await.unwrap();
    let id: i64 = listener.query(&cmd("CLIENT ID")).await.unwrap();
    listener.subscribe(["__redis__:invalidate"]).await.unwrap();
    let mut reader = writer.exclusive().await.unwrap();
    let tracking = format!("CLIENT TRACKING ON REDIRECT {id}");
    reader.command(&cmd(&tracking)).await.unwrap();
    reader.get::<Option<String>>("a").await.unwrap();
    writer.set("a", 1).await.unwrap();
    assert_eq!(
        invalidated(&mut listener).await,
        Some(["a".to_owned()].into())
    );
    writer.command(&cmd("FLUSHALL")).await.unwrap();
    assert_eq!(invalidated(&mut listener).await, None);
}

/// On a connection that others use nobody could tell whose keys they are.
#[tokio::test]
async fn a_shared_connection_refuses_to_track() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    let refused = redis.command(&cmd("CLIENT TRACKING ON")).await.unwrap_err();
    assert_eq!(reason(refused), Refusal::ChangesSharedSession);
}
