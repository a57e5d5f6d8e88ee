//! The server dies, freezes or throws clients out: service resumes and no reply goes astray.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod fake;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use cenote::error::with_causes;
use cenote::settings::{Backoff, ConnectFailures};
use cenote::{Connect, Dial, Lease, Pool};
use cenote_redis::{Cmd, RedisConnector};
use cenote_testkit::RedisServer;
use fake::{ends, until};

const USERS: usize = 120;

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
}

/// Users who ask for echoes of texts of their own, each with a short patience.
fn start_users(pool: &Pool<RedisConnector>) -> (Arc<Tally>, tokio::task::JoinSet<()>) {
    let answered = (0..USERS).map(|_| AtomicUsize::new(0)).collect();
    let tally = Arc::new(Tally {
        answered,
        ..Tally::default()
    });
    let mut users = tokio::task::JoinSet::new();
    for user in 0..USERS {
        let (pool, tally) = (pool.clone(), tally.clone());
        users.spawn(async move {
            let mut turn = 0;
            while !tally.done.load(SeqCst) {
                turn += 1;
                let text = format!("{user}/{turn}");
                match ask(&pool, &text).await {
                    Some(reply) if reply == text => {
                        tally.answered[user].fetch_add(1, SeqCst);
                    }
                    Some(_) => {
                        tally.wrong.fetch_add(1, SeqCst);
                    }
                    None => {
                        tally.failed.fetch_add(1, SeqCst);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
            }
        });
    }
    (tally, users)
}

async fn ask(pool: &Pool<RedisConnector>, text: &str) -> Option<String> {
    let mut lease = pool.get().await.ok()?;
    let echo = Cmd::new("ECHO").arg(text);
    let reply = tokio::time::timeout(Duration::from_millis(50), lease.query(&echo)).await;
    reply.ok()?.ok()
}

fn pool(server: &RedisServer) -> Pool<RedisConnector> {
    let connector = RedisConnector::new(&server.url()).unwrap();
    Pool::builder(connector)
        .max_size(8)
        .backoff(Backoff::new(
            Duration::from_millis(5),
            Duration::from_millis(50),
        ))
        .build()
        .unwrap()
}

async fn everyone_is_served_again(tally: &Tally) {
    let before = tally.answered();
    until("every user got an answer again", || {
        tally
            .answered()
            .iter()
            .zip(&before)
            .all(|(now, before)| now > before)
    })
    .await;
}

async fn end(tally: &Tally, users: tokio::task::JoinSet<()>) {
    tally.done.store(true, SeqCst);
    ends("the users", users.join_all()).await;
    assert_eq!(
        tally.wrong.load(SeqCst),
        0,
        "replies that belonged to others"
    );
}

/// deadpool #201 and #191, Hikari #2161.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_resumes_after_the_server_was_killed_and_restarted_under_load() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server);
    let (tally, users) = start_users(&pool);
    everyone_is_served_again(&tally).await;
    for _ in 0..2 {
        let failed = tally.failed.load(SeqCst);
        server.kill().unwrap();
        until("users see errors", || tally.failed.load(SeqCst) > failed).await;
        server.restart().unwrap();
        everyone_is_served_again(&tally).await;
    }
    end(&tally, users).await;
}

/// s2 #710: a peer that is there and says nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_resumes_after_the_server_was_stopped_and_continued_under_load() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server);
    let (tally, users) = start_users(&pool);
    everyone_is_served_again(&tally).await;
    let failed = tally.failed.load(SeqCst);
    server.stop().unwrap();
    until("time-outs strike", || tally.failed.load(SeqCst) > failed).await;
    server.cont().unwrap();
    everyone_is_served_again(&tally).await;
    end(&tally, users).await;
    until("all is quiet", || {
        let status = pool.status();
        status.leased == 0 && status.upkeep == 0 && status.waiters == 0
    })
    .await;
}

/// Connections that the server closed while they idled are never handed out.
#[tokio::test]
async fn killed_idle_connections_are_never_handed_out() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server);
    let admin = RedisConnector::new(&server.url()).unwrap();
    let admin = Pool::builder(admin).max_size(1).build().unwrap();
    for _ in 0..10 {
        let mut leases = Vec::new();
        for _ in 0..8 {
            leases.push(pool.get().await.unwrap());
        }
        let closed_before: Vec<u64> = leases.iter().map(|lease| Lease::info(lease).id).collect();
        drop(leases);
        let kill = Cmd::new("CLIENT").args(["KILL", "TYPE", "normal"]);
        let killed: i64 = admin.get().await.unwrap().query(&kill).await.unwrap();
        assert_eq!(killed, 8);

        let mut lease = pool.get().await.unwrap();
        assert!(!closed_before.contains(&Lease::info(&lease).id));
        lease.command(&Cmd::new("PING")).await.unwrap();
    }
}

/// The runtime was busy while the server closed the connection, and has not looked at its sockets since: the connection
/// knows all the same.
#[tokio::test]
async fn a_connection_killed_while_the_runtime_was_busy_is_not_open() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let conn = connector.connect(&Dial::new()).await.unwrap();
    assert!(connector.is_open(&conn));
    // Blocks the thread on which the runtime runs.
    let mut admin = std::net::TcpStream::connect(server.addr()).unwrap();
    admin.write_all(b"CLIENT KILL TYPE normal\r\n").unwrap();
    let mut reply = [0; 4];
    admin.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b":1\r\n");
    let since = Instant::now();
    while connector.is_open(&conn) {
        assert!(since.elapsed() < Duration::from_secs(30), "still open");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// hyper #2312: a pool in a `static`, used by one test and its runtime after the other.
#[test]
fn connections_of_a_runtime_that_ended_are_never_handed_out() {
    let server = RedisServer::start().unwrap();
    let pool = pool(&server);
    for _ in 0..3 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut lease = pool.get().await.unwrap();
            lease.command(&Cmd::new("PING")).await.unwrap();
        });
    }
}

/// bb8 #102: while nothing is alive, getters learn why.
#[tokio::test]
async fn getters_learn_that_the_server_is_gone() {
    let server = RedisServer::start().unwrap();
    let connector = RedisConnector::new(&server.url()).unwrap();
    let pool = Pool::builder(connector)
        .backoff(Backoff::new(
            Duration::from_millis(1),
            Duration::from_millis(5),
        ))
        .connect_failures(ConnectFailures::FailAfter(2))
        .acquire_timeout(None)
        .build()
        .unwrap();
    pool.get()
        .await
        .unwrap()
        .command(&Cmd::new("PING"))
        .await
        .unwrap();
    server.kill().unwrap();
    let error = loop {
        match ends("the error", pool.get()).await {
            Ok(mut lease) => drop(lease.command(&Cmd::new("PING")).await),
            Err(error) => break with_causes(&error),
        }
    };
    let cause = format!("cannot connect to {}: Connection refused", server.url());
    assert!(error.contains(&cause), "{error}");
}
