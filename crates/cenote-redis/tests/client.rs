//! The client with both kinds of connection: each command goes where it holds nobody up, and service resumes
//! after the server was gone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use cenote::error::with_causes;
use cenote::settings::Backoff;
use cenote::{Pool, SharedPool};
use cenote_redis::{
    Cmd, Message, PipelinedConnector, RedisClient, RedisConnector, RedisError, Refusal, Value,
};
use cenote_testkit::RedisServer;
use fake::{ends, until};
use tokio::task::JoinSet;

fn command(line: &str) -> Cmd {
    let mut words = line.split(' ');
    Cmd::new(words.next().unwrap()).args(words)
}

/// A client that comes back fast.
fn client(server: &RedisServer) -> RedisClient {
    let connector = RedisConnector::new(&server.url()).unwrap();
    let backoff = || Backoff::new(Duration::from_millis(5), Duration::from_millis(50));
    let shared = SharedPool::builder(PipelinedConnector::from(connector.clone()))
        .max_size(2)
        .backoff(backoff())
        .build();
    let exclusive = Pool::builder(connector).backoff(backoff()).build();
    RedisClient::of_pools(shared.unwrap(), exclusive.unwrap())
}

/// Waits until that many clients of the server are blocked in a command.
async fn until_blocked(redis: &RedisClient, clients: usize) {
    let expected = format!("blocked_clients:{clients}\r\n");
    for _ in 0..30_000 {
        let info: String = redis.query(&command("INFO clients")).await.unwrap();
        if info.contains(&expected) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never came true: {expected}");
}

#[tokio::test]
async fn a_command_that_waits_holds_nobody_up() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    let waiting = redis.clone();
    let popped = tokio::spawn(async move {
        let blpop = command("BLPOP jobs 0");
        waiting.query::<Vec<String>>(&blpop).await.unwrap()
    });
    until_blocked(&redis, 1).await;

    let mut users = JoinSet::new();
    for user in 0..200_u64 {
        let redis = redis.clone();
        users.spawn(async move {
            redis.set(user, user).await.unwrap();
            assert_eq!(redis.get::<u64>(user).await.unwrap(), user);
        });
    }
    ends("the users", users.join_all()).await;
    let status = redis.status();
    assert_eq!((status.shared.size, status.exclusive.leased), (1, 1));

    redis.command(&command("RPUSH jobs 42")).await.unwrap();
    assert_eq!(ends("the pop", popped).await.unwrap(), ["jobs", "42"]);
}

#[tokio::test]
async fn a_cancelled_command_that_waits_takes_no_element() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    let waiting = redis.clone();
    let pop = tokio::spawn(async move { waiting.command(&command("BLPOP jobs 0")).await });
    until_blocked(&redis, 1).await;
    pop.abort();
    until_blocked(&redis, 0).await;
    let length: i64 = redis.query(&command("RPUSH jobs 42")).await.unwrap();
    assert_eq!(length, 1);
    assert_eq!(redis.query::<i64>(&command("LLEN jobs")).await.unwrap(), 1);
}

#[tokio::test]
async fn a_subscription_has_a_connection_of_its_own() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    let mut news = redis.listen(&command("SUBSCRIBE news")).await.unwrap();
    let heard: i64 = redis.query(&command("PUBLISH news hello")).await.unwrap();
    assert_eq!(heard, 1);
    let message = ends("the message", news.next_message()).await.unwrap();
    let Message::Published { payload, .. } = message else {
        panic!("{message:?}");
    };
    assert_eq!(payload, "hello");
    assert_eq!(redis.status().exclusive.leased, 1);
    drop(news);
    until("the subscriber is gone", || {
        redis.status().exclusive.size == 0
    })
    .await;
}

#[tokio::test]
async fn what_changes_a_session_is_refused_and_works_on_an_exclusive_lease() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    for (line, expected) in [
        ("SELECT 1", Refusal::ChangesSharedSession),
        ("WATCH key", Refusal::ChangesSharedSession),
        ("MULTI", Refusal::OpenTransaction),
        ("SUBSCRIBE news", Refusal::ListensOnShared),
    ] {
        let refused = redis.command(&command(line)).await;
        let Err(RedisError::Refused { reason, .. }) = refused else {
            panic!("{line}: {refused:?}");
        };
        assert_eq!(reason, expected, "{line}");
    }
    let get = redis.listen(&command("GET key")).await;
    assert!(matches!(get, Err(RedisError::Refused { .. })));

    let mut lease = redis.exclusive().await.unwrap();
    lease.command(&command("WATCH key")).await.unwrap();
    redis.set("key", "changed by another").await.unwrap();
    let transaction = ["MULTI", "SET key mine", "EXEC"].map(command);
    let replies = lease.pipeline(&transaction).await.unwrap();
    assert_eq!(replies[2], Ok(Value::Nil));
}

