//! Values through redis-rs's conversions, beside redis-rs's own connection to the same server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use cenote::Pool;
use cenote_redis::redis::{self, AsyncCommands, RedisResult, Script, Value};
use cenote_redis::{RedisClient, RedisConnector, RedisRs};
use cenote_testkit::RedisServer;
use proptest::collection::vec;
use proptest::prelude::*;

/// The reply over each of our connections and over redis-rs's own.
async fn everywhere(url: &str, cmd: &redis::Cmd) -> Vec<RedisResult<Value>> {
    let own = redis::Client::open(url.replace("protocol=3", "protocol=resp3")).unwrap();
    let mut own = own.get_multiplexed_async_connection().await.unwrap();
    let pool = Pool::new(RedisConnector::new(url).unwrap());
    let mut lease = pool.get().await.unwrap();
    let client = RedisClient::new(url).unwrap();
    vec![
        cmd.query_async(&mut own).await,
        cmd.query_async(&mut *lease).await,
        cmd.query_async(&mut &client).await,
    ]
}

fn without_attributes(value: Value) -> Value {
    match value {
        Value::Attribute { data, .. } => *data,
        other => other,
    }
}

async fn is_the_same_everywhere(url: &str, cmd: &redis::Cmd, what: &str) {
    let [theirs, exclusive, client] = everywhere(url, cmd).await.try_into().unwrap();
    let theirs = theirs.map(without_attributes);
    for ours in [exclusive, client] {
        match (&ours, &theirs) {
            (Err(ours), Err(theirs)) => {
                assert_eq!(ours.to_string(), theirs.to_string(), "{url}: {what}");
            }
            _ => assert_eq!(ours, theirs, "{url}: {what}"),
        }
    }
}

fn versions(server: &RedisServer) -> [String; 2] {
    [2, 3].map(|version| format!("{}?protocol={version}", server.url()))
}

/// Every type that the server knows, by its own samples.
#[tokio::test]
async fn every_type_of_reply_is_what_redis_rs_itself_reads() {
    let server = RedisServer::start().unwrap();
    for url in versions(&server) {
        for kind in [
            "string", "integer", "double", "null", "array", "set", "map", "attrib", "push",
            "verbatim", "true", "false", "bignum", "none",
        ] {
            let mut cmd = redis::cmd("DEBUG");
            cmd.arg("PROTOCOL").arg(kind);
            is_the_same_everywhere(&url, &cmd, kind).await;
        }
    }
}

/// What a script returns, types within types and errors among values.
#[tokio::test]
async fn what_a_script_returns_is_what_redis_rs_itself_reads() {
    let server = RedisServer::start().unwrap();
    let values = [
        "{1, 'two', false, true, {3, {}}}",
        "{redis.error_reply('MYERR among values'), redis.status_reply('FINE')}",
        "{map={a=1}}",
        "{set={a=true}}",
        "{double=1.25}",
        "{big_number='1234567890123456789012345678901234567890'}",
        "{verbatim_string={format='txt', string='text'}}",
        "{verbatim_string={format='abc', string='text'}}",
        "redis.error_reply('MYERR alone')",
        "redis.status_reply('OK')",
    ];
    for url in versions(&server) {
        for value in values {
            let script = format!("redis.setresp(3); return {value}");
            let mut cmd = redis::cmd("EVAL");
            cmd.arg(script).arg(0);
            is_the_same_everywhere(&url, &cmd, value).await;
        }
    }
}

fn contents() -> impl Strategy<Value = (Vec<Vec<u8>>, BTreeMap<Vec<u8>, i64>, f64)> {
    let bytes = || vec(any::<u8>(), 0..200);
    let hash = prop::collection::btree_map(bytes(), any::<i64>(), 1..10);
    (vec(bytes(), 1..10), hash, prop::num::f64::NORMAL)
}

/// Whatever users store, typed, comes back as it was, over every connection and both versions.
#[test]
fn whatever_is_stored_comes_back_as_it_was() {
    let server = RedisServer::start().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connections = runtime.block_on(async {
        let mut connections = Vec::new();
        for url in versions(&server) {
            let pool = Pool::new(RedisConnector::new(&url).unwrap());
            let lease = RedisRs(pool.get_owned().await.unwrap());
            connections.push((lease, RedisRs(RedisClient::new(&url).unwrap())));
        }
        tokio::sync::Mutex::new(connections)
    });
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(64));
    let outcome = runner.run(&contents(), |(list, hash, score)| {
        runtime.block_on(async {
            for (lease, client) in connections.lock().await.iter_mut() {
                comes_back(lease, &list, &hash, score).await?;
                comes_back(client, &list, &hash, score).await?;
            }
            Ok(())
        })
    });
    outcome.unwrap();
}

async fn comes_back(
    redis: &mut impl AsyncCommands,
    list: &[Vec<u8>],
    hash: &BTreeMap<Vec<u8>, i64>,
    score: f64,
) -> Result<(), TestCaseError> {
    let fields: Vec<(&[u8], i64)> = hash.iter().map(|(key, &value)| (&key[..], value)).collect();
    let stored: RedisResult<(i64, (), i64)> = redis::pipe()
        .atomic()
        .del(&["list", "hash", "zset"])
        .ignore()
        .rpush("list", list)
        .hset_multiple("hash", &fields)
        .zadd("zset", &list[0], score)
        .query_async(redis)
        .await;
    prop_assert_eq!(stored, Ok((list.len() as i64, (), 1)));
    let read: Vec<Vec<u8>> = redis.lrange("list", 0, -1).await.unwrap();
    prop_assert_eq!(&read, list);
    let read: BTreeMap<Vec<u8>, i64> = redis.hgetall("hash").await.unwrap();
    prop_assert_eq!(&read, hash);
    let read: Vec<(Vec<u8>, f64)> = redis.zrange_withscores("zset", 0, -1).await.unwrap();
    prop_assert_eq!(read, [(list[0].clone(), score)]);
    let joined = Script::new("return table.concat(redis.call('LRANGE', KEYS[1], 0, -1))");
    let read: Vec<u8> = joined.key("list").invoke_async(redis).await.unwrap();
    prop_assert_eq!(read, list.concat());
    Ok(())
}
