//! Cancelled commands, seen from the pool: no lease reads what belonged to another.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::time::Duration;

use cenote::{Lease, Pool};
use cenote_redis::{Cmd, RedisConnector};
use cenote_testkit::RedisServer;
use fake::{HeldReplies, ends, poll_at_most, until};

fn echo(text: &str) -> Cmd {
    Cmd::new("ECHO").arg(text)
}

fn pool(url: &str, max_size: usize) -> Pool<RedisConnector> {
    let connector = RedisConnector::new(url).unwrap();
    Pool::builder(connector).max_size(max_size).build().unwrap()
}

/// deadpool #97 and #102, redis-py #2624: at every point of a command, the holder gives up and goes.
#[tokio::test]
async fn a_lease_dropped_at_any_poll_of_a_command_never_shows_its_reply_to_the_next() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server.url(), 1);
    for polls in 0.. {
        let mut lease = pool.get().await.unwrap();
        let private = echo("private");
        let finished = poll_at_most(polls, lease.command(&private)).await;
        drop(lease);
        let mut lease = ends("the next lease", pool.get()).await.unwrap();
        let reply: String = lease.query(&echo("mine")).await.unwrap();
        assert_eq!(reply, "mine", "after {polls} polls");
        if finished.is_some() {
            break;
        }
    }
}

/// redis-py #2665: the replies are held up on the way, so that they are late for sure.
#[tokio::test]
async fn a_reply_that_comes_after_its_lease_ended_is_dropped_and_the_connection_reused() {
    let server = RedisServer::start().unwrap();
    let proxy = HeldReplies::before(server.port()).await;
    let pool = pool(&proxy.url(), 1);
    let mut lease = pool.get().await.unwrap();
    let id = Lease::info(&lease).id;
    proxy.hold();
    let limit = Duration::from_millis(10);
    let private = [echo("private"), echo("more")];
    let late = tokio::time::timeout(limit, lease.pipeline(&private)).await;
    assert!(late.is_err());
    drop(lease);
    proxy.release();

    let mut lease = ends("the next lease", pool.get()).await.unwrap();
    assert_eq!(lease.query::<String>(&echo("mine")).await.unwrap(), "mine");
    assert_eq!(Lease::info(&lease).id, id);
}

/// redis-py #2665, many users at once, each with a time-out that often strikes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_impatient_users_never_read_each_others_replies() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server.url(), 4);
    let mut users = tokio::task::JoinSet::new();
    for user in 0..100 {
        let pool = pool.clone();
        users.spawn(async move {
            for turn in 0..40 {
                let mut lease = pool.get().timeout(Duration::from_secs(60)).await.unwrap();
                let text = format!("{user}/{turn}");
                // Polls instead of time: every kind of early end, on machines of any speed.
                let reply = poll_at_most(1 + turn % 3, lease.query::<String>(&echo(&text))).await;
                if let Some(reply) = reply {
                    assert_eq!(reply.unwrap(), text);
                }
            }
        });
    }
    users.join_all().await;
}

/// A server that never answers again must not hold on to the place of its connection.
#[tokio::test]
async fn a_drain_that_takes_too_long_closes_the_connection() {
    let server = RedisServer::start().unwrap();
    let proxy = HeldReplies::before(server.port()).await;
    let connector = RedisConnector::new(&proxy.url()).unwrap();
    let pool = Pool::builder(connector)
        .max_size(1)
        .reset_timeout(Duration::from_millis(20))
        .build()
        .unwrap();
    let mut lease = pool.get().await.unwrap();
    proxy.hold();
    assert!(poll_at_most(1, lease.command(&echo("x"))).await.is_none());
    drop(lease);
    until("the connection is given up", || {
        pool.counters().closed() == 1
    })
    .await;
    proxy.release();
    let mut lease = ends("a new connection", pool.get()).await.unwrap();
    assert_eq!(lease.query::<String>(&echo("mine")).await.unwrap(), "mine");
}

/// The element that a cancelled BLPOP would have taken is still there.
#[tokio::test]
async fn a_cancelled_blpop_takes_nothing() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server.url(), 2);
    let mut waiting = pool.get().await.unwrap();
    let mut observer = pool.get().await.unwrap();
    let blpop = Cmd::new("BLPOP").arg("list").arg(0);
    assert!(poll_at_most(1, waiting.command(&blpop)).await.is_none());
    drop(waiting);
    // The server must have noticed, else it still counts the client as blocked.
    for _ in 0..30_000 {
        let info: String = observer
            .query(&Cmd::new("INFO").arg("clients"))
            .await
            .unwrap();
        if info.contains("connected_clients:1\r\n") && info.contains("blocked_clients:0\r\n") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let push = Cmd::new("RPUSH").arg("list").arg("element");
    observer.command(&push).await.unwrap();
    let left: i64 = observer.query(&Cmd::new("LLEN").arg("list")).await.unwrap();
    assert_eq!(left, 1);
}
