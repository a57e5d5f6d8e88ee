//! What a lease leaves behind in its session is gone before the next lease, on a real server.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;

use cenote::report::CloseReason;
use cenote::{Lease, Pool};
use cenote_redis::{Cmd, Message, RedisConnector, RedisError, Refusal, Value};
use cenote_testkit::RedisServer;
use fake::{Answer, FakeRedis, ends, poll_at_most};
use tokio::sync::Semaphore;

/// Both versions of the protocol, in database 2, with a name.
fn pools(server: &RedisServer) -> [Pool<RedisConnector>; 2] {
    ["protocol=3", "protocol=2"].map(|options| {
        let url = format!("{}/2?{options}&client_name=home", bare_url(server));
        let connector = RedisConnector::new(&url).unwrap();
        Pool::builder(connector).max_size(1).build().unwrap()
    })
}

fn bare_url(server: &RedisServer) -> String {
    format!("redis://127.0.0.1:{}", server.port())
}

fn cmd(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let cmd = Cmd::new(words.next().unwrap_or_default());
    cmd.args(words)
}

/// Leaves state by `lines` in one lease and checks the next lease of the same connection.
async fn leaves_nothing(lines: &[&str]) {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut lease = pool.get().await.unwrap();
        lease.set("key", "in 2").await.unwrap();
        for line in lines {
            lease.command(&cmd(line)).await.unwrap();
        }
        let id = Lease::info(&lease).id;
        drop(lease);

        let mut lease = ends("the reset", pool.get()).await.unwrap();
        assert_eq!(Lease::info(&lease).id, id, "reset, not replaced");
        assert_eq!(lease.get::<String>("key").await.unwrap(), "in 2");
        let info: String = lease.query(&cmd("CLIENT INFO")).await.unwrap();
        for part in [" name=home ", " db=2 ", " multi=-1 ", " user=default "] {
            assert!(info.contains(part), "no{part}in {info}");
        }
        assert_eq!(pool.counters().resets, 1);
    }
}

#[tokio::test]
async fn an_open_transaction_is_discarded() {
    leaves_nothing(&["MULTI", "SET key queued"]).await;
}

/// What one command of a pipeline ends, another behind it may begin anew.
#[tokio::test]
async fn what_the_last_commands_of_a_pipeline_leave_is_undone() {
    let server = RedisServer::start().unwrap();
    for lines in [
        &["MULTI", "EXEC", "MULTI"][..],
        &["WATCH key", "UNWATCH", "WATCH key"],
        &["WATCH key", "MULTI", "EXEC", "WATCH key"],
        &["SELECT 2", "SELECT 5"],
    ] {
        for pool in pools(&server) {
            let mut lease = pool.get().await.unwrap();
            let cmds: Vec<Cmd> = lines.iter().copied().map(cmd).collect();
            lease.pipeline(&cmds).await.unwrap();
            drop(lease);
            let mut lease = ends("the reset", pool.get()).await.unwrap();
            let info: String = lease.query(&cmd("CLIENT INFO")).await.unwrap();
            for part in [" db=2 ", " multi=-1 ", " watch=0 "] {
                // Servers before Redis 7.4 say nothing of a watch.
                let known = info.contains(part.split('=').next().unwrap());
                assert!(!known || info.contains(part), "no{part}in {info}");
            }
            assert_eq!(pool.counters().resets, 1, "{lines:?}");
        }
    }
}

/// The replies to its first commands say nothing of those behind them.
#[tokio::test]
async fn what_a_pipeline_that_was_cancelled_may_have_left_is_undone() {
    let mut partly = 0;
    // Once for sending, once for the first reply.
    for polls in 0..=2 {
        let gate = Arc::new(Semaphore::new(0));
        let held = gate.clone();
        let server = FakeRedis::start(move |words| {
            let held = held.clone();
            (words == ["SELECT", "5"]).then(|| Answer::Behind(held, b"+OK\r\n".to_vec()))
        })
        .await;
        let connector = RedisConnector::new(&format!("{}/2", server.url())).unwrap();
        let pool = Pool::builder(connector).max_size(1).build().unwrap();
        let mut lease = pool.get().await.unwrap();
        let both = [cmd("SELECT 2"), cmd("SELECT 5")];
        assert!(poll_at_most(polls, lease.pipeline(&both)).await.is_none());
        partly += usize::from(lease.owed_replies() == 1);
        drop(lease);
        gate.add_permits(1);
        drop(ends("the reset", pool.get()).await.unwrap());
        let log = server.log.lock().unwrap();
        let last = log.iter().rfind(|words| words[0] == "SELECT").unwrap();
        assert_eq!(last[1], "2", "{log:?}");
    }
    assert!(partly > 0, "some had the first reply");
}

#[tokio::test]
async fn another_database_is_left() {
    leaves_nothing(&["SELECT 5"]).await;
}

#[tokio::test]
async fn a_name_and_tracking_are_undone() {
    leaves_nothing(&["CLIENT SETNAME other", "CLIENT TRACKING ON"]).await;
}

#[tokio::test]
async fn another_protocol_is_undone() {
    leaves_nothing(&["HELLO 2", "HELLO 3"]).await;
}

