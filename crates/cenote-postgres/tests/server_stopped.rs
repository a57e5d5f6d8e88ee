//! The server freezes under load and thaws: nobody waits beyond the time-outs, and service resumes.

mod fixture;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote_testkit::PostgresServer;
use fixture::{connector_to, eventually, patient};

const USERS: usize = 120;
const SHORT: Duration = Duration::from_millis(200);

/// Prior art: async-bb8-diesel #94 (one hung connection hangs the pool), redis-rs #2277 (time-outs in a
/// row do not lead to a reconnect), deadpool #97 (a timed-out query's reply read by the next user).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn service_resumes_after_the_server_was_frozen_under_load() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let pool = patient(connector_to(&server))
        .max_size(8)
        .acquire_timeout(Duration::from_millis(500))
        .connect_timeout(SHORT)
        .check_timeout(SHORT)
        .reset_timeout(SHORT)
        .close_timeout(SHORT)
        .build()
        .expect("settings are valid");
    let answers = Arc::new(AtomicU64::new(0));
    let refusals = Arc::new(Mutex::new(Vec::<String>::new()));
    let over = Arc::new(AtomicBool::new(false));
    let users = (0..USERS).map(|user| {
        let (pool, answers) = (pool.clone(), answers.clone());
        let (refusals, over) = (refusals.clone(), over.clone());
        tokio::spawn(async move {
            let mut tag = user as i64;
            while !over.load(Relaxed) {
                tag += USERS as i64;
                match pool.get().await {
                    Ok(conn) => {
                        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&tag];
                        let query = conn.query_one_cached("SELECT $1::int8", &params);
                        // The user's own time-out: a call dropped in mid-reply.
                        if let Ok(Ok(row)) = tokio::time::timeout(SHORT, query).await {
                            assert_eq!(row.get::<_, i64>(0), tag, "the reply of another");
                            answers.fetch_add(1, Relaxed);
                        }
                    }
                    Err(error) => {
                        refusals
                            .lock()
                            .expect("no user panicked")
                            .push(error.to_string());
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        })
    });
    let users: Vec<_> = users.collect();

    for _ in 0..2 {
        let before = answers.load(Relaxed);
        eventually("users are served", async || {
            answers.load(Relaxed) > before + 1000
        })
        .await;
        refusals.lock().expect("no user panicked").clear();
        tokio::task::block_in_place(|| server.stop()).expect("the server is frozen");
        eventually("users are told", async || {
            refusals.lock().expect("no user panicked").len() > 2 * USERS
        })
        .await;
        tokio::task::block_in_place(|| server.cont()).expect("the server goes on");
        let told = std::mem::take(&mut *refusals.lock().expect("no user panicked"));
        let clear = |text: &String| text.contains("no connection");
        assert!(
            told.iter().all(clear),
            "unclear: {:?}",
            told.iter().find(|text| !clear(text))
        );
    }
    let before = answers.load(Relaxed);
    eventually("users are served again", async || {
        answers.load(Relaxed) > before + 1000
    })
    .await;

    over.store(true, Relaxed);
    for user in users {
        user.await.expect("no user read the reply of another");
    }
    eventually("every connection is idle", async || {
        let status = pool.status();
        status.idle == status.size && status.waiters == 0 && status.opening == 0
    })
    .await;
    assert!(pool.status().size <= 8);
}

/// Prior art: sqlx #4349 (a silently dead connection), reqwest #1323 (half-dead connections stay pooled).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_to_a_frozen_server_fail_their_check_and_are_closed() {
    let server = PostgresServer::start().expect("PostgreSQL starts");
    let pool = patient(connector_to(&server))
        .max_size(3)
        .min_idle(3)
        .check_timeout(SHORT)
        .connect_timeout(SHORT)
        .check_after_idle(Duration::from_millis(1))
        .build()
        .expect("settings are valid");
    eventually("the pool is full", async || pool.status().idle == 3).await;
    tokio::time::sleep(SHORT).await;
    tokio::task::block_in_place(|| server.stop()).expect("the server is frozen");
    let error = pool.get().timeout(Duration::from_secs(2)).await.map(drop);
    let error = error.expect_err("nothing answers");
    assert!(
        pool.counters()
            .closed_by(cenote::report::CloseReason::CheckFailed)
            >= 1,
        "{error}"
    );
    tokio::task::block_in_place(|| server.cont()).expect("the server goes on");
    let conn = pool.get().await.expect("a lease");
    conn.query("SELECT 1", &[]).await.expect("it runs");
}