#[tokio::test]
async fn a_pipeline_with_a_command_that_waits_goes_down_a_connection_of_its_own() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    let both = ["RPUSH jobs 1", "BLPOP jobs 0"].map(command);
    let replies = redis.pipeline(&both).await.unwrap();
    assert_eq!(replies[0], Ok(Value::Int(1)));
    let status = redis.status();
    assert_eq!((status.shared.size, status.exclusive.size), (0, 1));
}

/// What the users saw so far.
#[derive(Default)]
struct Tally {
    answered: Vec<AtomicUsize>,
    failed: AtomicUsize,
    wrong: AtomicUsize,
    done: AtomicBool,
}

impl Tally {
    fn answered(&self) -> Vec<usize> {
        self.answered
            .iter()
            .map(|count| count.load(SeqCst))
            .collect()
    }

    async fn everyone_is_served_again(&self) {
        let before = self.answered();
        until("every user got an answer again", || {
            let now = self.answered();
            now.iter().zip(&before).all(|(now, before)| now > before)
        })
        .await;
    }
}

fn start_users(redis: &RedisClient, users: usize) -> (Arc<Tally>, JoinSet<()>) {
    let tally = Arc::new(Tally {
        answered: (0..users).map(|_| AtomicUsize::new(0)).collect(),
        ..Tally::default()
    });
    let mut tasks = JoinSet::new();
    for user in 0..users {
        let (redis, tally) = (redis.clone(), tally.clone());
        tasks.spawn(async move {
            for turn in 0.. {
                if tally.done.load(SeqCst) {
                    return;
                }
                let text = format!("{user}/{turn}");
                match redis.query::<String>(&Cmd::new("ECHO").arg(&text)).await {
                    Ok(reply) if reply == text => tally.answered[user].fetch_add(1, SeqCst),
                    Ok(_) => tally.wrong.fetch_add(1, SeqCst),
                    Err(_) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        tally.failed.fetch_add(1, SeqCst)
                    }
                };
            }
        });
    }
    (tally, tasks)
}

/// deadpool #201 and #191, Hikari #2161, for connections that everybody shares.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_resumes_after_the_server_was_killed_and_restarted_under_load() {
    let server = RedisServer::start().unwrap();
    let redis = client(&server);
    let (tally, users) = start_users(&redis, 200);
    tally.everyone_is_served_again().await;
    for _ in 0..2 {
        let failed = tally.failed.load(SeqCst);
        server.kill().unwrap();
        until("users see errors", || tally.failed.load(SeqCst) > failed).await;
        server.restart().unwrap();
        tally.everyone_is_served_again().await;
    }
    tally.done.store(true, SeqCst);
    ends("the users", users.join_all()).await;
    assert_eq!(
        tally.wrong.load(SeqCst),
        0,
        "replies that belonged to others"
    );
}

#[tokio::test]
async fn everyone_who_waits_for_a_reply_is_told_that_the_server_is_gone() {
    let server = RedisServer::start().unwrap();
    let redis = client(&server);
    redis.command(&Cmd::new("PING")).await.unwrap();
    server.stop().unwrap();
    let mut users = JoinSet::new();
    for _ in 0..100 {
        let redis = redis.clone();
        users.spawn(async move { redis.command(&Cmd::new("PING")).await });
    }
    until("all have asked", || {
        let sharing = redis.status().shared.sharing;
        sharing.is_some_and(|sharing| sharing.in_flight == 100)
    })
    .await;
    server.kill().unwrap();
    for outcome in ends("the users", users.join_all()).await {
        let error = outcome.unwrap_err();
        assert!(matches!(error, RedisError::Call { .. }), "{error}");
        assert!(error.to_string().contains(&server.url()), "{error}");
    }
}

/// bb8 #102: while nothing is alive, users learn why.
#[tokio::test]
async fn users_learn_that_the_server_cannot_be_reached() {
    let server = RedisServer::start().unwrap();
    let redis = client(&server);
    server.kill().unwrap();
    let error = ends("the error", redis.get::<Value>("key")).await;
    let error = with_causes(&error.unwrap_err());
    assert!(error.contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn closing_answers_what_is_pending_and_then_refuses() {
    let server = RedisServer::start().unwrap();
    let redis = RedisClient::new(&server.url()).unwrap();
    redis.command(&Cmd::new("PING")).await.unwrap();
    server.stop().unwrap();
    let pending = tokio::spawn({
        let redis = redis.clone();
        async move { redis.command(&Cmd::new("PING")).await }
    });
    until("it was asked", || {
        let sharing = redis.status().shared.sharing;
        sharing.is_some_and(|sharing| sharing.in_flight == 1)
    })
    .await;
    let close = redis.close();
    let late = redis.command(&Cmd::new("PING")).await;
    assert!(matches!(late, Err(RedisError::Lease(_))), "{late:?}");
    server.cont().unwrap();
    assert!(ends("the reply", pending).await.unwrap().is_ok());
    ends("the close", close).await;
    let status = redis.status();
    assert_eq!((status.shared.size, status.exclusive.size), (0, 0));
}
