use cenote_redis::redis::{self, AsyncCommands, ErrorKind, RedisResult, Value, pipe};
use cenote_redis::{RedisClient, RedisRs};
use cenote_testkit::RedisServer;

use crate::fake::{ends, poll_at_most, until};
use crate::pools::{Pools, on_every_connection};

/// A call dropped after any number of polls, then one whose reply is known.
async fn cancelled(redis: &mut impl AsyncCommands) {
    for polls in 0..6 {
        let (dropped, tag) = (format!("dropped {polls}"), format!("mine {polls}"));
        let _ = poll_at_most(
            polls,
            redis::cmd("ECHO").arg(&dropped).query_async::<Value>(redis),
        )
        .await;
        let echo: RedisResult<String> = redis::cmd("ECHO").arg(&tag).query_async(redis).await;
        assert_eq!(echo.unwrap(), tag);

        let mut both = pipe();
        both.atomic()
            .cmd("ECHO")
            .arg(&dropped)
            .cmd("ECHO")
            .arg(&dropped);
        let _ = poll_at_most(polls, both.query_async::<Value>(redis)).await;
        let echo: (String,) = pipe()
            .cmd("ECHO")
            .arg(&tag)
            .query_async(redis)
            .await
            .unwrap();
        assert_eq!(echo.0, tag);
    }
}

/// redis-rs #489 and #325, deadpool #97 and #102: `query_async` was not drop safe, and users of the pools over it read
/// the replies to the calls of others.
#[tokio::test]
async fn a_call_dropped_at_any_poll_leaves_no_reply_to_the_next() {
    let server = RedisServer::start().unwrap();
    on_every_connection!(server, cancelled);
}

#[tokio::test]
async fn a_lease_dropped_with_its_call_leaves_no_reply_to_the_next_user() {
    let server = RedisServer::start().unwrap();
    let pools = Pools::new(&server.url());
    for polls in 0..20 {
        let dropped = async {
            let mut redis = RedisRs(pools.exclusive.get().await?);
            let echo = redis::cmd("ECHO").arg("dropped").to_owned();
            let _: String = echo.query_async(&mut redis).await?;
            Ok::<_, Box<dyn std::error::Error>>(())
        };
        let _ = poll_at_most(polls, dropped).await;
        let mut redis = RedisRs(ends("a lease", pools.exclusive.get()).await.unwrap());
        let tag = format!("mine {polls}");
        let echo: String = redis::cmd("ECHO")
            .arg(&tag)
            .query_async(&mut redis)
            .await
            .unwrap();
        assert_eq!(echo, tag);
    }
}

/// On a shared connection BLPOP would hold everybody up; the client gives it one of its own.
#[tokio::test]
async fn a_command_that_waits_goes_down_a_connection_of_its_own() {
    let server = RedisServer::start().unwrap();
    let client = RedisClient::new(&server.url()).unwrap();
    let mut waiting = RedisRs(client.clone());
    let popped = tokio::spawn(async move {
        let popped: (String, i64) = waiting.blpop("jobs", 0.0).await.unwrap();
        popped
    });
    until("it waits", || client.status().exclusive.leased == 1).await;
    let mut redis = RedisRs(client);
    let _: () = redis.rpush("jobs", 42).await.unwrap();
    assert_eq!(
        ends("the pop", popped).await.unwrap(),
        ("jobs".to_owned(), 42)
    );
}

#[tokio::test]
async fn what_would_change_a_shared_session_is_refused_and_nothing_is_sent() {
    let server = RedisServer::start().unwrap();
    let pools = Pools::new(&server.url());
    let shared = pools.shared.get().await.unwrap();
    for line in [
        "SELECT 1",
        "WATCH k",
        "SUBSCRIBE c",
        "MULTI",
        "CLIENT REPLY OFF",
    ] {
        let mut cmd = redis::Cmd::new();
        for word in line.split(' ') {
            cmd.arg(word);
        }
        let error = cmd.query_async::<()>(&mut &*shared).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
        let error = cmd.query_async::<()>(&mut &pools.client).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
    }
    // Optimistic locking as redis-rs does it, on a connection of one's own.
    let mut redis = pools.client.exclusive().await.unwrap();
    let _: () = redis::cmd("WATCH")
        .arg("k")
        .query_async(&mut *redis)
        .await
        .unwrap();
    let _: () = redis::cmd("SET")
        .arg("k")
        .arg(1)
        .query_async(&mut &pools.client)
        .await
        .unwrap();
    let lost: Option<(i64,)> = pipe()
        .atomic()
        .incr("k", 1)
        .query_async(&mut *redis)
        .await
        .unwrap();
    assert_eq!(lost, None);
}

#[tokio::test]
async fn a_command_without_a_response_leaves_none_behind() {
    let server = RedisServer::start().unwrap();
    let pools = Pools::new(&server.url());
    let mut redis = RedisRs(pools.exclusive.get().await.unwrap());
    for command in ["PING", "NO_SUCH_COMMAND"] {
        let mut cmd = redis::cmd(command);
        let reply: Value = cmd
            .set_no_response(true)
            .query_async(&mut redis)
            .await
            .unwrap();
        assert_eq!(reply, Value::Nil);
    }
    let echo: String = redis::cmd("ECHO")
        .arg("mine")
        .query_async(&mut redis)
        .await
        .unwrap();
    assert_eq!(echo, "mine");
}
