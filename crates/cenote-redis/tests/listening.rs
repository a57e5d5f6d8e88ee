//! Subscriptions on a lease: what arrives, what is confirmed, and when the connection is clean.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod both_versions;
mod fake;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use both_versions::{cmd, pools, reason};
use cenote::report::CloseReason;
use cenote::{Connect, Dial, Pool, Verdict};
use cenote_redis::{Cmd, Message, RedisClient, RedisConnector, RedisError, Refusal, Value};
use cenote_testkit::RedisServer;
use fake::{Answer, FakeRedis, ends, poll_at_most};

fn published(channel: &str, pattern: Option<&str>, payload: &str) -> Message {
    let of = |text: &str| Value::Bulk(text.to_owned().into());
    let word = if pattern.is_some() {
        "pmessage"
    } else {
        "message"
    };
    let parts = [Some(word), pattern, Some(channel), Some(payload)];
    let parts = parts.into_iter().flatten().map(of).collect();
    Message::from(Value::Push(parts))
}

#[tokio::test]
async fn messages_of_channels_patterns_and_shard_channels_arrive_in_both_versions() {
    let server = RedisServer::start().unwrap();
    let publisher = RedisClient::new(&server.url()).unwrap();
    for pool in pools(&server) {
        let mut redis = pool.get().await.unwrap();
        redis.subscribe(["news", "sport"]).await.unwrap();
        redis.psubscribe(["weather.*"]).await.unwrap();
        redis.ssubscribe(["shard"]).await.unwrap();
        for line in [
            "PUBLISH sport one",
            "PUBLISH weather.north two",
            "SPUBLISH shard three",
            "PUBLISH news four",
        ] {
            let heard: i64 = publisher.query(&cmd(line)).await.unwrap();
            assert_eq!(heard, 1, "{line}");
        }
        for expected in [
            published("sport", None, "one"),
            published("weather.north", Some("weather.*"), "two"),
            published("shard", None, "three"),
            published("news", None, "four"),
        ] {
            let message = ends("a message", redis.next_message()).await.unwrap();
            assert_eq!(message, expected);
        }
    }
}

/// redis-py #233, node-redis #577, redis-rs #2423: SUBSCRIBE and UNSUBSCRIBE are confirmed once for each channel, and
/// clients that took the first confirmation for the reply read the others as replies to what they asked next.
#[tokio::test]
async fn when_all_is_unsubscribed_the_connection_takes_commands_and_serves_others() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        for turn in 0..3 {
            let mut redis = pool.get().await.unwrap();
            redis.subscribe(["a", "b", "c"]).await.unwrap();
            redis.psubscribe(["a*", "b*"]).await.unwrap();
            redis.unsubscribe(["a", "c", "never"]).await.unwrap();
            let refused = redis.command(&cmd("GET a")).await.unwrap_err();
            assert_eq!(reason(refused), Refusal::Listening);
            match turn {
                0 => redis.unsubscribe_all().await.unwrap(),
                1 => {
                    redis.unsubscribe(["b"]).await.unwrap();
                    redis.punsubscribe(["a*", "b*"]).await.unwrap();
                }
                // As many confirmations as there are subscriptions.
                _ => {
                    redis.command(&cmd("PUNSUBSCRIBE")).await.unwrap();
                    redis.command(&cmd("UNSUBSCRIBE")).await.unwrap();
                    redis.command(&cmd("SUNSUBSCRIBE")).await.unwrap();
                }
            }
            assert_eq!(redis.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
            let error = redis.next_message().await.unwrap_err();
            assert_eq!(reason(error), Refusal::NotListening);
        }
        let counters = pool.counters();
        assert_eq!((counters.opened, counters.resets), (1, 0));
    }
}

#[tokio::test]
async fn a_lease_that_still_listens_or_monitors_is_closed_at_return() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        for line in ["SUBSCRIBE a", "PSUBSCRIBE a", "SSUBSCRIBE a", "MONITOR"] {
            let mut redis = ends("a connection", pool.get()).await.unwrap();
            redis.command(&cmd(line)).await.unwrap();
        }
        let mut redis = ends("a connection", pool.get()).await.unwrap();
        assert_eq!(redis.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
        assert_eq!(pool.counters().closed_by(CloseReason::Verdict), 4);
    }
}

