use std::collections::{BTreeSet, HashMap};

use cenote_redis::redis::{
    self, AsyncCommands, ErrorKind, RedisResult, Script, ServerErrorKind, Value, pipe,
};
use cenote_redis::{PipelinedConnection, RedisRs};
use cenote_testkit::RedisServer;
use tokio::task::JoinSet;

use crate::fake::ends;
use crate::pools::{Pools, on_every_connection};

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
