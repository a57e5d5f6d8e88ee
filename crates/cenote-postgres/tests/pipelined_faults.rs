//! Many impatient users on shared connections, a slow wire and a server that dies: nobody reads another's
//! answer, everyone is told, and service resumes.

mod fixture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cenote::shared::SharedPoolBuilder;
use cenote::{GetError, SharedPool};
use cenote_postgres::{PipelinedConnector, PipelinedError};
use cenote_testkit::{Fault, FaultProxy, PostgresServer};
use fastrand::Rng;
use fixture::{DEADLINE, eventually, server};
use tokio::task::JoinSet;
use tokio::time::timeout;

const USERS: usize = 200;
/// Shorter than most answers take through the proxy.
const IMPATIENCE_MICROS: u64 = 8_000;

/// What the users met.
#[derive(Default)]
struct Seen {
    answers: AtomicU64,
    cancelled: AtomicU64,
    /// Statements cut off by the end of their connection.
    cut_off: AtomicU64,
    /// Errors of `get` with the connector's own error in them.
    connect_errors: AtomicU64,
    over: AtomicBool,
}

impl Seen {
    /// One user, who asks for a tag of his own until it is over, and cancels `cancels` of 4 calls.
    async fn user(self: Arc<Self>, pool: SharedPool<PipelinedConnector>, user: usize, cancels: u8) {
        let mut rng = Rng::with_seed(user as u64);
        let mut tag = user as i64;
        while !self.over.load(Relaxed) {
            tag += USERS as i64;
            let conn = match pool.get().await {
                Ok(conn) => conn,
                Err(GetError::Connect { .. } | GetError::TimedOut(_)) => {
                    self.connect_errors.fetch_add(1, Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                Err(other) => panic!("{other}"),
            };
            let patience = match rng.u8(..4) < cancels {
                true => Duration::from_micros(rng.u64(..IMPATIENCE_MICROS)),
                false => DEADLINE,
            };
            // Several texts, so that some are prepared while others wait for that.
            let sql = format!("SELECT $1::int8 -- {}", rng.u8(..5));
            match timeout(patience, conn.query_one(&sql, &[&tag])).await {
                Ok(Ok(row)) => {
                    assert_eq!(row.get::<_, i64>(0), tag, "the answer of another");
                    self.answers.fetch_add(1, Relaxed);
                }
                Ok(Err(PipelinedError::Closed { .. })) => {
                    self.cut_off.fetch_add(1, Relaxed);
                }
                // What a server that shuts down or starts up says, on the way to the end.
                Ok(Err(PipelinedError::Failed { .. })) => {}
                Ok(Err(other)) => panic!("{other}"),
                Err(_) => {
                    self.cancelled.fetch_add(1, Relaxed);
                }
            }
        }
    }
}

fn patient(url: &str) -> SharedPoolBuilder<PipelinedConnector> {
    let connector = PipelinedConnector::new(url).expect("the URL is valid");
    SharedPool::builder(connector)
        .acquire_timeout(DEADLINE)
        .connect_timeout(DEADLINE)
        .check_timeout(DEADLINE)
        .reset_timeout(DEADLINE)
        .close_timeout(DEADLINE)
}

/// Prior art: redis-py #2665 (the answer to a cancelled call reaches the next caller, seen through a proxy that
/// delays), deadpool #97.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_user_reads_another_users_answer_however_many_cancel() {
    let proxy = FaultProxy::start_seeded(server().addr(), 1).await;
    let proxy = proxy.expect("it runs");
    proxy
        .set(Fault::Delay {
            by: Duration::from_millis(2),
            jitter: Duration::from_millis(5),
        })
        .expect("the wire is slow");
    let url = format!("postgres://postgres@{}/postgres", proxy.addr());
    let pool = patient(&url).max_size(2).build();
    let pool = pool.expect("settings are valid");
    let seen = Arc::new(Seen::default());
    let mut users = JoinSet::new();
    for user in 0..USERS {
        users.spawn(seen.clone().user(pool.clone(), user, 2));
    }
    eventually(
        "thousands were answered, and as many cancelled",
        async || seen.answers.load(Relaxed) > 3_000 && seen.cancelled.load(Relaxed) > 3_000,
    )
    .await;
    seen.over.store(true, Relaxed);
    while let Some(user) = users.join_next().await {
        user.expect("no user read another's answer");
    }
    assert_eq!(seen.cut_off.load(Relaxed), 0, "a cancel ended a connection");
}

/// Prior art: deadpool #201 (spins forever after a restart), HikariCP #2161 (connections fall to zero and never
/// come back).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_server_is_killed_everyone_is_told_and_service_resumes() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let pool = patient(&server.url())
        .max_size(2)
        .acquire_timeout(Duration::from_secs(5))
        .build()
        .expect("settings are valid");
    let seen = Arc::new(Seen::default());
    let mut users = JoinSet::new();
    for user in 0..USERS {
        users.spawn(seen.clone().user(pool.clone(), user, 0));
    }
    for _ in 0..2 {
        let before = seen.answers.load(Relaxed);
        eventually("users are served", async || {
            seen.answers.load(Relaxed) > before + 1_000
        })
        .await;
        let cut_off = seen.cut_off.load(Relaxed);
        tokio::task::block_in_place(|| server.kill()).expect("the server is killed");
        let before = seen.connect_errors.load(Relaxed);
        eventually("users are told why", async || {
            seen.connect_errors.load(Relaxed) > before + 2 * USERS as u64
        })
        .await;
        assert!(
            seen.cut_off.load(Relaxed) > cut_off,
            "nobody was cut off by the end of a connection"
        );
        tokio::task::block_in_place(|| server.restart()).expect("the server comes back");
    }
    let before = seen.answers.load(Relaxed);
    eventually("users are served again", async || {
        seen.answers.load(Relaxed) > before + 1_000
    })
    .await;
    seen.over.store(true, Relaxed);
    while let Some(user) = users.join_next().await {
        user.expect("no user read another's answer");
    }
    let status = pool.status();
    let sharing = status.sharing.expect("it is a shared pool");
    assert_eq!((sharing.in_flight, status.waiters), (0, 0), "{status}");
}
