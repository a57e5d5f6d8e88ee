//! redis-rs's commands, typed replies, pipelines, transactions and scripts on every pool, on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::collections::{BTreeSet, HashMap};

use cenote::{Pool, SharedPool};
use cenote_redis::redis::{
    self, AsyncCommands, ErrorKind, RedisResult, Script, ServerErrorKind, Value, pipe,
};
use cenote_redis::{PipelinedConnection, PipelinedConnector, RedisClient, RedisConnector, RedisRs};
use cenote_testkit::RedisServer;
use fake::{ends, poll_at_most, until};
use tokio::task::JoinSet;

/// One connection of each kind, in database 3, so that a mistake of one user would show at the next.
struct Pools {
    exclusive: Pool<RedisConnector>,
    shared: SharedPool<PipelinedConnector>,
    client: RedisClient,
}

impl Pools {
    fn new(url: &str) -> Self {
        let connector = RedisConnector::new(&format!("{url}/3")).unwrap();
        let exclusive = Pool::builder(connector.clone()).max_size(1);
        let shared = SharedPool::builder(PipelinedConnector::from(connector.clone())).max_size(1);
        let client = RedisClient::builder(connector);
        Self {
            exclusive: exclusive.build().unwrap(),
            shared: shared.build().unwrap(),
            client: client.shared_connections(1).build().unwrap(),
        }
    }
}

/// Runs a scenario on everything that redis-rs can be used on, each time in an empty database.
macro_rules! on_every_connection {
    ($server:expr, $scenario:ident) => {{
        let pools = Pools::new(&$server.url());
        let mut admin = RedisRs(pools.client.clone());
        let mut clean = async || {
            redis::cmd("FLUSHDB").exec_async(&mut admin).await.unwrap();
        };
        let mut lease = pools.exclusive.get().await.unwrap();
        $scenario(&mut *lease).await;
        clean().await;
        $scenario(&mut RedisRs(&mut *lease)).await;
        clean().await;
        $scenario(&mut RedisRs(lease)).await;
        clean().await;
        let owned = pools.exclusive.get_owned().await.unwrap();
        $scenario(&mut RedisRs(owned)).await;
        clean().await;
        let shared = pools.shared.get().await.unwrap();
        $scenario(&mut &*shared).await;
        clean().await;
        $scenario(&mut PipelinedConnection::clone(&shared)).await;
        clean().await;
        $scenario(&mut RedisRs(shared)).await;
        clean().await;
        $scenario(&mut &pools.client).await;
        clean().await;
        $scenario(&mut pools.client.clone()).await;
        clean().await;
        $scenario(&mut RedisRs(pools.client.clone())).await;
        // No connection was given up for it.
        let closed = [
            pools.exclusive.counters().closed(),
            pools.shared.counters().closed(),
        ];
        assert_eq!(closed, [0, 0]);
    }};
}

async fn commands(redis: &mut impl AsyncCommands) {
    assert_eq!(redis.get_db(), 3);
    let (): () = redis.set("text", "hello").await.unwrap();
    let text: Option<String> = redis.get("text").await.unwrap();
    assert_eq!(text.as_deref(), Some("hello"));
    let missing: Option<String> = redis.get("missing").await.unwrap();
    assert_eq!(missing, None);
    let binary = [0_u8, 13, 10, 255];
    let _: () = redis.set(&binary[..], &binary[..]).await.unwrap();
    let read: Vec<u8> = redis.get(&binary[..]).await.unwrap();
    assert_eq!(read, binary);

    let _: () = redis
        .hset_multiple("hash", &[("a", 1), ("b", 2)])
        .await
        .unwrap();
    let hash: HashMap<String, i64> = redis.hgetall("hash").await.unwrap();
    assert_eq!(hash, HashMap::from([("a".into(), 1), ("b".into(), 2)]));
    let _: () = redis.zadd("scores", "one", 1.5).await.unwrap();
    let scores: Vec<(String, f64)> = redis.zrange_withscores("scores", 0, -1).await.unwrap();
    assert_eq!(scores, [("one".to_owned(), 1.5)]);
    let _: () = redis.sadd("set", &["x", "y"]).await.unwrap();
    let set: BTreeSet<String> = redis.smembers("set").await.unwrap();
    assert_eq!(set, BTreeSet::from(["x".into(), "y".into()]));
    assert!(redis.exists::<_, bool>("set").await.unwrap());

    let error = redis.incr::<_, _, i64>("text", 1).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ResponseError)
    );
    let error = redis.lpush::<_, _, i64>("text", 1).await.unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
}

/// deadpool-redis, bb8-redis: the crate people know on the pool of their choice.
#[tokio::test]
async fn commands_and_typed_replies_work_on_every_connection() {
    let server = RedisServer::start().unwrap();
    on_every_connection!(server, commands);
}

