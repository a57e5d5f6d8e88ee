//! Replies read as the Rust types that users have, in both versions of the protocol, on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cenote::{Connect, Dial};
use cenote_redis::{Cmd, RedisConnection, RedisConnector, RedisError};
use cenote_testkit::RedisServer;

fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

/// A connection of each version, after these commands.
async fn both(server: &RedisServer, lines: &[&str]) -> [RedisConnection; 2] {
    let open = async |version: u8| {
        let url = format!("{}?protocol={version}", server.url());
        let connector = RedisConnector::new(&url).unwrap();
        connector.connect(&Dial::new()).await.unwrap()
    };
    let mut connections = [open(2).await, open(3).await];
    for line in lines {
        connections[0].command(&cmd(line)).await.unwrap();
    }
    connections
}

/// redis-rs and fred read HGETALL as a map, ZRANGE WITHSCORES as pairs, XRANGE as nested ones.
#[tokio::test]
async fn maps_and_pairs_are_read_in_both_versions() {
    let server = RedisServer::start().unwrap();
    let lines = [
        "HSET h a 1 b 2",
        "ZADD z 1.5 one 2.5 two",
        "XADD x 1-0 field 7",
    ];
    for mut redis in both(&server, &lines).await {
        let hash: HashMap<String, u8> = redis.query(&cmd("HGETALL h")).await.unwrap();
        assert_eq!(hash, HashMap::from([("a".into(), 1), ("b".into(), 2)]));
        let scores: Vec<(String, f32)> =
            redis.query(&cmd("ZRANGE z 0 -1 WITHSCORES")).await.unwrap();
        assert_eq!(scores, [("one".into(), 1.5), ("two".into(), 2.5)]);
        let entries: Vec<(String, BTreeMap<String, i16>)> =
            redis.query(&cmd("XRANGE x - +")).await.unwrap();
        let fields = BTreeMap::from([("field".into(), 7)]);
        assert_eq!(entries, [("1-0".into(), fields.clone())]);
        type Streams = HashMap<String, Vec<(String, BTreeMap<String, i16>)>>;
        let streams: Streams = redis.query(&cmd("XREAD STREAMS x 0")).await.unwrap();
        assert_eq!(
            streams,
            HashMap::from([("x".into(), vec![("1-0".into(), fields)])])
        );
    }
}

#[tokio::test]
async fn tuples_sets_and_text_are_read_in_both_versions() {
    let server = RedisServer::start().unwrap();
    let lines = ["SADD s a b", "ZADD z 1.5 one", "SET n 7"];
    for mut redis in both(&server, &lines).await {
        let members: BTreeSet<String> = redis.query(&cmd("SMEMBERS s")).await.unwrap();
        assert_eq!(members, BTreeSet::from(["a".into(), "b".into()]));
        let score: String = redis.query(&cmd("ZSCORE z one")).await.unwrap();
        assert_eq!(score, "1.5");
        let (number, missing): (u32, Option<String>) =
            redis.query(&cmd("MGET n missing")).await.unwrap();
        assert_eq!((number, missing), (7, None));
        let setting: (String, String) = redis.query(&cmd("CONFIG GET appendonly")).await.unwrap();
        assert_eq!(setting, ("appendonly".into(), "yes".into()));
    }
}

/// A number cut to the size of its type would be another number.
#[tokio::test]
async fn a_number_out_of_range_is_an_error_and_the_connection_goes_on() {
    let server = RedisServer::start().unwrap();
    for mut redis in both(&server, &["SET n 300"]).await {
        let error = redis.get::<u8>("n").await.unwrap_err();
        assert!(matches!(error, RedisError::Conversion(_)), "{error}");
        assert!(error.to_string().contains("in the range of u8"), "{error}");
        assert_eq!(redis.get::<u16>("n").await.unwrap(), 300);
        let negative = redis.query::<u64>(&cmd("DECRBY m 1")).await;
        assert!(negative.is_err(), "{negative:?}");
        redis.command(&cmd("DEL m")).await.unwrap();
    }
}
