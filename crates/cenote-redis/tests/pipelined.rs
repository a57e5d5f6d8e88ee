//! One connection that many users share: to each its own replies, and nothing that would break it for others.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;
use std::time::Duration;

use cenote::error::with_causes;
use cenote::mux::{CallError, Disconnected};
use cenote::{Connect, Dial, Multiplex, SharedLease, SharedPool};
use cenote_redis::{
    Cmd, PipelinedConnection, PipelinedConnector, RedisConnector, RedisError, Refusal, Value,
};
use cenote_testkit::{Fault, FaultProxy, RedisServer};
use fake::{Answer, FakeRedis, bulk, ends, poll_at_most, until};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

fn tag(text: &str) -> Cmd {
    Cmd::new("TAG").arg(text)
}

fn echo(text: &str) -> Cmd {
    Cmd::new("ECHO").arg(text)
}

fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

async fn connect(url: &str) -> PipelinedConnection {
    PipelinedConnector::new(url)
        .unwrap()
        .connect(&Dial::new())
        .await
        .unwrap()
}

async fn dribbling_server() -> FakeRedis {
    FakeRedis::start(|words| match words[0].as_str() {
        "TAG" => Some(Answer::Dribble(bulk(&words[1]))),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_users_of_one_connection_read_their_own_replies() {
    let server = RedisServer::start().unwrap();
    let redis = connect(&server.url()).await;
    let mut users = JoinSet::new();
    for user in 0..200 {
        let redis = redis.clone();
        users.spawn(async move {
            let key = format!("key-{user}");
            for turn in 0..50 {
                let text = format!("{user}/{turn}");
                redis.set(&key, &text).await.unwrap();
                assert_eq!(redis.get::<String>(&key).await.unwrap(), text);
                assert_eq!(redis.query::<String>(&echo(&text)).await.unwrap(), text);
            }
        });
    }
    users.join_all().await;
    let clients: String = redis.query(&command("CLIENT LIST")).await.unwrap();
    assert_eq!(clients.lines().count(), 1);
}

/// `INCR`s of others between the two of a transaction, or replies that tell somebody else's story.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_of_many_users_stay_whole_among_other_commands() {
    let server = RedisServer::start().unwrap();
    let redis = connect(&server.url()).await;
    let mut users = JoinSet::new();
    for user in 0..60 {
        let redis = redis.clone();
        users.spawn(async move {
            for _ in 0..20 {
                if user % 2 == 0 {
                    let incr: i64 = redis.query(&command("INCR count")).await.unwrap();
                    assert!(incr > 0);
                    continue;
                }
                let both = ["MULTI", "INCR count", "INCR count", "EXEC"].map(command);
                let mut replies = redis.pipeline(&both).await.unwrap();
                let Ok(Value::Array(counts)) = replies.pop().unwrap() else {
                    panic!("EXEC answers with an array");
                };
                let [Value::Int(one), Value::Int(other)] = counts[..] else {
                    panic!("INCR answers with a number: {counts:?}");
                };
                assert_eq!(one + 1, other);
            }
        });
    }
    users.join_all().await;
    assert_eq!(redis.get::<i64>("count").await.unwrap(), 1_800);
}

#[tokio::test]
async fn a_command_that_would_break_it_for_others_is_refused_and_not_sent() {
    let server = FakeRedis::start(|_| None).await;
    let redis = connect(&server.url()).await;
    let sent = server.log.lock().unwrap().len();
    let cases = [
        ("BLPOP list 0", Refusal::HoldsUpOthers),
        (
            "XREADGROUP GROUP g c BLOCK 0 STREAMS s >",
            Refusal::HoldsUpOthers,
        ),
        ("WAIT 1 0", Refusal::HoldsUpOthers),
        ("SUBSCRIBE news", Refusal::ListensOnShared),
        ("MONITOR", Refusal::ListensOnShared),
        ("SELECT 1", Refusal::ChangesSharedSession),
        ("AUTH secret", Refusal::ChangesSharedSession),
        ("WATCH key", Refusal::ChangesSharedSession),
        ("MULTI", Refusal::OpenTransaction),
        ("CLIENT REPLY OFF", Refusal::Silences),
    ];
    for (line, expected) in cases {
        for error in [
            redis.command(&command(line)).await.unwrap_err(),
            redis
                .pipeline(&[tag("x"), command(line)])
                .await
                .unwrap_err(),
        ] {
            let RedisError::Refused { reason, .. } = error else {
                panic!("{line}: {error}");
            };
            assert_eq!(reason, expected, "{line}");
        }
    }
    let refused = redis.command(&command("BLPOP list 0")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "BLPOP refused: everybody's replies on this shared connection would wait for it; use an exclusive lease"
    );
    assert_eq!(server.log.lock().unwrap().len(), sent);
}

/// redis-py #2665, at every point of a command.
#[tokio::test]
async fn a_command_cancelled_at_any_poll_leaves_the_next_its_own_reply() {
    let server = dribbling_server().await;
    let redis = connect(&server.url()).await;
    for polls in 0.. {
        let finished = poll_at_most(polls, redis.command(&tag("old"))).await;
        let new = format!("new-{polls}");
        assert_eq!(redis.query::<String>(&tag(&new)).await.unwrap(), new);
        if finished.is_some() {
            assert!(polls > 1, "the sweep cancelled nothing");
            break;
        }
    }
}

/// redis-py #2665, for a pipeline of which some replies arrived.
#[tokio::test]
async fn a_pipeline_cancelled_at_any_poll_leaves_the_next_its_own_replies() {
    let server = dribbling_server().await;
    let redis = connect(&server.url()).await;
    for polls in 0.. {
        let old = ["old-1", "old-2", "old-3"].map(tag);
        let finished = poll_at_most(polls, redis.pipeline(&old)).await;
        let replies = redis.pipeline(&["a", "b"].map(tag)).await.unwrap();
        let expected = ["a", "b"].map(|text| Ok(Value::Bulk(text.into())));
        assert_eq!(replies, expected, "after {polls} polls");
        if finished.is_some() {
            break;
        }
    }
}

/// redis-py #2665: replies are late on the way, and those who asked have left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_delaying_proxy_impatient_users_never_read_each_others_replies() {
    let server = RedisServer::start().unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let redis = connect(&format!("redis://{}", proxy.addr())).await;
    let (by, jitter) = (Duration::from_millis(2), Duration::from_millis(4));
    proxy.set(Fault::Delay { by, jitter }).unwrap();
    let mut users = JoinSet::new();
    for user in 0..100 {
        let redis = redis.clone();
        users.spawn(async move {
            for turn in 0..30 {
                let text = format!("{user}/{turn}");
                let (one, three) = (echo(&text), [echo(&text), echo("x"), echo(&text)]);
                let patience = Duration::from_micros(fastrand::u64(0..20_000));
                if turn % 3 == 0 {
                    let replies = tokio::time::timeout(patience, redis.pipeline(&three)).await;
                    if let Ok(replies) = replies {
                        let expected =
                            [&text, "x", &text].map(|text| Ok(Value::Bulk(text.to_owned().into())));
                        assert_eq!(replies.unwrap(), expected);
                    }
                } else if let Ok(reply) =
                    tokio::time::timeout(patience, redis.query::<String>(&one)).await
                {
                    assert_eq!(reply.unwrap(), text);
                }
            }
        });
    }
    users.join_all().await;
    proxy.clear().unwrap();
    assert_eq!(redis.query::<String>(&echo("mine")).await.unwrap(), "mine");
    until("all replies came", || redis.in_flight() == 0).await;
}

/// redis-rs #1955: a client that stops reading while it writes waits for ever for a server that stops reading
/// while it writes.
#[tokio::test]
async fn commands_larger_than_all_buffers_are_read_while_they_are_written() {
    let server = FakeRedis::start(|_| None).await;
    let redis = connect(&server.url()).await;
    let payload = "x".repeat(1 << 20);
    let mut users = JoinSet::new();
    for _ in 0..48 {
        let (redis, payload) = (redis.clone(), payload.clone());
        users.spawn(async move {
            let reply: String = redis.query(&tag(&payload)).await.unwrap();
            assert!(reply == payload);
        });
    }
    ends("the users", users.join_all()).await;
}

/// redis-rs #2277: a peer that is there and says nothing.
#[tokio::test]
async fn a_server_that_falls_silent_is_found_out_by_a_ping() {
    let server = FakeRedis::start(|words| (words[0] == "STALL").then_some(Answer::Stall)).await;
    let connector = PipelinedConnector::new(&server.url())
        .unwrap()
        .ping_after(Duration::from_millis(20))
        .ping_timeout(Duration::from_millis(20));
    let redis = connector.connect(&Dial::new()).await.unwrap();
    let error = ends("the call", redis.command(&Cmd::new("STALL"))).await;
    let Err(RedisError::Call {
        source: CallError::Disconnected { cause, .. },
        ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert!(matches!(cause, Disconnected::Silent { .. }), "{cause}");
    assert!(!connector.is_open(&redis));
}

#[tokio::test]
async fn nonsense_from_the_server_is_an_error_to_everyone_who_waits() {
    let gate = Arc::new(Semaphore::new(0));
    let permits = gate.clone();
    let server = FakeRedis::start(move |words| {
        (words[0] == "GARBLE").then(|| Answer::Behind(permits.clone(), b"HTTP/1.1 400".to_vec()))
    })
    .await;
    let redis = connect(&server.url()).await;
    let mut users = JoinSet::new();
    for _ in 0..20 {
        let redis = redis.clone();
        users.spawn(async move { redis.command(&Cmd::new("GARBLE")).await });
    }
    until("all have asked", || redis.in_flight() == 20).await;
    gate.add_permits(1);
    for outcome in ends("the users", users.join_all()).await {
        let error = with_causes(&outcome.unwrap_err());
        assert!(error.contains("no reply starts with \"HTTP"), "{error}");
    }
}

#[tokio::test]
async fn a_reply_larger_than_the_limit_ends_the_connection() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let connector = PipelinedConnector::from(connector.max_reply_size(100_000));
    let redis = connector.connect(&Dial::new()).await.unwrap();
    redis.set("big", vec![b'x'; 200_000]).await.unwrap();
    let error = with_causes(&redis.get::<Vec<u8>>("big").await.unwrap_err());
    assert!(
        error.contains("larger than max_reply_size (100000 bytes)"),
        "{error}"
    );
    assert!(!redis.is_open());
}

/// Replies that are still to come for callers who left take room from the others.
#[tokio::test]
async fn its_capacity_is_what_the_server_owes_nobody() {
    let gate = Arc::new(Semaphore::new(0));
    let permits = gate.clone();
    let server = FakeRedis::start(move |words| {
        (words[0] == "SLOW").then(|| Answer::Behind(permits.clone(), b"+OK\r\n".to_vec()))
    })
    .await;
    let connector = PipelinedConnector::new(&server.url())
        .unwrap()
        .max_in_flight(8);
    let redis = connector.connect(&Dial::new()).await.unwrap();
    assert_eq!(connector.capacity(&redis), 8);
    for _ in 0..3 {
        let slow = Cmd::new("SLOW");
        assert!(poll_at_most(1, redis.command(&slow)).await.is_none());
    }
    assert_eq!(connector.capacity(&redis), 5);
    gate.add_permits(3);
    until("the replies came", || connector.capacity(&redis) == 8).await;
}

#[tokio::test]
async fn a_login_and_a_database_are_those_of_the_url() {
    let server = RedisServer::builder().password("s3cret").start().unwrap();
    for protocol in [2, 3] {
        let url = format!(
            "redis://:s3cret@127.0.0.1:{}/7?protocol={protocol}&client_name=shop",
            server.port()
        );
        let redis = connect(&url).await;
        let info: String = redis.query(&command("CLIENT INFO")).await.unwrap();
        for part in ["db=7", "name=shop", &format!("resp={protocol}")] {
            assert!(info.contains(part), "{info}");
        }
    }
    let wrong = format!("redis://:wrong@127.0.0.1:{}", server.port());
    let refused = PipelinedConnector::new(&wrong)
        .unwrap()
        .connect(&Dial::new())
        .await;
    assert!(matches!(refused, Err(RedisError::Handshake { .. })));
}

/// The server has no more clients than the pool says, whatever users keep of its connections.
#[tokio::test]
async fn a_clone_that_is_kept_does_not_keep_the_connection() {
    let server = RedisServer::start().unwrap();
    let watching = connect(&server.url()).await;
    let pool = SharedPool::new(PipelinedConnector::new(&server.url()).unwrap());
    let lease = pool.get().await.unwrap();
    let kept = PipelinedConnection::clone(&lease);
    let id: i64 = kept.query(&command("CLIENT ID")).await.unwrap();
    SharedLease::discard(lease);
    ends("the connection", async {
        loop {
            let clients: String = watching.query(&command("CLIENT LIST")).await.unwrap();
            // The pool may have opened another in its place.
            if !clients
                .lines()
                .any(|client| client.starts_with(&format!("id={id} ")))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    assert!(kept.get::<String>("key").await.is_err());
}
