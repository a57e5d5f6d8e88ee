//! A connection that died while it idled is not handed out.

mod fixture;

use std::time::Duration;

use cenote::Pool;
use cenote::pool::PoolBuilder;
use cenote_postgres::{PgConnection, PostgresConnector};
use fixture::{eventually, named, patient, server, sessions, single, text};

/// A pool whose connections are all open and idle.
async fn filled(builder: PoolBuilder<PostgresConnector>, size: usize) -> Pool<PostgresConnector> {
    let pool = builder
        .max_size(size)
        .min_idle(size)
        .build()
        .expect("settings are valid");
    eventually("the pool is full", async || pool.status().idle == size).await;
    pool
}

async fn terminate(observer: &PgConnection, application: &str) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
    observer
        .query(sql, &[&application])
        .await
        .expect("they are told to end");
    eventually("their sessions ended", async || {
        sessions(observer, application).await == 0
    })
    .await;
}

/// Prior art: deadpool #191 (62 dead connections recycled in a row), deadpool #201 (spins forever).
#[tokio::test]
async fn sessions_ended_by_the_server_are_replaced_not_handed_out() {
    let (watching, application) = (single(), "terminated");
    let observer = watching.get().await.expect("a lease for the observer");
    // No refill, so that what is handed out is what was there.
    let pool = filled(patient(named(server(), application)), 16).await;
    terminate(&observer, application).await;
    eventually("the pool notices", async || {
        pool.retain(|conn, _| !conn.is_closed());
        pool.status().size == 0 || pool.counters().closed() >= 16
    })
    .await;
    let mut leases = Vec::new();
    for _ in 0..16 {
        let lease = pool.get().await.expect("a lease");
        assert_eq!(text(&lease, "SELECT 'alive'").await, "alive");
        leases.push(lease);
    }
}

/// Prior art: deadpool #191; here nothing but the check at get stands between user and dead session.
#[tokio::test]
async fn an_idle_connection_is_checked_before_it_is_handed_out() {
    let (watching, application) = (single(), "unnoticed");
    let observer = watching.get().await.expect("a lease for the observer");
    let builder = patient(named(server(), application)).check_after_idle(Duration::ZERO);
    let pool = filled(builder, 8).await;
    terminate(&observer, application).await;
    let mut leases = Vec::new();
    for _ in 0..8 {
        let lease = pool.get().await.expect("a lease");
        assert_eq!(text(&lease, "SELECT 'alive'").await, "alive");
        leases.push(lease);
    }
}

#[tokio::test]
async fn a_connection_that_ends_while_leased_is_closed_at_its_return() {
    let (watching, application) = (single(), "ended");
    let observer = watching.get().await.expect("a lease for the observer");
    let pool = filled(patient(named(server(), application)), 1).await;
    let conn = pool.get().await.expect("a lease");
    terminate(&observer, application).await;
    let error = conn
        .query("SELECT 1", &[])
        .await
        .expect_err("the session ended");
    assert!(
        error.is_closed() || error.code().map(|code| code.code()) == Some("57P01"),
        "{error}"
    );
    drop(conn);
    let next = pool.get().await.expect("the next lease");
    assert_eq!(text(&next, "SELECT 'alive'").await, "alive");
}

/// Prior art: hyper #2312/#2892, reqwest #1148: a pool shared by runtimes hangs when the first one ends.
#[test]
fn connections_of_a_runtime_that_ended_are_replaced() {
    let pool = single();
    for _ in 0..3 {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let conn = pool.get().await.expect("a lease");
            assert_eq!(text(&conn, "SELECT 'alive'").await, "alive");
        });
    }
}