async fn scan(redis: &mut (impl AsyncCommands + 'static)) {
    let keys: BTreeSet<String> = (0..500).map(|key| format!("key:{key}")).collect();
    let mut fill = pipe();
    for key in &keys {
        fill.set(key, 1).ignore();
    }
    let _: () = fill.query_async(redis).await.unwrap();
    let mut found = BTreeSet::new();
    let mut iter = redis.scan_match::<_, String>("key:*").await.unwrap();
    while let Some(key) = iter.next_item().await {
        found.insert(key.unwrap());
    }
    assert_eq!(found, keys);
}

/// A cursor is an argument that redis-rs writes into the packed command itself.
#[tokio::test]
async fn a_scan_goes_through_all_keys() {
    let server = RedisServer::start().unwrap();
    let pools = Pools::new(&server.url());
    scan(&mut RedisRs(pools.exclusive.get_owned().await.unwrap())).await;
    scan(&mut RedisRs(pools.client.clone())).await;
}

async fn pipelines(redis: &mut impl AsyncCommands) {
    let (first, second): (i64, i64) = pipe()
        .set("a", 1)
        .ignore()
        .incr("a", 1)
        .incr("a", 1)
        .query_async(redis)
        .await
        .unwrap();
    assert_eq!((first, second), (2, 3));

    let mut failing = pipe();
    failing.set("t", "text").incr("t", 1).get("t");
    let error = failing.query_async::<Vec<Value>>(redis).await.unwrap_err();
    let errors = error.into_server_errors().unwrap();
    assert_eq!((errors.len(), errors[0].0), (1, 1));
    let parts: Vec<RedisResult<String>> = failing.ignore_errors().query_async(redis).await.unwrap();
    assert_eq!(parts[2], Ok("text".to_owned()));
    assert!(parts[1].is_err());

    let empty = pipe().query_async::<()>(redis).await.unwrap_err();
    assert_eq!(empty.kind(), ErrorKind::Client);
}

#[tokio::test]
async fn pipelines_work_on_every_connection() {
    let server = RedisServer::start().unwrap();
    on_every_connection!(server, pipelines);
}

async fn transactions(redis: &mut impl AsyncCommands) {
    let (first, second): (i64, i64) = pipe()
        .atomic()
        .set("a", 1)
        .ignore()
        .incr("a", 1)
        .incr("a", 1)
        .query_async(redis)
        .await
        .unwrap();
    assert_eq!((first, second), (2, 3));
    let nothing: () = pipe().atomic().query_async(redis).await.unwrap();
    assert_eq!(nothing, ());

    // Run, and one of its commands failed.
    let mut failing = pipe();
    failing.atomic().set("t", "text").incr("t", 1);
    let error = failing.query_async::<Vec<Value>>(redis).await.unwrap_err();
    assert_eq!(error.into_server_errors().unwrap()[0].0, 1);

    // Not run, for one of its commands does not exist.
    let mut aborted = pipe();
    aborted.atomic().set("a", 7).cmd("NO_SUCH_COMMAND");
    let error = aborted.query_async::<Vec<Value>>(redis).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server(ServerErrorKind::ExecAbort));
    let text = error.to_string();
    assert!(text.contains("command 1: ERR unknown command"), "{text}");
    assert_eq!(redis.get::<_, i64>("a").await.unwrap(), 3);
}

#[tokio::test]
async fn transactions_work_on_every_connection() {
    let server = RedisServer::start().unwrap();
    on_every_connection!(server, transactions);
}

/// redis-rs's own documentation warns of it: commands of others within a transaction on a connection that is shared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_s_command_gets_into_a_transaction_on_a_shared_connection() {
    let server = RedisServer::start().unwrap();
    let pools = Pools::new(&server.url());
    let shared = pools.shared.get().await.unwrap();
    let mut users = JoinSet::new();
    for user in 0..50_u64 {
        let mut redis = RedisRs(PipelinedConnection::clone(&shared));
        users.spawn(async move {
            for _ in 0..20 {
                let (before, _, after): (u64, (), u64) = pipe()
                    .atomic()
                    .incr("count", 1)
                    .set("last", user)
                    .incr("count", 1)
                    .query_async(&mut redis)
                    .await
                    .unwrap();
                assert_eq!(after, before + 1);
            }
        });
        let mut redis = RedisRs(PipelinedConnection::clone(&shared));
        users.spawn(async move {
            for _ in 0..20 {
                // QUEUED, if it were part of a transaction.
                let count: u64 = redis.incr("count", 1).await.unwrap();
                assert!(count > 0);
            }
        });
    }
    ends("the users", users.join_all()).await;
    let mut redis = RedisRs(shared);
    assert_eq!(redis.get::<_, u64>("count").await.unwrap(), 50 * 20 * 3);
}

async fn scripts(redis: &mut impl AsyncCommands) {
    let script = Script::new("return {KEYS[1], ARGV[1] + 1, 'text', false}");
    for _ in 0..2 {
        let reply: (String, i64, String, Option<i64>) =
            script.key("k").arg(41).invoke_async(redis).await.unwrap();
        assert_eq!(reply, ("k".to_owned(), 42, "text".to_owned(), None));
    }
    // Forgotten by the server: redis-rs goes by NOSCRIPT and loads it again.
    let _: () = redis::cmd("SCRIPT")
        .arg("FLUSH")
        .query_async(redis)
        .await
        .unwrap();
    let reply: Vec<Value> = script.key("k").arg(1).invoke_async(redis).await.unwrap();
    assert_eq!(reply[1], Value::Int(2));

    let failing = Script::new("return redis.error_reply('MYERR no')");
    let error = failing.invoke_async::<_, ()>(redis).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Extension, Some("MYERR"))
    );
}

#[tokio::test]
async fn scripts_are_loaded_where_they_are_missing() {
    let server = RedisServer::start().unwrap();
    on_every_connection!(server, scripts);
}

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
