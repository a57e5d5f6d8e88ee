//! A runtime that was built without timers (`enable_time`) serves all that connections do: their timers are not
//! tokio's.

mod fixture;

use std::time::Duration;

use cenote::time::timeout;
use cenote::{Connect, ConnectionInfo, Dial, SharedPool};
use cenote_postgres::{Heard, PgListener, PipelinedConnector, PostgresConnector};
use fixture::{connector, patient, server, single};
use tokio::runtime::{Builder, Runtime};

const SHORT: Duration = Duration::from_millis(20);

fn without_timers() -> Runtime {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_io()
        .build();
    runtime.expect("a runtime")
}

#[test]
fn an_exclusive_pool_queries_cancels_and_closes() {
    without_timers().block_on(async {
        let pool = patient(connector())
            .max_size(1)
            .reset_timeout(SHORT)
            .build()
            .expect("settings are valid");
        let conn = pool.get().await.expect("a lease");
        let row = conn.query_one("SELECT 42", &[]).await.expect("a row");
        assert_eq!(row.get::<_, i32>(0), 42);
        let slow = conn.query_one("SELECT pg_sleep(600)", &[]);
        let cut_short = timeout(SHORT, slow).await;
        assert!(cut_short.is_err(), "it sleeps");
        // The reset waits behind it in vain, and the end of the connection cancels it.
        drop(conn);
        let conn = pool.get().await.expect("the next lease");
        conn.query_one("SELECT 1", &[]).await.expect("it answers");
        drop(conn);
        pool.close().await;
    });
}

#[test]
fn a_dial_with_a_limit_of_its_own_logs_in() {
    let url = format!("{}?connect_timeout=60", server().url());
    let connector = PostgresConnector::new(&url).expect("the URL is valid");
    without_timers().block_on(async {
        let conn = connector.connect(&Dial::new()).await.expect("it connects");
        connector.close(conn, &ConnectionInfo::default()).await;
    });
}

#[test]
fn a_shared_pool_serves() {
    without_timers().block_on(async {
        let connector = PipelinedConnector::new(&server().url()).expect("it is valid");
        let pool = SharedPool::new(connector);
        let conn = pool.get().await.expect("a lease");
        let row = conn.query_one("SELECT 42", &[]).await.expect("a row");
        assert_eq!(row.get::<_, i32>(0), 42);
        drop(conn);
        pool.close().await;
    });
}

#[test]
fn a_listener_hears_also_after_its_session_was_ended() {
    without_timers().block_on(async {
        let mut listener = PgListener::new(connector());
        listener.listen("orders").await.expect("it listens");
        let pool = single();
        let talker = pool.get().await.expect("a lease");
        talker
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE query LIKE '%LISTEN%' AND pid <> pg_backend_pid()",
            )
            .await
            .expect("it ends");
        assert!(matches!(listener.next().await, Ok(Heard::Gap)));
        talker
            .batch_execute("NOTIFY orders, '1'")
            .await
            .expect("sent");
        assert!(matches!(listener.next().await, Ok(Heard::Notification(_))));
    });
}

#[test]
fn a_lease_whose_calls_are_given_up_in_a_row_ends() {
    let connector = connector().ping_after(SHORT).ping_timeout(SHORT);
    without_timers().block_on(async {
        let conn = connector.connect(&Dial::new()).await.expect("it connects");
        let told = loop {
            if let Ok(told) = timeout(SHORT, conn.query_one("SELECT pg_sleep(600)", &[])).await {
                break told;
            }
        };
        assert!(told.expect_err("it sleeps").is_closed());
    });
}