#[tokio::test]
async fn another_user_is_logged_out() {
    let create = "ACL SETUSER guest on nopass +@all ~*";
    leaves_nothing(&[create, "AUTH guest any", "SELECT 3"]).await;
}

#[tokio::test]
async fn all_kinds_of_state_at_once_are_undone() {
    leaves_nothing(&["WATCH key", "CLIENT SETNAME other", "MULTI", "SELECT 9"]).await;
}

#[tokio::test]
async fn a_watch_does_not_fail_the_next_transaction() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut lease = pool.get().await.unwrap();
        lease.command(&cmd("WATCH key")).await.unwrap();
        drop(lease);

        let mut lease = pool.get().await.unwrap();
        lease.set("key", "changed").await.unwrap();
        let transaction = [cmd("MULTI"), cmd("SET key again"), cmd("EXEC")];
        let replies = lease.pipeline(&transaction).await.unwrap();
        assert_eq!(
            replies[2],
            Ok(Value::Array(vec![Value::Simple("OK".into())]))
        );
    }
}

#[tokio::test]
async fn a_finished_transaction_costs_no_reset() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut lease = pool.get().await.unwrap();
        for line in [
            "WATCH a", "MULTI", "SET a 1", "EXEC", "WATCH a", "UNWATCH", "SELECT 3", "SELECT 2",
        ] {
            lease.command(&cmd(line)).await.unwrap();
        }
        drop(lease);
        drop(pool.get().await.unwrap());
        assert_eq!(pool.counters().resets, 0);
    }
}

#[tokio::test]
async fn a_transaction_cancelled_at_any_poll_is_not_inherited() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        for polls in 0.. {
            let mut lease = pool.get().await.unwrap();
            lease.set("key", polls).await.unwrap();
            let transaction = [
                cmd("WATCH key"),
                cmd("MULTI"),
                cmd("SET key mine"),
                cmd("EXEC"),
            ];
            let finished = poll_at_most(polls, async {
                for step in &transaction {
                    lease.command(step).await.unwrap();
                }
            })
            .await;
            drop(lease);

            let mut lease = pool.get().await.unwrap();
            let reply: String = lease.query(&cmd("ECHO plain")).await.unwrap();
            assert_eq!(reply, "plain", "after {polls} polls");
            if finished.is_some() {
                break;
            }
        }
        assert_eq!(pool.counters().opened, 1, "reset each time, never replaced");
    }
}

#[tokio::test]
async fn a_subscription_is_read_by_its_holder_and_closed_at_return() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut subscriber = pool.get_owned().await.unwrap();
        subscriber
            .command(&cmd("SUBSCRIBE news sport"))
            .await
            .unwrap();
        let other = RedisConnector::new(&bare_url(&server)).unwrap();
        let publisher = Pool::new(other);
        let publish = cmd("PUBLISH news hello");
        let receivers: i64 = publisher
            .get()
            .await
            .unwrap()
            .query(&publish)
            .await
            .unwrap();
        assert_eq!(receivers, 1);
        let message = ends("the message", subscriber.next_message()).await;
        assert!(
            matches!(message, Ok(Message::Published { ref payload, .. }) if payload == "hello"),
            "{message:?}"
        );

        let error = subscriber.command(&cmd("GET key")).await.unwrap_err();
        assert!(
            matches!(
                error,
                RedisError::Refused {
                    reason: Refusal::Listening,
                    ..
                }
            ),
            "{error}"
        );
        drop(subscriber);
        let mut lease = ends("a new connection", pool.get()).await.unwrap();
        lease.command(&cmd("PING")).await.unwrap();
        assert_eq!(pool.counters().closed_by(CloseReason::Verdict), 1);
    }
}

#[tokio::test]
async fn a_monitor_is_closed_at_return() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut monitor = pool.get().await.unwrap();
        monitor.command(&cmd("MONITOR")).await.unwrap();
        drop(monitor);
        let mut lease = ends("a new connection", pool.get()).await.unwrap();
        assert_eq!(lease.query::<String>(&cmd("ECHO x")).await.unwrap(), "x");
        assert_eq!(pool.counters().closed_by(CloseReason::Verdict), 1);
    }
}

#[tokio::test]
async fn typed_replies_are_the_same_in_both_versions() {
    let server = RedisServer::start().unwrap();
    for pool in pools(&server) {
        let mut lease = pool.get().await.unwrap();
        lease.command(&cmd("FLUSHALL")).await.unwrap();
        lease.command(&cmd("HSET h a 1")).await.unwrap();
        lease.command(&cmd("ZADD z 1.5 m")).await.unwrap();
        let missing: Option<Vec<u8>> = lease.get("missing").await.unwrap();
        let list: Vec<String> = lease.query(&cmd("HGETALL h")).await.unwrap();
        let score: f64 = lease.query(&cmd("ZSCORE z m")).await.unwrap();
        let length: i64 = lease.query(&cmd("HLEN h")).await.unwrap();
        let info: String = lease.query(&cmd("INFO server")).await.unwrap();
        assert_eq!(
            (missing, list, score, length),
            (None, vec!["a".into(), "1".into()], 1.5, 1)
        );
        assert!(info.contains("redis_version"), "{info}");
    }
}