#[tokio::test]
async fn lines_of_a_monitor_are_messages() {
    let server = RedisServer::start().unwrap();
    let other = RedisClient::new(&server.url()).unwrap();
    for pool in pools(&server) {
        let mut redis = pool.get().await.unwrap();
        redis.command(&cmd("MONITOR")).await.unwrap();
        other.set("key", "shown").await.unwrap();
        loop {
            let line = ends("a line", redis.next_message()).await.unwrap();
            let Message::Monitored(line) = line else {
                panic!("{line:?}");
            };
            if line.contains("shown") {
                break;
            }
        }
        let refused = redis.subscribe(["a"]).await.unwrap_err();
        assert_eq!(reason(refused), Refusal::Listening);
    }
}

/// What was published before the confirmation of another subscription is no confirmation, and not lost.
#[tokio::test]
async fn messages_that_arrive_while_something_is_confirmed_are_kept_in_order() {
    let server = RedisServer::start().unwrap();
    let publisher = RedisClient::new(&server.url()).unwrap();
    for pool in pools(&server) {
        let mut redis = pool.get().await.unwrap();
        redis.subscribe(["a"]).await.unwrap();
        for number in 0..100 {
            let publish = Cmd::new("PUBLISH").arg("a").arg(number);
            publisher.command(&publish).await.unwrap();
        }
        redis.subscribe(["b"]).await.unwrap();
        redis.unsubscribe_all().await.unwrap();
        redis.command(&cmd("PING")).await.unwrap();
        for number in 0..100 {
            let message = redis.next_message().await.unwrap();
            assert_eq!(message, published("a", None, &number.to_string()));
        }
        drop(redis);
        // What nobody took is not the next user's.
        let mut redis = pool.get().await.unwrap();
        redis.subscribe(["a"]).await.unwrap();
        publisher.command(&cmd("PUBLISH a last")).await.unwrap();
        redis.unsubscribe_all().await.unwrap();
        drop(redis);
        let mut redis = pool.get().await.unwrap();
        let error = redis.next_message().await.unwrap_err();
        assert_eq!(reason(error), Refusal::NotListening);
        assert_eq!(pool.counters().opened, 1);
    }
}

#[tokio::test]
async fn subscriptions_dropped_at_any_poll_are_counted_all_the_same() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        for polls in 0..8 {
            let mut redis = ends("a lease", pool.get()).await.unwrap();
            let _ = poll_at_most(polls % 3, redis.command(&cmd("ECHO dropped"))).await;
            let _ = poll_at_most(polls, redis.subscribe(["a", "b", "c"])).await;
            let _ = poll_at_most(polls, redis.psubscribe(["a*", "b*"])).await;
            let _ = poll_at_most(polls, redis.command(&cmd("UNSUBSCRIBE"))).await;
            let _ = poll_at_most(polls, redis.unsubscribe_all()).await;
            redis.unsubscribe_all().await.unwrap();
            let tag = format!("mine {polls}");
            let echo = Cmd::new("ECHO").arg(&tag);
            assert_eq!(redis.query::<String>(&echo).await.unwrap(), tag);
        }
        assert_eq!(pool.counters().opened, 1, "every connection was clean");
    }
}

#[tokio::test]
async fn a_command_after_a_cancelled_subscription_waits_for_its_confirmation() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut redis = pool.get().await.unwrap();
        let _ = poll_at_most(1, redis.subscribe(["a"])).await;
        let refused = redis.command(&cmd("ECHO x")).await.unwrap_err();
        assert_eq!(reason(refused), Refusal::Listening);
        let _ = poll_at_most(1, redis.unsubscribe_all()).await;
        assert_eq!(redis.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
    }
}

#[tokio::test]
async fn a_subscription_that_the_server_refuses_leaves_a_usable_connection() {
    let server = RedisServer::start().unwrap();
    let admin = RedisClient::new(&server.url()).unwrap();
    let user = cmd("ACL SETUSER ann on nopass +@all ~* &allowed");
    admin.command(&user).await.unwrap();
    for version in [2, 3] {
        let url = server.url().replace("://", "://ann:any@");
        let connector = RedisConnector::new(&format!("{url}?protocol={version}")).unwrap();
        let pool = Pool::builder(connector).max_size(1).build().unwrap();
        let mut redis = pool.get().await.unwrap();
        let error = redis.subscribe(["allowed", "denied"]).await.unwrap_err();
        let RedisError::Server(reply) = &error else {
            panic!("{error}");
        };
        assert_eq!(reply.code(), "NOPERM");
        assert!(
            redis.command(&cmd("SUBSCRIBE")).await.is_err(),
            "no channel"
        );
        assert_eq!(redis.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
        redis.subscribe(["allowed"]).await.unwrap();
        redis.subscribe(["denied"]).await.unwrap_err();
        redis.unsubscribe_all().await.unwrap();
        drop(redis);
        let mut redis = pool.get().await.unwrap();
        assert_eq!(redis.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
        assert_eq!(pool.counters().opened, 1);
    }
}

/// dragonfly #1245: in a transaction not even Redis answers it right.
#[tokio::test]
async fn subscribing_within_a_transaction_is_refused() {
    let server = RedisServer::start().unwrap();
    let pool = pools(&server)[0].clone();
    let mut redis = pool.get().await.unwrap();
    redis.command(&cmd("MULTI")).await.unwrap();
    let refused = redis.subscribe(["a"]).await.unwrap_err();
    assert_eq!(reason(refused), Refusal::ListensInTransaction);
    redis.command(&cmd("EXEC")).await.unwrap();
    redis.subscribe(["a"]).await.unwrap();
}

#[tokio::test]
async fn no_channels_are_no_subscription_and_take_none_back() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut redis = pool.get().await.unwrap();
        redis.subscribe(["a"]).await.unwrap();
        redis.unsubscribe([""; 0]).await.unwrap();
        redis.psubscribe([""; 0]).await.unwrap();
        let refused = redis.command(&cmd("ECHO x")).await.unwrap_err();
        assert_eq!(reason(refused), Refusal::Listening);
    }
}

/// As a cluster does when the slot of a shard channel moves.
#[tokio::test]
async fn a_subscription_that_the_server_ends_is_a_message() {
    let confirm =
        |word: &str, count| format!("*3\r\n${}\r\n{word}\r\n$1\r\na\r\n:{count}\r\n", word.len());
    let server = FakeRedis::start(move |words| {
        (words[0] == "SSUBSCRIBE").then(|| {
            let both = confirm("ssubscribe", 1) + &confirm("sunsubscribe", 0);
            Answer::Send(both.into_bytes())
        })
    })
    .await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut redis = connector.connect(&Dial::new()).await.unwrap();
    redis.ssubscribe(["a"]).await.unwrap();
    let message = ends("the message", redis.next_message()).await.unwrap();
    assert_eq!(
        message,
        Message::Unsubscribed {
            channel: "a".into()
        }
    );
    assert_eq!(redis.query::<String>(&cmd("TAG x")).await.unwrap(), "x");
}

/// While a confirmation is late, the connection asks for a sign of life behind it: the server answers in order, an
/// error to the subscription first.
#[tokio::test]
async fn the_answer_to_a_ping_of_its_own_is_told_from_that_to_a_subscription() {
    for (late, usable) in [
        ("-NOPERM no\r\n+PONG\r\n", true),
        ("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n+PONG\r\n", true),
        ("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", false),
    ] {
        let listened = AtomicBool::new(false);
        let server = FakeRedis::start(move |words| match words[0].as_str() {
            "UNSUBSCRIBE" => {
                listened.store(true, SeqCst);
                Some(Answer::Send(Vec::new()))
            }
            "PING" if listened.swap(false, SeqCst) => Some(Answer::Send(late.into())),
            _ => None,
        })
        .await;
        let connector = RedisConnector::new(&server.url()).unwrap();
        let connector = connector.ping_after(Duration::from_millis(10));
        let mut redis = connector.connect(&Dial::new()).await.unwrap();
        let outcome = ends("the answer", redis.command(&cmd("UNSUBSCRIBE"))).await;
        assert_eq!(outcome.is_err(), late.starts_with('-'), "{outcome:?}");
        // The answer to the PING may still be to come, and then nobody else gets the connection.
        let verdict = connector.verdict(&mut redis);
        if !usable {
            assert_eq!(verdict, Verdict::Close);
            continue;
        }
        assert_eq!(redis.query::<String>(&cmd("TAG x")).await.unwrap(), "x");
        assert_eq!(redis.query::<String>(&cmd("PING")).await.unwrap(), "PONG");
        assert_eq!(connector.verdict(&mut redis), Verdict::Reuse);
    }
}

#[tokio::test]
async fn a_frame_that_is_no_message_ends_a_connection_that_listens() {
    let server = FakeRedis::start(|words| {
        (words[0] == "SUBSCRIBE")
            .then(|| Answer::Send(b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n:7\r\n".to_vec()))
    })
    .await;
    let connector = RedisConnector::new(&server.url()).unwrap();
    let mut redis = connector.connect(&Dial::new()).await.unwrap();
    redis.subscribe(["a"]).await.unwrap();
    let error = ends("the error", redis.next_message()).await.unwrap_err();
    assert!(matches!(error, RedisError::Protocol { .. }), "{error}");
    assert!(!connector.is_open(&redis));
}
